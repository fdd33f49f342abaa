"""Shows a callback URL to people without the secrets that may be in it. Pure."""

import re
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

HIDDEN = "***"
# The last segment of a stranger's URL may be a token, so it is shown only if it is plainly a file's name.
FILE_NAME = re.compile(r"[A-Za-z_]{1,40}\.(as[hmp]x|svc|php|jsp|do|action|cgi|json|html?)")
# An earlier segment may be a token if it is long and not of letters alone.
TOKEN_LIKE = re.compile(r"(?=.*[0-9])[A-Za-z0-9_~.%-]{12,}")


def shown_url(url: str | None, public_url: str | None) -> str | None:
    """The URL with `***` for a token, a query and a user, and `�` for control characters.

    Everything below our own public URL counts as the token; in a stranger's URL the last segment does,
    unless it is plainly a file's name.
    """
    if url is None:
        return None
    try:
        parts, own = urlsplit(printable(url)), urlsplit(public_url or "")
        path = _shown_path(parts, own)
    except ValueError:
        return HIDDEN
    if not parts.netloc:
        return HIDDEN
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, path, HIDDEN if parts.query else "", ""))


def printable(text: str) -> str:
    """The text with `�` for control characters, which a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _shown_path(parts: SplitResult, own: SplitResult) -> str:
    if _host(parts) == _host(own):
        path, base = unquote(parts.path).rstrip("/"), unquote(own.path).rstrip("/")
        if path == base:
            return parts.path
        if path.startswith(f"{base}/"):
            return f"{own.path.rstrip('/')}/{HIDDEN}"
    *folders, last = parts.path.split("/")
    shown = [HIDDEN if TOKEN_LIKE.fullmatch(folder) else folder for folder in folders]
    return "/".join((*shown, last if not last or FILE_NAME.fullmatch(last) else HIDDEN))


def _host(parts: SplitResult) -> str:
    # Without scheme and port: at our own host everything below our path may hold the token.
    return (parts.hostname or "").rstrip(".")
