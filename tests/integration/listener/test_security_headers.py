"""Every answer of the operating port, HTML or not, tells a browser to keep, frame and guess nothing."""

import json
from collections.abc import Iterator
from typing import cast

import pytest
import redis
import requests

from listener.ops.app import create_ops_app
from listener.queue.queue import MessageQueue
from listener.settings.settings import Settings
from testbed.service import RECEIVER, Service

TOKEN = "token-of-all-the-tests"
SCRIPT = "<script>alert(1)</script>"
EXPECTED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def rules() -> list[str]:
    settings = Settings.from_env({"CALLBACK_TOKEN": TOKEN, "SPOOL_DIR": ""})
    app = create_ops_app(settings, queue=cast(MessageQueue, None))
    return sorted(rule.rule for rule in app.url_map.iter_rules())


@pytest.fixture(scope="module")
def service(redis_server: str) -> Iterator[Service]:
    with Service(*RECEIVER, REDIS_URL=redis_server, CALLBACK_TOKEN=TOKEN) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="module")
def entry_id(service: Service, redis_server: str) -> str:
    """Of a message whose every text would be a script in a page that is not careful."""
    message = {
        "type": "upgradeFinished",
        "accountName": SCRIPT,
        "upgradeFinished": {"upgradeId": SCRIPT, "status": SCRIPT},
        SCRIPT: SCRIPT,
    }
    assert service.post(json.dumps(message), f"/cb/{TOKEN}").status_code == 200
    with redis.Redis.from_url(redis_server, decode_responses=True) as client:
        [(entry_id, fields)] = client.xrevrange("{fota:0}:messages", count=1)
        # The same id names a dead letter and a refused message as well.
        letter = {
            **fields,
            "reason": SCRIPT,
            "error": SCRIPT,
            "traceback": SCRIPT,
            "failed": SCRIPT,
        }
        client.xadd("{fota:0}:dead:billing", letter, id=entry_id)
        refused = {"reason": SCRIPT, "data": SCRIPT, "time": SCRIPT}
        client.xadd("{fota:0}:quarantine", refused, id=entry_id)
        client.xgroup_create("{fota:0}:messages", "billing", "0")
        return str(entry_id)


def asked(service: Service, rule: str, entry_id: str, method: str = "GET") -> requests.Response:
    path = (
        rule.replace("<int:partition>", "0")
        .replace("<entry_id>", entry_id)
        .replace("<path:filename>", "page.css")
        .replace("<path:device>", "990013907835573")
        .replace("<path:upgrade>", "60b5d639-ccdc-4db8-8824-069bd94c95bf")
    )
    assert "<" not in path, "a new parameter: give it a value here"
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, f"{service.ops_url}{path}?group=billing", timeout=10)


def assert_guarded(answer: requests.Response) -> None:
    assert {name: answer.headers.get(name) for name in EXPECTED} == EXPECTED
    policy = answer.headers["Content-Security-Policy"]
    directives = {part.split()[0]: part.split()[1:] for part in policy.split(";")}
    for name in ("default-src", "base-uri", "frame-ancestors"):
        assert directives[name] == ["'none'"]
    # A page has a search box, which leads to this service alone.
    is_page = answer.headers["Content-Type"].startswith("text/html")
    assert directives["form-action"] == ["'self'" if is_page else "'none'"]
    allowed = {source for sources in directives.values() for source in sources}
    # Neither what is inline nor anybody else's.
    assert allowed <= {"'none'", "'self'"}


@pytest.mark.parametrize("rule", rules())
def test_every_route_is_guarded(service: Service, entry_id: str, rule: str) -> None:
    answer = asked(service, rule, entry_id)
    assert answer.status_code == 200
    assert_guarded(answer)
    assert_guarded(asked(service, rule, entry_id, "POST"))
    if answer.headers["Content-Type"].startswith("text/html"):
        assert SCRIPT not in answer.text
        assert "charset=utf-8" in answer.headers["Content-Type"]


@pytest.mark.parametrize("path", ["/nothing", "/messages/0/1-1", "/static/nothing.css"])
def test_errors_are_guarded_as_well(service: Service, entry_id: str, path: str) -> None:
    answer = asked(service, path, entry_id)
    assert answer.status_code == 404
    assert_guarded(answer)


@pytest.mark.parametrize("path", ["/nothing", "/messages/0/1-1", "/static/nothing.css"])
def test_browser_gets_a_page_of_an_error_and_it_is_guarded(service: Service, path: str) -> None:
    with requests.Session() as session:
        session.trust_env = False
        headers = {"Accept": "text/html"}
        answer = session.get(f"{service.ops_url}{path}", headers=headers, timeout=10)
    assert answer.status_code == 404
    assert "There is no such" in answer.text
    assert_guarded(answer)
