"""What the Dockerfile makes of the checkout, without an engine: its files alone, as process 1."""

import json
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from testbed.polling import wait_until
from testbed.registrar_process import TOKEN, settings, wait_until_registered
from testbed.sandbox_client import Sandbox
from testbed.service import Service
from tests.support.deploy_files import ROOT, image_environment, image_sources, last_stage

# A private process table, a root that is read-only where the service's code is, as containers have it.
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc")
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'


def instruction(word: str) -> str:
    return next(rest for found, rest in reversed(last_stage()) if found == word)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a private process table is Linux's")
def test_the_images_files_are_enough_and_process_1_deregisters_on_sigterm(
    redis_url: str, tmp_path: Path
) -> None:
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us make a private process table")
    app = tmp_path / "app"
    app.mkdir()
    for name in image_sources():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, app / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, app)
    own = {k: v for k, v in image_environment().items() if k.startswith("PYTHON")}
    # A folder of its own for temporary files, too, as a container has: it would meet others' process numbers.
    own["TMPDIR"] = str(tmp_path)
    command = json.loads(instruction("CMD"))
    with Sandbox() as sandbox:
        environ = settings(sandbox, tmp_path, REDIS_URL=redis_url, **own)
        with Service(*UNSHARE, "sh", "-c", READ_ONLY, str(app), *command, **environ) as service:
            wait_until_registered(service)
            assert healthy(service)
            message = '{"type": "upgradeFinished", "upgradeFinished": {"upgradeId": "u"}}'
            assert service.post(message, f"/cb/{TOKEN}").status_code == 200
            [first] = psutil.Process(service.process.pid if service.process else 0).children()
            assert first.cwd() == str(app)
            # gunicorn found its configuration.
            with urllib.request.urlopen(f"{service.ops_url}/version", timeout=10) as answer:
                assert json.load(answer)["name"] == "thingspace-fota-listener"
            # An engine signals process 1, and so the registrar alone.
            first.send_signal(getattr(signal, instruction("STOPSIGNAL")))
            assert service.wait() == 0, service.log()
        wait_until(lambda: sandbox.registered_url() is None)
        assert not healthy(service)


def healthy(service: Service) -> bool:
    """What the image's health check says."""
    check = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])
    done = subprocess.run(check, env=service.settings, capture_output=True, check=False)
    return done.returncode == 0
