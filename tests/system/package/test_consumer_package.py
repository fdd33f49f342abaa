"""What a consumer's team installs: the library and the command `fota`, outside the checkout, with nothing of the service."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from testbed.polling import wait_until
from testbed.process import ROOT, ChildProcess
from testbed.programs import MissingProgramError, find_program
from tests.support.consumer_feed import ACCOUNT, feed
from tests.support.installations import Environment, uv

pytestmark = [pytest.mark.slow, pytest.mark.installs]

NAME = "thingspace-fota-listener"
# What rich and apispec need, and redis-py before Python 3.11.3.
NEEDED = {"markdown-it-py", "mdurl", "packaging", "pygments", "async-timeout"}
CREDENTIALS = tuple(f"THINGSPACE_{name}" for name in ("KEY", "SECRET", "USERNAME", "PASSWORD"))
SHELLS = ("bash", "zsh", "fish")
# A user's program. mypy has to find each line that is marked wrong, and no other.
TYPED_PROGRAM = (Path(__file__).parent / "typed_program.txt").read_text()


def dependencies() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}


def readme_example() -> str:
    section = (ROOT / "README.md").read_text().partition("\n## Reading the queue\n")[2]
    block = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert block
    return block[1]


def test_pip_list_shows_what_a_consumer_needs_and_nothing_else(environment: Environment) -> None:
    lines = environment.pip("list", "--format=freeze").splitlines()
    names = {canonicalize_name(line.partition("==")[0]) for line in lines} - {"pip"}
    assert names - NEEDED == dependencies() | {NAME}


def test_readmes_consumer_consumes_from_a_real_redis(
    environment: Environment, redis_url: str, redis_client: Any
) -> None:
    program = environment.outside / "program.py"
    program.write_text(readme_example())
    feed(redis_client, [1], upgrade="60b5d639")
    environ = environment.environ(REDIS_URL=redis_url, PYTHONUNBUFFERED="1")
    running = ChildProcess(environment.bin / "python", program, environ=environ)
    running.folder = environment.outside
    with running:
        wait_until(lambda: "60b5d639 UpgradeSuccess" in running.log(), running.log)
        assert running.stop() == 0, running.log()
    assert redis_client.xpending("{fota:0}:messages", "billing")["pending"] == 0


def test_commands_of_the_operator_work_outside_the_checkout(
    environment: Environment, redis_url: str, redis_client: Any
) -> None:
    feed(redis_client, range(3))
    for command in (["fota"], ["python", "-m", "listener"]):
        done = environment.run(
            *command,
            "stats",
            "--json",
            settings={"REDIS_URL": redis_url, "QUEUE_NAMESPACE": "fota"},
        )
        assert done.returncode == 0, done.stderr
        assert '"entries": 3' in done.stdout
    done = environment.run("fota", "schema")
    assert '"$schema"' in done.stdout, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("fota",), id="fota"),
        pytest.param(("fota-registrar",), id="fota-registrar"),
        pytest.param(("python", "-m", "listener"), id="listener"),
        pytest.param(("python", "-m", "registrar"), id="registrar"),
    ],
)
def test_usage_names_the_command_as_it_was_called(
    environment: Environment, command: tuple[str, ...]
) -> None:
    name = " ".join(command)
    assert environment.run(*command, "--help").stdout.startswith(f"Usage: {name} [OPTIONS]")
    wrong = environment.run(*command, "nothing")
    assert wrong.returncode == 2
    assert f"Try '{name} --help'" in wrong.stderr


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("command", "subcommand"), [("fota", "pending"), ("fota-registrar", "unlock")]
)
def test_shell_completes_the_names_of_commands(
    environment: Environment, command: str, subcommand: str, shell: str
) -> None:
    variable = f"_{command.upper().replace('-', '_')}_COMPLETE"
    source = environment.run(command, settings={variable: f"{shell}_source"})
    assert source.returncode == 0
    assert variable in source.stdout
    beginning = subcommand[:3]
    # bash and zsh count the word to complete; fish names it.
    words = {"COMP_WORDS": f"{command} {beginning}", "COMP_CWORD": "1"}
    if shell == "fish":
        words = {"COMP_WORDS": f"{command} {beginning}", "COMP_CWORD": beginning}
    found = environment.run(command, settings={variable: f"{shell}_complete", **words})
    assert found.returncode == 0, found.stderr
    assert subcommand in found.stdout
    assert "stats" not in found.stdout


def test_documented_line_completes_in_bash(environment: Environment) -> None:
    line = 'eval "$(_FOTA_COMPLETE=bash_source fota)"'
    assert line in (ROOT / "docs" / "operations.md").read_text()
    script = f"{line}; COMP_WORDS=(fota sta); COMP_CWORD=1; _fota_completion fota; echo ${{COMPREPLY[*]}}"
    done = environment.run(find_program("bash"), "--norc", "-c", script)
    assert done.stdout.strip() == "stats", done.stderr


def test_registrar_says_what_to_install(environment: Environment, redis_url: str) -> None:
    settings = {
        "REDIS_URL": redis_url,
        "PUBLIC_URL": "https://fota.example.com/cb",
        "CALLBACK_TOKEN": "token-of-the-package-tests",
        "THINGSPACE_ACCOUNTS": ACCOUNT,
        **dict.fromkeys(CREDENTIALS, "text"),
    }
    for arguments in (("run", "--", "gunicorn", "listener.wsgi:app"), ("status",)):
        done = environment.run("fota-registrar", *arguments, settings=settings)
        assert done.returncode == 1
        assert "pip install 'thingspace-fota-listener[service]'" in done.stderr
        assert "Traceback" not in done.stderr


def test_type_checker_finds_every_mistake_of_a_users_program_and_no_other(
    environment: Environment,
) -> None:
    """The types are those of the installed wheel, in strict mode."""
    path = environment.outside / "typed_program.py"
    path.write_text(TYPED_PROGRAM)
    own = ("-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", environment.outside)
    there = ("--python-executable", environment.bin / "python")
    done = environment.run(sys.executable, *own, *there, path)
    found = {int(line) for line in re.findall(r"typed_program\.py:(\d+): error", done.stdout)}
    lines = enumerate(TYPED_PROGRAM.splitlines(), 1)
    assert found == {number for number, line in lines if "# wrong" in line}, done.stdout
    right = environment.outside / "right_program.py"
    right.write_text(TYPED_PROGRAM.partition("\n\ndef mistakes()")[0] + "\n")
    done = environment.run(sys.executable, *own, *there, right)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


USERS_TEST = """
import sys
BEFORE = {"redis", "flask", "structlog", "listener.consumer"} & sys.modules.keys()

