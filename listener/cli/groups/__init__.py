"""Commands that change what a consumer group is given: `replay`, `resend`, `group`."""
