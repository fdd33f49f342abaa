"""`send-test`: sends a message through the public URL as ThingSpace would, and looks whether it came."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import click

from listener import __version__
from listener.callback import ownership_probe
from listener.cli import click_options, common
from listener.cli.test_message import answers, http_post
from listener.cli.test_message.answers import Verdict
from listener.cli.test_message.arrival import Arrival, locate
from listener.cli.test_message.http_post import Answer, NoAnswerError
from listener.cli.test_message.message import TYPE, build_message
from listener.errors import SettingsError
from listener.logs import Redactor
from listener.messages.message import TYPE_PREFIX
from listener.messages.payload import serialize
from listener.settings.settings import Settings
from listener.text import clean, counted, json_line

# ThingSpace tries about twice within two seconds, and then drops a message (docs/thingspace.md).
PATIENCE_S = 2.0
MASKED = "***"


@dataclass(frozen=True)
class Trial:
    """What became of the test message; what is None was not reached. `problem` is empty if it came."""

    request_id: str
    answer: Answer | None = None
    verdict: Verdict | None = None
    arrival: Arrival | None = None
    problem: str = ""


@click.command(epilog="Example: python -m listener send-test --account 0242078689-00001")
@click.option("--account", metavar="ACCOUNT", help="[default: the first of THINGSPACE_ACCOUNTS]")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 60),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="For the answer, DNS and TLS included.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 600),
    default=5,
    show_default=True,
    metavar="SECONDS",
    help="For the message to come to Redis.",
)
@click_options.as_json
def send_test(*, account: str | None, timeout_s: float, wait_s: float, as_json: bool) -> None:
    """Send one message to PUBLIC_URL as ThingSpace would, and look whether it came.

    Token and password are read from the settings as the service reads them, from CALLBACK_TOKEN or
    CALLBACK_TOKEN_FILE and so on: none is an argument, and none is printed. The message has the type
    `listenerTest` and names no upgrade and no device; every consumer group gets it, as a message of
    the kind `unknown`.
    """
    settings = common.read_settings(_read_settings)
    redact = Redactor(settings.secrets).redact
    url = _url(settings, MASKED)
    if not as_json:
        click.echo(clean(f"POST {url}"))
    trial = _try(settings, account, timeout_s, wait_s)
    if as_json:
        click.echo(redact(json_line(_data(url, trial))))
    else:
        for line in _lines(trial):
            click.echo(clean(redact(line)))
    if trial.problem:
        common.fail(redact(trial.problem))
    if trial.answer and trial.answer.seconds > PATIENCE_S:
        click.echo(f"Slow: ThingSpace waits for about {PATIENCE_S:g} s, and sends again.", err=True)


def _read_settings() -> Settings:
    settings = Settings.from_env(require_sender_proof=False)
    if settings.public_url is None:
        raise SettingsError({"PUBLIC_URL": ["must be set: it is where the message is sent"]})
    return settings


def _try(settings: Settings, account: str | None, timeout_s: float, wait_s: float) -> Trial:
    trial = Trial(request_id=secrets.token_hex(16))
    body = serialize(build_message(settings, account, datetime.now(UTC), trial.request_id))
    headers = {"Content-Type": "application/json", "X-Request-Id": trial.request_id}
    try:
        answer = _send(settings, timeout_s, headers, body)
    except NoAnswerError as error:
        return replace(trial, problem=str(error))
    verdict = answers.judge(answer)
    trial = replace(trial, answer=answer, verdict=verdict, problem=verdict.problem)
    if verdict.id is None:
        return trial
    arrival = locate(settings, verdict.id, wait_s)
    problem = (
        "" if arrival.entry_id or arrival.spool else _why_missing(settings, arrival, timeout_s)
    )
    return replace(trial, arrival=arrival, problem=problem)


def _send(
    settings: Settings, timeout_s: float, headers: dict[str, str], body: bytes | None = None
) -> Answer:
    token = settings.callback_token
    url = _url(settings, token.reveal() if token else "")
    headers = {**headers, "User-Agent": f"fota-send-test/{__version__}"}
    return http_post.send(url, timeout_s=timeout_s, headers=headers, body=body)


def _url(settings: Settings, token: str) -> str:
    """The URL that is registered: PUBLIC_URL, and the token as its last segment if there is one."""
    url = str(settings.public_url)
    return f"{url.rstrip('/')}/{token}" if settings.callback_token else url


def _why_missing(settings: Settings, arrival: Arrival, timeout_s: float) -> str:
    """Why a message that the service says is kept is nowhere that can be seen from here."""
    if arrival.problem:
        return f"it is kept, but whether in this queue cannot be said: {arrival.problem}"
    nonce = secrets.token_hex(16)
    try:
        probed = _send(settings, timeout_s, {ownership_probe.NONCE_HEADER: nonce})
    except NoAnswerError:
        is_ours = False
    else:
        is_ours = answers.member(probed, "answer") == ownership_probe.answer(nonce, settings)
    if is_ours:
        return (
            "it is kept, but not in the queue yet: this deployment answered, so it waits in the spool of another "
            "host (run `check` there), or QUEUE_PARTITIONS is less here than the service's"
        )
    return (
        "it is kept, but not in this queue: another deployment answered, whose REDIS_URL or QUEUE_NAMESPACE is another "
        "one. Either PUBLIC_URL leads to the wrong one, or this command has the wrong settings"
    )


def _lines(trial: Trial) -> Iterator[str]:
    """For people: what was answered, and where the message is."""
    answer, verdict, arrival = trial.answer, trial.verdict, trial.arrival
    if not answer or not verdict or not verdict.id:
        return
    how = "kept already: something in between sent it twice" if verdict.duplicate else "kept"
    yield f"{answer.status} after {answer.seconds * 1000:.0f} ms: {how}, id {verdict.id}"
    if arrival and arrival.spool:
        yield f"It is in the spool of this host ({arrival.spool}): Redis could not confirm it in time."
    elif arrival and arrival.entry_id:
        groups = f"{counted(len(arrival.groups), 'group')} ({', '.join(arrival.groups)})"
        yield f"It is in the queue as {arrival.entry_id}, partition {arrival.partition}."
        yield (
            f"{groups if arrival.groups else 'No group'} will get it: kind unknown, type {TYPE_PREFIX}{TYPE}."
        )


def _data(url: str, trial: Trial) -> dict[str, Any]:
    """The line of --json."""
    answer, verdict, arrival = trial.answer, trial.verdict, trial.arrival or Arrival()
    return {
        "url": url,
        "request_id": trial.request_id,
        "status": answer and answer.status,
        "ms": answer and round(answer.seconds * 1000, 1),
        "id": verdict and verdict.id,
        "duplicate": verdict and verdict.duplicate,
        "entry": arrival.entry_id or None,
        "partition": arrival.partition if arrival.entry_id else None,
        "spool": arrival.spool or None,
        "groups": list(arrival.groups),
        "problem": trial.problem or None,
    }
