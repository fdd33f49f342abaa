"""Describes the machine of a measurement: hardware, kernel, versions, date."""

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.rig import environment
from testbed.redis_servers import discovery

OURS = ("flask", "gunicorn", "gevent", "marshmallow", "redis", "hiredis")
FASTAPI = ("fastapi", "uvicorn", "pydantic", "uvloop", "httptools", "starlette")
PRINT_VERSIONS = (
    "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
)


def facts() -> dict[str, Any]:
    """The part `machine` of a result; see report/schema.json."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": platform.release(),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in OURS},
            **_contender_versions(),
            "node": _first_line("node", "--version"),
            "redis-server": _first_line(str(discovery.find_server()), "--version"),
            "wrk": _first_line("wrk", "-v"),
        },
        "commit": _first_line("git", "-C", str(environment.ROOT), "rev-parse", "--short", "HEAD"),
    }


def _contender_versions() -> dict[str, str]:
    python = environment.VENV / "bin" / "python"
    if not python.exists():
        return {}
    versions = _first_line(str(python), "-c", PRINT_VERSIONS, *FASTAPI)
    return dict(zip(FASTAPI, versions.split(), strict=True)) if versions else {}


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", path.read_text()) if path.exists() else None
    return model[1] if model else platform.machine()


def _first_line(program: str, *arguments: str) -> str | None:
    """The first line that a program prints; None if there is no such program, or no line."""
    if not shutil.which(program):
        return None
    run = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    lines = (run.stdout or run.stderr).splitlines()
    return lines[0] if lines else None
