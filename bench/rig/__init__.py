"""What a measurement stands on: contenders, their Redis, and the accounts of processor time and memory."""
