"""The proxies' examples, in nginx and Caddy themselves, with a real service behind them."""

import http.client
import json
import os
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from testbed.polling import wait_until
from testbed.ports import free_port
from testbed.programs import find_program
from testbed.service import Service
from tests.support.deploy_files import DEPLOY

TOKEN = "token-that-no-log-may-hold"
CALLBACK = f"/callback/{TOKEN}"
# An address of this machine that stands for ThingSpace's; the usual one stands for a stranger's.
THINGSPACE, STRANGER = "127.0.0.2", "127.0.0.1"
SETTINGS = {
    "PUBLIC_URL": "https://fota.example.com/callback",
    "CALLBACK_TOKEN": TOKEN,
    "CALLBACK_SOURCES": THINGSPACE,
    "TRUSTED_PROXIES": "1",
    "WEB_CONCURRENCY": "1",
}
LARGEST = 4 * 2**20
MESSAGE = json.dumps({"type": "upgradeFinished", "upgradeFinished": {"upgradeId": "u-1"}})


class Answer(NamedTuple):
    """What a call was answered."""

    status: int
    text: str


class Proxy:
    """A running proxy: its port for TLS, and all that it wrote."""

    def __init__(self, port: int, server_name: str, log: Callable[[], str]) -> None:
        self.port = port
        self.log = log
        self._server_name = server_name

    def call(
        self,
        path: str,
        body: str | None = None,
        *,
        source: str = THINGSPACE,
        forged: str | None = None,
    ) -> Answer:
        """A request over TLS, from one of this machine's addresses."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=10, context=context, source_address=(source, 0)
        )
        headers = {"Host": self._server_name} | ({"X-Forwarded-For": forged} if forged else {})
        with closing(connection):
            connection.request("POST" if body else "GET", path, body=body, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode())

    def answers(self) -> bool:
        try:
            return self.call("/healthz").status in {200, 502}
        except OSError:
            return False


def replaced(path: Path, **texts: str) -> str:
    """A file's text with what is a place of production replaced by one of the test."""
    text = path.read_text()
    for old, new in texts.items():
        assert old in text
        text = text.replace(old, new)
    return text


@contextmanager
def running(
    command: list[str],
    server_name: str,
    port: int,
    logs: list[Path],
    ready: Callable[[], bool] | None = None,
    **environ: str,
) -> Iterator[Proxy]:
    def log() -> str:
        return "".join(path.read_text() for path in logs if path.exists())

    with logs[0].open("a") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env={"PATH": os.environ["PATH"], **environ},
            start_new_session=True,
        )
        try:
            proxy = Proxy(port, server_name, log)
            is_ready = ready or proxy.answers
            wait_until(lambda: process.poll() is not None or is_ready(), log)
            assert process.poll() is None, log()
            yield proxy
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class NginxFolder:
    """nginx's files in a folder of the test: the examples as they are, but for the places of production in them."""

    def __init__(self, folder: Path, upstream: int) -> None:
        self.folder = folder
        self.port, self.plain = free_port(), free_port()
        self._upstream = upstream
        (folder / "conf.d").mkdir()
        (folder / "acme").mkdir()
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        # The workers of a root would run as another user, who may not read the test's folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"{user}daemon off; pid {folder}/pid; error_log stderr info; worker_processes 1;\n"
            f"events {{}}\nhttp {{\n{paths}include {folder}/conf.d/*.conf;\n}}\n"
        )
        self.command = [find_program("nginx"), "-e", "stderr", "-c", str(folder / "nginx.conf")]

    def serve_challenges(self) -> None:
        """The first step."""
        self._copy(
            "acme-challenge.conf",
            {
                "listen 80;": f"listen 127.0.0.1:{self.plain};",
                "    listen [::]:80;\n": "",
                "/var/www/acme;": f"{self.folder}/acme;",
            },
        )

    def proxy(self) -> None:
        """The second step."""
        live = "/etc/letsencrypt/live/fota.example.com"
        self._copy(
            "thingspace-fota.conf",
            {
                "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
                "    listen [::]:443 ssl;\n": "",
                "127.0.0.1:8000": f"127.0.0.1:{self._upstream}",
                f"{live}/fullchain.pem": f"{self.folder}/cert.pem",
                f"{live}/privkey.pem": f"{self.folder}/key.pem",
                "/var/log/nginx/fota.log": f"{self.folder}/access.log",
            },
        )

    def make_certificate(self) -> None:
        kind = ("-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost")
        files = ("-keyout", f"{self.folder}/key.pem", "-out", f"{self.folder}/cert.pem")
        command = [find_program("openssl"), "req", "-x509", *kind, *files]
        subprocess.run(command, check=True, capture_output=True)

    def check(self) -> "subprocess.CompletedProcess[str]":
        """`nginx -t`."""
        return subprocess.run(
            [*self.command, "-t"], capture_output=True, text=True, check=False, timeout=30
        )

    def _copy(self, name: str, texts: dict[str, str]) -> None:
        text = replaced(DEPLOY / "nginx" / name, **texts)
        (self.folder / "conf.d" / name).write_text(text)


@contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[Proxy]:
    files = NginxFolder(folder, upstream)
    files.make_certificate()
    files.serve_challenges()
    files.proxy()
    logs = [folder / "out", folder / "access.log"]
    with running(files.command, "fota.example.com", files.port, logs) as proxy:
        yield proxy


@contextmanager
def caddy(folder: Path, upstream: int) -> Iterator[Proxy]:
    program = find_program("caddy")
    port, plain = free_port(), free_port()
    # For the test: a certificate of its own making, no port below 1024, nothing in the home folder.
    own = f"\tadmin off\n\thttp_port {plain}\n\tlocal_certs\n\tskip_install_trust\n\tlog {{"
    example = replaced(DEPLOY / "caddy" / "Caddyfile", **{"\tlog {": own})
    (folder / "Caddyfile").write_text(example)
    command = [program, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    with running(
        command,
        "localhost",
        port,
        [folder / "out"],
        FOTA_HOST=f"https://localhost:{port}",
        FOTA_UPSTREAM=f"127.0.0.1:{upstream}",
        HOME=str(folder),
    ) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def service(redis_server: str) -> Iterator[Service]:
    with Service("gunicorn", "listener.wsgi:app", **SETTINGS, REDIS_URL=redis_server) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(params=[nginx, caddy])
def start(request: pytest.FixtureRequest) -> Any:
    """Starts a proxy: takes a folder, and the port of the service."""
    return request.param


def test_messages_arrive_over_tls_from_thingspace_alone_and_nothing_else_is_forwarded(
    start: Any, service: Service, tmp_path: Path
) -> None:
    with start(tmp_path, service.port) as proxy:
        assert proxy.call(CALLBACK, MESSAGE).status == 200
        # Who sends is what the proxy saw, not what the sender wrote.
        assert proxy.call(CALLBACK, MESSAGE, source=STRANGER, forged=THINGSPACE).status == 403
        assert proxy.call(CALLBACK, MESSAGE, forged="192.0.2.1").status == 200
        assert proxy.call("/healthz").status == 200
        for path in ("/readyz", "/metrics", "/", "/callbac"):
            assert proxy.call(path).status == 404
        # The largest body that the service takes passes.
        assert proxy.call(CALLBACK, MESSAGE.ljust(LARGEST)).status == 200
        log = proxy.log()
    assert TOKEN not in log
    assert TOKEN not in service.log()


def test_not_even_a_failure_puts_the_token_into_the_log(start: Any, tmp_path: Path) -> None:
    with start(tmp_path, free_port()) as proxy:
        assert proxy.call(CALLBACK, MESSAGE).status == 502
        # What is above its own limit a proxy may answer before it has read all of it.
        with suppress(OSError):
            assert proxy.call(CALLBACK, "x" * 6_000_000).status in {413, 502}
        # The line about it is there, without the path.
        wait_until(lambda: "502" in proxy.log(), proxy.log)
        log = proxy.log()
    assert TOKEN not in log


def plain(port: int, path: str, body: str | None = None) -> Answer:
    """A request without TLS."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        headers = {"Host": "fota.example.com"}
        connection.request("POST" if body else "GET", path, body=body, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode())


def answers(port: int) -> bool:
    try:
        return plain(port, "/").status == 404
    except OSError:
        return False


def test_nginx_serves_the_challenge_before_there_is_a_certificate_and_the_service_after(
    service: Service, tmp_path: Path
) -> None:
    challenge = "/.well-known/acme-challenge/proof-of-the-name"
    files = NginxFolder(tmp_path, service.port)
    files.serve_challenges()
    first = files.check()
    assert first.returncode == 0, first.stderr
    # Why there are two steps: the second file alone keeps nginx from starting where the certificate is not there yet.
    files.proxy()
    too_early = files.check()
    assert too_early.returncode != 0
    assert "cannot load certificate" in too_early.stderr
    (tmp_path / "conf.d" / "thingspace-fota.conf").unlink()

    logs = [tmp_path / "out", tmp_path / "access.log"]
    with running(
        files.command, "fota.example.com", files.port, logs, lambda: answers(files.plain)
    ) as proxy:
        # What certbot writes, and Let's Encrypt asks for.
        written = tmp_path / "acme" / challenge[1:]
        written.parent.mkdir(parents=True)
        written.write_text("proof")
        assert plain(files.plain, challenge) == (200, "proof")
        assert plain(files.plain, f"{challenge}-of-another").status == 404
        # What is posted in clear is neither taken nor invited to come again.
        assert plain(files.plain, CALLBACK, MESSAGE).status == 404

        files.make_certificate()
        files.proxy()
        second = files.check()
        assert second.returncode == 0, second.stderr
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGHUP)
        wait_until(proxy.answers, proxy.log)
        assert proxy.call(CALLBACK, MESSAGE).status == 200
        # The renewals need it as well.
        assert plain(files.plain, challenge) == (200, "proof")
        assert plain(files.plain, CALLBACK, MESSAGE).status == 404
        log = proxy.log()
    assert TOKEN not in log
