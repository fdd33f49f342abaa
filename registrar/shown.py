"""How a callback URL is shown to people: without the secrets that may be in it. Pure."""

import re
from urllib.parse import urlsplit, urlunsplit

# A last segment like this may be somebody's token: long, and no file name.
TOKEN_LIKE = re.compile(r"[A-Za-z0-9_~-]{12,}")


def shown_url(url: str | None, public_url: str | None) -> str | None:
    """The URL with `***` for a token, a query, and a user.

    Below our own public URL the whole rest counts as the token; of a stranger's, the last segment if
    it looks like one.
    """
    if url is None:
        return None
    ours = (public_url or "").rstrip("/") + "/"
    if public_url and url.startswith(ours) and url != ours:
        return ours + "***"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "***"
    host = parts.netloc.rpartition("@")[2]
    folder, _, last = parts.path.rpartition("/")
    path = f"{folder}/***" if TOKEN_LIKE.fullmatch(last) else parts.path
    return urlunsplit((parts.scheme, host, path, "***" if parts.query else "", ""))
