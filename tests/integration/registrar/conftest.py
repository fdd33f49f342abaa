"""Fixtures of the registrar's integration tests: one sandbox a module, replicas at will."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from listener.settings.secret import derive_key
from registrar import app
from registrar.login_breaker import breaker
from registrar.settings import RegistrarSettings, Timing
from testbed.sandbox_client import Sandbox
from tests.support.registrar_replica import ACCOUNTS, Replica, Replicas, environment

# Slow on purpose, and the same at every call: a test with a dozen replicas would spend its time on it.
hash_once = cache(derive_key)


@pytest.fixture(autouse=True)
def password_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes each password once for all replicas of this process."""
    monkeypatch.setattr(breaker, "derive_key", hash_once)


@pytest.fixture(scope="module")
def provider() -> Iterator[Sandbox]:
    with Sandbox(accounts=ACCOUNTS, allow_http=True) as running:
        yield running


@pytest.fixture
def thingspace(provider: Sandbox) -> Sandbox:
    """One sandbox for the module, with nothing registered and no fault."""
    provider.clear_faults()
    provider.unlock()
    for version in ("v1", "v2", "v3"):
        for account in ACCOUNTS:
            provider.deregister_outside(version=version, account=account)
    return provider


@pytest.fixture
def replica(thingspace: Sandbox, redis_url: str, tmp_path: Path) -> Iterator[Replicas]:
    """Builds replicas that differ as the arguments say."""
    with ExitStack() as stack:

        def build(timing: Timing | None = None, **chosen: str) -> Replica:
            environ = environment(thingspace, redis_url, tmp_path, **chosen)
            settings = replace(RegistrarSettings.from_env(environ), timing=timing or Timing())
            registrar = stack.enter_context(app.build(settings))
            return Replica(settings, registrar)

        yield build
