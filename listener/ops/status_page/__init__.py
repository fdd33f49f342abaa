"""The status page of the operating port: a snapshot of the service, its headline, tiles, chart and tables in HTML."""
