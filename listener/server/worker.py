"""gunicorn's gevent worker with deadlines and limits for each connection (idle time: `keepalive` in `gunicorn_conf`)."""

import resource
from collections.abc import Callable
from typing import Any

from gunicorn import util
from gunicorn.workers.ggevent import GeventWorker

from listener import metrics
from listener.errors import RequestTooSlowError
from listener.problem_responses import ProblemResponder
from listener.server import client_connection, http_exchange
from listener.server.client_connection import Connection, ConnectionLimiter
from listener.server.request_body import LINGER_S, MAX_DRAINED_BYTES, RequestBody
from listener.server.request_head import HeadLimits, RequestHead, read_head
from listener.server.worker_liveness import WorkerLiveness

# The files that a worker has open besides its connections, with room to spare.
OTHER_FILES = 200
# Of all unfinished requests of a worker together: sixteen of the largest at the default limit.
MAX_UNFINISHED_BYTES = 64 * 2**20
# Read and discarded before a connection is closed, so that the close does not destroy the response.
MAX_LINGER_BYTES = 512 * 1024


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no type information
    """Serves HTTP/1.1 connections; TLS ends in the proxy before it.

    Guaranteed: a request that is not complete `request_timeout_s` after its first byte is refused. A connection
    is closed if its client does not read a response within `write_timeout_s`, or starts no request for gunicorn's
    `keepalive` seconds. Idle connections are closed earlier in three cases only: while over half of the places
    are taken, after `first_byte_timeout_s` if they never sent a byte; while the worker stops, after that time; and
    the oldest when no place is free.
    """

    first_byte_timeout_s = client_connection.FIRST_BYTE_TIMEOUT_S
    request_timeout_s = client_connection.REQUEST_TIMEOUT_S
    write_timeout_s = client_connection.WRITE_TIMEOUT_S

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.tmp: Any = WorkerLiveness(self.tmp)
        self.alive: bool = True
        self._problems = ProblemResponder()
        # gunicorn's look-ups of a setting are slow.
        self.keepalive_s: float = self.cfg.keepalive
        self._limits = HeadLimits(
            self.cfg.limit_request_line,
            self.cfg.limit_request_fields,
            self.cfg.limit_request_field_size,
        )
        # Set by listener/gunicorn_conf.py once the application is loaded.
        self.close_application: Callable[[], None] = lambda: None
        # Below the size of gunicorn's pool, whose last places are for connections that are being closed.
        files = _allowed_files()
        places = min(self.worker_connections, max(files - OTHER_FILES, files // 4))
        self._limiter = ConnectionLimiter(max(places * 9 // 10, 1), MAX_UNFINISHED_BYTES)

    def run(self) -> None:
        """Serves until the worker stops, then calls `close_application`, after the last request.

        A worker whose master died ends at once, as gunicorn has it, in the middle of requests: an application
        that is being closed would answer them 503.
        """
        try:
            super().run()
        finally:
            if not self.alive:
                self.close_application()

    def notify(self) -> None:
        """Reports to the master that the worker is alive; gunicorn calls it every second, also while stopping."""
        super().notify()
        metrics.count_lost_lines()
        if self.alive:
            self._limiter.evict_unused(self.first_byte_timeout_s)
        else:
            # An idle connection would delay the end of the worker.
            self._limiter.evict_idle(self.first_byte_timeout_s)

    def handle(self, _listener: Any, client: Any, addr: Any) -> None:
        """Serves one connection until it ends.

        Args:
            _listener: the listening socket; gunicorn may have closed it by now, because the worker stops.
            client: the connection's socket.
            addr: the address of the peer.
        """
        connection = Connection(client, self._limiter, self.request_timeout_s, self.write_timeout_s)
        try:
            self._serve(connection, http_exchange.connection_environ(addr, client.getsockname()))
        except OSError:
            # The client has gone, or does not read its response, or sent no further request in time.
            pass
        except Exception as error:  # noqa: BLE001 (logged with its traceback by the responder)
            self._refuse(connection, error)
        finally:
            connection.close()

    def _serve(self, connection: Connection, of_connection: dict[str, str]) -> None:
        keeps_open = True
        # A connection that was evicted while its request ran would occupy a place and evict another one.
        while keeps_open and not connection.is_evicted:
            if (head := self._next_head(connection)) is None:
                return
            body = RequestBody(connection, head.body_bytes)
            keeps_open = self._respond(head, body, connection, of_connection)
            if not body.drain():
                _lingering_close(connection)
                keeps_open = False

    def _next_head(self, connection: Connection) -> RequestHead | None:
        connection.await_request(max(self.keepalive_s, self.first_byte_timeout_s))
        try:
            head = read_head(connection, self._limits)
        except TimeoutError as error:
            if connection.request_started:
                raise RequestTooSlowError("the head") from error
            raise
        if head is None and connection.is_evicted and connection.request_started:
            raise RequestTooSlowError("evicted for other connections")
        return head

    def _respond(
        self,
        head: RequestHead,
        body: RequestBody,
        connection: Connection,
        of_connection: dict[str, str],
    ) -> bool:
        """Runs the application and sends its response; whether the connection may be kept then."""
        self.nr += 1
        if self.alive and self.nr >= self.max_requests:
            self.log.info("This worker has served as many requests as it may (max_requests).")
            self.alive = False
        connection.owes_continue = head.expects_continue
        response = http_exchange.run_wsgi_app(
            self.wsgi, http_exchange.build_environ(head, body, of_connection)
        )
        if connection.owes_continue and body.unread:
            # The client may now send its body or not, so nobody knows where its next request starts.
            body.failed = True
        # Decided only now: the worker may have begun to stop, or evicted the connection, meanwhile.
        closes = (
            not self.alive
            or connection.is_evicted
            or not head.keeps_alive
            or body.unread > MAX_DRAINED_BYTES
        )
        connection.sendall(response.to_bytes(head.version, closes=closes))
        return not closes

    def _refuse(self, connection: Connection, error: Exception) -> None:
        """Answers a request that failed before or outside the application, and closes the connection.

        gunicorn's own answer is HTML that repeats the request, and its log line has the path with the token.
        """
        response = http_exchange.Response(*self._problems.respond(error))
        try:
            connection.sendall(response.to_bytes("1.1", closes=True))
            _lingering_close(connection)
        except OSError:
            # The client has gone.
            pass


def _lingering_close(connection: Connection) -> None:
    connection.drain_within(LINGER_S)
    util.close_graceful(connection, timeout=LINGER_S, max_drain=MAX_LINGER_BYTES)


def _allowed_files() -> int:
    """How many files the process may have open, after raising the limit as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        # Some systems do not grant the hard limit that they report.
        hard = soft
    return hard if hard != resource.RLIM_INFINITY else 2**20
