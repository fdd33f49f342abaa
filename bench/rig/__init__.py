"""What runs a measurement: the contenders, their Redis, and the accounting of CPU time and memory."""
