"""The operating port of `fota consume`: `/metrics` and `/healthz`."""

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REQUEST_TIMEOUT_S = 5.0

Metrics = Callable[[str], tuple[bytes, str]]


def start(
    host: str, port: int, *, problem: Callable[[], str | None], metrics: Metrics
) -> ThreadingHTTPServer:
    """Serves in threads until the process ends.

    Args:
        host: a name or an address.
        port: 0: any that is free.
        problem: what is wrong, None: nothing.
        metrics: body and content type by the Accept header; may raise.

    Raises:
        OSError: the address cannot be bound.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_TIMEOUT_S
        server_version = "fota"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/healthz":
                reason = problem()
                answer = (
                    {"status": "ok"} if reason is None else {"status": "failing", "reason": reason}
                )
                self._answer(
                    503 if reason else 200, json.dumps(answer).encode(), "application/json"
                )
            elif path == "/metrics":
                try:
                    body, content_type = metrics(self.headers.get("Accept", ""))
                except (OSError, TimeoutError) as error:
                    self._answer(503, f"{error}\n".encode(), "text/plain")
                    return
                self._answer(200, body, content_type)
            else:
                self._answer(404, b"there are /metrics and /healthz\n", "text/plain")

        do_HEAD = do_GET  # noqa: N815 - the library's name

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Probes and scrapes are no events."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away is no event either."""

        def server_bind(self) -> None:
            # HTTPServer would look up the host's name, which may take long.
            self.socket.bind(self.server_address)
            self.server_address = self.socket.getsockname()
            self.server_name, self.server_port = host, self.server_address[1]

    server = Server((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="operating-port", daemon=True).start()
    return server
