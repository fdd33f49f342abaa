"""Runs a module or a file as Python does, and reports which packages it imported; some can be made as if not installed.

`python -m tests.support.import_recorder REPORT ABSENT PROGRAM ARGUMENT…`: writes the packages into the file REPORT as
JSON; ABSENT is a comma-separated list of packages whose import fails.
"""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Collection, Mapping
from importlib.abc import MetaPathFinder
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[2]
# What the base installation does not have: it is of the extra `service`. Without greenlet, which structlog imports
# where it is installed.
OF_THE_SERVICE = frozenset(
    ("flask", "werkzeug", "jinja2", "markupsafe", "itsdangerous", "blinker", "gunicorn", "gevent", "zope",
     "requests", "urllib3", "certifi", "idna", "charset_normalizer")
)  # fmt: skip


class Absent(MetaPathFinder):
    """Makes packages as if they were not installed."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def find_spec(self, name: str, *_: Any) -> None:
        if name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def imports_of(
    program: str, *arguments: str, absent: Collection[str] = (), environ: Mapping[str, str]
) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """How the run of a module or of a file `….py` ended, and the packages that it had imported then."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        done = subprocess.run(
            [sys.executable, "-m", __name__, report, ",".join(absent), program, *arguments],
            cwd=ROOT, env={"PATH": os.environ["PATH"], **environ}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done, set(json.loads(report.read_text()))


def _main(report: str, absent: str, program: str, *arguments: str) -> None:
    sys.meta_path.insert(0, Absent(absent.split(",")))
    sys.argv[1:] = arguments
    try:
        if program.endswith(".py"):
            runpy.run_path(program, run_name="__main__")
        else:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    finally:
        modules: dict[str, Any] = {**sys.modules}
        # None stands for a package that was hidden.
        names = [name for name, loaded in modules.items() if loaded is not None]
        Path(report).write_text(json.dumps([*{name.partition(".")[0] for name in names}]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
