"""The examples in docs/examples, as processes, on a Redis of their own: nothing is lost by a crash.

The entries are the receiver's own: its writer puts them there.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import pytest
import redis

from testbed.polling import wait_until
from testbed.process import ROOT
from testbed.programs import find_program
from tests.support.examples import PASSWORD, Example, Queue, Server, full_pipe

pytestmark = pytest.mark.redis_flavour

EXAMPLES = ROOT / "docs" / "examples"
NODE_MODULES = EXAMPLES / "node" / "node_modules"


def python(script: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / script)]


def node() -> list[str]:
    program = find_program("node")
    version = subprocess.check_output([program, "--version"], text=True)
    if int(version.lstrip("v").partition(".")[0]) < 20:
        unusable(f"the Node.js example needs Node.js 20 or later, and this is {version}")
    if not NODE_MODULES.exists():
        unusable("the Node.js example's package is not installed: bin/setup does that with npm")
    return [program, str(EXAMPLES / "node" / "consumer.mjs")]


def unusable(reason: str) -> NoReturn:
    """Like `needed`: a skip here, a failure in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def bash() -> list[str]:
    find_program("redis-cli")
    return [find_program("bash"), str(EXAMPLES / "redis_cli.sh")]


# Each with the number of partitions that one process of it reads.
CONSUMERS: dict[str, tuple[Callable[[], list[str]], int]] = {
    "python_library": (lambda: python("python_library.py"), 2),
    "plain_redis": (lambda: python("plain_redis.py"), 2),
    "node": (node, 2),
    "redis_cli": (bash, 1),
    "faststream": (lambda: python("faststream_consumer.py"), 1),
}


def rights(name: str = "") -> str:
    """Of a consumer's user: what docs/queue.md says, and what it adds for the library."""
    section = (ROOT / "docs" / "queue.md").read_text().partition("## Access")[2].partition("## ")[0]
    [needed_by_all] = re.findall(r"^    ACL SETUSER billing (.*)$", section, re.MULTILINE)
    [more] = re.findall(r"^    (\+eval .*)$", section, re.MULTILINE)
    words = f"{needed_by_all} {more}" if name == "python_library" else needed_by_all
    return words.replace("PASSWORD", PASSWORD)


@pytest.fixture
def folder(redis_server: str) -> Iterator[Path]:
    """For a server of the test's own; `redis_server` is there for its skip where no Redis is."""
    with tempfile.TemporaryDirectory(prefix="fota-") as name:
        yield Path(name)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("name", CONSUMERS)
def test_an_example_handles_everything_whatever_crashes(name: str, folder: Path) -> None:
    command, partitions = CONSUMERS[name]
    with Server(folder, rights(name)) as server, Queue(server.url, partitions) as queue:
        more = {"QUEUE_PARTITIONS": str(partitions), "CONSUMER": "one"}
        with Example(command(), folder, REDIS_URL=server.consumers_url, **more) as example:
            # The group does not exist yet, and must begin with what is there.
            queue.put(15)
            kill_while_it_handles(example, queue)
            example.start()
            wait_until_done(example, queue)

            server.restart()
            queue.put(5)
            wait_until_done(example, queue)

            # At least once; but what was handled long ago is not handled for a second entry.
            before = example.handled()
            queue.put_again()
            wait_until(queue.all_read_and_acknowledged, example.log)
            assert example.handled() == before

            if name != "faststream":
                queue.delete()
                queue.put(5)
                wait_until_done(example, queue)

            # What is no message is left pending or buried, and neither ends it nor holds others up.
            queue.client.xadd(queue.streams[0], {"foo": "bar"})
            queue.put(3)
            wait_until(lambda: set(example.handled()) == queue.ids, example.log)

            assert example.stop() == 0, example.log()


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize("name", CONSUMERS)
def test_what_a_crashed_one_left_is_found_behind_all_that_another_is_at(
    name: str, folder: Path
) -> None:
    command, _ = CONSUMERS[name]
    # One XAUTOCLAIM looks at ten times its COUNT.
    at_work = 120 if name in ("plain_redis", "node") else 12
    with Server(folder, rights(name)) as server, Queue(server.url, 1) as queue:
        queue.put(at_work)
        before = set(queue.ids)
        queue.put(3)
        [stream] = queue.streams
        queue.client.xgroup_create(stream, "billing", id="0")
        queue.client.xreadgroup("billing", "busy", {stream: ">"}, count=at_work)
        [[_, left]] = queue.client.xreadgroup("billing", "gone", {stream: ">"})
        ids = [entry for entry, _ in left]
        queue.client.xclaim(stream, "billing", "gone", 0, ids, idle=3_600_000, retrycount=1)
        settings = {"TAKE_OVER_AFTER_MS": "600000", "REDIS_URL": server.consumers_url}
        with Example(command(), folder, **settings) as example:
            example.start()
            wait_until(lambda: set(example.handled()) == queue.ids - before, example.log)
            wait_until(lambda: queue.pending() == at_work, example.log)


