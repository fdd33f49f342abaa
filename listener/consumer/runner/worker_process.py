"""A process that consumes: `python -m listener.consumer.runner.worker_process`, started by the supervisor alone."""

import faulthandler
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from typing import NoReturn

from listener import logs
from listener.consumer.consumer import Consumer
from listener.consumer.runner import reports, target
from listener.consumer.runner.reports import HealthReport, Introduction
from listener.consumer.runner.share import take_share
from listener.consumer.runner.stopping import Stopper
from listener.runtime import multiprocess_dir
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer.runner")

EXIT_FAILURE = 1
EXIT_USAGE = 2


@dataclass(frozen=True)
class Arguments:
    """Its command line: what the supervisor says to a process."""

    target: str
    number: int
    processes: int
    socket: int
    log_format: str
    log_level: str
    counts: bool

    @classmethod
    def of(cls, words: list[str]) -> "Arguments":
        """Parses the words after the program's name."""
        name, number, processes, descriptor, log_format, log_level, counts = words
        return cls(
            name, int(number), int(processes), int(descriptor), log_format, log_level, counts == "1"
        )


def main() -> None:
    """Imports the user's module, and runs its consumer until the supervisor asks it to stop or is gone."""
    arguments = Arguments.of(sys.argv[1:])
    sys.argv = sys.argv[:1]
    # Shows where a process hangs that the supervisor is about to kill; needs no interpreter lock.
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    logs.configure(arguments.log_format, arguments.log_level)
    counts = arguments.counts and _count_in_files()
    try:
        consumer = target.load_consumer(arguments.target, target.current_folder())
        take_share(consumer, arguments.number, arguments.processes)
    except target.TargetError as error:
        _fail(str(error), EXIT_USAGE)
    except target.ImportFailedError as error:
        _fail(str(error), EXIT_FAILURE)
    if counts:
        _add_observer(consumer)
    stopper = Stopper(consumer)
    stopper.catch_signals()
    channel = socket.socket(fileno=arguments.socket)
    _send(channel, _introduction(consumer))
    threading.Thread(target=_report, args=(consumer, channel), daemon=True).start()
    threading.Thread(target=stopper.follow, args=(channel,), daemon=True).start()
    _run(consumer)


def _fail(text: str, status: int) -> NoReturn:
    print(f"Error: {text}", file=sys.stderr)  # noqa: T201 - as click writes it
    sys.exit(status)


def _count_in_files() -> bool:
    """Has this process count in files that the supervisor adds up; whether that is possible.

    Also what the user's own module counts by prometheus-client, which reads its environment on import.
    """
    try:
        multiprocess_dir.reserve_files()
    except OSError as error:
        log.warning("no metrics of this process", detail=str(error))
        os.environ.pop(multiprocess_dir.VARIABLE, None)
        return False
    from prometheus_client import values  # noqa: PLC0415 - it reads the environment

    # It names files by process ids, which repeat in containers.
    values.ValueClass = values.MultiProcessValue(multiprocess_dir.file_id)  # type: ignore[no-untyped-call]
    return True


def _add_observer(consumer: Consumer) -> None:
    from listener.consumer.monitoring.prometheus import PrometheusObserver  # noqa: PLC0415

    if not any(isinstance(observer, PrometheusObserver) for observer in consumer.observers):
        consumer.observers.append(PrometheusObserver(consumer.group))


def _introduction(consumer: Consumer) -> Introduction:
    return Introduction(
        group=consumer.group,
        url=consumer.queue.url.reveal(),
        namespace=consumer.queue.namespace,
        partitions=consumer.queue.partitions,
        shutdown_s=consumer.options.shutdown_s,
        takeover_idle_s=consumer.options.takeover_idle_s,
        metric_files=multiprocess_dir.file_id(),
    )


def _report(consumer: Consumer, channel: socket.socket) -> None:
    wait = threading.Event().wait
    while _send(channel, HealthReport.of(consumer.health())):
        wait(reports.EVERY_S)


def _send(channel: socket.socket, report: reports.Report) -> bool:
    """Whether the supervisor is there."""
    try:
        channel.sendall(reports.encode(report))
    except OSError:
        return False
    return True


def _run(consumer: Consumer) -> None:
    """Runs it outside the main thread, where it takes no signals: those are the stopper's."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            consumer.run()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    thread = threading.Thread(target=run, name="consumer")
    thread.start()
    thread.join()
    for error in errors:
        raise error


if __name__ == "__main__":
    main()
