"""gunicorn's gevent worker with bounds on what strangers may take, and answers of our own form."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gunicorn import util
from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import (
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
)
from gunicorn.http.parser import RequestParser
from gunicorn.workers.ggevent import GeventWorker

from listener import metrics
from listener.callback.incoming import BOUND_CHUNKS
from listener.errors import (
    MalformedRequestError,
    RefusalError,
    RequestTooLargeError,
    RequestTooSlowError,
)
from listener.problem_responses import ProblemResponder
from listener.server import http_exchange
from listener.server.client_connection import (
    FIRST_BYTE_TIMEOUT_S,
    REQUEST_TIMEOUT_S,
    WRITE_TIMEOUT_S,
    Connection,
    ConnectionLimiter,
    LongHeadError,
)
from listener.server.heartbeat import Heartbeat

# Files that a worker has open besides its clients' connections, with room to spare.
OTHER_FILES = 200
# What unfinished requests may hold all together: sixteen of the largest at the default.
MAX_UNFINISHED_BYTES = 64 * 2**20
# What a client still sends after its answer is read for so long and no further, so that the closing
# does not overtake the answer on its way.
LINGER_S = 1.0
MAX_DRAINED_BYTES = 64 * 1024
# Likewise where the connection ends: what is not parsed costs next to nothing.
MAX_LINGER_BYTES = 512 * 1024
TOO_LARGE = (LimitRequestLine, LimitRequestHeaders, LongHeadError)


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no type information
    """Serves HTTP/1.1 connections; TLS ends in the proxy before it.

    Guaranteed: a request that is not there whole `REQUEST_TIMEOUT_S` after its first byte ends, and so does a
    connection that does not take its answers, or does not begin a request in gunicorn's `keepalive`
    seconds. While the worker is well and its places suffice it waits no less than that, for a first
    request as for a further one; while over half of them are taken, a connection that never sent a
    byte has `FIRST_BYTE_TIMEOUT_S`.
    """

    first_byte_timeout_s = FIRST_BYTE_TIMEOUT_S
    request_timeout_s = REQUEST_TIMEOUT_S
    write_timeout_s = WRITE_TIMEOUT_S

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes what gunicorn gives; still in the master."""
        super().__init__(*arguments, **options)
        self.tmp: Any = Heartbeat(self.tmp)
        self._problems = ProblemResponder()
        # Below the size of the pool, whose last places are for those that are being closed.
        files = _allowed_files()
        places = min(self.worker_connections, max(files - OTHER_FILES, files // 4))
        self._limiter = ConnectionLimiter(max(places * 9 // 10, 1), MAX_UNFINISHED_BYTES)
        self.alive: bool = True
        self._parsing = http_exchange.FrozenConfig(self.cfg)
        self._addresses: dict[Any, Any] = {}

    def notify(self) -> None:
        """Tells the master that the worker is well, every second; also while it is to end."""
        super().notify()
        metrics.count_lost_lines()
        if self.alive:
            self._limiter.evict_silent(self.first_byte_timeout_s)
        else:
            # An idle connection would hold up the end.
            self._limiter.evict_idle(self.first_byte_timeout_s)

    def run(self) -> None:
        """Accepts and serves connections until the worker is to end; gunicorn's own loop."""
        # Read before anything is accepted: at shutdown gunicorn closes the listening sockets while the last
        # connections accepted from them still wait for their turn.
        self._addresses = {listener: listener.getsockname() for listener in self.sockets}
        super().run()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serves one connection until it ends.

        Args:
            listener: the listening socket, possibly closed already.
            client: the connection's own socket.
            addr: address of the peer.
        """
        address = self._addresses[listener]
        connection = Connection(client, self._limiter, self.request_timeout_s, self.write_timeout_s)
        try:
            self._serve(connection, addr, http_exchange.connection_environ(addr, address))
        except RefusalError as refusal:
            self._refuse(connection, refusal)
        except (StopIteration, OSError):
            # The client is done, or gone, or does not take its answers.
            pass
        except Exception as error:  # noqa: BLE001 (logged with its traceback by the responder)
            # gunicorn would log the path, and so the token.
            self._refuse(connection, error)
        finally:
            connection.close()

    def _serve(self, connection: Connection, client: Any, names: dict[str, str]) -> None:
        parser = RequestParser(self._parsing, connection, client)
        stays = True
        # Who was cut while it was served makes way after its answer, or it would push out another.
        while stays and not connection.is_evicted:
            request = self._next_request(parser, connection)
            stays = self._answer(request, connection, names)
            if _drain_body(parser, request, connection):
                # gunicorn need not look for more of it.
                parser.mesg = None
            else:
                _lingering_close(connection)
                stays = False
            if not stays:
                _break_reference_cycle(request)

    def _answer(self, request: Any, connection: Connection, names: dict[str, str]) -> bool:
        """Answers a request; whether both sides want to go on then."""
        self.nr += 1
        if self.alive and self.nr >= self.max_requests:
            self.log.info("This worker has served as many requests as it may (max_requests).")
            self.alive = False
        environ = http_exchange.build_environ(request, names)
        if isinstance(request.body.reader, ChunkedReader):
            environ[BOUND_CHUNKS] = connection.bound_chunks
        # gunicorn has no public name for it.
        if request._expected_100_continue:  # noqa: SLF001
            with _continuing(request, connection):
                answer = http_exchange.run_wsgi_app(self.wsgi, environ)
        else:
            answer = http_exchange.run_wsgi_app(self.wsgi, environ)
        # Only now: the worker may have been told to end, or the connection been cut, meanwhile.
        closes = not self.alive or connection.is_evicted or _must_close(request)
        connection.sendall(answer.to_bytes(request.version, closes=closes))
        return not closes

    def _next_request(self, parser: Any, connection: Connection) -> Any:
        idle_s = max(self._parsing.keepalive, self.first_byte_timeout_s)
        connection.await_request(idle_s, request_started=bool(parser.unreader.buf.tell()))
        try:
            return next(parser)
        except TOO_LARGE as error:
            raise RequestTooLargeError(type(error).__name__) from error
        except ParseException as error:
            raise MalformedRequestError(type(error).__name__) from error
        except TimeoutError as error:
            if connection.request_started:
                raise RequestTooSlowError("the head") from error
            raise
        except NoMoreData as error:
            if connection.is_evicted:
                raise RequestTooSlowError("made way for others") from error
            raise
        finally:
            # What is still read of a refused one is bounded by itself.
            connection.end_head()

    def _refuse(self, connection: Connection, error: Exception) -> None:
        """Answers what never became a request for the application, and ends the connection."""
        answer = http_exchange.Response(*self._problems.respond(error))
        try:
            connection.sendall(answer.to_bytes((1, 1), closes=True))
            _lingering_close(connection)
        except OSError:
            # Who is gone needs no answer.
            pass


@contextmanager
def _continuing(request: Any, connection: Connection) -> Iterator[None]:
    """Has `100 Continue` sent if the body is read meanwhile, to a client that waits for it.

    A client that gets its answer without it may send its body or not, so where its next request would
    begin is unknown: the connection ends.
    """
    connection.owes_continue = True
    try:
        yield
    finally:
        if connection.owes_continue and not _is_read(request):
            request.body.failed = True
        connection.owes_continue = False


def _is_read(request: Any) -> bool:
    """Whether the whole body was read."""
    reader = request.body.reader
    return not (reader.parser if isinstance(reader, ChunkedReader) else reader.length)


def _drain_body(parser: Any, request: Any, connection: Connection) -> bool:
    """Whether what the client sent of its request is read to its end, or was so little that it is now."""
    if _is_read(request):
        return True
    if isinstance(request.body.reader, ChunkedReader):
        # Taking chunks apart only to throw them away would cost a hundred times what refusing them does.
        return False
    connection.shorten_deadline(LINGER_S)
    ends = time.monotonic() + LINGER_S
    try:
        read_up: bool = parser.finish_body(deadline=ends, max_bytes=MAX_DRAINED_BYTES)
    except (OSError, ParseException):
        # Where its next request begins nobody can tell.
        return False
    return read_up


def _must_close(request: Any) -> bool:
    """Whether no further request can follow: as the client wants it, or because of what is left of this one."""
    if request.should_close() or request.body.failed:
        return True
    reader = request.body.reader
    if isinstance(reader, ChunkedReader):
        # Nobody knows how much is to come.
        return reader.parser is not None
    return bool(reader.length > MAX_DRAINED_BYTES)


def _break_reference_cycle(request: Any) -> None:
    """Frees what is left of a body: its reader, that one's generator and the request hold each other."""
    if isinstance(request.body.reader, ChunkedReader):
        request.body.reader.parser = None
    request.body = None


def _lingering_close(connection: Connection) -> None:
    connection.bound_chunks(None)
    # The connection bounds each reading itself, by what is left for the request.
    connection.shorten_deadline(LINGER_S)
    util.close_graceful(connection, timeout=LINGER_S, max_drain=MAX_LINGER_BYTES)


def _allowed_files() -> int:
    """How many files a process may have open, after asking for as many as the system grants."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        # Some systems name a limit that they do not grant.
        hard = soft
    return hard if hard != resource.RLIM_INFINITY else 2**20
