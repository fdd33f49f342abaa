"""What `fota consume` says of a TARGET that is none, and what each of several processes gets."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from listener.consumer import Consumer
from listener.consumer.runner.share import take_share
from listener.consumer.runner.target import ImportFailedError, TargetError, load_consumer

NAME = "fota_runner_target_of_the_tests"
GOOD = """
from listener.consumer import Consumer
consumer = Consumer(group="g")
other = Consumer(group="g")
@consumer.on()
def handle(message): pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    sys.modules.pop(NAME, None)
    if str(tmp_path) in sys.path:
        sys.path.remove(str(tmp_path))


def load(folder: Path, source: str, target: str = f"{NAME}:consumer") -> Consumer:
    sys.modules.pop(NAME, None)
    importlib.invalidate_caches()
    (folder / f"{NAME}.py").write_text(source)
    return load_consumer(target, str(folder))


def test_consumer_of_a_module_in_the_folder_is_found(folder: Path) -> None:
    assert load(folder, GOOD).group == "g"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("no_such_module_here:consumer", "there is no module no_such_module_here in "),
        (f"{NAME}:missing", f"the module {NAME} has no missing; it has: consumer, other"),
        (f"{NAME}:handle", f"{NAME}:handle is a function, not a Consumer"),
        (f"{NAME}:Consumer", "is the class Consumer, not a Consumer"),
        (f"{NAME}:other", f"{NAME}:other has no handler"),
        (f"{NAME}", "does not have the form package.module:consumer"),
        (f"{NAME}:", "does not have the form package.module:consumer"),
        (f"./{NAME}.py:consumer", f"name the module, not its file: {NAME}:consumer"),
    ],
)
def test_each_mistake_is_one_sentence(folder: Path, target: str, says: str) -> None:
    with pytest.raises(TargetError) as caught:
        load(folder, GOOD, target)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_async_context_manager_round_a_plain_handler_is_refused_in_one_sentence(
    folder: Path,
) -> None:
    source = f"""{GOOD}
from contextlib import asynccontextmanager
@consumer.around
@asynccontextmanager
async def session(message): yield
"""
    with pytest.raises(TargetError) as caught:
        load(folder, source)
    assert str(caught.value) == (
        f"{NAME}:consumer cannot run: {NAME}.session makes async context managers, which cannot "
        f"surround the plain handler {NAME}.handle"
    )
    assert load(folder, source.replace("def handle", "async def handle")).group == "g"


@pytest.mark.parametrize(
    "source",
    ["import no_such_library_of_the_user", "1 / 0", "import sys; sys.exit(3)", "def broken(:"],
)
def test_error_of_the_users_own_comes_with_its_traceback(folder: Path, source: str) -> None:
    with pytest.raises(ImportFailedError) as caught:
        load(folder, source)
    text = str(caught.value)
    assert f"{NAME}.py" in text
    assert "importlib" not in text
    assert "runner/target.py" not in text


def test_module_that_runs_when_it_is_imported_is_refused(folder: Path) -> None:
    with pytest.raises(TargetError, match="calls run\\(\\) while it is imported"):
        load(folder, f"{GOOD}\nconsumer.run()")


def test_settings_that_are_not_valid_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUE_PARTITIONS", "none")
    source = 'from listener.consumer import Consumer\nConsumer.from_env(group="g")'
    with pytest.raises(TargetError, match="QUEUE_PARTITIONS"):
        load(folder, source)


def test_processes_share_a_name_by_their_number_and_partitions_if_order_is_kept() -> None:
    shares = []
    for number in (1, 2):
        consumer = Consumer(group="g", name="billing", partitions=3, ordered=True)
        take_share(consumer, number, 2)
        shares.append((consumer.name, list(consumer.only)))
    assert shares == [("billing-1", [0, 2]), ("billing-2", [1])]
    unordered = Consumer(group="g", partitions=3)
    take_share(unordered, 2, 2)
    assert (unordered.name, list(unordered.only)) == (None, [0, 1, 2])
    alone = Consumer(group="g", name="billing", ordered=True)
    take_share(alone, 1, 1)
    assert alone.name == "billing"


def test_more_processes_than_partitions_are_refused_where_order_is_kept() -> None:
    with pytest.raises(TargetError, match="--processes may be 1 at most"):
        take_share(Consumer(group="g", ordered=True), 1, 2)
