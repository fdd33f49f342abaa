"""gunicorn's options that operators may set, and why the others must stay as `gunicorn_conf` sets them.

Pure: only checks values. Each option of the pinned gunicorn is in exactly one of `FREE`, `AT_LEAST` and
`FIXED`; `tests/unit/listener/test_gunicorn_options.py` compares them with gunicorn's own list.
"""

from collections.abc import Mapping
from typing import Any

from gunicorn.config import Config
from gunicorn.errors import ConfigError

# With any value the service keeps its promises. Some have no effect here, such as those of other workers, or of
# gunicorn's parsers, which the worker does not use.
FREE = frozenset(
    {
        *("config", "wsgi_app", "check_config", "print_config", "pythonpath", "bind"),
        *("max_requests", "max_requests_jitter", "worker_tmp_dir", "tmp_upload_dir", "sendfile"),
        *("pidfile", "umask", "initgroups", "proc_name", "default_proc_name"),
        *("accesslog", "access_log_format", "disable_redirect_access_to_syslog", "loglevel"),
        *("capture_output", "syslog_addr", "syslog_prefix", "syslog_facility"),
        *("enable_stdio_inheritance", "enable_backlog_metric", "dogstatsd_tags", "statsd_prefix"),
        *("when_ready", "worker_int", "worker_abort", "pre_exec", "worker_exit", "ssl_context"),
        *("proxy_allow_ips", "uwsgi_allow_ips", "raw_paste_global_conf", "http_parser"),
        *("reload_engine", "reload_extra_files", "control_socket", "control_socket_mode"),
        *("ssl_version", "cert_reqs", "ca_certs", "ciphers"),
        *("suppress_ragged_eofs", "do_handshake_on_connect"),
        *("http2_cleartext", "http2_max_concurrent_streams", "http2_initial_window_size"),
        *("http2_max_frame_size", "http2_max_header_list_size"),
        *("asgi_loop", "asgi_lifespan", "asgi_disconnect_grace_period"),
        *("websocket_max_message_size", "root_path"),
        *("dirty_timeout", "dirty_threads", "dirty_graceful_timeout"),
        *("on_dirty_starting", "dirty_post_fork", "dirty_worker_init", "dirty_worker_exit"),
    }
)

# The minimum with which the service keeps its promises, and what a smaller value breaks.
AT_LEAST = {
    "workers": (1, "without a worker nothing is received"),
    "worker_connections": (100, "a worker would turn connections away that it can serve"),
    "backlog": (64, "connections would be dropped while a worker is busy"),
    "timeout": (5, "a worker that hangs must be replaced, and a busy one must not (0 is: never)"),
    "graceful_timeout": (5, "messages in flight at SIGTERM would be cut off"),
    "keepalive": (5, "a proxy would meet connections that are just being closed"),
    "limit_request_line": (4094, "a message whose request line is longer would be lost"),
    "limit_request_fields": (100, "a message with more headers would be lost"),
    "limit_request_field_size": (8190, "a message with a longer header would be lost"),
}
# Here 0 means "no limit" to gunicorn; the worker limits the whole head.
UNLIMITED_AT_0 = frozenset({"limit_request_line", "limit_request_field_size"})

_LOGS = "logs go to standard error; LOG_FORMAT and LOG_LEVEL set them"
_HOOK = "the service does its own work in this hook; when_ready and worker_exit, for two, are free"
_PARSER = "a lenient parser and a proxy may disagree about where a request ends"
_TLS = "TLS ends in a proxy: here a handshake has no time limit"
_TRUST = "TRUSTED_PROXIES says how many proxies are believed; headers never set path or scheme"
_ONCE = "the code is loaded once; a new version needs a restart"
_DIRTY = "nothing here uses dirty workers"

# Must stay as listener/gunicorn_conf.py sets them, or else at gunicorn's default, and why.
FIXED = {
    "worker_class": "other workers have no bounds on time, memory and connections of a sender",
    "threads": "a worker serves all its connections in one thread; WEB_CONCURRENCY adds workers",
    "preload_app": "connections and threads of the application do not survive a fork",
    "reuse_port": "messages that wait at a worker's own socket are lost when it ends",
    "chdir": "change the directory before gunicorn starts: the spool and the commands go by it",
    "daemon": "the registrar or a service manager watches the process and its log",
    "raw_env": "the settings are already read; set variables in the environment",
    "user": "start gunicorn as that user: the spool and the metrics need one owner",
    "group": "start gunicorn with that group: the spool and the metrics need one owner",
    "reload": _ONCE,
    "spew": "the log would show secrets",
    "paste": "a Paste configuration serves another application",
    "protocol": "the worker speaks HTTP alone",
    "http_protocols": "the worker speaks HTTP/1.1 alone; a proxy may speak HTTP/2",
    "proxy_protocol": "the worker does not read the PROXY protocol; use X-Forwarded-For, TRUSTED_PROXIES",
    "certfile": _TLS,
    "keyfile": _TLS,
    "forwarded_allow_ips": _TRUST,
    "secure_scheme_headers": _TRUST,
    "forwarder_headers": _TRUST,
    "header_map": "a header with an underscore could stand in for X-Forwarded-For",
    "permit_obsolete_folding": _PARSER,
    "strip_header_spaces": _PARSER,
    "permit_unconventional_http_method": _PARSER,
    "permit_unconventional_http_version": _PARSER,
    "casefold_http_method": _PARSER,
    "errorlog": _LOGS,
    "logger_class": _LOGS,
    "logconfig": _LOGS,
    "logconfig_dict": _LOGS,
    "logconfig_json": _LOGS,
    "syslog": _LOGS,
    "statsd_host": "the worker does not report to statsd; OPS_BIND serves /metrics",
    "control_socket_disable": "the control socket would let others change the service",
    "dirty_apps": _DIRTY,
    "dirty_workers": _DIRTY,
    "on_starting": _HOOK,
    "on_reload": _HOOK,
    "pre_fork": _HOOK,
    "post_fork": _HOOK,
    "post_worker_init": _HOOK,
    "child_exit": _HOOK,
    "nworkers_changed": _HOOK,
    "on_exit": _HOOK,
    "pre_request": "the worker never calls it",
    "post_request": "the worker never calls it",
}


def make_config(values: Mapping[str, Any]) -> Any:
    """Gunicorn's `Config` with some values, except those that gunicorn itself refuses."""
    config = Config()
    for name in values.keys() & config.settings.keys():
        try:
            config.set(name, values[name])
        except (ConfigError, TypeError, ValueError):
            # gunicorn reports it.
            continue
    return config


def problems(config: Any, expected: Any) -> list[str]:
    """One line for each option that breaks a promise: its names, and what it breaks.

    Args:
        config: gunicorn's `Config` in force.
        expected: gunicorn's `Config` with what `listener/gunicorn_conf.py` sets.
    """
    return [
        f"{_spellings(name, setting)}: {reason}"
        for name, setting in sorted(config.settings.items())
        if (reason := _reason(name, setting.get(), expected.settings[name].get()))
    ]


def _reason(name: str, value: Any, expected: Any) -> str | None:
    if name in FREE or value == expected:
        return None
    if name not in AT_LEAST:
        return f"must not be changed: {FIXED.get(name, 'this option is not known to the service')}"
    minimum, consequence = AT_LEAST[name]
    if value >= minimum or (value == 0 and name in UNLIMITED_AT_0):
        return None
    return f"must be at least {minimum}: {consequence}"


def _spellings(name: str, setting: Any) -> str:
    return f"{name} ({', '.join(setting.cli)})" if setting.cli else name
