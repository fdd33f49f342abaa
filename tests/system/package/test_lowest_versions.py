"""The lowest versions that pyproject.toml allows: the unit tests of what runs on them, a consumer, and the service."""

import re
from pathlib import Path
from typing import Any

import pytest

from testbed.polling import wait_until
from testbed.process import ROOT, ChildProcess
from testbed.registrar_process import TOKEN, settings, wait_until_registered
from testbed.sandbox_client import Sandbox
from testbed.service import RECEIVER, Service
from tests.support.consumer_feed import feed
from tests.support.installations import Environment

pytestmark = [pytest.mark.slow, pytest.mark.installs, pytest.mark.timeout(600)]

RINGS = ("tests/unit/consumer", "tests/unit/listener", "tests/unit/registrar")
TOOLS = ("pytest", "pytest-xdist", "pytest-timeout", "hypothesis", "psutil", "jsonschema", "pyyaml")
# Of OpenTelemetry's SDK each version needs the API of the same version.
SDK = "opentelemetry-sdk"
CONSUMER = """
from listener.consumer import Consumer, UpgradeFinished
consumer = Consumer.from_env(group="billing")
@consumer.on(UpgradeFinished)
def finished(message):
    print("consumed", message.upgrade_id, flush=True)
consumer.run()
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    """The wheel with the extra `service`, each of its direct dependencies in the lowest version of its range."""
    made = Environment(tmp_path_factory.mktemp("lowest"))
    # Named by pyproject.toml the dependencies are direct ones; those of a wheel are not.
    project = ("--requirement", ROOT / "pyproject.toml", "--extra=service", "--extra=otel")
    made.install("--resolution=lowest-direct", *project)
    made.install("--no-deps", wheel)
    return made


def lowest_versions() -> dict[str, str]:
    text = (ROOT / "pyproject.toml").read_text()
    return dict(re.findall(r'^  "([\w-]+)>=([\d.]+)', text, re.MULTILINE))


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def test_each_dependency_is_installed_in_its_lowest_version(environment: Environment) -> None:
    installed = environment.packages()
    lowest = lowest_versions()
    assert len(lowest) > 10
    for name, version in lowest.items():
        wanted = numbers(version)
        found = numbers(installed[name])
        assert found[: len(wanted)] == wanted, f"{name} {installed[name]}"
        assert not any(found[len(wanted) :]), f"{name} {installed[name]}"


def test_program_consumes(environment: Environment, redis_url: str, redis_client: Any) -> None:
    feed(redis_client, [1, 2, 3])
    environ = environment.environ(REDIS_URL=redis_url)
    running = ChildProcess(environment.bin / "python", "-c", CONSUMER, environ=environ)
    running.folder = environment.outside
    with running:
        wait_until(lambda: "consumed u-3" in running.log(), running.log)
        assert running.stop() == 0, running.log()
    assert redis_client.xpending("{fota:0}:messages", "billing")["pending"] == 0


def test_service_keeps_a_message_and_deregisters(
    environment: Environment, redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    with Sandbox() as sandbox:
        own = environment.environ(**settings(sandbox, tmp_path, REDIS_URL=redis_url))
        running = Service("fota-registrar", "run", "--", *RECEIVER, **own)
        running.folder = environment.outside
        with running:
            wait_until_registered(running)
            assert running.post(b"{}", f"/cb/{TOKEN}").status_code == 200
            assert redis_client.xlen("{fota:0}:messages") == 1
            running.signal()
            assert running.wait() == 0, running.log()
        assert sandbox.registered_url() is None


def test_unit_tests_pass(environment: Environment) -> None:
    """Those of the checkout, on the versions that are installed here."""
    lines = (ROOT / "requirements-dev.txt").read_text().splitlines()
    texts = [line.partition("#")[0].strip() for line in lines]
    sdk = f"{SDK}=={environment.packages()['opentelemetry-api']}"
    environment.install(sdk, *(text for text in texts if text.partition("==")[0] in TOOLS))
    # Older versions warn of what they will no longer do.
    options = ("-o", "filterwarnings=default", "-p", "no:cacheprovider", "-q", "-n", "2")
    running = ChildProcess(
        *(environment.bin / "python", "-m", "pytest", *options, *RINGS),
        environ=environment.environ(),
    )
    with running:
        assert running.wait(500) == 0, running.log()[-5000:]
