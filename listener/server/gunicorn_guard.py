"""Sees to it that the service runs under gunicorn with this project's configuration, and nothing else.

`configure` and `check` run in gunicorn's master; `require` runs where `listener.wsgi` is imported. Tests and
programs that build the application themselves use `listener.callback.app.create_app`, which asks for none of this.
"""

import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NoReturn

from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter

from listener.server import gunicorn_options

CONFIGURATION = Path(__file__).parents[1] / "gunicorn.conf.py"
# As for settings that are not valid.
REFUSED = 2
# The status of a worker at which gunicorn stops; at any other but 3 it would start the next one, for ever.
STOPS_MASTER = Arbiter.APP_LOAD_ERROR

HOW_TO_START = f"""listener.wsgi does not run like this: without gunicorn.conf.py of the project there are no bounds on
what a sender may take, and no operating port. Start it so, in the project's directory (not by --chdir):
  gunicorn listener.wsgi:app
or from anywhere with -c {CONFIGURATION}
A configuration of your own begins with
  import runpy; globals().update(runpy.run_path("{CONFIGURATION}"))"""


class _State:
    """What is known in this process, and after a fork in its children."""

    expected: Any = None
    checked: Any = None


def configure(values: dict[str, Any]) -> None:
    """Remembers what gunicorn.conf.py sets, and refuses options of the command line that break a promise.

    Called at the end of gunicorn.conf.py: before gunicorn becomes a daemon, where nobody would see it.

    Args:
        values: the global variables of gunicorn.conf.py.
    """
    _State.expected = gunicorn_options.config_of(values)
    _refuse_unsupported(gunicorn_options.config_of({**values, **_command_line()}))


def check(config: Any) -> bool:
    """Refuses options that break a promise, whoever set them, and lets the application start.

    Args:
        config: gunicorn's `Config` as it is in force.

    Returns:
        Whether this configuration is new; False if the last call was about the same object.
    """
    if _State.checked is config:
        return False
    _refuse_unsupported(config)
    _State.checked = config
    return True


def require() -> None:
    """Ends the process unless this project's configuration is in force; says once how to start it.

    Exit status 2; in a gunicorn worker 4, at which gunicorn stops with the same.
    """
    if _State.checked is not None or _is_only_checked():
        return
    spawning = _frame(Arbiter.spawn_worker.__code__)
    if spawning is None:
        refuse(HOW_TO_START)
    if spawning.f_locals["self"].worker_age > 1:
        # The first worker says it and stops the master, which fails at a second such status.
        sys.exit(0)
    refuse(HOW_TO_START, status=STOPS_MASTER)


def refuse(text: str, status: int = REFUSED) -> NoReturn:
    """Ends the process with a text on standard error and without a traceback."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 (logs may not be set up)
    sys.exit(status)


def _refuse_unsupported(config: Any) -> None:
    if found := gunicorn_options.problems(config, _State.expected):
        refuse("\n  ".join(("gunicorn cannot run the service with these options:", *found)))


def _is_only_checked() -> bool:
    """Whether gunicorn loads the application for --check-config or --print-config, and will serve nothing."""
    if _State.expected is None or (running := _frame(Application.run.__code__)) is None:
        return False
    config = running.f_locals["self"].cfg
    if not (config.check_config or config.print_config):
        return False
    _refuse_unsupported(config)
    return True


def _command_line() -> dict[str, Any]:
    """What the command line and GUNICORN_CMD_ARGS set, as gunicorn has parsed them."""
    loading = _frame(Application.load_config.__code__)
    if loading is None:
        return {}
    sources = (loading.f_locals.get("env_args"), loading.f_locals.get("args"))
    given = [vars(source) for source in sources if source is not None]
    return {name: value for one in given for name, value in one.items() if value is not None}


def _frame(code: CodeType) -> FrameType | None:
    """The innermost call of some code that this one runs in: gunicorn hands its objects to nobody here."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 (inspect's own way to a frame)
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame
