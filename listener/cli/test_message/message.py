"""The test message: recognisable by its type, and harmless to every consumer. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from listener.settings.settings import Settings
from listener.times import timestamp

TYPE = "listenerTest"
"""Its `type`, which ThingSpace does not have: the entry's type ends with it, and its kind is `unknown`."""
NOTE = "A test of the listener by `send-test`, not a message of ThingSpace: there is nothing to do."


def build_message(
    settings: Settings, account: str | None, now: datetime, test_id: str
) -> Mapping[str, Any]:
    """A message as ThingSpace would send it, about no upgrade and no device.

    Args:
        settings: those of the service; v1 repeats the registered credentials in every message, v2 and
            v3 have none.
        account: that it names; None: the first of the settings, if there is one.
        now: with a time zone.
        test_id: makes it another message than every earlier test.
    """
    message: dict[str, Any] = {"type": TYPE}
    if named := account or next(iter(settings.accounts), None):
        message["accountName"] = named
    username, password = settings.callback_username, settings.callback_password
    if username and password and "v1" in settings.api_versions:
        message |= {"username": username, "password": password.reveal()}
    return {**message, TYPE: {"testId": test_id, "sent": timestamp(now), "note": NOTE}}
