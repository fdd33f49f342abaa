"""Handlers are registered by name or message class, and the class must be that of the kind's messages."""

import functools
from collections.abc import Callable
from typing import Any, get_args, get_overloads

import pytest

from listener.consumer import (
    Consumer,
    FirmwareAvailable,
    Message,
    Unknown,
    UpgradeFinished,
    UpgradeScheduled,
    UpgradeStarted,
)
from listener.consumer.handlers.signature import CLASSES
from listener.messages.kinds import KIND_NAMES

FINISHED = {"type": "upgradeFinished", "upgradeId": "u", "status": "UpgradeSuccess"}
STARTED = {"type": "upgradeProgress", "upgradeId": "u"}


def register(handler: Any, *kinds: str | type[Message]) -> Consumer:
    consumer = Consumer(group="g")
    decorate: Callable[[Any], Any] = consumer.on(*kinds)
    decorate(handler)
    return consumer


def of_finished(message: UpgradeFinished) -> None: ...
def of_started(message: UpgradeStarted) -> None: ...
def of_both(message: UpgradeStarted | UpgradeFinished) -> None: ...
def of_any(message: Message) -> None: ...
def of_anything(message: Any) -> None: ...
def of_objects(message: object) -> None: ...
def of_optional(message: "UpgradeFinished | None" = None) -> None: ...
def of_missing_name(message: "NotImportedHere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def of_text(message: str) -> None: ...
def of_nothing() -> None: ...


class Finished:
    def __call__(self, message: UpgradeFinished) -> None: ...

    def method(self, message: UpgradeFinished) -> None: ...


@functools.wraps(of_finished)
def wrapped(*arguments: Any) -> None:
    of_finished(*arguments)


@pytest.mark.parametrize("kind", ["upgrade-finished", UpgradeFinished])
@pytest.mark.parametrize(
    "handler",
    [
        *(of_finished, of_both, of_any, of_anything, of_objects, of_optional, of_missing_name),
        *(Finished(), Finished().method, wrapped, functools.partial(of_finished), print, [].append),
    ],
)
def test_handler_whose_parameter_takes_the_class_is_registered(
    handler: Any, kind: str | type[Message]
) -> None:
    consumer = register(handler, kind)
    found = consumer._handlers.find("upgrade-finished")
    assert found
    assert found.call is handler
    assert consumer._handlers.find("upgrade-started") is None


@pytest.mark.parametrize("kind", ["upgrade-started", UpgradeStarted, "unknown", Unknown])
@pytest.mark.parametrize(
    "handler",
    [of_finished, of_text, of_optional, Finished(), Finished().method, wrapped],
)
def test_handler_of_another_class_is_refused(handler: Any, kind: str | type[Message]) -> None:
    with pytest.raises(TypeError, match=r"are (UpgradeStarted|Unknown), and the parameter of"):
        register(handler, kind)


def test_refused_handler_leaves_its_kind_free() -> None:
    consumer = Consumer(group="g")
    with pytest.raises(TypeError, match="are UpgradeStarted"):
        consumer.on("upgrade-finished", "upgrade-started")(of_finished)
    consumer.on(UpgradeFinished, UpgradeStarted)(of_both)
    assert consumer.dispatch(FINISHED)
    assert consumer.dispatch(STARTED)


def test_handler_of_the_rest_must_take_messages_of_unknown_kinds() -> None:
    register(of_any)
    with pytest.raises(TypeError, match="kind unknown are Unknown"):
        register(of_started)


def test_kind_has_one_handler_whether_named_or_given_by_class() -> None:
    consumer = register(of_finished, UpgradeFinished)
    with pytest.raises(ValueError, match="upgrade-finished has a handler already"):
        consumer.on("upgrade-finished")


@pytest.mark.parametrize("kind", [Message, FINISHED, 7, of_finished, dict])
def test_what_names_no_kind_is_refused_at_once(kind: Any) -> None:
    with pytest.raises(TypeError, match="is no kind"):
        register(of_any, kind)


def test_every_kind_has_an_overload_with_its_class() -> None:
    """Else a type checker takes any handler of that kind."""
    parameters = [get_args(each.__annotations__.get("kind")) for each in get_overloads(Consumer.on)]
    pairs = {get_args(name)[0]: get_args(cls)[0] for name, cls in filter(None, parameters)}
    assert pairs == dict(CLASSES)
    assert set(pairs) == set(KIND_NAMES)
    assert pairs["upgrade-scheduled"] is UpgradeScheduled
    assert pairs["firmware-available"] is FirmwareAvailable
