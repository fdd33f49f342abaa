"""The consumer's small pure parts: backoff, handlers, options, settings, observers, dispatch."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from listener.consumer import Backoff, Consumer, Observer, UpgradeFinished, UpgradeStarted
from listener.consumer.handlers.registry import Handlers
from listener.consumer.options import ConsumerOptions, Options, SafeObserver
from listener.errors import SettingsError
from listener.settings.queue_settings import QueueSettings
from listener.settings.settings import Settings

SAMPLE = (
    Path(__file__).parents[3] / "listener" / "messages" / "samples" / "upgrade-finished.json"
).read_bytes()


def test_a_backoff_doubles_up_to_its_cap() -> None:
    backoff = Backoff(base_s=1, cap_s=10, jitter=0)
    assert [backoff.after(n) for n in (1, 2, 3, 4, 5, 10**9)] == [1, 2, 4, 8, 10, 10]


def test_jitter_takes_away_a_share_at_most() -> None:
    assert Backoff(base_s=8, jitter=0.5, chance=lambda: 1.0).after(1) == 4
    assert Backoff(base_s=8, jitter=0.5, chance=lambda: 0.0).after(1) == 8


@pytest.mark.parametrize("wrong", [{"base_s": -1}, {"base_s": 9, "cap_s": 1}, {"jitter": 2}])
def test_a_backoff_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a backoff"):
        Backoff(**wrong)


def test_all_wrong_options_are_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"concurrency must be .*; batch must be .*; max_deliver"):
        Options(concurrency=0, batch=-1, max_deliveries=0)
    with pytest.raises(TypeError, match="concurency"):
        Consumer(group="g", concurency=2)  # type: ignore[call-arg]


def test_the_options_that_can_be_given_are_all_options() -> None:
    assert [field.name for field in dataclasses.fields(Options)] == list(
        ConsumerOptions.__annotations__
    )


def test_handlers_are_found_by_kind_and_else_the_one_for_the_rest() -> None:
    consumer = Consumer(group="g")
    calls: list[Any] = []

    @consumer.on("upgrade-finished", "upgrade-started")
    def of_upgrades(message: UpgradeStarted | UpgradeFinished) -> None:
        calls.append(("upgrade", message.status))

    assert not consumer.dispatch({"some": "structure"})

    @consumer.on()
    def of_the_rest(message: Any) -> None:
        calls.append(("rest", message.kind))

    assert consumer.dispatch(SAMPLE)
    assert consumer.dispatch({"some": "structure"})
    assert calls == [("upgrade", "UpgradeSuccess"), ("rest", "unknown")]
    assert of_upgrades.__name__ == "of_upgrades", "the function stays what it was"


def test_dispatch_raises_what_the_handler_raises() -> None:
    consumer = Consumer(group="g")

    @consumer.on()
    def fails(_: Any) -> None:
        raise LookupError("no such upgrade")

    with pytest.raises(LookupError, match="no such upgrade"):
        consumer.dispatch(SAMPLE.decode())


def test_a_kind_that_is_not_there_and_a_second_handler_are_refused() -> None:
    consumer = Consumer(group="g")
    with pytest.raises(ValueError, match="no kind 'upgradeFinished'; the kinds are firmware-avail"):
        consumer.on("upgradeFinished")(print)
    consumer.on("upgrade-finished")(print)
    consumer.on()(print)
    with pytest.raises(ValueError, match="upgrade-finished has a handler already"):
        consumer.on("upgrade-finished")(print)
    with pytest.raises(ValueError, match="a handler for the rest already"):
        consumer.on()(print)


def test_a_decorator_without_its_parentheses_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"@consumer\.on\(\)"):

        @Consumer(group="g").on  # type: ignore[call-overload]
        def handler(_: Any) -> None:
            """Would never be called, and its messages would be acknowledged."""


async def waits(_: Any) -> None:
    """Calling it only makes a coroutine."""


def yields(_: Any) -> Any:
    """Calling it only makes a generator."""
    yield


class Waits:
    async def __call__(self, _: Any) -> None:
        """As above."""


async def yields_later(_: Any) -> Any:
    """Calling it only makes an async generator."""
    yield


@pytest.mark.parametrize("handler", [yields, functools.partial(yields), yields_later, "text"])
def test_what_would_do_nothing_when_it_is_called_is_no_handler(handler: Any) -> None:
    consumer = Consumer(group="g")
    with pytest.raises(TypeError, match="a handler must be"):
        consumer.on("upgrade-finished")(handler)
    assert not consumer.dispatch(SAMPLE)


@pytest.mark.parametrize("handler", [waits, Waits(), functools.partial(waits)])
def test_what_makes_a_coroutine_is_an_async_handler(handler: Any) -> None:
    consumer = Consumer(group="g")
    consumer.on("upgrade-finished")(handler)
    assert consumer.dispatch(SAMPLE)


def wrapped(function: Any) -> Any:
    """As many decorators do it."""

    @functools.wraps(function)
    def wrapper(message: Any) -> Any:
        return function(message)

    return wrapper


@pytest.mark.parametrize("function", [waits, yields])
def test_a_handler_that_returns_what_would_do_the_work_has_failed(function: Any) -> None:
    consumer = Consumer(group="g")
    consumer.on()(wrapped(function))
    with pytest.raises(TypeError, match=r"nothing yet: it returned a (coroutine|generator)"):
        consumer.dispatch(SAMPLE)


def test_a_consumer_without_any_handler_does_not_run() -> None:
    with pytest.raises(RuntimeError, match="there is no handler"):
        Consumer("redis://127.0.0.1:1/0", group="g").run()


def test_a_handler_that_is_an_empty_collection_is_a_handler_all_the_same() -> None:
    class Batch(list[Any]):
        def __call__(self, message: Any) -> None:
            self.append(message)

    for kinds in ((), ("upgrade-finished",)):
        consumer, batch = Consumer(group="g"), Batch()
        consumer.on(*kinds)(batch)
        assert consumer.dispatch(SAMPLE)
        assert len(batch) == 1


def called(handlers: Handlers, kind: str) -> Any:
    found = handlers.find(kind)
    return found and found.call


def test_a_kind_of_a_later_version_is_for_the_rest_or_else_unknown() -> None:
    handlers = Handlers()
    handlers.add(("unknown",), print)
    assert called(handlers, "upgrade-paused") is print
    assert called(handlers, "upgrade-started") is None
    handlers.add((), repr)
    assert called(handlers, "upgrade-paused") is repr


def test_the_queue_is_where_the_listener_says_it_is() -> None:
    for environ in (
        {},
        {"REDIS_URL": "", "QUEUE_PARTITIONS": ""},
        {"REDIS_URL": "redis://r:1/2", "QUEUE_NAMESPACE": "n", "QUEUE_PARTITIONS": "8"},
    ):
        queue = QueueSettings.from_env(environ)
        listeners = Settings.from_env({**environ, "ALLOW_ANY_SENDER": "true"})
        assert queue.url == listeners.queue.url
        assert queue.namespace == listeners.queue.namespace
        assert queue.partitions == listeners.queue.partitions


def test_from_env_reports_all_problems_of_its_own_variables() -> None:
    environ = {"REDIS_URL": "http://:secret@x", "QUEUE_PARTITIONS": "0", "PORT": "none"}
    with pytest.raises(SettingsError) as raised:
        Consumer.from_env(group="g", environ=environ)
    assert set(raised.value.problems) == {"REDIS_URL", "QUEUE_PARTITIONS"}
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"group": ""},
        {"namespace": "a:b"},
        {"partitions": 0},
        {"only": [1]},
        {"only": []},
        {"name": ""},
        {"name": "handed-back"},
        {"name": "requeued"},
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"empty|may h|name"):
        Consumer(**{"group": "g", **wrong})


def test_an_observer_that_fails_harms_nobody() -> None:
    class Broken(Observer):
        def handled(self, kind: str, seconds: float) -> None:
            raise RuntimeError(kind)

    with capture_logs() as logs:
        SafeObserver(Broken()).handled("unknown", 0.1)
    assert [line["method"] for line in logs] == ["handled"]


def test_a_safe_observer_passes_every_method_on() -> None:
    names = [name for name in vars(Observer) if not name.startswith("_")]
    assert set(names) <= set(vars(SafeObserver))
