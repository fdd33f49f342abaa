"""The writer behind standard error: it never makes its callers wait, and counts what it loses."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from listener.runtime import background_writer
from listener.runtime.background_writer import BackgroundWriter
from testbed.log_reader import LogReader
from testbed.polling import wait_until


@pytest.fixture
def reader() -> Iterator[LogReader]:
    with LogReader() as reader:
        yield reader


@pytest.fixture
def writer(reader: LogReader) -> Iterator[BackgroundWriter]:
    writer = BackgroundWriter(reader.writer)
    yield writer
    # Its thread must not write to a descriptor that belongs to the next test.
    reader.read_on()
    writer.finish(30)


def test_writer_returns_although_nobody_reads(writer: BackgroundWriter) -> None:
    for number in range(background_writer.MAX_LINES + 2000):
        writer.write(f"line {number}\n".encode())
    assert 1000 < writer.take_lost() <= 2000
    assert writer.take_lost() == 0


def test_lines_keep_their_order_and_a_report_stands_where_lines_were_lost(
    reader: LogReader, writer: BackgroundWriter
) -> None:
    for number in range(background_writer.MAX_LINES + 2000):
        writer.write(f"line {number}\n".encode())
    reader.read_on()
    wait_until(lambda: "lines lost" in reader.text())
    writer.write(b"one more\n")
    wait_until(lambda: reader.text().endswith("one more\n"))
    lines = reader.text().splitlines()
    kept = len(lines) - 2
    assert lines[:-2] == [f"line {number}" for number in range(kept)]
    assert lines[-2] == f"{background_writer.MAX_LINES + 2000 - kept} log lines lost"


def test_buffer_is_bounded_in_bytes_as_well(writer: BackgroundWriter) -> None:
    line = b"x" * 99_999 + b"\n"
    for _ in range(100):
        writer.write(line)
    assert writer._buffered_bytes <= background_writer.MAX_BYTES
    assert writer.take_lost() >= 100 - background_writer.MAX_BYTES // len(line) - 1


def test_reader_that_stays_slow_does_not_get_a_report_after_every_line(
    writer: BackgroundWriter,
) -> None:
    for _ in range(2 * background_writer.MAX_LINES):
        writer.write(b"x\n")
    for _ in range(10):
        writer._buffered_bytes -= len(writer._queue.get())
        before = writer._queue.qsize()
        writer.write(b"y\n")
        assert writer._queue.qsize() == before


def test_pieces_of_a_line_arrive_as_one(reader: LogReader, writer: BackgroundWriter) -> None:
    writer.write(b"begin")
    writer.flush()
    writer.write(b" and end")
    writer.write(b"\n")
    reader.read_on()
    wait_until(lambda: reader.text() == "begin and end\n")


def test_writes_to_a_pipe_end_with_a_line_and_fit_into_one_piece(
    reader: LogReader, writer: BackgroundWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = []
    write = os.write

    def noted(fd: int, data: memoryview) -> int:
        if fd == reader.writer:
            pieces.append(bytes(data))
        return write(fd, data)

    monkeypatch.setattr(os, "write", noted)
    reader.read_on()
    for number in range(300):
        writer.write(b"%d" % number * 50 + b"\n")
    writer.finish()
    assert all(piece.endswith(b"\n") and len(piece) <= 4096 for piece in pieces)
    assert len(pieces) < 100


def test_descriptor_that_somebody_made_non_blocking_loses_nothing(
    reader: LogReader, writer: BackgroundWriter
) -> None:
    os.set_blocking(reader.writer, False)
    for number in range(1000):
        writer.write(f"line {number}\n".encode())
    reader.read_on()
    writer.finish(30)
    wait_until(lambda: reader.text().endswith("line 999\n"))
    assert len(reader.text().splitlines()) == 1000
    assert writer.take_lost() == 0


def test_lines_that_fail_are_counted_and_reported_once_one_succeeds(tmp_path: Path) -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    writer = BackgroundWriter(fd)
    for _ in range(3):
        writer.write(b"lost\n")
    wait_until(lambda: writer._unreported == 3)
    file = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    os.dup2(file, fd)
    writer.write(b"kept\n")
    wait_until(lambda: (tmp_path / "log").read_text() == "kept\n3 log lines lost\n")
    assert writer.take_lost() == 3
    os.close(file)
    os.close(fd)


@pytest.mark.parametrize("fd", [-1, 9999])
def test_closed_descriptor_costs_only_the_lines(fd: int) -> None:
    writer = BackgroundWriter(fd)
    writer.write(b"lost\n")
    wait_until(lambda: writer.take_lost() == 1)
    writer.finish()
    writer.write(b"lost as well\n")


def test_pipe_whose_reader_is_gone_costs_only_the_lines(
    reader: LogReader, writer: BackgroundWriter
) -> None:
    reader.go_away()
    writer.write(b"lost\n")
    wait_until(lambda: writer.take_lost() == 1)
    writer.finish()


def test_held_terminal_costs_no_time_and_one_that_is_gone_only_the_lines() -> None:
    screen, terminal = os.openpty()
    writer = BackgroundWriter(terminal)
    # More than a terminal takes before somebody reads.
    for number in range(5000):
        writer.write(b"line %d\n" % number)
    assert writer.take_lost() == 0
    os.close(screen)
    wait_until(lambda: not writer._buffered_bytes)
    assert writer.take_lost() > 0
    os.close(terminal)


def test_prompt_shows_on_a_terminal_before_its_line_ends() -> None:
    screen, terminal = os.openpty()
    writer = BackgroundWriter(terminal)
    writer.write(b"really? ")
    writer.flush()
    assert os.read(screen, 100) == b"really? "
    os.close(screen)
    os.close(terminal)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_thread_that_fails_is_replaced_by_the_next_line(
    reader: LogReader, writer: BackgroundWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_lines: list[bytes]) -> None:
        raise MemoryError

    reader.read_on()
    with monkeypatch.context() as patched:
        patched.setattr(writer, "_write_lines", fail)
        writer.write(b"lost\n")
        wait_until(lambda: not writer._is_running)
        writer._buffered_bytes = 0
    writer.write(b"kept\n")
    wait_until(lambda: reader.text() == "kept\n")
