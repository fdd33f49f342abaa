"""The forms of REDIS_URL: one server, a master under Sentinel, a Cluster. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

Mode = Literal["single", "sentinel", "cluster"]
Address = tuple[str, int]

SCHEMES: Mapping[str, Mode] = {
    "redis": "single",
    "rediss": "single",
    "unix": "single",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}
PORTS: Mapping[Mode, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS_OPTIONS = (*FILES, "ssl_ca_path", "ssl_password", "ssl_cert_reqs", "ssl_check_hostname")
WORDS = {
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_check_hostname": ("true", "false"),
}
# Those that say where and who; others would override what the service sets on purpose.
OPTIONS: Mapping[Mode, tuple[str, ...]] = {
    "single": ("db", "username", "password"),
    "sentinel": ("db", "username", "password", "sentinel_username", "sentinel_password"),
    "cluster": ("username", "password"),
}
# RFC 3986, appendix B; the standard library's reader stumbles over several IPv6 hosts.
FORM = re.compile(r"([^:/?#]+)://([^/?#]*)([^?#]*)(?:\?([^#]*))?")
SECRET_OPTIONS = ("password", "sentinel_password", "ssl_password")


@dataclass(frozen=True, repr=False)
class RedisUrl:
    """Where Redis is, and who comes. Not printed: it holds passwords.

    Args:
        mode: whether `hosts` are a server, Sentinels, or some of a Cluster's nodes.
        tls: whether all connections are encrypted, those to Sentinels too.
        hosts: none for a Unix socket.
        path: a Unix socket's path; the service that Sentinels watch.
        database: its number.
        options: what the URL says besides, decoded; username and password are those of Redis.
    """

    mode: Mode
    tls: bool
    hosts: tuple[Address, ...]
    path: str
    database: int
    options: Mapping[str, str]

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every password."""
        return tuple(self.options[name] for name in SECRET_OPTIONS if self.options.get(name))

    @property
    def files(self) -> Mapping[str, str]:
        """The files that must be there, by the name of the option."""
        return {name: self.options[name] for name in FILES if name in self.options}

    def at(self, host: str, port: int) -> str:
        """The URL of one Redis server, as redis-py reads it; with the passwords."""
        named = f"[{host}]" if ":" in host else host
        chosen = {k: v for k, v in self.options.items() if not k.startswith("sentinel_")}
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{named}:{port}/{self.database}?{urlencode(chosen)}"


def parse(text: str) -> RedisUrl:
    """Reads a URL.

    Raises:
        ValueError: what is wrong with it, in words that do not repeat it.
    """
    found = FORM.fullmatch(text)
    mode = SCHEMES.get(found[1]) if found else None
    if found is None or mode is None:
        raise ValueError(
            f"must begin with {', '.join(SCHEMES)} and ://, and have no fragment "
            "(write # in a password as %23)"
        )
    scheme, authority, path, query = found.groups("")
    login, _, places = authority.rpartition("@")
    options = _options(login, query, mode, tls=scheme.startswith("rediss"))
    where, database = _where(scheme, path)
    return RedisUrl(
        mode=mode,
        tls=scheme.startswith("rediss"),
        hosts=() if scheme == "unix" else tuple(_hosts(places, mode)),
        path=where,
        database=_database(options.pop("db", database), mode),
        options=options,
    )


def _hosts(places: str, mode: Mode) -> Iterator[Address]:
    if mode == "single" and "," in places:
        raise ValueError("names several hosts: those need redis+sentinel:// or redis+cluster://")
    for place in places.split(","):
        try:
            one = urlsplit(f"//{place}")
            host, port = one.hostname, one.port
        except ValueError:
            raise ValueError("has a host or a port that is none") from None
        if not host or port == 0:
            raise ValueError("names no host, or has an empty one among its hosts")
        yield unquote(host), port or PORTS[mode]


def _where(scheme: str, path: str) -> tuple[str, str]:
    """The socket or the service, if the scheme has one, and the text that names the database."""
    if scheme == "unix":
        if not path.strip("/"):
            raise ValueError("names no socket")
        return unquote(path), ""
    if SCHEMES[scheme] != "sentinel":
        return "", path.strip("/")
    service, _, database = path.strip("/").partition("/")
    if not service:
        raise ValueError("names no service: it must end with /SERVICE or /SERVICE/DATABASE")
    return unquote(service), database


def _database(named: str, mode: Mode) -> int:
    if named and not (named.isascii() and named.isdecimal()):
        raise ValueError("must name the database by its number")
    if mode == "cluster" and int(named or 0):
        raise ValueError("must not name a database: a Cluster has only 0")
    return int(named or 0)


def _options(login: str, query: str, mode: Mode, *, tls: bool) -> dict[str, str]:
    given = {name: value for name, value in parse_qsl(query) if value}
    if not tls and any(name in TLS_OPTIONS for name in given):
        raise ValueError("has options for TLS, which need a scheme that begins with rediss")
    allowed = (*OPTIONS[mode], *TLS_OPTIONS)
    if unknown := [name for name in given if name not in allowed]:
        raise ValueError(f"may have the options {', '.join(allowed)}; not {len(unknown)} others")
    for name, words in WORDS.items():
        if given.get(name, words[0]) not in words:
            raise ValueError(f"must have {' or '.join(words)} as {name}")
    username, _, password = login.partition(":")
    named = {"username": unquote(username), "password": unquote(password)}
    return given | {name: value for name, value in named.items() if value}
