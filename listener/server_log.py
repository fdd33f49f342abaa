"""gunicorn's own log, without its access log."""

from typing import Any

from gunicorn.glogging import Logger


class ServerLog(Logger):  # type: ignore[misc]  # gunicorn has no type information
    """One line a message is our own; gunicorn's would hold the path, and so the token.

    With a `logconfig_dict` gunicorn gathers an access line's facts for each request even where nobody
    takes the line: that was about a twelfth of the time that a message took.
    """

    def access(self, *_: Any) -> None:
        """Gathers nothing and writes nothing."""
