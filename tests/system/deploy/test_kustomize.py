"""The manifests as `kubectl apply -k` would send them: put together by kubectl itself."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from testbed.process import BIN
from testbed.programs import find_program
from tests.support.deploy_files import DEPLOY

KUBERNETES = "1.37"
# Nobody but their operators has schemas for these.
CUSTOM = {
    *("ServiceMonitor", "PodMonitor", "PrometheusRule"),
    *("HTTPRoute", "ExternalSecret", "ScaledObject"),
}
SECRET = "token-of-the-rendered-secret"


def kubectl() -> str:
    # requirements-dev.txt installs it, where there is a wheel for the machine.
    own = BIN / "kubectl"
    return str(own) if own.exists() else find_program("kubectl")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The manifests with secrets that are filled in."""
    copy = tmp_path / "kubernetes"
    shutil.copytree(DEPLOY / "kubernetes", copy)
    text = (copy / "secrets.env.example").read_text()
    (copy / "secrets.env").write_text(
        text.replace("CALLBACK_TOKEN=\n", f"CALLBACK_TOKEN={SECRET}\n")
    )
    return copy


def rendered(folder: Path) -> list[Any]:
    done = subprocess.run(
        [kubectl(), "kustomize", folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def only(objects: list[Any], kind: str, name: str = "thingspace-fota") -> Any:
    [one] = [
        o
        for o in objects
        if o["kind"] == kind and re.fullmatch(rf"{name}(-[a-z0-9]{{10}})?", o["metadata"]["name"])
    ]
    return one


def pod_of(objects: list[Any]) -> Any:
    return only(objects, "StatefulSet")["spec"]["template"]


def sources(pod: Any) -> Iterator[str]:
    for one in pod["spec"]["containers"][0]["envFrom"]:
        [reference] = one.values()
        yield reference["name"]


def test_every_object_is_valid_in_one_namespace_and_of_a_version(folder: Path) -> None:
    objects = rendered(folder)
    assert {one["kind"] for one in objects} == {
        *("ConfigMap", "Secret", "Service", "StatefulSet", "Ingress", "NetworkPolicy"),
        "PodDisruptionBudget",
    }
    assert {one["metadata"]["namespace"] for one in objects} == {"fota"}
    for one in objects:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
    [container] = pod_of(objects)["spec"]["containers"]
    assert re.fullmatch(r"registry\.example\.com/[\w-]+:\d+\.\d+\.\d+", container["image"])


def test_change_of_a_setting_or_a_secret_rolls_the_pods(folder: Path) -> None:
    first = pod_of(rendered(folder))
    assert list(sources(first)) == [
        only(rendered(folder), kind)["metadata"]["name"] for kind in ("ConfigMap", "Secret")
    ]
    replace(folder / "settings.env", "WEB_CONCURRENCY=2", "WEB_CONCURRENCY=3")
    second = pod_of(rendered(folder))
    replace(folder / "secrets.env", SECRET, "another-token-of-the-secret")
    third = pod_of(rendered(folder))
    names = [list(sources(pod)) for pod in (first, second, third)]
    # First the settings' name changes, then the secrets'; the rest of the pod stays.
    assert names[0][0] != names[1][0] == names[2][0]
    assert names[0][1] == names[1][1] != names[2][1]
    assert len({str(pod["spec"]["volumes"]) for pod in (first, second, third)}) == 1


def test_image_and_namespace_are_changed_in_one_place(folder: Path) -> None:
    digest = f"sha256:{'0' * 64}"
    kustomization = folder / "kustomization.yaml"
    replace(kustomization, "registry.example.com/thingspace-fota-listener", "mirror.example.net/f")
    replace(kustomization, "    newTag: 0.1.0\n  - name", f"    digest: {digest}\n  - name")
    replace(kustomization, "namespace: fota", "namespace: another")
    objects = rendered(folder)
    [container] = pod_of(objects)["spec"]["containers"]
    assert container["image"] == f"mirror.example.net/f@{digest}"
    assert {one["metadata"]["namespace"] for one in objects} == {"another"}


def test_every_optional_manifest_goes_with_the_others(folder: Path) -> None:
    kustomization = folder / "kustomization.yaml"
    text = kustomization.read_text()
    optional = sorted(path.name for path in (folder / "optional").iterdir())
    listed = re.findall(r"^  # - optional/(\S+)$", text, re.MULTILINE)
    assert sorted(listed) == optional
    kustomization.write_text(text.replace("  # - optional/", "  - optional/"))
    objects = rendered(folder)
    assert {one["metadata"]["namespace"] for one in objects} == {"fota"}
    for one in objects:
        if one["kind"] not in CUSTOM:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
    # The consumer reads the settings and the secret of the service, by whatever names they have now.
    consumer = only(objects, "Deployment", "thingspace-fota-consumer")
    [container] = consumer["spec"]["template"]["spec"]["containers"]
    references = [next(iter(one["valueFrom"].values())) for one in container["env"]]
    assert [one["name"] for one in references] == [
        only(objects, kind)["metadata"]["name"] for kind in ("Secret", "ConfigMap", "ConfigMap")
    ]
    assert re.search(r":\d+\.\d+\.\d+$", container["image"])


def test_external_secret_takes_the_place_of_the_generated_one(folder: Path) -> None:
    kustomization = folder / "kustomization.yaml"
    replace(kustomization, "  # - optional/externalsecret.yaml", "  - optional/externalsecret.yaml")
    replace(
        kustomization,
        "secretGenerator:\n  - name: thingspace-fota\n    envs: [secrets.env]\n",
        "",
    )
    (folder / "secrets.env").unlink()
    objects = rendered(folder)
    made = only(objects, "ExternalSecret")["spec"]["target"]["name"]
    assert list(sources(pod_of(objects)))[1] == made


def test_without_the_secrets_nothing_is_sent(folder: Path) -> None:
    (folder / "secrets.env").unlink()
    done = subprocess.run(
        [kubectl(), "kustomize", folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "secrets.env" in done.stderr
    assert done.stdout == ""