def test_the_plugin_has_imported_nothing():
    assert BEFORE == set()

def test_messages_of_every_kind_are_handled_and_dead(fota_run):
    from listener.consumer import Consumer
    from listener.consumer.testing import samples
    consumer, got = Consumer(group="g", max_deliveries=2), []
    @consumer.on()
    async def handler(message):
        got.append(message.kind)
        raise LookupError
    run = fota_run(consumer)
    run.add(*samples().values())
    run.run()
    assert got == [*samples()] * 2
    assert len(run.dead) == len(samples())
"""


def test_fixture_is_there_for_a_users_tests_and_pytest_is_not_needed(
    environment: Environment, tmp_path: Path
) -> None:
    # Beside the environment, which has what a consumer needs and nothing else.
    environment.pip("install", "--target", tmp_path / "pytest", "pytest")
    (environment.outside / "test_users.py").write_text(USERS_TEST)
    command = ("python", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider")
    done = environment.run(
        *command, "test_users.py", settings={"PYTHONPATH": str(tmp_path / "pytest")}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    script = "from listener.consumer.testing import InMemoryRun, samples; print(len(samples()))"
    done = environment.run("python", "-c", script)
    assert done.stdout.strip() == "5", done.stderr


def test_checkout_and_repository_are_installed_by_pip_and_added_by_uv(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    environment.install("pip")
    environment.pip("install", "--no-deps", ROOT)
    assert NAME in environment.packages()
    if not (ROOT / ".git").exists():
        raise MissingProgramError("this folder is no clone of the repository")
    find_program("git")
    repository = f"git+file://{ROOT}"
    environment.pip("install", "--no-deps", "--force-reinstall", repository)
    project = tmp_path / "project"
    uv("init", "--bare", "--python", sys.executable, project, folder=tmp_path)
    uv("add", "--python", sys.executable, f"{NAME} @ {repository}", folder=project)
    python = project / ".venv" / "bin" / "python"
    done = subprocess.run(
        [python, "-c", "import listener.consumer; print(listener.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(project))
