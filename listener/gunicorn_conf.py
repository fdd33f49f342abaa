"""gunicorn's settings and hooks for the listener: `gunicorn -c python:listener.gunicorn_conf listener.wsgi:app`.

In a checkout gunicorn finds them by itself, through `gunicorn.conf.py` in its working directory; `registrar run` names
them to gunicorn. An operator's own configuration begins with an import of all of it (docs/deployment.md).
"""

# First of all: modules that were imported earlier would keep their blocking sockets and locks.
from gevent import monkey

monkey.patch_all()

# Before anything else imports these libraries.
from listener.runtime import lean_imports

lean_imports.load()

# Before anything is written: no process may block on the reader of its log.
from listener.runtime import stderr

stderr.replace()

from listener.runtime.cpu import usable_cpus
from listener.runtime.safe_files import allow_owner_access
from listener.runtime.scratch_folders import heartbeat_folder

allow_owner_access()

# Before prometheus_client is imported, which reads the folder of the metric files on import.
from listener.runtime import multiprocess_dir

no_metrics = multiprocess_dir.prepare()

import gc
import os
import sys
from importlib import import_module
from resource import RLIMIT_NOFILE, getrlimit
from typing import Any

import structlog

from listener import logs, metrics
from listener.diagnostics import startup
from listener.errors import SettingsError
from listener.server import address_report, bind_addresses, gunicorn_guard
from listener.settings.settings import Settings

# New objects, less those freed, between two garbage collections. Python's default is 700.
GC_THRESHOLD = 20_000
# What a worker needs for its 1,800 connections and its other files.
MIN_OPEN_FILES = 2_000


def refuse(error: SettingsError) -> None:
    """Ends gunicorn. The master does this, because workers that fail would be started again and again."""
    gunicorn_guard.refuse("\n  ".join(("The settings are not valid:", *error.lines())))


def keep_secrets(settings: Settings) -> None:
    """Puts secrets that files hold into the environment: a worker reads the settings again, whenever it starts."""
    environ = settings.without_files(os.environ)
    for name in os.environ.keys() - environ.keys():
        del os.environ[name]
    os.environ.update(environ)


def nworkers_changed(arbiter: Any, _new: int, _old: int | None) -> None:
    """Checks options and sets the addresses to bind, in the master.

    It is the only hook between reading the configuration and opening the sockets. gunicorn also calls it at SIGTTIN
    and SIGTTOU, when the configuration has not changed.
    """
    if not gunicorn_guard.check(arbiter.cfg):
        return
    try:
        arbiter.cfg.set("bind", bind_addresses.with_operating_port(arbiter.cfg.bind, settings))
    except bind_addresses.BindError as error:
        gunicorn_guard.refuse(
            f"gunicorn cannot run the service with these options:\n  bind (-b, --bind): {error}"
        )
    public = [
        address
        for address in arbiter.cfg.bind
        if not bind_addresses.is_operating_port(address, settings)
    ]
    if settings.trusts_forwarded_address_alone and bind_addresses.is_open_to_all(public):
        log.warning(
            "sender can be forged: X-Forwarded-For is the only proof of sender and the port is open to all",
            advice="set CALLBACK_TOKEN, or let only the proxy reach the port, as with --bind 127.0.0.1:PORT",
        )


def on_starting(_arbiter: Any) -> None:
    """Refuses to start with a queue that can never keep its promise, before anything listens."""
    try:
        startup.check(settings)
    except SettingsError as error:
        refuse(error)


def pre_fork(arbiter: Any, _worker: Any) -> None:
    """Reports the addresses, and freezes the objects that workers share: a collection would copy their pages."""
    try:
        address_report.write(arbiter.LISTENERS, settings.ops_bind)
    except OSError as error:
        log.error("addresses not reported to the registrar", detail=str(error))  # noqa: TRY400
    metrics.count_lost_lines()
    gc.freeze()


def post_fork(_arbiter: Any, _worker: Any) -> None:
    """Disables the metrics of a worker if there is no room for its metric files."""
    if no_metrics:
        metrics.disable()
        return
    try:
        multiprocess_dir.reserve_files()
    except OSError as error:
        metrics.disable()
        log.error("this worker counts nothing: there is no room for metrics", detail=str(error))  # noqa: TRY400


def post_worker_init(worker: Any) -> None:
    """Starts the queue's threads and tunes the garbage collector, once the worker has loaded the application."""
    if wsgi := sys.modules.get("listener.wsgi"):
        wsgi.queue.start()
        # Not in `worker_exit`: that hook is free for an operator's own configuration.
        worker.close_application = wsgi.queue.close
    # The application's own objects stay, so the collector need not visit them again.
    gc.collect()
    gc.freeze()
    # A message creates some hundred objects without a reference cycle, so they are freed without a collection.
    gc.set_threshold(GC_THRESHOLD, 20, 20)


def child_exit(_arbiter: Any, _worker: Any) -> None:
    """Merges the metric files of a worker that has ended, in the master."""
    metrics.count_lost_lines()
    if not no_metrics and (problem := multiprocess_dir.merge_dead_files()):
        log.warning("metrics of an ended worker not merged", detail=problem)


def on_exit(_arbiter: Any) -> None:
    """Removes the metric files when the master ends."""
    multiprocess_dir.clean_up()


try:
    settings = Settings.from_env()
except SettingsError as error:
    refuse(error)
keep_secrets(settings)

# Imported once and shared by all workers, so that a worker that was killed is replaced sooner. Therefore SIGHUP
# loads no new code; a restart does.
for module in ("listener.callback.app", "listener.ops.app", "listener.queue.queue"):
    import_module(module)

logs.configure(settings.log_format, settings.log_level, settings.secrets)
log = structlog.get_logger("listener")
if no_metrics:
    log.error("no metrics: there is no folder for them", detail=no_metrics)
if 0 < (files := getrlimit(RLIMIT_NOFILE)[1]) < MIN_OPEN_FILES:
    log.warning("few open files allowed: each connection needs one", limit=files)
# `nworkers_changed` adds OPS_BIND, because --bind would replace it here.
bind = bind_addresses.public_addresses(settings.port)
# No proxy may set the path or the scheme by a header.
forwarder_headers = ""
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
workers = settings.web_concurrency or usable_cpus()
# A greenlet for each connection, so that hundreds of slow ones delay nobody (docs/adr/0004), with limits for each
# connection and for all together.
worker_class = "listener.server.worker.Worker"
worker_connections = 2000
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190
# A worker that has not reported to the master for this many seconds is replaced.
timeout = 30
if (heartbeats := heartbeat_folder(settings.spool.folder)) is None:
    gunicorn_guard.refuse(
        "no folder can be written to, not even for the workers' signs of life: mount a tmpfs at /tmp"
    )
worker_tmp_dir = str(heartbeats)
# Seconds for requests in flight at SIGTERM; the registrar limits the whole shutdown to 25 s.
graceful_timeout = 10
# Seconds that a connection may be idle: longer than in most proxies and load balancers (60 to 90 s), because a POST
# that is sent on a connection just being closed is lost.
keepalive = 95
accesslog = None
errorlog = "-"
logconfig_dict = logs.config(settings.log_format, settings.log_level, settings.secrets)
# gunicorn's control socket is not used here, and would lie in the home folder.
control_socket_disable = True

gunicorn_guard.configure(globals())
