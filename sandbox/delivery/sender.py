"""Sends messages as the provider does, each in threads of its own: retry, duplicate, give up."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

import requests

from sandbox.accounts.registrations import Login, Registrations, without_login
from sandbox.delivery.deliveries import Deliveries, Delivery, Kind, Result
from sandbox.delivery.losses import Losses
from sandbox.provider_facts import USER_AGENT, Version
from sandbox.settings import Settings

Post: TypeAlias = Callable[[str, bytes], int]
Ended: TypeAlias = Callable[[Result], None]


@dataclass(frozen=True)
class Job:
    """A delivery and what is needed to make it."""

    delivery: Delivery
    url: str
    body: bytes
    ended: "Ended"


class Sender:
    """Sends messages to the registered URL. The end of the process does not wait for deliveries: those that are
    pending are lost, as they are with a provider that fails.

    Args:
        settings: the spans.
        registrations: where messages go.
        deliveries: where their results are recorded.
        losses: which messages are lost on purpose.
        clock: the time, in seconds since the epoch.
        uniform: a random number between two others.
        post: sends a body to a URL, answers the status, raises `requests.RequestException`.
    """

    def __init__(
        self,
        settings: Settings,
        registrations: Registrations,
        deliveries: Deliveries,
        losses: Losses | None = None,
        *,
        clock: Callable[[], float],
        uniform: Callable[[float, float], float],
        post: Post | None = None,
    ) -> None:
        self._settings = settings
        self._registrations = registrations
        self._deliveries = deliveries
        self._losses = losses or Losses()
        self._clock = clock
        self._uniform = uniform
        self._post = post or _http_post(settings.give_up_after_s, settings.ca_file)

    def send(
        self,
        message: Mapping[str, Any],
        account: str,
        *,
        version: Version | None = None,
        as_given: bool = False,
        wait: bool = False,
        upgrade_id: str | None = None,
        drop: bool = False,
        ended: Ended = lambda _: None,
    ) -> Delivery:
        """Sends a message to what is registered now.

        Args:
            message: the JSON object to send.
            account: whose registration counts.
            version: whose registration counts; None: the first of v1, v2, v3 that has one.
            as_given: leave the message alone, also where v1 puts its login into it.
            wait: return when all sendings have ended; else at once.
            upgrade_id: the upgrade that it is about, for the record.
            drop: lose it on purpose, whatever the losses say.
            ended: is called with the result, in whichever thread it is known.

        Raises:
            UnicodeEncodeError: the message holds half a surrogate pair.
        """
        dropped = self._losses.takes_next() or drop
        target = self._registrations.target(account, version)
        if dropped or target is None:
            delivery = self._deliveries.add(
                account, version, None, _kind(message), upgrade_id, dropped=dropped
            )
            ended(delivery.result)
            return delivery
        # Encode first: a message that cannot be encoded must not be recorded as pending.
        body = encode(message, target[1].login if target[0] == "v1" and not as_given else None)
        url = without_login(target[1].url)
        added = self._deliveries.add(account, target[0], url, _kind(message), upgrade_id)
        job = Job(added, url, body, ended)
        if wait:
            self._deliver(job)
        else:
            threading.Thread(target=self._deliver, args=(job,), daemon=True).start()
        return job.delivery

    def _deliver(self, job: Job) -> None:
        retry_after_s = self._uniform(
            self._settings.retry_after_min_s, self._settings.retry_after_max_s
        )
        answers: SimpleQueue[None] = SimpleQueue()
        threads = []
        while due := self._deliveries.due(
            job.delivery,
            retry_after_s=retry_after_s,
            duplicate_after_s=self._settings.duplicate_after_s,
        ):
            try:
                # An answer before the time is up changes what comes next.
                answers.get(timeout=max(0.0, due.at - self._clock()))
            except Empty:
                threads.append(self._attempt(job, due.kind, answers))
        for thread in threads:
            thread.join()
        job.ended(job.delivery.result)

    def _attempt(self, job: Job, kind: Kind, answers: "SimpleQueue[None]") -> threading.Thread:
        attempt = self._deliveries.begin(job.delivery, kind)

        def run() -> None:
            try:
                self._deliveries.end(attempt, status=self._post(job.url, job.body))
            except (requests.RequestException, ValueError) as problem:
                # A ValueError: the URL's host cannot be encoded.
                self._deliveries.end(attempt, error=type(problem).__name__)
            finally:
                answers.put(None)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread


def encode(message: Mapping[str, Any], login: Login | None) -> bytes:
    """The body, with the registered login in it [doc]; without one its elements are empty [?]."""
    added = {"username": login.username or "", "password": login.password or ""} if login else {}
    return json.dumps({**message, **added}, ensure_ascii=False).encode()


def _kind(message: Mapping[str, Any]) -> str | None:
    kind = message.get("type")
    return kind if isinstance(kind, str) else None


def _http_post(timeout_s: float, ca_file: str | None) -> Post:
    headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}

    def post(url: str, body: bytes) -> int:
        with requests.Session() as session:
            # The environment's .netrc would add an Authorization header, and its proxy would
            # catch messages to this machine.
            session.trust_env = False
            session.verify = ca_file or True
            answer = session.post(
                url, data=body, headers=headers, timeout=timeout_s, allow_redirects=False
            )
            return answer.status_code

    return post
