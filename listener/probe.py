"""The answer to the registrar's probe: shows that a public URL leads to this deployment."""

import hashlib
import hmac

from listener.settings import Settings

NONCE_HEADER = "X-Probe-Nonce"
MAX_NONCE_LENGTH = 64


def answer(nonce: str, settings: Settings) -> str:
    """What this deployment answers to a nonce: 64 hexadecimal digits.

    The key is made of what all processes of a deployment share: REDIS_URL, to the letter, and the
    namespace. It stays the same while tokens and passwords are rotated. It tells apart deployments
    with queues of their own, which is what the probe is for; it is no proof against somebody who
    knows, or guesses, both.
    """
    shared = f"{settings.redis_url.reveal()}\0{settings.queue_namespace}"
    key = hashlib.sha256(b"fota-probe\0" + shared.encode()).digest()
    return hmac.new(key, nonce.encode(), hashlib.sha256).hexdigest()
