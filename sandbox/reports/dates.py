"""Times in the forms that the replies have: the provider uses at least four. [doc, sdk]"""

from datetime import UTC, datetime

NEVER = "01/01/1900 0:0:0"


def day(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}"


def seconds(time: float) -> str:
    """`2018-03-05T19:07:21Z`"""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%SZ}"


def milliseconds(time: float) -> str:
    """`2022-08-05T21:05:27.129Z`"""
    moment = datetime.fromtimestamp(time, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def utc_text(time: float) -> str:
    """`2022-01-26 03:45:01.608 +0000 UTC`"""
    moment = datetime.fromtimestamp(time, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03} +0000 UTC"


def in_reason(time: float) -> str:
    """`06 Oct 22 18:05 UTC`, as it stands inside of reasons."""
    return f"{datetime.fromtimestamp(time, UTC):%d %b %y %H:%M UTC}"
