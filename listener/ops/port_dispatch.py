"""Dispatches each request to the public or the operating application, by the socket that it came in through.

Both ports are served by the same workers. gunicorn gives each listening socket a pool of connections of its
own, so that a crowd at the public port does not keep the operator out.
"""

from typing import Any

from listener.settings.redis_url import Address


class PortDispatcher:
    """The WSGI application that gunicorn serves.

    Nothing that a sender writes decides: neither a header nor a path leads from one port to the other.
    """

    def __init__(self, *, public: Any, operating: Any, bind: Address | None) -> None:
        """Takes a WSGI application for each port, and the operating port's address."""
        self._public = public
        self._operating = operating
        self._port = str(bind[1]) if bind else None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        # The worker sets it to the port of the connection's own socket, whatever a Host header says.
        application = self._operating if environ["SERVER_PORT"] == self._port else self._public
        return application(environ, start_response)
