"""The sandbox answers as the provider's replies, which are files, say."""

import json

import pytest

from sandbox.app import create_app
from sandbox.replies import SHAPES
from sandbox.settings import Settings
from sandbox.state import State
from tests.support.provider_replies import REPLIES

ACCOUNT = "0242078689-00001"
V1, V2 = f"/api/fota/v1/callbacks/{ACCOUNT}", f"/api/fota/v2/callbacks/{ACCOUNT}"
(V1_CALLBACK,) = json.loads(REPLIES["v1-callbacks"].body)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_shape_is_the_reply_of_its_name(shape: str) -> None:
    reply, stored = SHAPES[shape], REPLIES[shape]
    assert reply.status == stored.status
    assert {name.lower(): value for name, value in reply.headers.items()} == stored.headers
    if reply.content_type == "application/json" and reply.body:
        assert json.loads(reply.body) == json.loads(stored.body)
    else:
        assert reply.body.encode() == stored.body


def test_calls_that_succeed_are_answered_as_the_files_say() -> None:
    state = State.build(Settings(key="k", secret="s", username="u", password="p"))
    bearer, _ = state.credentials.issue_token("k", "s")
    headers = {
        "Authorization": f"Bearer {bearer}",
        "VZ-M2M-Token": state.credentials.log_in("u", "p"),
    }
    client = create_app(state).test_client()
    url = {"url": V1_CALLBACK["url"]}
    answers = [
        ("nothing-list", client.get(V1, headers=headers)),
        ("nothing-object", client.get(V2, headers=headers)),
        ("v1-registered", client.post(V1, headers=headers, json=V1_CALLBACK)),
        ("v1-callbacks", client.get(V1, headers=headers)),
        ("v2-callback", client.post(V2, headers=headers, json=url)),
        ("v2-callback", client.get(V2, headers=headers)),
        ("deregistered", client.delete(f"{V1}/name/Fota", headers=headers)),
        ("deregistered", client.delete(V2, headers=headers)),
    ]
    for name, answer in answers:
        assert (name, answer.status_code, answer.get_json()) == (
            name,
            REPLIES[name].status,
            json.loads(REPLIES[name].body),
        )
