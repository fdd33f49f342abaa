"""schemathesis reads /openapi.json and tries the running service with all of its checks.

A quick look in the suite; SCHEMATHESIS_EXAMPLES=1000 makes it a long one, with every boundary case
besides, which .ci/run tries as well, with fewer examples.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.process import BIN, ROOT
from testbed.service import RECEIVER, Service

pytestmark = pytest.mark.slow

EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "")
LOGIN = {
    "TOKEN": "right-token-of-the-fuzzing",
    "USERNAME": "right-user",
    "PASSWORD": "right-password",
}
# By itself it also takes a 401 or a 5xx for an acceptance; a 404 is one for a message that is
# not there, a 400 one for an id or a time of another form.
CONFIGURATION = """
[checks.positive_data_acceptance]
expected-statuses = [200]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 404]

[[operations]]
include-path-regex = "^/(messages|devices|upgrades|search|dead|quarantine)"
checks.positive_data_acceptance.expected-statuses = [200, 302, 400, 404]
"""


@pytest.fixture
def service(redis_server: str) -> Iterator[Service]:
    settings = {f"CALLBACK_{name}": value for name, value in LOGIN.items()}
    with Service(*RECEIVER, REDIS_URL=redis_server, **settings) as running:
        running.wait_until_ready()
        yield running


def schemathesis(service: Service, folder: Path, *options: str) -> str:
    """Has it run and find nothing; what it printed."""
    (folder / "schemathesis.toml").write_text(CONFIGURATION)
    phases = "coverage,fuzzing" if EXAMPLES else "fuzzing"
    environment = {
        **os.environ,
        **{f"RIGHT_{name}": value for name, value in LOGIN.items()},
        "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks",
        "PYTHONPATH": str(ROOT),
        "NO_PROXY": "*",
    }
    command = [
        *(str(BIN / "st"), "run", f"{service.ops_url}/openapi.json", "--checks=all"),
        *(f"--phases={phases}", f"--max-examples={EXAMPLES or 30}", "--generation-database=none"),
        *options,
    ]
    run = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr + service.log()[-5000:]
    return run.stdout


@pytest.mark.timeout(600)
def test_both_ports_answer_as_described(service: Service, tmp_path: Path) -> None:
    public = (f"--url={service.url}", "--include-path-regex=^/(cb/|healthz$|readyz$)")
    own = (f"--url={service.ops_url}", "--exclude-path-regex=^/cb/")
    assert "Tested: 3\n" in schemathesis(service, tmp_path, *public)
    assert "Tested: 17\n" in schemathesis(service, tmp_path, *own)
    assert '"message kept"' in service.log()
