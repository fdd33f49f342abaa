"""A span for each delivery: its names, its link to the trace of the request, and how it ends."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from listener.consumer import Consumer, Message, message
from listener.consumer.monitoring.opentelemetry import DeliverySpans

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTENT = {"type": "upgradeFinished", "accountName": "a", "upgradeFinished": {"upgradeId": "u-1"}}


def delivered(handler: Any, given: Message) -> list[ReadableSpan]:
    """The spans of a delivery, innermost first, and what its handler raises is not raised."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    consumer = Consumer(group="billing", namespace="fleet")
    consumer.around(DeliverySpans(consumer, tracer_provider=provider))
    consumer.on()(lambda message: handler(provider, message))
    # SystemExit as well.
    with suppress(BaseException):
        consumer.dispatch(given)
    return list(exporter.get_finished_spans())


def of(traceparent: str | None) -> Message:
    return replace(message(CONTENT, deliveries=2), traceparent=traceparent, partition=3)


def test_span_has_the_names_of_the_conventions_and_a_link_to_the_request() -> None:
    [span] = delivered(lambda *_: None, given := of(f"00-{TRACE}-{SPAN}-01"))
    assert (span.name, span.kind, span.parent) == ("process fleet", SpanKind.CONSUMER, None)
    assert dict(span.attributes or {}) == {
        "messaging.system": "redis",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "fleet",
        "messaging.destination.partition.id": "3",
        "messaging.consumer.group.name": "billing",
        "messaging.message.id": "0-0",
        "cloudevents.event_id": given.id,
        "cloudevents.event_source": "/thingspace/fota/a",
        "cloudevents.event_type": "com.verizon.thingspace.fota.upgradeFinished",
        "cloudevents.event_subject": "u-1",
        "fota.kind": "upgrade-finished",
        "fota.deliveries": 2,
    }
    assert span.status.status_code is StatusCode.UNSET
    [link] = span.links
    assert f"{link.context.trace_id:032x}-{link.context.span_id:016x}" == f"{TRACE}-{SPAN}"
    assert (link.context.trace_flags.sampled, link.context.is_remote) == (True, True)
    assert (span.context and span.context.trace_id) not in (None, link.context.trace_id)


@pytest.mark.parametrize("traceparent", [None, "", "nonsense", f"00-{TRACE}-{'0' * 16}-01"])
def test_entry_without_a_well_formed_trace_context_has_a_span_without_a_link(
    traceparent: str | None,
) -> None:
    [span] = delivered(lambda *_: None, of(traceparent))
    assert list(span.links) == []


@pytest.mark.parametrize(
    ("error", "name"),
    [(OSError("no disk"), "OSError"), (SystemExit("no disk"), "SystemExit")],
)
def test_handler_that_raises_ends_its_span_with_an_error(error: BaseException, name: str) -> None:
    def fail(*_: Any) -> None:
        raise error

    [span] = delivered(fail, of(None))
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "no disk")
    assert (span.attributes or {})["error.type"] == name
    assert [event.name for event in span.events] == ["exception"]


def test_span_of_a_handler_is_a_child_of_its_delivery() -> None:
    def work(provider: TracerProvider, _: Message) -> None:
        with provider.get_tracer("program").start_as_current_span("work"):
            pass

    child, delivery = delivered(work, of(None))
    assert child.parent == delivery.get_span_context()
    assert not get_current_span().get_span_context().is_valid
