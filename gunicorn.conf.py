"""How gunicorn runs the listener; gunicorn finds this file by itself in the working directory.

A configuration of an operator's own begins by running this one (docs/deployment.md).
"""

import sys
from pathlib import Path

# With -c from another directory the package is found beside this file.
if (folder := str(Path(__file__).parent)) not in sys.path:
    sys.path.append(folder)

# First of all: what was imported before would keep its blocking sockets and locks.
from gevent import monkey

monkey.patch_all()

# Before anything is written: no process may wait for the reader of its log.
from listener.runtime import stderr

stderr.replace()

from listener.runtime.cpu import usable_cpus
from listener.runtime.safe_files import allow_owner_access
from listener.runtime.scratch_folders import heartbeat_folder

allow_owner_access()

# And before prometheus_client is imported, which asks then where processes count.
from listener.runtime import multiprocess_dir

no_metrics = multiprocess_dir.prepare()

import gc
from importlib import import_module
from resource import RLIMIT_NOFILE, getrlimit
from typing import Any

import structlog

from listener import logs, metrics
from listener.diagnostics import startup
from listener.errors import SettingsError
from listener.server import address_report, bind_addresses, gunicorn_guard
from listener.settings.settings import Settings

# Objects made, less those that went, between two collections. Python's own default is 700.
COLLECTED_AT = 20_000
# Of a worker, for its 1,800 connections and what else it has open.
FEW_FILES = 2_000


def refuse(error: SettingsError) -> None:
    """Ends gunicorn; the master says why, because its workers would fail again and again."""
    gunicorn_guard.refuse("\n  ".join(("The settings are not valid:", *error.lines())))


def nworkers_changed(arbiter: Any, _new: int, _old: int | None) -> None:
    """In the master whenever it has read its configuration: the only hook between that and the sockets.

    SIGTTIN and SIGTTOU call it as well, with the configuration that is already in force.
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
    """Before anything listens: a queue that can never keep its promise is refused."""
    try:
        startup.check(settings)
    except SettingsError as error:
        refuse(error)


def pre_fork(arbiter: Any, _worker: Any) -> None:
    """In the master: a collection in a worker would copy what all of them share, only to look at it."""
    try:
        address_report.write(arbiter.LISTENERS, settings.ops_bind)
    except OSError as error:
        log.error("addresses not reported to the registrar", detail=str(error))  # noqa: TRY400
    metrics.count_lost_lines()
    gc.freeze()


def post_fork(_arbiter: Any, _worker: Any) -> None:
    """In each worker, before it serves: it counts only if there is room for its counts."""
    if no_metrics:
        metrics.disable()
        return
    try:
        multiprocess_dir.reserve_files()
    except OSError as error:
        metrics.disable()
        log.error("this worker counts nothing: there is no room for metrics", detail=str(error))  # noqa: TRY400


def post_worker_init(_worker: Any) -> None:
    """In each worker, once the application is loaded: starts the threads of the queue, and tunes the collector."""
    if wsgi := sys.modules.get("listener.wsgi"):
        wsgi.queue.start()
    # What the application consists of stays, so the collector need never look at it again.
    gc.collect()
    gc.freeze()
    # A message makes some hundred objects, and they go without a collection: no cycle is among them.
    gc.set_threshold(COLLECTED_AT, 20, 20)


def worker_exit(_arbiter: Any, _worker: Any) -> None:
    """In each worker when it has served its last request; also in one that failed to load the application."""
    if wsgi := sys.modules.get("listener.wsgi"):
        wsgi.queue.close()


def child_exit(_arbiter: Any, _worker: Any) -> None:
    """In the master when a worker has ended: its counts are added to the sums."""
    metrics.count_lost_lines()
    if not no_metrics and (problem := multiprocess_dir.merge_dead_files()):
        log.warning("metrics of an ended worker not merged", detail=problem)


def on_exit(_arbiter: Any) -> None:
    """At the end of the master."""
    multiprocess_dir.clean_up()


try:
    settings = Settings.from_env()
except SettingsError as error:
    refuse(error)

# Loaded once, and shared by all workers from their fork on: one that was killed is back sooner. For
# the same reason SIGHUP brings no new code in; a restart does.
for module in ("listener.callback.app", "listener.ops.app", "listener.queue.queue"):
    import_module(module)

logs.configure(settings.log_format, settings.log_level, settings.secrets)
log = structlog.get_logger("listener")
if no_metrics:
    log.error("no metrics: there is no folder for them", detail=no_metrics)
if 0 < (files := getrlimit(RLIMIT_NOFILE)[1]) < FEW_FILES:
    log.warning("few open files allowed: each connection needs one", limit=files)
# OPS_BIND comes later, in `nworkers_changed`: --bind would replace it.
bind = bind_addresses.public_addresses(settings.port)
# Nobody in front may set the path or the scheme by a header.
forwarder_headers = ""
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
workers = settings.web_concurrency or usable_cpus()
# gevent's, a greenlet for each connection, so that hundreds of slow ones hold up nobody
# (docs/adr/0004), with bounds on each and on all together.
worker_class = "listener.server.worker.Worker"
worker_connections = 2000
# At "auto" gunicorn would use the C parser wherever gunicorn_h1c happens to be installed, and that
# one accepts request lines that the Python parser refuses (docs/adr/0004).
http_parser = "python"
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190
# A worker that does not answer the master for so long is replaced.
timeout = 30
if (heartbeats := heartbeat_folder(settings.spool.folder)) is None:
    gunicorn_guard.refuse(
        "no folder can be written to, not even for the workers' signs of life: mount a tmpfs at /tmp"
    )
worker_tmp_dir = str(heartbeats)
# What is in flight at SIGTERM may finish; the registrar's own bound on the shutdown is 25 s.
graceful_timeout = 10
# How long a connection that was used may be idle: longer than in most proxies and load balancers
# (60 to 90 s), since a POST that meets a connection that is just being closed is lost.
keepalive = 95
accesslog = None
errorlog = "-"
logconfig_dict = logs.config(settings.log_format, settings.log_level, settings.secrets)
# Nobody uses gunicorn's control socket here, and it would lie in the home folder.
control_socket_disable = True

gunicorn_guard.configure(globals())
