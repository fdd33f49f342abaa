"""The answer to the registrar's probe: shows that a public URL leads to this deployment."""

import hashlib
import hmac
import os
from functools import lru_cache

from listener.settings.secret import derive_key
from listener.settings.settings import Settings

NONCE_HEADER = "X-Probe-Nonce"
MAX_NONCE_LENGTH = 64
# The registrar sets it for COMMAND, to a name that it keeps in Redis: two deployments may have the same REDIS_URL
# (`redis://localhost`) and different servers.
QUEUE_ID_VARIABLE = "FOTA_QUEUE_ID"


def response_members(nonce: str, settings: Settings) -> dict[str, str]:
    """The members of the answer to a nonce: `answer`, and `queue` where the registrar named the queue."""
    queue_id = os.environ.get(QUEUE_ID_VARIABLE)
    named = {"queue": queue_answer(nonce, queue_id, settings)} if queue_id else {}
    return {"answer": answer(nonce, settings), **named}


def answer(nonce: str, settings: Settings) -> str:
    """What this deployment answers to a nonce: 64 hexadecimal digits.

    The key is made of what all processes of a deployment share: REDIS_URL, to the letter, and the
    namespace. It stays the same while tokens and passwords are rotated. It distinguishes deployments
    with queues of their own, which is what the probe is for; it proves nothing against somebody who
    knows, or guesses, both. Strangers may ask where there is no token, so the key is slow to derive.
    """
    key = _key(settings.queue.url.reveal(), settings.queue.namespace)
    return hmac.new(key, nonce.encode(), hashlib.sha256).hexdigest()


def queue_answer(nonce: str, queue_id: str, settings: Settings) -> str:
    """What a deployment whose queue has this id answers as `queue`: 64 hexadecimal digits."""
    return answer(f"{nonce}\0{queue_id}", settings)


@lru_cache(maxsize=1)
def _key(redis_url: str, namespace: str) -> bytes:
    shared = f"{redis_url}\0{namespace}".encode()
    return derive_key(shared, salt=b"fota-probe", length=32)
