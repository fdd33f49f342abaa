"""Parsers of settings' values: each takes a text and returns its value.

Each raises a ValueError that says what the text must be like, and does not repeat it.
"""

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit

from listener.settings import provider_facts
from listener.settings.redis_url import Address, RedisUrl
from listener.settings.secret import Secret

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPV4_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")

RESERVED_PATHS = ("/healthz", "/readyz")
API_VERSIONS = ("v1", "v2", "v3")
# RFC 3986's unreserved characters: what no proxy and no client rewrites.
TOKEN_PATTERN = re.compile(r"[A-Za-z0-9._~-]+")
DOT_SEGMENTS = frozenset((".", ".."))
# A sender who guesses the token can send messages. 16 random hexadecimal digits are 64 bits, and have fewer
# than 6 different ones about once in 30,000 times.
MIN_TOKEN_CHARS = 16
MIN_DISTINCT_TOKEN_CHARS = 6
# 128 bits of base64, which is what a new token should have.
RECOMMENDED_TOKEN_CHARS = 22
NEW_TOKEN_COMMAND = "python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"  # noqa: S105 - it makes one
VISIBLE_ASCII = re.compile(r"[!-~]+")
USUAL_ACCOUNT_PATTERN = re.compile(r"[0-9]{10}-[0-9]{5}")
# The provider's page calls the pattern above the usual one. A slash could not be part of a path.
UNUSUAL_ACCOUNT_PATTERN = re.compile(r"[^/\\]{1,100}-[^/\\]{1,100}")
HOST_NAME_PATTERN = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9._-]+")
HOST_PATTERN = re.compile(r"[A-Za-z0-9._:-]+")
# A Redis hash tag ends at the first brace, and a colon would make two namespaces' keys meet.
NAMESPACE_PATTERN = re.compile(r"[A-Za-z0-9._-]+")


TRUE = frozenset(("t", "true", "on", "y", "yes", "1"))
FALSE = frozenset(("f", "false", "off", "n", "no", "0"))


def boolean(text: str) -> bool:
    """Such as `true`, `Off` or `1`."""
    word = text.lower()
    if word not in TRUE | FALSE:
        raise ValueError("Not a valid boolean.")
    return word in TRUE


