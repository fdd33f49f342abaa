"""HTTP requests with a deadline: a session, its connections, and why a request failed."""
