"""Which of gunicorn's options an operator may choose: all that break no promise."""

from typing import Any

import pytest
from gunicorn.config import Config, make_settings

from listener.server import gunicorn_options
from listener.server.gunicorn_options import AT_LEAST, FIXED, FREE

OURS = {
    "worker_class": "listener.server.worker.Worker",
    "forwarded_allow_ips": "",
    "keepalive": 95,
}


def found(**options: Any) -> list[str]:
    expected = gunicorn_options.make_config(OURS)
    return gunicorn_options.problems(gunicorn_options.make_config({**OURS, **options}), expected)


def test_every_option_of_gunicorn_is_judged_once() -> None:
    judged = [*FREE, *AT_LEAST, *FIXED]
    assert sorted(judged) == sorted(make_settings())


def test_our_own_options_are_accepted() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("worker_class", "sync"),
        ("worker_class", "gthread"),
        ("worker_class", "gevent"),
        ("worker_class", "tornado"),
        ("threads", 4),
        ("preload_app", True),
        ("reuse_port", True),
        ("chdir", "/"),
        ("daemon", True),
        ("raw_env", ["PORT=9000"]),
        ("user", 65534),
        ("group", 65534),
        ("timeout", 0),
        ("graceful_timeout", 0),
        ("keepalive", 0),
        ("workers", 0),
        ("worker_connections", 1),
        ("limit_request_line", 100),
        ("limit_request_fields", 10),
        ("proxy_protocol", "auto"),
        ("http_protocols", "h1,h2"),
        ("certfile", __file__),
        ("forwarded_allow_ips", "*"),
        ("header_map", "dangerous"),
        ("permit_obsolete_folding", True),
        ("logger_class", "gunicorn.instrument.statsd.Statsd"),
        ("logconfig", "logging.ini"),
        ("errorlog", "/tmp/gunicorn.log"),
        ("paste", "development.ini"),
        ("reload", True),
        ("dirty_workers", 1),
        ("post_fork", lambda _arbiter, _worker: None),
        ("pre_request", lambda _worker, _request: None),
    ],
)
def test_option_that_breaks_a_promise_is_named_with_its_spellings(name: str, value: Any) -> None:
    (line,) = found(**{name: value})
    spellings = make_settings()[name].cli or []
    assert line.startswith(f"{name} ({', '.join(spellings)}): " if spellings else f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bind", "[::]:8000"),
        ("keepalive", 650),
        ("max_requests", 1000),
        ("timeout", 120),
        ("workers", 64),
        ("backlog", 4096),
        ("limit_request_line", 0),
        ("limit_request_field_size", 0),
        ("umask", 0o777),
        ("pidfile", "/run/fota.pid"),
        ("worker_tmp_dir", "/dev/shm"),
        ("accesslog", "-"),
        ("http_parser", "python"),
        ("when_ready", lambda _arbiter: None),
    ],
)
def test_option_that_breaks_no_promise_is_the_operators_choice(name: str, value: Any) -> None:
    assert found(**{name: value}) == []


def test_option_that_a_later_gunicorn_adds_is_refused_until_it_is_judged() -> None:
    config, expected = Config(), Config()
    for one in (config, expected):
        one.settings["new_mode"] = one.settings["threads"].copy()
    config.settings["new_mode"].set(2)
    (line,) = gunicorn_options.problems(config, expected)
    assert "new_mode" in line
