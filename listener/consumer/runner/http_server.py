"""The operating port of `fota consume`: `/metrics`, `/healthz` and `/livez`."""

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

REQUEST_TIMEOUT_S = 5.0

Problem = Callable[[], str | None]
Metrics = Callable[[str], tuple[bytes, str]]


class OperatingServer(ThreadingHTTPServer):
    """Serves in threads until the process ends."""

    daemon_threads = True

    def __init__(
        self, host: str, port: int, *, problem: Problem, stall: Problem, metrics: Metrics
    ) -> None:
        """Binds the address; `start` begins to serve.

        Args:
            host: a name or an address.
            port: 0: any that is free.
            problem: why the processes do not consume as they should, None: they do.
            stall: why the supervisor itself does not work, None: it does.
            metrics: body and content type by the Accept header; may raise OSError.

        Raises:
            OSError: the address cannot be bound.
        """
        self.problem = problem
        self.stall = stall
        self.metrics = metrics
        self._host = host
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        super().__init__((host, port), Handler)

    def start(self) -> None:
        """Serves from now on, in threads of its own."""
        threading.Thread(target=self.serve_forever, name="operating-port", daemon=True).start()

    def server_bind(self) -> None:
        """Binds without looking up the host's name, which may take long."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self._host, self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no event."""


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    timeout = REQUEST_TIMEOUT_S
    server_version = "fota"
    sys_version = ""

    def do_GET(self) -> None:
        """Answers GET and HEAD."""
        server = cast("OperatingServer", self.server)
        match self.path.partition("?")[0]:
            case "/metrics":
                self._metrics(server)
            case "/healthz":
                self._health(server.problem())
            case "/livez":
                self._health(server.stall())
            case _:
                self._answer(404, b"there are /metrics, /healthz and /livez\n", "text/plain")

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Probes and scrapes are no events."""

    def _health(self, reason: str | None) -> None:
        answer = {"status": "ok"} if reason is None else {"status": "failing", "reason": reason}
        self._answer(503 if reason else 200, json.dumps(answer).encode(), "application/json")

    def _metrics(self, server: OperatingServer) -> None:
        try:
            body, content_type = server.metrics(self.headers.get("Accept", ""))
        except OSError as error:
            self._answer(503, f"{error}\n".encode(), "text/plain")
        else:
            self._answer(200, body, content_type)

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
