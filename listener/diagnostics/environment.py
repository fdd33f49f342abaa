"""Are these the settings with which the service would start?"""

import os
from collections.abc import Mapping

from listener.diagnostics.finding import Finding, error, ok, warning
from listener.errors import SettingsError
from listener.settings.redis_url import RedisUrl
from listener.settings.settings import Settings

TOPIC = "settings"
SERVICE_WOULD_NOT_START = (
    "mend them before the service starts with them; where only the queue is looked at from here, "
    "ALLOW_ANY_SENDER=true says so"
)


def findings(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Takes the settings as whoever looks at the queue needs them, and the whole environment."""
    found = [*_files(settings), *_strict(environ)]
    if unusual := settings.unusual_accounts:
        found.append(
            warning(
                TOPIC,
                f"THINGSPACE_ACCOUNTS: {', '.join(unusual)} has not the usual form (ten digits, a hyphen, five digits)",
                "compare it with ThingSpace's own writing",
            )
        )
    if settings.queue_max_length:
        found.append(
            warning(
                TOPIC,
                f"QUEUE_MAX_LENGTH is lossy: beyond {settings.queue_max_length} messages in a "
                "partition the oldest go, read or not",
                "unset it, unless that is what you want",
            )
        )
    return found or [ok(TOPIC, "valid")]


def _strict(environ: Mapping[str, str]) -> list[Finding]:
    try:
        Settings.from_env(environ)
    except SettingsError as problems:
        return [warning(TOPIC, line, SERVICE_WOULD_NOT_START) for line in problems.lines()]
    return []


def _files(settings: Settings) -> list[Finding]:
    files = RedisUrl.parse(settings.queue.url.reveal()).files
    return [
        error(TOPIC, f"REDIS_URL: the file of {name} cannot be read", "check its path and its mode")
        for name, path in files.items()
        if not os.access(path, os.R_OK)
    ]
