"""A short run of `bin/chaos`: a handful of faults, one round each."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from testbed.polling import wait_until
from testbed.process import ROOT
from testbed.service import Service

pytestmark = pytest.mark.slow

CHAOS = ("python", "-m", "bench.chaos")
# The tests' choice of a server is the run's as well.
CHOSEN = {name: os.environ[name] for name in ("REDIS_SERVER",) if name in os.environ}
FAULTS = ("worker-kill", "redis-kill", "client-kill", "kill-everything")


def test_faults_lose_nothing_and_double_nothing(redis_server: str, tmp_path: Path) -> None:
    chosen = [word for name in FAULTS for word in ("--fault", name)]
    figures = tmp_path / "chaos.json"
    with Service(*CHAOS, *chosen, "--rate", "50", "--json", str(figures), **CHOSEN) as run:
        run.wait(180)
        found = json.loads(figures.read_text())
        assert sorted(line["fault"] for line in found["faults"]) == sorted(FAULTS)
        for line in found["faults"]:
            assert line["acknowledged"] > 20, line
            assert (line["lost"], line["doubled"], line["refused"]) == (0, 0, 0), run.log()
            assert line["late"] > 0, "duplicates came seconds later, and were no second entry"
            assert line["kept_s"] is not None, run.log()


def test_interrupted_it_leaves_nothing_behind(redis_server: str) -> None:
    with Service(*CHAOS, "--fault", "redis-hang", "--rounds", "20", **CHOSEN) as run:
        wait_until(lambda: any(map(_is_frozen, run.family())), run.log)
        family = run.family()
        assert len(family) > 4, "itself, redis, gunicorn with workers"
        run.signal(signal.SIGINT)
        assert run.wait() == 128 + signal.SIGINT, run.log()
        assert psutil.wait_procs(family, timeout=10)[1] == []


def test_help_names_every_fault_and_has_an_example() -> None:
    shown = subprocess.run(
        [sys.executable, *CHAOS[1:], "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "bin/chaos --rounds 50" in shown
    assert all(f"  {name} " in shown for name in (*FAULTS, "disk-full", "outage-60s", "no-xadd"))


def _is_frozen(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False
