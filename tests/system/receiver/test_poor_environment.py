"""The service in environments poorer than a developer's: it keeps messages, or says what is missing."""

import socket
import subprocess

import pytest
import requests

from testbed.service import Service

TOKEN = "token-of-all-the-tests"
GUNICORN = "exec gunicorn listener.wsgi:app"
ASCII = {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
READ_ONLY = "; ".join(
    f"mount --bind {folder} {folder}; mount -o remount,ro,bind {folder}" for folder in ("/", "/tmp")
)


def in_shell(redis_url: str, script: str, **settings: str) -> Service:
    return Service("sh", "-c", script, REDIS_URL=redis_url, CALLBACK_TOKEN=TOKEN, **settings)


def serves(service: Service) -> str:
    """Starts it, has it keep a message, ends it; what `/metrics` said."""
    with service:
        service.wait_until_ready()
        assert service.post(b"{}", f"/cb/{TOKEN}").status_code == 200
        with requests.Session() as session:
            session.trust_env = False
            metrics = session.get(f"{service.ops_url}/metrics", timeout=5).text
        service.signal()
        assert service.wait() == 0, service.log()
        assert "Traceback" not in service.log()
    return metrics


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    "script",
    [
        pytest.param("unset HOME;", id="no home"),
        pytest.param("umask 0777;", id="umask that takes everything"),
        pytest.param("exec <&-;", id="no standard input"),
        pytest.param("exec <&- >&- 2>&-;", id="no standard streams"),
        pytest.param("ulimit -n 64;", id="64 files"),
        pytest.param("ulimit -n 256;", id="256 files"),
    ],
)
def test_shell_without_much_is_enough(redis_server: str, script: str) -> None:
    assert "fota_messages_total" in serves(in_shell(redis_server, script + GUNICORN))


def test_locale_without_utf8_is_enough(redis_server: str) -> None:
    assert "fota_messages_total" in serves(in_shell(redis_server, GUNICORN, **ASCII))


@pytest.mark.slow
def test_few_files_serve_some_connections_at_once(redis_server: str) -> None:
    with in_shell(redis_server, "ulimit -n 128;" + GUNICORN, WEB_CONCURRENCY="1") as service:
        service.wait_until_ready()
        assert "few open files allowed" in service.log()
        connections = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(20)]
        assert service.post(b"{}", f"/cb/{TOKEN}").status_code == 200
        for connection in connections:
            connection.settimeout(10)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            connection.close()


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("mounts", "counts"),
    [
        pytest.param("mount -t tmpfs -o size=1m tmpfs /dev/shm", True, id="small /dev/shm"),
        pytest.param("mount -t tmpfs -o ro tmpfs /dev/shm", True, id="no /dev/shm"),
        pytest.param("mount -t tmpfs tmpfs /proc", True, id="no /proc"),
        pytest.param(f"{READ_ONLY}; export SPOOL_DIR=", True, id="memory alone"),
        pytest.param(
            f"{READ_ONLY}; mount -t tmpfs -o ro tmpfs /dev/shm; mount -t tmpfs tmpfs /mnt; "
            "export SPOOL_DIR=/mnt/spool",
            False,
            id="spool alone",
        ),
    ],
)
def test_few_folders_are_enough(redis_server: str, mounts: str, counts: bool) -> None:
    skip_without_mounts()
    service = in_shell(redis_server, f"exec unshare --mount sh -ec '{mounts}; {GUNICORN}'")
    assert ("fota_messages_total{" in serves(service)) or not counts


def test_system_without_a_folder_to_write_to_is_refused_with_a_sentence(redis_server: str) -> None:
    skip_without_mounts()
    mounts = f"{READ_ONLY}; mount -t tmpfs -o ro tmpfs /dev/shm; export SPOOL_DIR="
    with in_shell(redis_server, f"exec unshare --mount sh -ec '{mounts}; {GUNICORN}'") as service:
        assert service.wait() == 2
        assert "no folder can be written to" in service.log()
        assert "Traceback" not in service.log()


def skip_without_mounts() -> None:
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        # tests/unit/listener/test_scratch_folders.py tries the same with folders that refuse.
        pytest.skip("this user may not mount anything")
