"""On what was measured: a figure without it says nothing."""

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
from testbed import redis_process

OURS = ("flask", "gunicorn", "gevent", "marshmallow", "redis", "hiredis")
FASTAPI = ("fastapi", "uvicorn", "pydantic", "uvloop", "httptools", "starlette")
ASK = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"


def facts() -> dict[str, Any]:
    """The machine, its kernel, the versions and the date."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": platform.release(),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in OURS},
            **_contenders(),
            "node": _told("node", "--version"),
            "redis-server": _told(str(redis_process.find_server()), "--version"),
            "wrk": _told("wrk", "-v"),
        },
        "commit": _told("git", "-C", str(environment.ROOT), "rev-parse", "--short", "HEAD"),
    }


def _contenders() -> dict[str, str]:
    python = environment.VENV / "bin" / "python"
    found = _told(str(python), "-c", ASK, *FASTAPI) if python.exists() else None
    return dict(zip(FASTAPI, found.split(), strict=True)) if found else {}


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", path.read_text()) if path.exists() else None
    return found[1] if found else platform.machine()


def _told(program: str, *arguments: str) -> str | None:
    """The first line that a program prints; None without it, or if it prints none."""
    if not shutil.which(program):
        return None
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0] if lines else None
