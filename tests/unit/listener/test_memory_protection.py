"""Where a process cannot close its memory, the registrar says so, and works all the same."""

import sys

import pytest
from structlog.testing import capture_logs

from listener import logs
from listener.runtime import memory_protection
from registrar.cli.common import read_settings

ENVIRON = {
    "PUBLIC_URL": "https://fota.example.com/cb",
    "CALLBACK_TOKEN": "callback-token-of-tests",
    "THINGSPACE_ACCOUNTS": "0242078689-00001",
    "THINGSPACE_KEY": "the-key",
    "THINGSPACE_SECRET": "the-secret",
    "THINGSPACE_USERNAME": "the-user",
    "THINGSPACE_PASSWORD": "the-password",
}


class Refusing:
    """A C library of a system that knows no PR_SET_DUMPABLE, as some sandboxes: every call fails."""

    def __init__(self, _name: object) -> None:
        """Loads nothing."""

    def prctl(self, *_: int) -> int:
        return -1


def refuse(monkeypatch: pytest.MonkeyPatch, *, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr("ctypes.CDLL", Refusing)


@pytest.mark.parametrize("platform", ["darwin", "linux"])
def test_system_that_closes_no_memory_is_noticed(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, platform=platform)
    assert memory_protection.protect_memory() is False


@pytest.mark.parametrize(("switch", "warned"), [("on", True), ("off", False)])
def test_log_says_that_credentials_can_be_read(
    switch: str, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**ENVIRON, "REGISTRAR": switch}.items():
        monkeypatch.setenv(name, value)
    refuse(monkeypatch, platform="darwin")
    # The tests' own logging stays as it is.
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    with capture_logs() as lines:
        read_settings()
    told = {line["event"] for line in lines if line["log_level"] == "warning"}
    assert ("credentials readable by the same user" in told) == warned
