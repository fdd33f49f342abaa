"""A web worker that was broken into looks for the provider's credentials in the registrar, as the registrar's own user.

The tests run as another user than root, or as root give the processes another user: root with
CAP_SYS_PTRACE may read every process, and nothing that a process does about itself changes that.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from testbed.polling import DEADLINE_S, wait_until
from testbed.process import ROOT
from testbed.programs import find_program
from testbed.registrar_process import REGISTRAR, settings, wait_until_registered
from testbed.sandbox_client import Sandbox
from testbed.service import SUPERVISED, Service

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has PR_SET_DUMPABLE")

NOBODY = "65534"
PLANTED = {
    "THINGSPACE_KEY": "planted-provider-key",
    "THINGSPACE_SECRET": "planted-provider-secret",
    "THINGSPACE_USERNAME": "planted-provider-user",
    "THINGSPACE_PASSWORD": "planted-provider-password",
}
# Every way to another process's memory that Linux has, tried on the process whose id is the argument. It prints
# what each way gave: what was found of the planted texts, or the error.
ATTACK = r"""
import ctypes, json, os, pathlib, sys

pid = int(sys.argv[1])
process = pathlib.Path(f"/proc/{pid}")
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Span(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def memory():
    found = b""
    with open(process / "mem", "rb", buffering=0) as file:
        for line in (process / "maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if rights.startswith("rw") and "[v" not in line:
                start, end = (int(text, 16) for text in span.split("-"))
                file.seek(start)
                try:
                    found += file.read(end - start)
                except OSError:
                    continue
    return found


def process_vm_readv():
    heap = next(l for l in (process / "maps").read_text().splitlines() if "[heap]" in l)
    start, end = (int(text, 16) for text in heap.split()[0].split("-"))
    buffer = ctypes.create_string_buffer(end - start)
    local = Span(ctypes.addressof(buffer), end - start)
    remote = Span(start, end - start)
    checked(libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0))
    return buffer.raw


def without_maps():
    # The address does not matter: what is refused is refused before it is looked at.
    buffer = ctypes.create_string_buffer(8)
    local, remote = Span(ctypes.addressof(buffer), 8), Span(0x1000, 8)
    checked(libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0))


def seize():
    checked(libc.ptrace(0x4206, pid, None, None))
    libc.ptrace(17, pid, None, None)
    return b"attached"


def descriptor():
    opened = os.pidfd_open(pid)
    taken = checked(libc.syscall(438, opened, 0, 0))
    return b"took a descriptor" if taken >= 0 else b""


WAYS = {
    "environ": lambda: (process / "environ").read_bytes(),
    "cmdline": lambda: (process / "cmdline").read_bytes(),
    "auxv": lambda: (process / "auxv").read_bytes(),
    "maps": lambda: (process / "maps").read_bytes(),
    "mem": memory,
    "process_vm_readv": process_vm_readv,
    "process_vm_readv, blind": without_maps,
    "ptrace": seize,
    "pidfd_getfd": descriptor,
    "fd": lambda: b" ".join(os.readlink(e).encode() for e in (process / "fd").iterdir()),
    "cwd": lambda: os.readlink(process / "cwd").encode(),
    "root": lambda: os.listdir(process / "root") and b"listed",
    "thread's environ": lambda: (process / "task" / str(pid) / "environ").read_bytes(),
    "stack": lambda: (process / "stack").read_bytes(),
    "syscall": lambda: (process / "syscall").read_bytes(),
}
told = {}
for way, attempt in WAYS.items():
    try:
        content = attempt() or b""
        told[way] = [t for t in os.environ["LOOK_FOR"].split(",") if t.encode() in content] or "nothing"
    except OSError as error:
        told[way] = error.strerror
print("ATTACK" + json.dumps(told), flush=True)
"""
# What tells that the way is shut; the rest may succeed, but finds nothing.
SHUT = {"environ", "maps", "mem", "process_vm_readv", "process_vm_readv, blind", "ptrace"} | {
    "pidfd_getfd", "fd", "cwd", "root", "thread's environ",
}  # fmt: skip
REFUSED = {"Permission denied", "Operation not permitted"}


def as_somebody(rights: str = "-all,+dac_override") -> tuple[str, ...]:
    """A prefix that makes a command run as somebody who is not root and may trace nobody else's process.

    It may pass every folder, because the tests' own may be root's alone: for an attacker that is one obstacle less.
    """
    if os.geteuid():
        return ()
    user = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs")
    caps = (f"--inh-caps={rights}", f"--ambient-caps={rights}", f"--bounding-set={rights}")
    return (find_program("setpriv"), *user, *caps)


def attack(pid: int, folder: Path) -> dict[str, Any]:
    """What a process of the same user learns about another one."""
    script = folder / "attack.py"
    script.write_text(ATTACK)
    done = subprocess.run(
        [*as_somebody(), sys.executable, str(script), str(pid)],
        env={"LOOK_FOR": ",".join(PLANTED.values())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ATTACK" in done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.partition("ATTACK")[2])
    return found


def assert_shut(found: dict[str, Any]) -> None:
    leaked = {way: told for way, told in found.items() if isinstance(told, list)}
    assert not leaked, found
    assert {way: told for way, told in found.items() if way in SHUT and told not in REFUSED} == {}


def planted(sandbox: Sandbox, folder: Path, **more: str) -> dict[str, str]:
    return {**settings(sandbox, folder), **PLANTED, **more}


def sandbox_with_planted_credentials() -> Sandbox:
    return Sandbox(
        key=PLANTED["THINGSPACE_KEY"],
        secret=PLANTED["THINGSPACE_SECRET"],
        username=PLANTED["THINGSPACE_USERNAME"],
        password=PLANTED["THINGSPACE_PASSWORD"],
    )


@pytest.mark.slow
def test_worker_cannot_read_the_registrar(redis_url: str, tmp_path: Path) -> None:
    with sandbox_with_planted_credentials() as sandbox:
        environ = planted(sandbox, tmp_path, REDIS_URL=redis_url)
        with Service(*as_somebody(), *SUPERVISED, **environ) as service:
            wait_until_registered(service)
            registrar, *others = service.family()
            assert {process.uids().real for process in others} == {registrar.uids().real}
            assert_shut(attack(registrar.pid, tmp_path))
            # That the attack works is seen where nothing is defended: in the workers, which hold nothing.
            assert "nothing" in attack(others[-1].pid, tmp_path)["mem"]
            service.signal()
            assert service.wait() == 0, service.log()
        # It still can all that it has to: it notices, it passes on, it deregisters.
        wait_until(lambda: sandbox.registered_url() is None)


def test_attack_finds_everything_in_a_process_that_is_not_protected(tmp_path: Path) -> None:
    waits = "import os, sys; print('here', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [*as_somebody(), sys.executable, "-c", waits],
        env=PLANTED,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as victim:
        assert victim.stdout
        victim.stdout.readline()
        found = attack(victim.pid, tmp_path)
        victim.communicate(b"")
    everything = list(PLANTED.values())
    assert (found["environ"], found["mem"], found["ptrace"]) == (everything, everything, "nothing")


# COMMAND itself tries it on its parent, and so do its child and grandchild.
FROM_INSIDE = """
import os, subprocess, sys
pid = int(sys.argv[2]) if len(sys.argv) > 2 else os.getppid()
subprocess.run([sys.executable, sys.argv[1], str(pid)], check=True)
"""


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("registrar", ["on", "off"])
def test_command_cannot_read_its_parent_and_inherits_nothing_of_it(
    registrar: str, redis_url: str, tmp_path: Path
) -> None:
    script, inside = tmp_path / "attack.py", tmp_path / "inside.py"
    script.write_text(ATTACK)
    inside.write_text(
        FROM_INSIDE
        + "print('OPEN', sorted(os.listdir('/proc/self/fd'))[:-1], 'ENVIRON', sorted(os.environ), flush=True)\n"
    )
    run = (*REGISTRAR, "run", "--", sys.executable, str(inside), str(script))
    with sandbox_with_planted_credentials() as sandbox:
        environ = planted(sandbox, tmp_path, REDIS_URL=redis_url, REGISTRAR=registrar)
        environ["LOOK_FOR"] = ",".join(PLANTED.values())
        with Service(*as_somebody(), *run, **environ) as service:
            assert service.wait() == 0, service.log()
            log = service.log()
    assert_shut(json.loads(log.partition("ATTACK")[2].partition("\n")[0]))
    opened, _, names = log.partition("OPEN ")[2].partition(" ENVIRON ")
    assert opened == "['0', '1', '2']"
    assert "REDIS_URL" in names
    assert "THINGSPACE_ACCOUNTS" in names
    assert not [name for name in PLANTED if name in names]


def test_command_by_hand_cannot_be_read_while_thingspace_lets_it_wait(
    redis_url: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {
            **PLANTED,
            "THINGSPACE_BASE_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/api",
            "THINGSPACE_ACCOUNTS": "0242078689-00001",
            "CALLBACK_TOKEN": "token-of-the-memory-tests",
            "REDIS_URL": redis_url,
        }
        with Service(*as_somebody(), *REGISTRAR, "status", **environ) as service:
            silent.settimeout(DEADLINE_S)
            connection, _ = silent.accept()
            with connection:
                assert isinstance(service.process, subprocess.Popen)
                assert_shut(attack(service.process.pid, tmp_path))


@pytest.mark.slow
def test_operators_command_cannot_be_read_though_it_has_the_services_environment(
    redis_url: str, tmp_path: Path
) -> None:
    # As `docker exec` gives it.
    environ = {**PLANTED, "REDIS_URL": redis_url}
    with Service(*as_somebody(), "python", "-m", "listener", "tail", **environ) as service:
        process = service.process
        assert process is not None
        # The attack itself fails on a process that has no heap yet.
        wait_until(
            lambda: attack(process.pid, tmp_path)["environ"] in list(REFUSED),
            service.log,
            ignoring=AssertionError,
        )
        assert_shut(attack(process.pid, tmp_path))


ABORTS = "import os; from listener.runtime import memory_protection; {}; os.abort()"


@pytest.mark.parametrize(
    ("begins", "dumped"), [("0", True), ("memory_protection.protect_memory()", False)]
)
def test_protected_process_leaves_no_core_dump(begins: str, dumped: bool, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            "sh",
            "-c",
            f'ulimit -c unlimited && exec {sys.executable} -c "$0"',
            ABORTS.format(begins),
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )
    _, status = os.waitpid(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == -signal.SIGABRT
    if dumped and not os.WCOREDUMP(status):
        pytest.skip("this machine dumps nobody's memory")
    assert os.WCOREDUMP(status) == dumped


@pytest.mark.parametrize("mode", [0o755, 0o711])
def test_program_that_may_not_be_read_is_closed_from_its_first_moment(mode: int) -> None:
    # As the image has its Python. Any program will do: this is the kernel's own doing.
    with tempfile.TemporaryDirectory(prefix="fota-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        program = folder / "sleep"
        shutil.copy(find_program("sleep"), program)
        # An owner who is not root has to take the right to read from itself.
        program.chmod(mode if os.geteuid() == 0 or mode == 0o755 else 0o111)
        # setpriv still may read everything when it executes the next program: here that is env.
        command = [*as_somebody("-all"), find_program("env"), str(program), "60"]
        with subprocess.Popen(command, env=PLANTED) as victim:
            try:
                wait_until(lambda: Path(f"/proc/{victim.pid}/comm").read_text() == "sleep\n")
                found = attack(victim.pid, folder)
            finally:
                victim.kill()
    if mode == 0o711:
        assert_shut(found)
    else:
        assert found["environ"] == list(PLANTED.values())
