"""mypy --strict accepts a user's right program, and finds the handler of a wrong class."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PROGRAM = """\
from listener.consumer import Consumer, FirmwareAvailable, Message, UpgradeFinished, UpgradeStarted

consumer = Consumer.from_env(group="billing")


@consumer.on("upgrade-finished")
def finished(message: UpgradeFinished) -> None:
    print(message.status)


@consumer.on(UpgradeStarted)
def started(message: UpgradeStarted) -> str | None:
    return message.upgrade_start_time


@consumer.on()
def rest(message: Message) -> None:
    print(message.kind)


other = Consumer(group="other")


@other.on(UpgradeStarted, UpgradeFinished)
def both(message: UpgradeStarted | UpgradeFinished) -> None:
    print(message.device_id)


@other.on("firmware-available", "upgrade-scheduled")
def announced(message: Message) -> None:
    print(message.account)


def mistakes() -> None:
    @consumer.on("upgrade-finished")  # wrong
    def of_started(message: UpgradeStarted) -> None: ...

    @consumer.on(UpgradeFinished)  # wrong
    def of_firmware(message: FirmwareAvailable) -> None: ...

    @consumer.on(UpgradeStarted, UpgradeFinished)  # wrong
    def of_one(message: UpgradeStarted) -> None: ...

    @consumer.on()  # wrong
    def of_the_rest(message: UpgradeStarted) -> None: ...

    @consumer.on  # wrong
    def without_parentheses(message: Message) -> None: ...

    @consumer.on("upgrade-finished")
    def with_a_typing_error(message: UpgradeFinished) -> None:
        print(message.firmware)  # wrong

    finished("text")  # wrong
"""


def test_type_checker_finds_every_mistake_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = {int(number) for number in re.findall(r"program\.py:(\d+): error", result.stdout)}
    wrong = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if "# wrong" in line}
    assert found == wrong, result.stdout + result.stderr
