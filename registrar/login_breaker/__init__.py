"""The login breaker: at most two refused logins, whatever restarts."""
