"""The public port: a Flask application that authenticates a delivery, validates it, and puts it into the queue."""
