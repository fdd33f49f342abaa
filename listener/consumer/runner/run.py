"""Builds the supervisor of `fota consume` from its options, and runs it."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from listener import logs
from listener.consumer.runner.health_file import HealthFile
from listener.consumer.runner.http_server import OperatingServer
from listener.consumer.runner.slot import Slot
from listener.consumer.runner.source_watcher import SourceWatcher
from listener.consumer.runner.supervisor import Supervisor
from listener.errors import ListenerError
from listener.runtime import multiprocess_dir
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer.runner")


class RunnerError(ListenerError):
    """It cannot start: a sentence for the operator."""


@dataclass(frozen=True, kw_only=True)
class RunnerOptions:
    """The options of the command.

    Attributes:
        target: package.module:consumer.
        processes: how many.
        reload: restart when a Python file changes.
        bind: host and port for metrics and health; None: nowhere.
        health_file: None: none.
        log_format: LOG_FORMAT.
        log_level: LOG_LEVEL.
    """

    target: str
    processes: int = 1
    reload: bool = False
    bind: tuple[str, int] | None = None
    health_file: Path | None = None
    log_format: str = "json"
    log_level: str = "info"


def run(options: RunnerOptions) -> int:
    """Runs until a signal; returns the exit status.

    Raises:
        RunnerError: the port cannot be bound, or the file not be written.
    """
    logs.configure(options.log_format, options.log_level)
    with ExitStack() as stack:
        counts = options.bind is not None and _prepare_metrics(stack)
        slots = [Slot(number, _words(options, counts)) for number in _numbers(options)]
        file = _health_file(options, stack)
        supervisor = Supervisor(
            slots,
            on_step=file.update if file else lambda _: None,
            on_death=_remove_files if counts else lambda _: None,
            changed=SourceWatcher(os.getcwd()).changed if options.reload else None,  # noqa: PTH109
        )
        if options.bind:
            _start_server(options.bind, slots, supervisor)
        return supervisor.run()


def _numbers(options: RunnerOptions) -> range:
    return range(1, options.processes + 1)


def _words(options: RunnerOptions, counts: bool) -> Callable[[int, int], list[str]]:
    def words(number: int, descriptor: int) -> list[str]:
        return [
            options.target,
            str(number),
            str(options.processes),
            str(descriptor),
            options.log_format,
            options.log_level,
            "1" if counts else "0",
        ]

    return words


def _prepare_metrics(stack: ExitStack) -> bool:
    if detail := multiprocess_dir.prepare():
        log.warning("nothing is counted: no space for the files of metrics", detail=detail)
        return False
    stack.callback(multiprocess_dir.clean_up)
    return True


def _remove_files(name: str) -> None:
    """Of a process that ended: merges its counts, and removes the gauges of its own program, which are stale.

    Without a name, of a process that ended before it was ready, only its counters and histograms: their locks
    show that it is dead.
    """
    try:
        for path in multiprocess_dir.folder().glob(f"gauge_*_{name}.db"):
            path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("metric files of a dead process not removed", detail=str(error))
    if detail := multiprocess_dir.merge_dead_files():
        log.warning("counts of a dead process are not merged", detail=detail)


def _health_file(options: RunnerOptions, stack: ExitStack) -> HealthFile | None:
    if options.health_file is None:
        return None
    try:
        file = HealthFile(options.health_file)
    except OSError as error:
        raise RunnerError(f"{options.health_file} cannot be written: {error.strerror}") from None
    stack.callback(file.remove)
    return file


def _start_server(bind: tuple[str, int], slots: list[Slot], supervisor: Supervisor) -> None:
    from listener.consumer.runner.scrape import Scraper  # noqa: PLC0415 - imports Redis and Prometheus

    host, port = bind
    try:
        server = OperatingServer(
            host,
            port,
            problem=supervisor.problem,
            stall=supervisor.stall,
            metrics=Scraper(slots, supervisor.problem).render,
        )
    except OSError as error:
        raise RunnerError(f"{host}:{port} cannot be bound: {error.strerror or error}") from None
    server.start()
    log.info("metrics and health", host=host, port=server.server_port)
