"""The status page of the operating port: a snapshot of the service and how it is shown."""
