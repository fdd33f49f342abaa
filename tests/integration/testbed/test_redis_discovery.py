"""Which Redis server is started, on machines with one, with an old one, with one that was unpacked, and with none."""

import os
import subprocess
from pathlib import Path

import pytest

from testbed.redis_servers.discovery import (
    UNPACKED,
    ServerNotFoundError,
    data_name,
    describe,
    distributions,
    find_server,
    server_version,
    what_to_do,
)


def program(path: Path, version: str = "v=7.2.5 sha=00000000:0", *, exit_status: int = 0) -> Path:
    """A program that says of itself what a Redis server says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'Redis server {version}'\nexit {exit_status}\n")
    path.chmod(0o755)
    return path


class Computer:
    """A machine's PATH and what was unpacked on it."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.more = folder / "more"
        self.servers = folder / "servers"

    def found(self, **environ: str) -> Path:
        # The programs are scripts, whose shell is not looked up on the PATH.
        return find_server({"PATH": f"{self.bin}:{self.more}", **environ}, self.servers)


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_server_on_the_path_comes_before_an_unpacked_one(computer: Computer, name: str) -> None:
    for place in UNPACKED:
        program(computer.servers / place)
    assert computer.found() == computer.servers / UNPACKED[0]
    installed = program(computer.more / name)
    assert computer.found() == installed


def test_redis_comes_before_valkey(computer: Computer) -> None:
    program(computer.bin / "valkey-server")
    redis = program(computer.more / "redis-server")
    assert computer.found() == redis


@pytest.mark.parametrize("version", ["v=6.0.16 sha=0:0", "v=5.0.7", "v=6.1.240", "without version"])
def test_server_that_is_too_old_is_passed_over(computer: Computer, version: str) -> None:
    program(computer.bin / "redis-server", version)
    valkey = program(computer.more / "valkey-server", "v=8.1.1")
    assert computer.found() == valkey


@pytest.mark.parametrize(
    "version", ["v=6.2.0", "v=6.2.14 sha=0:0", "v=8.0.6", "v=10.0.0", "v=255.255.255"]
)
def test_server_of_6_2_or_later_is_taken(computer: Computer, version: str) -> None:
    installed = program(computer.bin / "redis-server", version)
    assert computer.found() == installed


def test_unpacked_server_that_does_not_run_here_is_passed_over(computer: Computer) -> None:
    broken = program(computer.servers / UNPACKED[0])
    broken.write_bytes(b"\x7fELF of another machine")
    # As the loader does without a library.
    program(computer.servers / UNPACKED[1], "", exit_status=127)
    last = program(computer.servers / UNPACKED[2])
    assert computer.found() == last


def test_named_server_is_taken_whatever_its_version(computer: Computer) -> None:
    program(computer.bin / "redis-server")
    old = program(computer.more / "old-server", "v=5.0.7")
    assert computer.found(REDIS_SERVER=str(old)) == old
    assert computer.found(REDIS_SERVER="old-server") == old


def test_named_server_that_is_not_there_is_an_error(computer: Computer) -> None:
    program(computer.bin / "redis-server")
    with pytest.raises(ServerNotFoundError, match="REDIS_SERVER names /nowhere"):
        computer.found(REDIS_SERVER="/nowhere")


def test_without_a_server_one_sentence_says_what_to_do(computer: Computer) -> None:
    with pytest.raises(ServerNotFoundError, match="No Redis server found") as caught:
        computer.found()
    assert "\n" not in str(caught.value)
    program(computer.bin / "redis-server", "v=6.0.16")
    with pytest.raises(
        ServerNotFoundError, match=r"found but .*bin/redis-server \(6\.0\.16\): install"
    ):
        computer.found()


def test_files_of_servers_that_cannot_read_each_others_lie_apart(tmp_path: Path) -> None:
    found = [
        data_name(program(tmp_path / folder / name, version))
        for folder, name, version in (
            ("a", "redis-server", "v=8.6.2"),
            ("b", "redis-server", "v=8.0.2"),
            ("c", "valkey-server", "v=8.0.1"),
            ("d", "redis-server", "v=8.6.3"),
        )
    ]
    assert found == ["redis-server-8.6", "redis-server-8.0", "valkey-server-8.0", found[0]]


@pytest.mark.parametrize(
    ("os_release", "command"),
    [
        ('ID=debian\nVERSION_ID="13"\n', "sudo apt install redis-server"),
        ("ID=ubuntu\nID_LIKE=debian\n", "sudo apt install redis-server"),
        (
            'NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\n',
            "sudo apt install redis-server",
        ),
        ("ID=raspbian\nID_LIKE=debian\n", "sudo apt install redis-server"),
        ("ID=fedora\n", "sudo dnf install valkey"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "sudo dnf install valkey"),
    ],
)
def test_sentence_names_the_command_of_the_distribution(
    tmp_path: Path, os_release: str, command: str
) -> None:
    (tmp_path / "os-release").write_text(os_release)
    sentence = what_to_do([], distributions(tmp_path / "os-release"))
    assert f"with `{command}`" in sentence
    # What it would install is what is too old.
    old = program(tmp_path / "redis-server", "v=6.0.16")
    assert command not in what_to_do([old], distributions(tmp_path / "os-release"))


def test_sentence_names_homebrew_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert "with `brew install valkey`" in what_to_do([], distributions())


@pytest.mark.parametrize("text", [None, "", "nonsense", "ID=\n", "ID=nixos\n"])
def test_sentence_does_without_a_known_distribution(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "os-release").write_text(text)
    sentence = what_to_do([], distributions(tmp_path / "os-release"))
    assert "install Redis 6.2 or later, or Valkey, or set REDIS_SERVER" in sentence


def test_server_of_the_tests_is_the_one_that_says_its_version() -> None:
    server = find_server(os.environ)
    version = ".".join(map(str, server_version(server)))
    answer = subprocess.run(
        [server, "--version"], check=True, capture_output=True, text=True
    ).stdout
    assert f"v={version} " in answer
    assert describe(server) == f"{server} ({version})"
