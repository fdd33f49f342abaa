"""A span of OpenTelemetry for each delivery, linked to the trace in the entry. Needs the extra `otel`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from listener import __version__
from listener.messages import trace_context
from listener.messages.kinds import Message

if TYPE_CHECKING:
    from listener.consumer.consumer import Consumer


class DeliverySpans:
    """What `Consumer.around` takes: `consumer.around(DeliverySpans(consumer))`.

    Names are those of OpenTelemetry's semantic conventions 1.44 for messaging and CloudEvents. The span is current
    while the handler runs, so that spans of the handler are its children. A handler that raises ends it with the
    status ERROR, whatever becomes of the message: the next delivery has a span of its own.
    """

    def __init__(
        self, consumer: "Consumer", *, tracer_provider: trace.TracerProvider | None = None
    ) -> None:
        """Takes the consumer whose group the spans name, and where they go: by default the global provider."""
        self._tracer = trace.get_tracer(
            "listener.consumer", __version__, tracer_provider=tracer_provider
        )
        self._name = f"process {consumer.namespace}"
        self._attributes = {
            "messaging.system": "redis",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": consumer.namespace,
            "messaging.consumer.group.name": consumer.group,
        }

    @contextmanager
    def __call__(self, message: Message) -> Iterator[trace.Span]:
        """The span of one delivery."""
        with self._tracer.start_as_current_span(
            self._name,
            kind=SpanKind.CONSUMER,
            attributes={**self._attributes, **_attributes_of(message)},
            links=links_of(message),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                # SystemExit as well: for the consumer it is the handler's failure alone.
                span.record_exception(error)
                span.set_attribute("error.type", _qualified_name(error))
                span.set_status(Status(StatusCode.ERROR, str(error)))
                raise


def links_of(message: Message) -> list[Link]:
    """A link to the span that received the message; empty if the entry has no well-formed `traceparent`.

    Not the parent: a message may be handled days after its request, more than once, and by several groups.
    """
    traceparent = trace_context.parse(message.traceparent or "")
    if traceparent is None:
        return []
    _, trace_id, span_id, flags = traceparent.split("-")
    return [
        Link(
            SpanContext(
                trace_id=int(trace_id, 16),
                span_id=int(span_id, 16),
                is_remote=True,
                trace_flags=TraceFlags(int(flags, 16)),
            )
        )
    ]


def _attributes_of(message: Message) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "messaging.destination.partition.id": str(message.partition),
        "messaging.message.id": message.entry_id,
        "cloudevents.event_id": message.id,
        "cloudevents.event_source": message.source,
        "cloudevents.event_type": message.type,
        "fota.kind": message.kind,
        "fota.deliveries": message.deliveries,
    }
    if message.subject is not None:
        attributes["cloudevents.event_subject"] = message.subject
    return attributes


def _qualified_name(error: BaseException) -> str:
    class_ = type(error)
    return (
        class_.__qualname__
        if class_.__module__ == "builtins"
        else f"{class_.__module__}.{class_.__qualname__}"
    )