@pytest.mark.parametrize("user", ["billing", ""])
def test_bash_shows_no_password_in_the_process_list(user: str, folder: Path) -> None:
    password = "p@s:s%41\\n/w?o#r-d"
    seen, programs = folder / "seen", folder / "bin"
    programs.mkdir()
    recorder = programs / "redis-cli"
    recorder.write_text(
        f'#!/bin/sh\necho "$0 $@" >>{seen}\nexec {find_program("redis-cli")} "$@"\n'
    )
    recorder.chmod(0o755)
    with Server(folder, rights("redis_cli").replace(PASSWORD, password)) as server:
        if not user:
            with redis.Redis.from_url(server.url) as admin:
                admin.execute_command("ACL", "SETUSER", "default", "resetpass", f">{password}")
        url = server.url.replace("redis://", f"redis://{user}:{quote(password, safe='')}@")
        path = f"{programs}:{os.environ['PATH']}"
        with (
            Queue(server.url if user else url, 1) as queue,
            Example(bash(), folder, REDIS_URL=url, PATH=path) as example,
        ):
            queue.put(2)
            example.start()
            wait_until(lambda: set(example.handled()) == queue.ids, example.log)
    told = seen.read_text()
    assert "XREADGROUP" in told
    assert password not in told
    assert quote(password, safe="") not in told


def wait_until_done(example: Example, queue: Queue) -> None:
    wait_until(lambda: set(example.handled()) == queue.ids, example.log)
    wait_until(queue.all_read_and_acknowledged, example.log)


def kill_while_it_handles(example: Example, queue: Queue) -> None:
    """With SIGKILL, while it prints its first message: it has read some, acknowledged none."""
    out, into = full_pipe()
    try:
        example.stdout = into
        example.start()
        wait_until(lambda: queue.pending() > 0, example.log)
        example.kill()
    finally:
        example.stdout = None
        os.close(out)
        os.close(into)
    assert queue.pending() > 0


@pytest.mark.parametrize(
    ("name", "reason", "deliveries"),
    [("plain_redis", "handler-failed", "2"), ("python_library", "malformed", "1")],
)
def test_a_dead_letter_is_what_the_contract_says(
    name: str, reason: str, deliveries: str, folder: Path
) -> None:
    broken = {"kind": "unknown", "data": "no JSON", "subject": "\u00e9"}
    often = {"TAKE_OVER_AFTER_MS": "100", "MAX_DELIVERIES": "2", "CONSUMER": "one"}
    with Server(folder, rights(name)) as server, Queue(server.url, 1) as queue:
        queue.put(1)
        [stream] = queue.streams
        entry = queue.client.xadd(stream, broken)
        queue.put(1)
        command, _ = CONSUMERS[name]
        with Example(command(), folder, REDIS_URL=server.consumers_url, **often) as example:
            example.start()
            wait_until(lambda: queue.client.xlen("{fota:0}:dead:billing"), example.log)
            wait_until_done(example, queue)
        [(_, dead)] = queue.client.xrange("{fota:0}:dead:billing")
    assert {field: dead.pop(field) for field in broken} == broken
    assert dead.pop("error")
    assert dead.pop("consumer")
    assert isinstance(dead.pop("traceback"), str)
    assert re.fullmatch(r"2[\d-]{9}T[\d:]{8}\.\d{6}Z", dead.pop("failed"))
    assert dead == {"reason": reason, "deliveries": deliveries, "entry": entry}


