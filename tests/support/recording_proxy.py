"""An HTTP proxy in front of the sandbox that records each request as it came over the wire."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import requests

# What belongs to one connection, and not to the answer that is passed on.
HOP_BY_HOP = {"connection", "content-length", "date", "server", "transfer-encoding"}


@dataclass(frozen=True)
class WireRequest:
    """A request; the names of its headers are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Recording:
    """Where clients connect, and what they sent so far."""

    base_url: str
    requests: list[WireRequest] = field(default_factory=list)

    def of(self, path: str) -> list[WireRequest]:
        """The requests whose path begins so."""
        return [each for each in self.requests if each.path.startswith(path)]


@contextmanager
def recording(target: str) -> Iterator[Recording]:
    """Passes requests on to a base URL, and records them, while the block runs."""
    parts = urlsplit(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            url = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            recorded.requests.append(WireRequest(self.command, url.path, url.query, headers, body))
            passed_on = {name: value for name, value in headers.items() if name != "host"}
            answer = session.request(
                self.command,
                f"{parts.scheme}://{parts.netloc}{self.path}",
                headers=passed_on,
                data=body,
                allow_redirects=False,
                timeout=30,
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            if answer.status_code != 204:
                self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 (the base class's names)

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with requests.Session() as session, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        session.trust_env = False
        server.daemon_threads = True
        recorded = Recording(f"http://127.0.0.1:{server.server_address[1]}{parts.path}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield recorded
        finally:
            server.shutdown()
            thread.join()
