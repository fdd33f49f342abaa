"""Decides whether a request came to the public or to the operating port, by its socket, and calls that application.

The same workers serve both ports. gunicorn gives each listening socket its own pool of connections, so
that a flood at the public port does not lock the operator out.
"""

from typing import Any

from listener.settings.redis_url import Address


class PortDispatcher:
    """The WSGI application that gunicorn serves.

    Nothing that a sender writes decides: neither a header nor a path leads from one port to the other.
    """

    def __init__(self, *, public: Any, operating: Any, bind: Address | None) -> None:
        """Takes both WSGI applications, and the address of the operating port if there is one."""
        self._public = public
        self._operating = operating
        self._operating_port = str(bind[1]) if bind else None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        # The worker sets SERVER_PORT to the port of the connection's own socket, whatever the Host header says.
        is_operating = environ["SERVER_PORT"] == self._operating_port
        return (self._operating if is_operating else self._public)(environ, start_response)
