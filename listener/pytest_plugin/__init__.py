"""A plugin of pytest, which finds it by its entry point: the fixture `fota_run`. Imports nothing until it is used."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from listener.consumer import Consumer
    from listener.consumer.testing import RunFactory


@pytest.fixture
def fota_run() -> Iterator["RunFactory"]:
    """Call it with a consumer: it makes an `InMemoryRun` of it, which ends with the test.

    See `listener.consumer.testing`.
    """
    from listener.consumer.testing import InMemoryRun  # noqa: PLC0415 - most test runs need none of it

    with ExitStack() as stack:

        def make(consumer: "Consumer", **options: Any) -> "InMemoryRun":
            return stack.enter_context(InMemoryRun(consumer, **options))

        yield make
