"""OpenTelemetry's and Sentry's Flask integrations see every message, and neither the token nor a password."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from testbed.polling import wait_until
from testbed.process import ROOT
from testbed.service import RECEIVER, Service

pytestmark = pytest.mark.slow

TOKEN, PREVIOUS_TOKEN = "token-of-all-the-tests", "the-token-before-that-one"
PASSWORD = "correct-horse-battery"
SECRETS = (TOKEN, PREVIOUS_TOKEN, PASSWORD)
SETTINGS = {
    "CALLBACK_TOKEN": TOKEN,
    "CALLBACK_TOKEN_PREVIOUS": PREVIOUS_TOKEN,
    "CALLBACK_USERNAME": "listener",
    "CALLBACK_PASSWORD": PASSWORD,
    "THINGSPACE_API_VERSIONS": "v1,v2",
    "WEB_CONCURRENCY": "1",
}
# Proxies that name the original URL, and clients that name where they come from.
BY_PROXIES = dict.fromkeys(
    ("Referer", "X-Original-URI", "X-Original-URL", "X-Forwarded-Uri"),
    f"https://fota.example/cb/{TOKEN}",
)


SENDERS_SPAN = "00f067aa0ba902b7"


def body(**members: Any) -> str:
    return json.dumps({"username": "listener", "password": PASSWORD, **members})


def send(service: Service) -> list[int]:
    """One request of each sort; their statuses, in order."""
    requests = [
        (f"/cb/{TOKEN}", body(n=1)),
        (f"/cb/{TOKEN}?again={TOKEN}", body(n=1)),
        (f"/cb/{PREVIOUS_TOKEN}/", body(n=2)),
        (f"/cb/{TOKEN}", f'{{"password": "{PASSWORD}", '),
        (f"/cb/{TOKEN}", body(password="wrong")),
        (f"/cb/{TOKEN}x", body(n=3)),
        (f"//cb/{TOKEN}", body(n=3)),
        (f"/healthz/{TOKEN}", body(n=3)),
    ]
    traceparent = f"00-4bf92f3577b34da6a3ce929d0e0e4736-{SENDERS_SPAN}-01"
    headers = {**BY_PROXIES, "Content-Type": "application/json", "Traceparent": traceparent}
    return [service.post(data, path, headers=headers).status_code for path, data in requests]


STATUSES = [200, 200, 200, 400, 401, 404, 404, 404]


def spans(service: Service) -> list[dict[str, Any]]:
    """The requests' spans that the console exporter has written between the lines of the log."""
    decoder, log = json.JSONDecoder(), service.log()
    begins = [place + 1 for place in range(len(log)) if log.startswith('\n{\n    "name"', place)]
    every = [decoder.raw_decode(log, place)[0] for place in begins]
    return [span for span in every if span["name"] == "POST /<path:path>"]


@pytest.mark.parametrize(
    "conventions",
    [
        {},
        {
            "OTEL_SEMCONV_STABILITY_OPT_IN": "http/dup",
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": ".*",
        },
    ],
    ids=["default", "both-conventions-and-all-headers"],
)
def test_opentelemetry_has_a_span_of_each_message_with_its_status_and_no_secret(
    conventions: dict[str, str], redis_server: str
) -> None:
    exporting = {
        "OTEL_TRACES_EXPORTER": "console",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH": "patch_all",
        **conventions,
    }
    namespace = f"traced-{len(conventions)}"
    settings = {
        **SETTINGS,
        **exporting,
        "REDIS_URL": redis_server,
        "QUEUE_NAMESPACE": namespace,
    }
    with (
        Service("opentelemetry-instrument", *RECEIVER, **settings) as service,
        redis.Redis.from_url(redis_server, decode_responses=True) as client,
    ):
        service.wait_until_ready()
        assert send(service) == STATUSES
        entries: Any = client.xrange(f"{{{namespace}:0}}:messages")
        wait_until(lambda: len(spans(service)) >= len(STATUSES), service.log)
        service.signal()
        assert service.wait() == 0
        found, log = spans(service), service.log()
    assert [span["attributes"]["http.status_code"] for span in found] == STATUSES
    assert {span["attributes"]["http.target"] for span in found} == {"/***"}
    if conventions:
        assert {span["attributes"]["url.path"] for span in found} == {"/***"}
    # The duplicate's span is not that of the entry.
    kept = [fields["traceparent"].split("-")[1:3] for _, fields in entries]
    assert kept == [context_of(found[0]), context_of(found[2])]
    assert found[0]["parent_id"] == f"0x{SENDERS_SPAN}"
    assert not [secret for secret in SECRETS if secret in log]
    assert "internal-error" not in log