def test_plain_redis_buries_what_nobody_came_back_from(folder: Path) -> None:
    with Server(folder, rights("plain_redis")) as server, Queue(server.url, 1) as queue:
        queue.put(1)
        [stream] = queue.streams
        queue.client.xgroup_create(stream, "billing", id="0")
        [[_, [(entry, fields)]]] = queue.client.xreadgroup("billing", "gone", {stream: ">"})
        queue.client.xclaim(stream, "billing", "gone", 0, [entry], idle=9999, retrycount=2)
        settings = {"MAX_DELIVERIES": "2", "REDIS_URL": server.consumers_url}
        with Example(python("plain_redis.py"), folder, **settings) as example:
            example.start()
            wait_until(lambda: queue.client.xlen("{fota:0}:dead:billing"), example.log)
            wait_until(queue.all_read_and_acknowledged, example.log)
            assert not example.handled()
        [(_, dead)] = queue.client.xrange("{fota:0}:dead:billing")
    assert {field: dead[field] for field in fields} == fields
    assert (dead["reason"], dead["deliveries"], dead["entry"]) == ("crashed", "3", entry)


def test_plain_redis_buries_what_ends_it_and_nothing_beside(folder: Path) -> None:
    script = (EXAMPLES / "plain_redis.py").read_text()
    ends = """    if fields["subject"] == "u-1":
        os._exit(9)
    print(fields["""
    poisoned = folder / "poisoned.py"
    poisoned.write_text(script.replace("    print(fields[", ends, 1))
    settings = {"MAX_DELIVERIES": "3", "TAKE_OVER_AFTER_MS": "200", "CONSUMER": "one"}
    with Server(folder, rights("plain_redis")) as server, Queue(server.url, 1) as queue:
        queue.put(6)
        command = [sys.executable, str(poisoned)]
        with Example(command, folder, REDIS_URL=server.consumers_url, **settings) as example:
            for _ in range(3):
                example.start()
                assert example.wait() == 9, example.log()
            example.start()
            wait_until(queue.all_read_and_acknowledged, example.log)
            handled = example.handled()
        [(_, dead)] = queue.client.xrange("{fota:0}:dead:billing")
    assert (dead["subject"], dead["reason"], dead["deliveries"]) == ("u-1", "crashed", "4")
    assert set(handled) == queue.ids - {dead["id"]}


def test_a_consumers_rights_are_no_more_than_it_needs(folder: Path) -> None:
    with Server(folder, rights("python_library")) as server:
        with Queue(server.url, 1) as queue:
            queue.put(1)
        with redis.Redis.from_url(server.consumers_url) as consumer:
            for command in (
                ("XTRIM", "{fota:0}:messages", "MAXLEN", "0"),
                ("DEL", "{fota:0}:messages"),
                ("XGROUP", "DESTROY", "{fota:0}:messages", "other"),
                ("XADD", "{fota:0}:quarantine", "*", "a", "b"),
                ("XADD", "{fota:0}:dead:other", "*", "a", "b"),
                ("EXISTS", "{fota:registrar}:lease"),
                ("CONFIG", "GET", "*"),
                ("FLUSHALL",),
            ):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    consumer.execute_command(*command)
