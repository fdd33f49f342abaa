"""What is registered, where, and with which credentials: the values that every part works with. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, unquote_to_bytes, urlsplit, urlunsplit

from listener.settings.secret import Secret

DEFAULT_PORTS = {"http": 80, "https": 443}

# What RFC 3986 allows in a path segment as it is.
PATH_SAFE = "!$&'()*+,;=:@~"


class ServiceName(StrEnum):
    """The callback services that the callback API serves. `Fota` is the one that is documented. [doc, sdk]"""

    FOTA = "Fota"


@dataclass(frozen=True)
class Credentials:
    """The four credentials of a ThingSpace application and its user."""

    key: Secret
    secret: Secret
    username: Secret
    password: Secret


@dataclass(frozen=True)
class Slot:
    """What can hold one registration: an account in one API version.

    Whether the versions of an account really are independent is [?]; they are treated so.
    """

    account: str
    version: str

    def __str__(self) -> str:
        """As people and Redis fields name it."""
        return f"{self.account}/{self.version}"


@dataclass(frozen=True)
class Registration:
    """What is, or is to be, registered. The URL may hold a token, so neither shows in a `repr`.

    Username and password are of v1 only, and None where the provider did not show them.
    """

    url: str = field(repr=False)
    username: str | None = field(default=None, repr=False)
    password: Secret | None = None


@dataclass(frozen=True)
class Desired:
    """What this deployment wants, and the URL with its token before, which is its own too."""

    registration: Registration
    previous: Registration | None = None


def same_url(one: str, other: str) -> bool:
    """Whether two URLs are the same to the listener that serves them.

    The case and the form of the host (an IDN as xn--…), a port that goes without saying, slashes at the end, and which
    characters are written with percent signs make no difference.
    """
    return canonical(one) == canonical(other)


def canonical(url: str) -> str:
    """The form in which equal URLs are equal texts."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
        host = _ascii_host(parts.hostname or "")
    except ValueError:
        # Somebody registered what is no URL; it is the same as itself alone.
        return url
    usual = port is None or port == DEFAULT_PORTS.get(parts.scheme)
    netloc = f"[{host}]" if ":" in host else host
    path = "/".join(quote(unquote_to_bytes(part), PATH_SAFE) for part in parts.path.split("/"))
    return urlunsplit(
        (parts.scheme, netloc if usual else f"{netloc}:{port}", path.rstrip("/"), parts.query, "")
    )


def _ascii_host(host: str) -> str:
    host = host.rstrip(".")
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host
