"""Every form of REDIS_URL is read, and what is wrong with one is said without repeating it."""

import pytest
from redis.connection import SSLConnection, parse_url

from listener.errors import SettingsError
from listener.settings.redis_url import RedisUrl
from listener.settings.settings import Settings

PROOF = {"CALLBACK_TOKEN": "token-of-all-the-tests"}


@pytest.mark.parametrize(
    ("text", "mode", "hosts", "path", "database"),
    [
        ("redis://h", "single", (("h", 6379),), "", 0),
        ("redis://h:1/5", "single", (("h", 1),), "", 5),
        ("rediss://h/?db=3", "single", (("h", 6379),), "", 3),
        ("redis://[::1]:7", "single", (("::1", 7),), "", 0),
        ("unix:///run/r.sock?db=2", "single", (), "/run/r.sock", 2),
        ("redis+sentinel://a,b:7/main", "sentinel", (("a", 26379), ("b", 7)), "main", 0),
        ("redis+sentinel://:p@a:1,[::1]:2/main/4", "sentinel", (("a", 1), ("::1", 2)), "main", 4),
        ("rediss+sentinel://a/main?db=4", "sentinel", (("a", 26379),), "main", 4),
        ("redis+cluster://a,b:7", "cluster", (("a", 6379), ("b", 7)), "", 0),
        ("rediss+cluster://u:p@a:1/0", "cluster", (("a", 1),), "", 0),
    ],
)
def test_each_form_says_where(
    text: str, mode: str, hosts: tuple[tuple[str, int], ...], path: str, database: int
) -> None:
    url = RedisUrl.parse(text)
    assert (url.mode, url.hosts, url.path, url.database) == (mode, hosts, path, database)
    assert url.tls == text.startswith("rediss")


def test_a_login_is_decoded_and_every_password_is_a_secret() -> None:
    url = RedisUrl.parse(
        "rediss+sentinel://app:p%40ss%2Fword@a,b/main"
        "?sentinel_username=watch&sentinel_password=second%20word&ssl_password=third-word"
    )
    assert url.options["username"] == "app"
    assert url.secrets == ("p@ss/word", "second word", "third-word")
    assert "word" not in repr(url)


@pytest.mark.parametrize(
    "text",
    [
        "redis+sentinel://:pass%40word@a,b/main",
        "redis+cluster://app:pass%40word@a,b",
        "redis+cluster://a?password=pass%40word",
        "rediss+sentinel://a/main?sentinel_password=pass%40word",
        "rediss://h?ssl_password=pass%40word",
    ],
)
def test_the_passwords_of_all_forms_are_among_the_settings_secrets(text: str) -> None:
    secrets = Settings.from_env({**PROOF, "REDIS_URL": text}).secrets
    assert "pass@word" in [secret.reveal() for secret in secrets]


def test_one_server_of_a_cluster_is_reached_with_everything_that_the_url_says() -> None:
    url = RedisUrl.parse(
        "rediss+cluster://app:p%26ss@seed?ssl_ca_certs=/ca.pem&ssl_check_hostname=false"
    )
    read = parse_url(url.url_for("::1", 7000))  # type: ignore[no-untyped-call]
    assert read == {
        "host": "::1",
        "port": 7000,
        "db": 0,
        "username": "app",
        "password": "p&ss",
        "ssl_ca_certs": "/ca.pem",
        "ssl_check_hostname": False,
        "connection_class": SSLConnection,
    }


def test_a_sentinels_own_login_is_not_sent_to_redis() -> None:
    url = RedisUrl.parse("redis+sentinel://:redis-word@a/main?sentinel_password=sentinel-word")
    assert "sentinel" not in url.url_for("h", 1)


SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SECRET, "must begin with"),
        (f"http://:{SECRET}@h", "must begin with"),
        (f"redis://:{SECRET}#@h", "no fragment"),
        ("redis://", "names no host"),
        (f"redis://:{SECRET}@h:{SECRET}", "a port that is none"),
        ("redis://h:99999", "a port that is none"),
        ("redis://h:0", "names no host"),
        ("redis://[::1", "a host or a port that is none"),
        ("redis://a,b", "redis+sentinel:// or redis+cluster://"),
        (f"redis://h/{SECRET}", "database by its number"),
        ("redis://h/1/2", "database by its number"),
        ("redis://h/²", "database by its number"),
        (f"redis://h?db={SECRET}", "database by its number"),
        (f"redis://h?socket_timeout={SECRET}", "not 1 others"),
        ("redis://h?sentinel_password=x", "not 1 others"),
        ("redis://h?ssl_ca_certs=/ca.pem", "begins with rediss"),
        ("redis+cluster://h?ssl_certfile=/c.pem", "begins with rediss"),
        ("rediss://h?ssl_cert_reqs=maybe", "none or optional or required"),
        ("rediss://h?ssl_check_hostname=perhaps", "true or false"),
        ("unix://", "names no socket"),
        ("unix://?db=1", "names no socket"),
        ("redis+sentinel://a,b", "names no service"),
        ("redis+sentinel://a,b/", "names no service"),
        ("redis+sentinel:///main", "names no host"),
        ("redis+sentinel://a,,b/main", "an empty one"),
        ("redis+sentinel://a/main/x", "database by its number"),
        ("redis+cluster://a,b/1", "a Cluster has only 0"),
        ("redis+cluster://a,b?db=1", "not 1 others"),
    ],
)
def test_what_is_wrong_is_said_without_repeating_it(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL") as raised:
        Settings.from_env({**PROOF, "REDIS_URL": text})
    assert problem in str(raised.value)
    assert SECRET not in str(raised.value)