def context_of(span: dict[str, Any]) -> list[str]:
    """Its trace's id and its own, as they stand in a `traceparent`."""
    context = span["context"]
    return [context[name].removeprefix("0x") for name in ("trace_id", "span_id")]


# An operator's own configuration; the one of the project comes first. The options are those that send most.
CONFIGURATION = """
import runpy
globals().update(runpy.run_path({project!r}))

import sentry_sdk
from sentry_sdk.transport import Transport

class ToFile(Transport):
    def capture_envelope(self, envelope):
        with open({file!r}, "ab") as file:
            file.write(envelope.serialize() + b"\\n")

sentry_sdk.init(
    dsn="http://key@127.0.0.1:1/1",
    transport=ToFile,
    traces_sample_rate=1.0,
    send_default_pii=True,
    max_request_body_size="always",
    max_value_length=100_000,
)

from listener.callback import auth
check_credentials = auth.check_credentials

def failing(authentication, payload, settings):
    if "fails" in payload:
        raise ZeroDivisionError("an error of ours")
    return check_credentials(authentication, payload, settings)

auth.check_credentials = failing
"""


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"


@pytest.fixture
def reporting(tmp_path: Path, reports: Path, redis_server: str) -> Iterator[Service]:
    """A service that reports to Sentry's SDK, and fails where a message has the member `fails`."""
    configuration = tmp_path / "gunicorn.conf.py"
    project = str(ROOT / "gunicorn.conf.py")
    configuration.write_text(CONFIGURATION.format(project=project, file=str(reports)))
    command = ("gunicorn", "-c", str(configuration), RECEIVER[-1])
    with Service(*command, **SETTINGS, REDIS_URL=redis_server) as service:
        service.wait_until_ready()
        yield service


def events(reports: Path) -> list[dict[str, Any]]:
    """The events in the envelopes: errors, and transactions of other requests than health checks."""
    lines = [json.loads(line) for line in reports.read_text().splitlines() if line]
    return [line for line in lines if line.get("transaction") == "callback.receive"]


def test_sentry_has_a_transaction_of_each_message_and_each_error_of_ours_without_a_secret(
    reporting: Service, reports: Path
) -> None:
    assert send(reporting) == STATUSES
    assert reporting.post(body(fails=1), f"/cb/{TOKEN}", headers=BY_PROXIES).status_code == 503
    expected = [*STATUSES, 503]
    # Of the last one there is an error as well.
    wait_until(lambda: len(events(reports)) > len(expected), reporting.log)
    errors = [event for event in events(reports) if "exception" in event]
    transactions = [event for event in events(reports) if "exception" not in event]
    statuses = [event["contexts"]["response"]["status_code"] for event in transactions]
    assert statuses == expected
    [error] = errors
    [exception] = error["exception"]["values"]
    assert exception["type"] == "ZeroDivisionError"
    assert {frame["function"] for frame in exception["stacktrace"]["frames"]} >= {
        "__call__",
        "_authenticate_and_validate",
        "failing",
    }
    assert {event["request"]["url"] for event in events(reports)} == {f"{reporting.url}/***"}
    assert not [event for event in events(reports) if event["request"].get("data")]
    assert not [secret for secret in SECRETS if secret in reports.read_text()]
