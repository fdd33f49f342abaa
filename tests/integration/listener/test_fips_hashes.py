"""The whole service under a Python that refuses whatever FIPS mode refuses."""

import json
from pathlib import Path

import pytest
import redis
import requests

from listener.redis_client.script import EvalScript
from registrar.coordination import scripts
from testbed.service import RECEIVER, Service

# As a Python built for FIPS mode: what FIPS does not approve is refused, MD5 and SHA-1 except where
# the caller says that security does not depend on them.
REFUSING = """
import hashlib

def refused(name, original=None):
    def construct(*arguments, usedforsecurity=True, **options):
        if original is None or usedforsecurity:
            raise ValueError(f"[digital envelope routines] unsupported: {name}")
        return original(*arguments, usedforsecurity=False, **options)
    return construct

for name in ("blake2b", "blake2s", "scrypt"):
    setattr(hashlib, name, refused(name))
for name in ("md5", "sha1"):
    setattr(hashlib, name, refused(name, getattr(hashlib, name)))
"""
PROOF = {
    "CALLBACK_TOKEN": "token-of-all-the-tests",
    "CALLBACK_USERNAME": "listener",
    "CALLBACK_PASSWORD": "correct-horse-battery",
}


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    "proof", [PROOF, {"CALLBACK_SOURCES": "127.0.0.0/8"}], ids=["token", "source"]
)
def test_message_is_kept_and_probe_answered_in_fips_mode(
    proof: dict[str, str], redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(REFUSING)
    more = {"PYTHONPATH": str(tmp_path), "REDIS_URL": redis_url, **proof}
    path = f"/cb/{PROOF['CALLBACK_TOKEN']}" if "CALLBACK_TOKEN" in proof else "/cb"
    message = {"username": "listener", "password": "correct-horse-battery", "type": "new"}
    with Service(*RECEIVER, **more) as service:
        service.wait_until_ready()
        answer = service.post(json.dumps(message), path)
        assert (answer.status_code, answer.json()["duplicate"]) == (200, False), service.log()
        assert service.post(b"{", path).status_code == 400
        nonce = {"X-Probe-Nonce": "nonce-1"}
        probed = requests.get(service.url + path, headers=nonce, timeout=10)
        assert len(probed.json()["answer"]) == 64, service.log()


def test_script_has_the_digest_of_redis_in_fips_mode(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "return 1"
    known = redis_client.script_load(text)
    monkeypatch.setattr("hashlib.sha1", None)
    script = EvalScript(redis_client, text)
    assert script.sha == known
    assert script() == 1


def test_scripts_of_the_registrar_run_in_fips_mode(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashlib.sha1", None)
    seconds, micros = scripts.script(redis_client, "now")(keys=["any"])
    assert int(seconds) > 0
    assert 0 <= int(micros) < 1_000_000
