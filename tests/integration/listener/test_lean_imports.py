"""What a start imports: not what libraries load for developers alone."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def printed_by(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"ALLOW_ANY_SENDER": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_service_starts_without_what_its_libraries_load_for_developers() -> None:
    unused = {"rich", "pygments", "opentelemetry"}
    look = f"print(sorted({unused} & sys.modules.keys()))"
    assert printed_by(f"import structlog, redis, sys; {look}") == f"{sorted(unused)}\n"
    start = "import runpy; runpy.run_path('gunicorn.conf.py')"
    assert printed_by(f"{start}; import structlog, redis, sys; {look}") == "[]\n"


def test_library_that_was_imported_before_is_left_as_it_is() -> None:
    code = "import opentelemetry.sdk.metrics; from listener.runtime import lean_imports; lean_imports.load()"
    look = (
        "import rich, redis.observability.providers as p; print(p.OTEL_AVAILABLE, rich is not None)"
    )
    assert printed_by(f"{code}; {look}") == "True True\n"
