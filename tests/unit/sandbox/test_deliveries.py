"""The sandbox's deliveries: when an attempt is due, and how a delivery ends."""

import pytest

from sandbox.delivery.deliveries import Attempt, Deliveries, Delivery, Due, Result, next_attempt

A = "0242078689-00001"


def due(*attempts: Attempt, now: float = 1000.0) -> Due | None:
    return next_attempt(attempts, now=now, retry_after_s=1.5, duplicate_after_s=4.0)


def attempt(kind: str = "first", ended: float | None = None, status: int | None = None) -> Attempt:
    return Attempt(kind, 1000.0, ended, status)  # type: ignore[arg-type]


def test_the_first_sending_is_due_at_once() -> None:
    assert due(now=1000.0) == Due("first", 1000.0)


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_any_2xx_ends_it(status: int) -> None:
    assert due(attempt(ended=1000.2, status=status)) is None


@pytest.mark.parametrize("status", [199, 301, 400, 403, 404, 500, 503, None])
def test_after_a_refusal_or_an_error_one_retry_is_due(status: int | None) -> None:
    assert due(attempt(ended=1000.2, status=status)) == Due("retry", 1001.7)


def test_unanswered_it_is_sent_again_four_seconds_after_it_began() -> None:
    assert due(attempt(), now=1003.0) == Due("duplicate", 1004.0)


@pytest.mark.parametrize("second", ["retry", "duplicate"])
@pytest.mark.parametrize("ended", [None, 1006.0])
def test_there_is_never_a_third_sending(second: str, ended: float | None) -> None:
    assert due(attempt(ended=1000.2, status=503), attempt(second, ended, None)) is None


@pytest.mark.parametrize(
    ("attempts", "result"),
    [
        ([], "pending"),
        ([attempt()], "pending"),
        ([attempt(ended=1.0, status=503)], "pending"),
        ([attempt(ended=1.0, status=200)], "acknowledged"),
        ([attempt(ended=1.0, status=503), attempt("retry")], "pending"),
        ([attempt(ended=1.0, status=503), attempt("retry", 2.0, 503)], "lost"),
        ([attempt(ended=1.0, status=503), attempt("retry", 2.0, 200)], "acknowledged"),
        ([attempt(), attempt("duplicate", 5.0, 200)], "acknowledged"),
        ([attempt(), attempt("duplicate", 5.0, 503)], "pending"),
        ([attempt(ended=9.0, status=200), attempt("duplicate", 5.0, 503)], "acknowledged"),
        ([attempt(ended=9.0), attempt("duplicate", 9.0)], "lost"),
    ],
)
def test_a_delivery_says_how_it_ended(attempts: list[Attempt], result: Result) -> None:
    delivery = Delivery(1, A, "v1", "https://host/", None, 0.0, attempts)
    assert delivery.result == result


def test_a_delivery_without_a_registration_is_unregistered() -> None:
    assert Delivery(1, A, None, None, None, 0.0).result == "unregistered"


def test_the_log_lists_by_id_and_by_result_and_counts() -> None:
    log = Deliveries(clock=lambda: 5.0)
    for _ in range(3):
        log.add(A, None, None, "firmwareList")
    last = log.add(A, "v1", "https://host/", None)
    log.end(log.begin(last, "first"), status=200)
    assert [each["id"] for each in log.listing(after=2)] == [3, 4]
    assert [each["id"] for each in log.listing(result="acknowledged")] == [4]
    assert log.listing(after=99) == []
    assert {name: count for name, count in log.counts().items() if count} == {
        "acknowledged": 1,
        "unregistered": 3,
    }
    assert log.get(0) is None
    assert log.get(5) is None
    assert log.get(4) == {
        "id": 4,
        "account": A,
        "version": "v1",
        "url": "https://host/",
        "type": None,
        "created": 5.0,
        "upgrade": None,
        "attempts": [{"kind": "first", "started": 5.0, "ended": 5.0, "status": 200, "error": None}],
        "result": "acknowledged",
    }
