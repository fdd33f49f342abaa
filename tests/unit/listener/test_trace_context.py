"""What counts as a well-formed `traceparent`, by W3C Trace Context (section 3.2 and "Versioning of traceparent")."""

import json
import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from listener.callback.request import CallbackRequest, hide
from listener.messages import json_schemas, trace_context

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize("flags", ["00", "01", "02", "03", "09", "ff"])
def test_well_formed_header_of_version_00_is_kept_unchanged(flags: str) -> None:
    assert trace_context.parse(f"00-{TRACE}-{PARENT}-{flags}") == f"00-{TRACE}-{PARENT}-{flags}"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        SENT[:-1],
        f"{SENT}0",
        f"{SENT}-",
        f"{SENT}-extra",
        f"{SENT}\n",
        f" {SENT}",
        f"{SENT} ",
        SENT.upper(),
        SENT.replace("-", "_"),
        SENT.replace("0af", "0aF"),
        SENT.replace("0af", "0ag"),
        SENT.replace("0af", "0\u0661f"),
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}a-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}1-01",
        f"00-{TRACE}-{PARENT[1:]}-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-.1",
        f"0-{TRACE}-{PARENT}-01",
        f"000-{TRACE}-{PARENT}-01",
        f".0-{TRACE}-{PARENT}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"ff-{TRACE}-{PARENT}-01-more",
        f"{SENT},{SENT}",
        f"{SENT}, {SENT}",
        f"01-{TRACE}-{PARENT}-01,{SENT}",
        f"cc-{TRACE}-{PARENT}-01.what-the-future-will-be-like",
        f"cc-{TRACE}-{PARENT}-0",
        f"cc-{'0' * 32}-{PARENT}-01-more",
        "\x00\xff\xfe" * 20,
        "00-" * 20_000,
    ],
)
def test_header_that_is_not_well_formed_is_none(header: str) -> None:
    assert trace_context.parse(header) is None


@pytest.mark.parametrize("version", ["01", "cc", "fe"])
@pytest.mark.parametrize("more", ["", "-", "-what-the-future-will-be-like", "-\xe4\x00", "-,"])
@pytest.mark.parametrize(
    ("flags", "known"), [("00", "00"), ("01", "01"), ("03", "03"), ("fe", "02")]
)
def test_later_version_is_written_as_version_00_with_the_flags_that_this_one_knows(
    version: str, more: str, flags: str, known: str
) -> None:
    found = trace_context.parse(f"{version}-{TRACE}-{PARENT}-{flags}{more}")
    assert found == f"00-{TRACE}-{PARENT}-{known}"


@given(st.text("0123456789abcdefAF-,. \n\xff", max_size=70) | st.from_regex(trace_context.FORM))
@example(SENT)
def test_what_is_kept_is_what_the_schema_of_an_entry_allows(header: str) -> None:
    pattern = json_schemas.schema_of("entry")["properties"]["traceparent"]["pattern"]
    found = trace_context.parse(header)
    if found is not None:
        assert re.search(pattern, found)
        assert len(found) == 55
        assert trace_context.parse(found) == found


def received(**headers: str) -> CallbackRequest:
    environ: dict[str, Any] = {"PATH_INFO": "/cb", "wsgi.input": None, **headers}
    hide(environ)
    return CallbackRequest(environ)


def test_context_of_a_request_is_that_of_its_header() -> None:
    assert received(HTTP_TRACEPARENT=SENT).traceparent == SENT
    assert received(HTTP_TRACEPARENT=f"{SENT},{SENT}").traceparent is None
    assert received(HTTP_TRACEPARENT="").traceparent is None
    assert received().traceparent is None


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("headers", [{}, {"HTTP_TRACEPARENT": SENT}, {"HTTP_TRACEPARENT": "x"}])
def test_current_span_of_a_traced_receiver_comes_before_the_header(
    sampled: bool, headers: dict[str, str]
) -> None:
    tracer = TracerProvider(sampler=ALWAYS_ON if sampled else ALWAYS_OFF).get_tracer("t")
    with tracer.start_as_current_span("POST") as span:
        context = span.get_span_context()
        found = received(**headers).traceparent
    assert found is not None
    version, trace_id, span_id, flags = found.split("-")
    assert (version, trace_id, span_id) == (
        "00",
        trace.format_trace_id(context.trace_id),
        trace.format_span_id(context.span_id),
    )
    assert int(flags, 16) & 1 == sampled
    assert trace_context.parse(found) == found


@pytest.mark.parametrize("loaded", [None, ModuleType("half-imported")])
def test_tracing_that_is_not_loaded_or_fails_costs_no_message(
    loaded: ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", loaded)
    assert received(HTTP_TRACEPARENT=SENT).traceparent == SENT


def test_span_of_a_tracer_that_answers_nonsense_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(is_valid=True, trace_id="x", span_id=None, trace_flags=1)
    span = SimpleNamespace(get_span_context=lambda: context)
    loaded = SimpleNamespace(get_current_span=lambda: span)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", loaded)
    assert received(HTTP_TRACEPARENT=SENT).traceparent == SENT


def test_schema_of_an_entry_describes_the_attribute_and_does_not_require_it() -> None:
    schema = json_schemas.schema_of("entry")
    assert "traceparent" not in schema["required"]
    assert json.dumps(schema).count("traceparent") == 1
