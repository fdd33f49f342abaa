"""What `fota consume` runs: a supervisor, the processes that consume, and an operating port."""
