"""Checks that the service would start with these settings, and that they lose no message."""

import os
from collections.abc import Mapping

from listener.diagnostics.finding import Finding, error, ok, warning
from listener.errors import SettingsError
from listener.settings import parsers
from listener.settings.redis_url import RedisUrl
from listener.settings.settings import Settings

TOPIC = "settings"
SERVICE_WOULD_NOT_START = (
    "mend them before the service starts with them; where only the queue is looked at from here, "
    "ALLOW_ANY_SENDER=true says so"
)
TOKEN_ADVICE = {
    "CALLBACK_TOKEN": f"make one of {parsers.RECOMMENDED_TOKEN_CHARS} characters or more with "
    f"{parsers.NEW_TOKEN_COMMAND}, and rotate as SECURITY.md says",
    "CALLBACK_TOKEN_PREVIOUS": "unset it as soon as no message comes with it any more, as SECURITY.md says",
}


def findings(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """What is wrong with the settings, or that they are valid.

    Args:
        settings: as a command reads them, which receives nothing and so asks for no proof of the sender.
        environ: the whole environment, from which the service would read them strictly.
    """
    results = [
        *(
            error(TOPIC, f"REDIS_URL: {text}", "check its path and its mode")
            for text in unreadable_files(settings)
        ),
        *_as_the_service_reads(environ),
    ]
    if unusual := settings.unusual_accounts:
        results.append(
            warning(
                TOPIC,
                f"THINGSPACE_ACCOUNTS: {', '.join(unusual)} has not the usual form (ten digits, a hyphen, five digits)",
                "compare it with ThingSpace's own writing",
            )
        )
    results += [
        warning(TOPIC, f"{name} {problem}", TOKEN_ADVICE[name])
        for name, problem in settings.weak_tokens.items()
    ]
    if settings.queue_max_length:
        results.append(
            warning(
                TOPIC,
                f"QUEUE_MAX_LENGTH is lossy: beyond {settings.queue_max_length} messages in a "
                "partition the oldest go, read or not",
                "unset it, unless that is what you want",
            )
        )
    return results or [ok(TOPIC, "valid")]


def _as_the_service_reads(environ: Mapping[str, str]) -> list[Finding]:
    try:
        Settings.from_env(environ)
    except SettingsError as problems:
        return [warning(TOPIC, line, SERVICE_WOULD_NOT_START) for line in problems.lines()]
    return []


def unreadable_files(settings: Settings) -> list[str]:
    """What is wrong with the files that REDIS_URL names, a text for each; empty if they can be read."""
    files = RedisUrl.parse(settings.queue.url.reveal()).files
    return [
        f"the file of {name} cannot be read"
        for name, path in files.items()
        if not os.access(path, os.R_OK)
    ]
