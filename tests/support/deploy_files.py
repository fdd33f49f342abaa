"""Reads the files under `deploy/` and their kin for tests. It imports none of our packages."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, in order, each with its arguments on one line."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    words = [line.split(maxsplit=1) for line in lines if line.strip()]
    return [(word.upper(), re.sub(r"\s+", " ", rest).strip()) for word, rest in words]


def last_stage() -> list[tuple[str, str]]:
    """The instructions of the stage that becomes the image."""
    found = instructions()
    start = max(i for i, (word, _) in enumerate(found) if word == "FROM")
    return found[start:]


def base_images() -> set[str]:
    """The images that the Dockerfile's stages begin with, without their digests; none is a stage itself."""
    words = [rest.split() for word, rest in instructions() if word == "FROM"]
    stages = {found[2] for found in words if found[1:2] == ["AS"]}
    return {found[0].partition("@")[0] for found in words} - stages


def image_environment() -> dict[str, str]:
    """What the image sets."""
    texts = [rest for word, rest in last_stage() if word == "ENV"]
    return dict(pair.split("=", 1) for text in texts for pair in text.split())


def image_sources() -> list[str]:
    """What the build copies from the checkout into the folder of the service."""
    found = instructions()
    copies = [rest for word, rest in found if word == "COPY" and not rest.startswith("--from")]
    return [name.rstrip("/") for text in copies for name in text.split()[:-1]]


def unit(name: str = "thingspace-fota") -> dict[str, list[str]]:
    """A systemd unit's settings, whatever their section; one may occur several times."""
    text = (DEPLOY / "systemd" / f"{name}.service").read_text().replace("\\\n", " ")
    settings = defaultdict(list)
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            settings[name].append(value)
    return settings


def unit_environment() -> dict[str, str]:
    """What the unit sets."""
    return dict(text.split("=", 1) for text in unit()["Environment"])


def compose() -> Any:
    """The compose file."""
    return yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())


def kubernetes_variables(name: str) -> dict[str, str]:
    """The variables of `settings.env` or `secrets.env.example`."""
    lines = (DEPLOY / "kubernetes" / name).read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def kustomization() -> Any:
    """What kustomize puts together, and how."""
    return yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())


def manifests(path: Path) -> list[Any]:
    """The Kubernetes objects of a file."""
    return list(yaml.safe_load_all(path.read_text()))


def consumer_container() -> Any:
    """The one container of the consumer's Deployment."""
    pod = manifest("Deployment", "thingspace-fota-consumer")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    return container


def manifest(kind: str, name: str = "thingspace-fota") -> Any:
    """The one Kubernetes object of a kind and a name."""
    paths = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
    paths.remove(DEPLOY / "kubernetes" / "kustomization.yaml")
    everything = [found for path in paths for found in manifests(path)]
    [one] = [o for o in everything if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return one


def nginx() -> str:
    """The nginx example, without its comments."""
    text = (DEPLOY / "nginx" / "thingspace-fota.conf").read_text()
    return re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)


def caddy() -> str:
    """The Caddyfile, without its comments."""
    text = (DEPLOY / "caddy" / "Caddyfile").read_text()
    return re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
