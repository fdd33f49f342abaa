"""gunicorn's worker for this service: deadlines and limits for each connection, and the options it may run with."""
