"""REDIS_URL parsed: one server, a master under Sentinel, or a Cluster. Pure."""

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
CHOICES = {
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_check_hostname": ("true", "false"),
}
# Options that say where Redis is and who connects; others would override what the service sets on purpose.
OPTIONS: Mapping[Mode, tuple[str, ...]] = {
    "single": ("db", "username", "password"),
    "sentinel": ("db", "username", "password", "sentinel_username", "sentinel_password"),
    "cluster": ("username", "password"),
}
# RFC 3986, appendix B: the standard library's parser rejects several IPv6 hosts.
URL_RE = re.compile(r"([^:/?#]+)://([^/?#]*)([^?#]*)(?:\?([^#]*))?")
SECRET_OPTIONS = ("password", "sentinel_password", "ssl_password")


@dataclass(frozen=True, repr=False)
class RedisUrl:
    """Where Redis is, and as whom to connect. Its `repr` shows nothing, because it holds passwords.

    Attributes:
        mode: whether `hosts` are a server, Sentinels, or some of a Cluster's nodes.
        tls: whether all connections are encrypted, those to Sentinels too.
        hosts: hosts and ports; none for a Unix socket.
        path: a Unix socket's path, or the service that Sentinels watch.
        database: the number of the database.
        options: the other options, decoded; `username` and `password` are those of Redis.
    """

    mode: Mode
    tls: bool
    hosts: tuple[Address, ...]
    path: str
    database: int
    options: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> "RedisUrl":
        """Parses a URL.

        Raises:
            ValueError: the URL is not valid; the message does not repeat it.
        """
        match = URL_RE.fullmatch(text)
        mode = SCHEMES.get(match[1]) if match else None
        if match is None or mode is None:
            raise ValueError(
                f"must begin with {', '.join(SCHEMES)} and ://, and have no fragment "
                "(write # in a password as %23)"
            )
        scheme, authority, path, query = match.groups("")
        login, _, hosts = authority.rpartition("@")
        tls = scheme.startswith("rediss")
        options = _options(login, query, mode, tls=tls)
        socket_or_service, database = _path_parts(scheme, path)
        return cls(
            mode=mode,
            tls=tls,
            hosts=() if scheme == "unix" else tuple(_hosts(hosts, mode)),
            path=socket_or_service,
            database=_database(options.pop("db", database), mode),
            options=options,
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every password."""
        return tuple(self.options[name] for name in SECRET_OPTIONS if self.options.get(name))

    @property
    def files(self) -> Mapping[str, str]:
        """Paths of the files that must be readable, by the name of the option."""
        return {name: self.options[name] for name in FILES if name in self.options}

    def url_for(self, host: str, port: int) -> str:
        """The URL of one Redis server, as redis-py parses it; with the passwords."""
        bracketed = f"[{host}]" if ":" in host else host
        options = {k: v for k, v in self.options.items() if not k.startswith("sentinel_")}
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{bracketed}:{port}/{self.database}?{urlencode(options)}"


def _hosts(text: str, mode: Mode) -> Iterator[Address]:
    if mode == "single" and "," in text:
        raise ValueError("names several hosts: those need redis+sentinel:// or redis+cluster://")
    for host_and_port in text.split(","):
        try:
            authority = urlsplit(f"//{host_and_port}")
            host, port = authority.hostname, authority.port
        except ValueError:
            raise ValueError("has a host or a port that is none") from None
        if not host or port == 0:
            raise ValueError("names no host, or has an empty one among its hosts")
        yield unquote(host), port or PORTS[mode]


def _path_parts(scheme: str, path: str) -> tuple[str, str]:
    """The socket or the Sentinels' service, if the scheme has one, and the database's number as text."""
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


def _database(number: str, mode: Mode) -> int:
    if number and not (number.isascii() and number.isdecimal()):
        raise ValueError("must name the database by its number")
    if mode == "cluster" and int(number or 0):
        raise ValueError("must not name a database: a Cluster has only 0")
    return int(number or 0)


def _options(login: str, query: str, mode: Mode, *, tls: bool) -> dict[str, str]:
    options = {name: value for name, value in parse_qsl(query) if value}
    if not tls and any(name in TLS_OPTIONS for name in options):
        raise ValueError("has options for TLS, which need a scheme that begins with rediss")
    allowed = (*OPTIONS[mode], *TLS_OPTIONS)
    if unknown := [name for name in options if name not in allowed]:
        raise ValueError(f"may have the options {', '.join(allowed)}; not {len(unknown)} others")
    for name, choices in CHOICES.items():
        if options.get(name, choices[0]) not in choices:
            raise ValueError(f"must have {' or '.join(choices)} as {name}")
    username, _, password = login.partition(":")
    credentials = {"username": unquote(username), "password": unquote(password)}
    return options | {name: value for name, value in credentials.items() if value}