def integer(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """A parser of integers from `minimum` on, up to `maximum` if there is one."""
    limits = f"greater than or equal to {minimum}"
    if maximum is not None:
        limits += f" and less than or equal to {maximum}"

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError("Not a valid integer.") from None
        if number < minimum or (maximum is not None and number > maximum):
            raise ValueError(f"Must be {limits}.")
        return number

    return parse


def decimal(minimum: float) -> Callable[[str], float]:
    """A parser of decimal numbers from `minimum` on."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise ValueError("Not a valid number.") from None
        if not minimum <= number < float("inf"):
            raise ValueError(f"Must be greater than or equal to {minimum:g}.")
        return number

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser that accepts these words alone."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"Must be one of: {', '.join(choices)}.")
        return text

    return parse


def token(text: str) -> Secret:
    """A secret path segment that cannot be guessed."""
    secret = previous_token(text)
    if is_guessable(secret):
        raise ValueError(
            f"can be guessed: it needs {MIN_TOKEN_CHARS} characters or more, {MIN_DISTINCT_TOKEN_CHARS} of "
            f"them different; make one with {NEW_TOKEN_COMMAND}"
        )
    return secret


def previous_token(text: str) -> Secret:
    """A secret path segment of any strength: a guessable token must stay valid while it is replaced."""
    if not TOKEN_PATTERN.fullmatch(text) or text in DOT_SEGMENTS:
        raise ValueError("may hold letters, digits and . _ ~ - only: it is part of a URL")
    return Secret(text)


def is_guessable(secret: Secret) -> bool:
    """Whether a token is too short, or of too few different characters, to be a secret."""
    text = secret.reveal()
    return len(text) < MIN_TOKEN_CHARS or len(set(text)) < MIN_DISTINCT_TOKEN_CHARS


def weakness(secret: Secret) -> str | None:
    """Why a token is weaker than a new one should be; None if it is not."""
    if is_guessable(secret):
        return "can be guessed"
    if len(secret.reveal()) < RECOMMENDED_TOKEN_CHARS:
        return "is short for a secret"
    return None


def address(text: str) -> Address:
    """A host and a port to listen on; an IPv6 address stands in brackets."""
    host, _, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not HOST_PATTERN.fullmatch(bare) or (":" in bare) != (bare != host):
        raise ValueError("must be a host and a port such as 127.0.0.1:9464 or [::1]:9464")
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError("must end with a port from 1 to 65535, as in 127.0.0.1:9464")
    return bare, int(port)


def host_names(text: str) -> tuple[str, ...]:
    """Names of hosts, each once, in lower case."""
    names = tuple(name.lower().removesuffix(".") for name in comma_separated(text))
    if not names or not all(HOST_NAME_PATTERN.fullmatch(name) for name in names):
        raise ValueError(
            "must be host names such as fota-ops.example.com, comma-separated, without scheme, port "
            "and wildcards; IP addresses need not be listed"
        )
    return tuple(dict.fromkeys(names))


def redis_url(text: str) -> Secret:
    """A URL that `RedisUrl` can parse."""
    RedisUrl.parse(text)
    return Secret(text)


def public_url(text: str) -> str:
    """The URL that ThingSpace calls, without a token."""
    url = split_url(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("must be an http or https URL with a host")
    if "%" in url.netloc or not url.netloc.isascii():
        raise ValueError(
            "must have a host name in ASCII: one with other letters is written as xn--…, its IDNA form, without "
            "percent signs"
        )
    if not VISIBLE_ASCII.fullmatch(text):
        raise ValueError("must have a path in ASCII: write anything else with percent signs")
    if "?" in text or "#" in text or url.username or url.password:
        raise ValueError("must not have a query, a fragment, or a username or password")
    if DOT_SEGMENTS.intersection(url.path.split("/")):
        raise ValueError("must not have the path segments . and ..")
    try:
        path = unquote(url.path, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("must have a path in UTF-8") from None
    if path.rstrip("/") in RESERVED_PATHS:
        raise ValueError(f"must not have one of the paths {', '.join(RESERVED_PATHS)}")
    return text


def split_url(text: str) -> SplitResult:
    """The parts of a URL; unlike the standard library's, its errors do not repeat the text."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise ValueError("is not a URL, or its port is not one") from None
    return url


def sources(text: str) -> tuple[Network, ...] | None:
    """The networks that may send; None: any."""
    words = comma_separated(text)
    networks = [network for word in words if word != "any" for network in _networks(word)]
    if not words:
        raise ValueError("names no network: every sender would be refused")
    return None if "any" in words else tuple(networks)


def _networks(word: str) -> list[Network]:
    if word == "thingspace":
        return [ipaddress.ip_network(address) for address in provider_facts.SOURCE_ADDRESSES]
    try:
        network = ipaddress.ip_network(word)
    except ValueError:
        raise ValueError(
            "must be `any`, `thingspace` or networks such as 192.0.2.0/24 (no bits set beyond the "
            "prefix), comma-separated"
        ) from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(IPV4_MAPPED):
        # This is how a socket of both families shows an IPv4 address; a sender's is compared unmapped.
        ipv4 = network.network_address.ipv4_mapped
        network = ipaddress.ip_network(f"{ipv4}/{network.prefixlen - IPV4_MAPPED.prefixlen}")
    if not network.prefixlen:
        # It would count as a proof of sender and refuse nobody.
        raise ValueError(
            "has a network that holds every address: write `any`, which proves nothing"
        )
    return [network]


def accounts(text: str) -> tuple[str, ...]:
    """Accounts of ThingSpace, each once, in the order given."""
    accounts = comma_separated(text)
    if not accounts or not all(_could_be_account(account) for account in accounts):
        raise ValueError(
            "must be accounts such as 0242078689-00001 (ten digits, a hyphen, five digits; others need "
            "the hyphen, too, and no slash), comma-separated"
        )
    return tuple(dict.fromkeys(accounts))


def _could_be_account(text: str) -> bool:
    return bool(UNUSUAL_ACCOUNT_PATTERN.fullmatch(text)) and text.isprintable()


def api_versions(text: str) -> tuple[str, ...]:
    """API versions, each once, in the order given."""
    versions = comma_separated(text)
    if not versions or not set(versions) <= set(API_VERSIONS):
        raise ValueError("must be some of v1, v2, v3, comma-separated")
    return tuple(dict.fromkeys(versions))


def namespace(text: str) -> str:
    """The first part of every key."""
    if not NAMESPACE_PATTERN.fullmatch(text):
        raise ValueError("may hold letters, digits and . _ - only")
    return text


def comma_separated(text: str) -> tuple[str, ...]:
    """The words of a comma-separated text, stripped, without empty ones."""
    return tuple(word for part in text.split(",") if (word := part.strip()))
