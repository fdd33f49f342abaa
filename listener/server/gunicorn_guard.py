"""Refuses to run the service other than under gunicorn with this project's configuration.

`configure` and `check` run in gunicorn's master, `require` where `listener.wsgi` is imported. Programs that build
the application themselves call `listener.callback.app.create_app`, which checks none of this.
"""

import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NoReturn

from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter

from listener.server import gunicorn_options

# Only a checkout has this file. It works from any directory, where the package itself need not be importable.
_IN_CHECKOUT = Path(__file__).parents[2] / "gunicorn.conf.py"
if _IN_CHECKOUT.exists():
    CONFIGURATION = str(_IN_CHECKOUT)
    _BEGINNING = f'import runpy; globals().update(runpy.run_path("{_IN_CHECKOUT}"))'
else:
    CONFIGURATION = "python:listener.gunicorn_conf"
    _BEGINNING = "from listener.gunicorn_conf import *"
# The exit status of invalid settings as well.
REFUSED = 2
# The exit status of a worker at which gunicorn stops. At any other except 3 it starts workers without end.
STOPS_MASTER = Arbiter.APP_LOAD_ERROR

HOW_TO_START = f"""listener.wsgi does not run like this: without the service's own configuration of gunicorn there are no bounds on
what a sender may take, and no operating port. Start it so, in any directory (not by --chdir):
  gunicorn -c {CONFIGURATION} listener.wsgi:app
`fota-registrar run -- gunicorn listener.wsgi:app` finds that configuration by itself.
A configuration of your own begins with
  {_BEGINNING}"""


class _State:
    """The state of this process, which a fork copies to its children."""

    expected: Any = None
    checked: Any = None


def configure(values: dict[str, Any]) -> None:
    """Stores what `listener/gunicorn_conf.py` sets, and refuses options of the command line that break a promise.

    Called at the end of that module, before gunicorn becomes a daemon, whose output nobody sees.

    Args:
        values: the global variables of that module.
    """
    _State.expected = gunicorn_options.make_config(values)
    _refuse_unsupported(gunicorn_options.make_config({**values, **_command_line()}))


def check(config: Any) -> bool:
    """Refuses options that break a promise, from any source; otherwise the application may start.

    Args:
        config: gunicorn's `Config` in force.

    Returns:
        Whether this configuration is new; False if the last call had the same object.
    """
    if _State.checked is config:
        return False
    _refuse_unsupported(config)
    _State.checked = config
    return True


def require() -> None:
    """Ends the process unless this project's configuration is in force, and prints once how to start it.

    The exit status is 2; in a gunicorn worker 4, at which gunicorn stops with status 4 too.
    """
    if _State.checked is not None or _is_only_checked():
        return
    spawning = _calling_frame(Arbiter.spawn_worker.__code__)
    if spawning is None:
        refuse(HOW_TO_START)
    if spawning.f_locals["self"].worker_age > 1:
        # The first worker prints it and stops the master, which fails at a second such status.
        sys.exit(0)
    refuse(HOW_TO_START, status=STOPS_MASTER)


def refuse(text: str, status: int = REFUSED) -> NoReturn:
    """Ends the process with a text on standard error, without a traceback."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 (logs may not be set up)
    sys.exit(status)


def _refuse_unsupported(config: Any) -> None:
    if problems := gunicorn_options.problems(config, _State.expected):
        refuse("\n  ".join(("gunicorn cannot run the service with these options:", *problems)))


def _is_only_checked() -> bool:
    """Whether gunicorn loads the application for --check-config or --print-config only, and will not serve it."""
    if _State.expected is None or (running := _calling_frame(Application.run.__code__)) is None:
        return False
    config = running.f_locals["self"].cfg
    if not (config.check_config or config.print_config):
        return False
    _refuse_unsupported(config)
    return True


def _command_line() -> dict[str, Any]:
    """The options in GUNICORN_CMD_ARGS and on the command line, as gunicorn has parsed them."""
    loading = _calling_frame(Application.load_config.__code__)
    if loading is None:
        return {}
    namespaces = (loading.f_locals.get("env_args"), loading.f_locals.get("args"))
    options = [vars(namespace) for namespace in namespaces if namespace is not None]
    return {name: value for each in options for name, value in each.items() if value is not None}


def _calling_frame(code: CodeType) -> FrameType | None:
    """The innermost running call of a function; gunicorn does not pass its objects to a configuration file."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 (inspect's own way to a frame)
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame
