"""The span of OpenTelemetry in which a request is served, if its operator has the receiver traced."""

import sys
from typing import Any

import structlog

from listener.messages import trace_context

log = structlog.get_logger("listener")


def traceparent() -> str | None:
    """The trace context of the current span in version 00 of W3C; None if there is no span.

    OpenTelemetry is not imported: where there is a span, something has imported it. Never raises, since a message
    must not be lost by its tracing.
    """
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    try:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return trace_context.as_text(context.trace_id, context.span_id, context.trace_flags)
    except Exception:
        log.exception("tracing failed")
        return None
