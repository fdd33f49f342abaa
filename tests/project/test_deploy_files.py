"""The files to deploy with: each well formed, and all in step with the service and each other."""

import importlib.resources
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from listener import __version__
from listener.__main__ import main
from listener.consumer.options import Options
from listener.consumer.runner.run import RunnerOptions
from listener.metrics import SCRAPE_GAUGES
from listener.settings.env import EnvReader
from listener.settings.settings import OPS_BIND
from registrar.process.supervisor import GIVE_UP_S
from registrar.settings import RegistrarSettings, Timing
from tests.support import deploy_files
from tests.support.deploy_files import DEPLOY, ROOT
from tests.support.generated_manifests import FOLDER, generated
from tests.support.tracked_files import tracked_files

# The oldest Kubernetes whose schemas know all that the manifests use, and the newest.
KUBERNETES = ("1.30", "1.37")
ENDS_WITHIN_S = Timing().shutdown_s + GIVE_UP_S
# What the platforms leave to the operator.
BY_HAND = {
    "PUBLIC_URL": "https://fota.example.com/callback",
    "CALLBACK_TOKEN": "token-of-the-deployment",
    "THINGSPACE_ACCOUNTS": "0242078689-00001",
    "THINGSPACE_KEY": "key",
    "THINGSPACE_SECRET": "secret",
    "THINGSPACE_USERNAME": "user",
    "THINGSPACE_PASSWORD": "password",
}
NOT_OURS = {
    "BUILD_COMMIT",
    "GUNICORN_CMD_ARGS",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
}
INSTRUCTIONS = {
    *("FROM", "ENV", "WORKDIR", "RUN", "COPY", "LABEL", "USER", "VOLUME", "EXPOSE"),
    *("STOPSIGNAL", "HEALTHCHECK", "CMD", "ARG"),
}
# https://devcenter.heroku.com/articles/app-json-schema
APP_JSON = {"name", "description", "keywords", "stack", "buildpacks", "addons", "formation", "env"}
# What the manifests need that no schema of Kubernetes describes.
CUSTOM = {
    *("ServiceMonitor", "PodMonitor", "PrometheusRule"),
    *("HTTPRoute", "ExternalSecret", "ScaledObject"),
}


def validate_compose(content: Any) -> None:
    vendor = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((vendor / "compose-spec.json").read_text())
    jsonschema.validate(content, schema)


def check_compose(_path: Path) -> None:
    validate_compose(deploy_files.compose())


def check_kubernetes(path: Path) -> None:
    for found in deploy_files.manifests(path):
        if found["kind"] not in CUSTOM:
            for version in KUBERNETES:
                kubernetes_validate.validate(found, version, strict=True)


def check_kustomization(_path: Path) -> None:
    # kubectl renders it in tests/system/deploy/test_kustomize.py.
    folder = DEPLOY / "kubernetes"
    for name in deploy_files.kustomization()["resources"]:
        assert (folder / name).exists(), name


def check_variables(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Z_]+=[^\s\"']*", line)] == []


def check_unit(path: Path) -> None:
    # systemd itself reads it in tests/system/deploy/test_systemd.py.
    sections = re.findall(r"^\[(\w+)\]$", path.read_text(), re.MULTILINE)
    assert sections == ["Unit", "Service", "Install"]


def check_braces(path: Path) -> None:
    # The proxies themselves read theirs in tests/system/deploy/test_proxies.py.
    text = path.read_text()
    assert text.count("{") == text.count("}") > 0


def check_profile(path: Path) -> None:
    # A shell runs it in tests/system/deploy/test_systemd.py.
    assert "export REDIS_URL=" in path.read_text()


CHECKS: dict[str, Callable[[Path], None]] = {
    "caddy/Caddyfile": check_braces,
    "compose/*.yaml": check_compose,
    "heroku/profile": check_profile,
    "kubernetes/kustomization.yaml": check_kustomization,
    "kubernetes/*.env*": check_variables,
    "kubernetes/optional/*.yaml": check_kubernetes,
    "kubernetes/[!k]*.yaml": check_kubernetes,
    "nginx/*.conf": check_braces,
    "systemd/*.service": check_unit,
}


# Folders whose files another test reads; it must name each of them.
ELSEWHERE = ("grafana", "prometheus")


def checks_of(name: str) -> list[Callable[[Path], None]]:
    return [check for glob, check in CHECKS.items() if DEPLOY / name in DEPLOY.glob(glob)]


def is_checked_elsewhere(name: str) -> bool:
    folder, _, rest = name.partition("/")
    tests = [path for path in ROOT.glob("tests/**/test_*.py") if path != Path(__file__)]
    return folder in ELSEWHERE and any(rest in path.read_text() for path in tests)


@pytest.mark.parametrize("name", tracked_files(DEPLOY))
def test_every_file_is_checked_and_well_formed(name: str) -> None:
    checks = checks_of(name)
    assert checks or is_checked_elsewhere(name), f"no check covers deploy/{name}"
    for check in checks:
        check(DEPLOY / name)


def test_what_breaks_the_schemas_is_found() -> None:
    manifest = deploy_files.manifest("StatefulSet")
    manifest["spec"]["template"]["spec"]["terminationGracePeriod"] = 45
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, KUBERNETES[-1], strict=True)
    compose = deploy_files.compose()
    compose["services"]["fota"]["stop_grace"] = "40s"
    with pytest.raises(jsonschema.ValidationError):
        validate_compose(compose)


@pytest.mark.parametrize(
    "name", [name for name in tracked_files(DEPLOY) if not name.startswith(ELSEWHERE)]
)
def test_every_file_is_told_of_in_the_documentation(name: str) -> None:
    text = (ROOT / "docs" / "deployment.md").read_text()
    assert f"deploy/{name}" in text or f"(../deploy/{name.partition('/')[0]}/)" in text


def platforms() -> dict[str, dict[str, Any]]:
    """What each platform's files set, by its name."""
    image = deploy_files.image_environment()
    container = deploy_files.compose()["services"]["fota"]["environment"]
    secret = deploy_files.kubernetes_variables("secrets.env.example")
    configured = deploy_files.kubernetes_variables("settings.env")
    app = json.loads((ROOT / "app.json").read_text())["env"]
    return {
        "systemd": deploy_files.unit_environment(),
        "image": image,
        "compose": image | container,
        "kubernetes": image | configured | secret,
        "heroku": {name: one.get("value", "") for name, one in app.items()},
    }


@pytest.mark.parametrize("name", platforms())
def test_the_settings_of_each_platform_exist_and_are_accepted(name: str) -> None:
    given = platforms()[name]
    # Compose's own placeholders; systemd's for the state folder.
    values = {k: re.sub(r"\$\{FOTA_HOST.*", "fota.example.com/cb", v) for k, v in given.items()}
    reader = EnvReader(BY_HAND | {k: v for k, v in values.items() if v})
    RegistrarSettings.read(reader)
    reader.seal()
    assert set(given) - NOT_OURS <= reader.names


@pytest.mark.parametrize("name", ["systemd", "compose", "kubernetes"])
def test_the_ports_are_the_same_everywhere(name: str) -> None:
    found = platforms()[name]
    reader = EnvReader(BY_HAND | {"PORT": found["PORT"], "OPS_BIND": found["OPS_BIND"]})
    settings = RegistrarSettings.read(reader).service
    assert settings.port == 8000
    assert settings.ops_bind
    assert settings.ops_bind[1] == OPS_BIND[1]
    assert (settings.ops_bind == OPS_BIND) == (name == "systemd")


def test_the_ports_are_those_that_are_exposed_published_and_proxied() -> None:
    ops = OPS_BIND[1]
    assert ("EXPOSE", f"8000 {ops}") in deploy_files.last_stage()
    services = deploy_files.compose()["services"]
    # The operating port: on the host's loopback address alone. The public one: behind the proxy.
    assert services["fota"]["ports"] == [f"127.0.0.1:{ops}:{ops}"]
    assert services["proxy"]["environment"]["FOTA_UPSTREAM"] == "fota:8000"
    [container] = deploy_files.manifest("StatefulSet")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8000, "ops": ops}
    assert "server 127.0.0.1:8000;" in deploy_files.nginx()
    assert "{$FOTA_UPSTREAM:127.0.0.1:8000}" in deploy_files.caddy()
    command = deploy_files.unit()["ExecStart"][0]
    assert "--bind 127.0.0.1:${PORT} listener.wsgi:app" in command


def test_no_platform_kills_before_the_registrar_has_ended_by_itself() -> None:
    service = deploy_files.unit()
    assert int(service["TimeoutStopSec"][0]) > ENDS_WITHIN_S
    assert service["KillMode"] == ["mixed"]
    grace = deploy_files.compose()["services"]["fota"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > ENDS_WITHIN_S
    pod = deploy_files.manifest("StatefulSet")["spec"]["template"]["spec"]
    before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > ENDS_WITHIN_S + before
    # Heroku's thirty seconds are nobody's to set.
    assert ENDS_WITHIN_S < 30


def test_wrong_settings_are_not_tried_again_and_again() -> None:
    assert deploy_files.unit()["RestartPreventExitStatus"] == ["2 4"]


def test_images_are_pinned_and_ours_has_our_version() -> None:
    services = deploy_files.compose()["services"]
    pod = deploy_files.manifest("StatefulSet")["spec"]["template"]["spec"]
    bases = deploy_files.base_images()
    images = [one["image"] for one in services.values()]
    kustomized = deploy_files.kustomization()["images"]
    assert pod["containers"][0]["image"] in [image["name"] for image in kustomized]
    images += [f"{image['newName']}:{image['newTag']}" for image in kustomized]
    assert len(bases) == 1, "what is built on one image runs on another"
    for image in (*bases, *images):
        # The digest is the operator's to add: nobody can know it where the image has not been built.
        name, _, tag = image.partition("@")[0].partition(":")
        assert re.fullmatch(r"(sha256:[0-9a-f]{64})?", image.partition("@")[2])
        # Debian's point releases are its security updates.
        assert re.match(r"\d+-slim" if name == "debian" else r"\d+\.\d+", tag), (
            f"{image} has no version"
        )
        if "thingspace-fota-listener" in name:
            assert tag == __version__
    labels = next(rest for word, rest in deploy_files.last_stage() if word == "LABEL")
    assert f'version="{__version__}"' in labels


def test_the_image_runs_without_root_gets_signals_and_holds_only_the_service() -> None:
    found = deploy_files.last_stage()
    assert {word for word, _ in deploy_files.instructions()} <= INSTRUCTIONS
    assert ("USER", "10001:10001") in found
    assert ("STOPSIGNAL", "SIGTERM") in found
    # In brackets: without a shell, which would take the signal.
    command = next(rest for word, rest in found if word == "CMD")
    assert json.loads(command)[:4] == ["python", "-m", "registrar", "run"]
    sources = deploy_files.image_sources()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert sorted(sources) == sorted(line[1:] for line in ignored if line.startswith("!"))


def test_the_spool_outlives_the_container() -> None:
    folder = str(Path(deploy_files.image_environment()["SPOOL_DIR"]).parent)
    assert ("VOLUME", folder) in deploy_files.last_stage()
    assert f"spool:{folder}" in deploy_files.compose()["services"]["fota"]["volumes"]
    stateful = deploy_files.manifest("StatefulSet")["spec"]
    [container] = stateful["template"]["spec"]["containers"]
    assert {"name": "spool", "mountPath": folder} in container["volumeMounts"]
    assert [claim["metadata"]["name"] for claim in stateful["volumeClaimTemplates"]] == ["spool"]
    kept = stateful["persistentVolumeClaimRetentionPolicy"]
    assert set(kept.values()) == {"Retain"}
    assert deploy_files.unit_environment()["SPOOL_DIR"].startswith(
        f"%S/{deploy_files.unit()['StateDirectory'][0]}/"
    )


def test_the_queue_of_the_compose_file_keeps_its_promise() -> None:
    command = deploy_files.compose()["services"]["queue"]["command"]
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "--stream-node-max-bytes 16384" in command


def test_the_proxies_let_the_largest_body_through_and_close_idle_connections_first() -> None:
    largest = RegistrarSettings.read(EnvReader({})).service.max_body_bytes
    [kept] = re.findall(
        r"^keepalive = (\d+)$", (ROOT / "listener" / "gunicorn_conf.py").read_text(), re.MULTILINE
    )
    for text, body, idle in (
        (deploy_files.nginx(), r"client_max_body_size (\d+)m;", r"keepalive_timeout (\d+)s;"),
        (deploy_files.caddy(), r"max_size (\d+)MB", r"keepalive (\d+)s"),
    ):
        assert [int(size) * 10**6 > largest for size in re.findall(body, text)] == [True]
        assert [int(span) < int(kept) for span in re.findall(idle, text)] == [True]
    for platform in ("kubernetes", "heroku"):
        # Heroku's router keeps idle connections for 90 s, and so do some ingress controllers.
        [span] = re.findall(r"--keep-alive=(\d+)", platforms()[platform]["GUNICORN_CMD_ARGS"])
        assert int(span) > 90


def test_the_parts_of_the_manifests_find_each_other() -> None:
    pod = deploy_files.manifest("StatefulSet")["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    ops = deploy_files.manifest("Service", "thingspace-fota-ops")
    public = deploy_files.manifest("Service")
    policy = deploy_files.manifest("NetworkPolicy")["spec"]
    budget = deploy_files.manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    monitor = deploy_files.manifest("ServiceMonitor")["spec"]
    for selector in (
        ops["spec"]["selector"],
        public["spec"]["selector"],
        policy["podSelector"]["matchLabels"],
        budget,
    ):
        assert selector.items() <= labels
    assert monitor["selector"]["matchLabels"].items() <= ops["metadata"]["labels"].items()
    assert not monitor["selector"]["matchLabels"].items() <= public["metadata"]["labels"].items()
    assert [one["port"] for one in monitor["endpoints"]] == [ops["spec"]["ports"][0]["name"]]
    alerts = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    [endpoint] = monitor["endpoints"]
    [job] = [one["replacement"] for one in endpoint["relabelings"] if one["targetLabel"] == "job"]
    consumers = deploy_files.manifest("PodMonitor", "thingspace-fota-consumer")["spec"]
    [endpoint] = consumers["podMetricsEndpoints"]
    jobs = {job, *(one["replacement"] for one in endpoint["relabelings"])}
    assert set(re.findall(r'job="([\w-]+)"', alerts)) == jobs
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert {one["job_name"] for one in scraped["scrape_configs"]} == jobs
    names = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    used = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    assert used == names
    assert deploy_files.manifest("StatefulSet")["spec"]["serviceName"] == ops["metadata"]["name"]


def test_the_ingress_leads_to_the_public_url_and_never_to_the_operating_port() -> None:
    url = deploy_files.kubernetes_variables("settings.env")["PUBLIC_URL"]
    [rule] = deploy_files.manifest("Ingress")["spec"]["rules"]
    first, *rest = rule["http"]["paths"]
    assert f"https://{rule['host']}{first['path']}" == url
    assert [path["path"] for path in rest] == ["/healthz"]
    ports = {path["backend"]["service"]["port"]["name"] for path in (first, *rest)}
    assert ports == {"http"}


def test_route_of_the_gateway_leads_where_the_ingress_does() -> None:
    url = urlsplit(deploy_files.kubernetes_variables("settings.env")["PUBLIC_URL"])
    route = deploy_files.manifest("HTTPRoute")["spec"]
    [rule] = route["rules"]
    paths = [(match["path"]["type"], match["path"]["value"]) for match in rule["matches"]]
    assert (route["hostnames"], paths) == (
        [url.hostname],
        [("PathPrefix", url.path), ("Exact", "/healthz")],
    )
    public = deploy_files.manifest("Service")
    [backend] = rule["backendRefs"]
    assert (backend["name"], [backend["port"]]) == (
        public["metadata"]["name"],
        [port["port"] for port in public["spec"]["ports"]],
    )
    # Only over TLS.
    assert [parent["sectionName"] for parent in route["parentRefs"]] == ["https"]


def test_external_secret_makes_the_secret_that_the_pods_read() -> None:
    spec = deploy_files.manifest("ExternalSecret")["spec"]
    [container] = deploy_files.manifest("StatefulSet")["spec"]["template"]["spec"]["containers"]
    named = [one["secretRef"]["name"] for one in container["envFrom"] if "secretRef" in one]
    assert named == [spec["target"]["name"]]
    names = [one["secretKey"] for one in spec["data"]]
    assert names == list(deploy_files.kubernetes_variables("secrets.env.example"))
    assert names == [one["remoteRef"]["property"] for one in spec["data"]]


@pytest.mark.parametrize("name", generated())
def test_manifest_that_repeats_another_file_is_in_step_with_it(name: str) -> None:
    advice = "run .venv/bin/python -m tests.support.generated_manifests"
    assert (FOLDER / name).read_text() == generated()[name], advice


def test_generated_manifests_hold_the_rules_and_the_dashboard() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    assert deploy_files.manifest("PrometheusRule")["spec"] == rules
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    [text] = deploy_files.manifest("ConfigMap", "thingspace-fota-dashboard")["data"].values()
    assert json.loads(text) == dashboard


def test_network_policy_lets_in_and_out_what_the_service_needs() -> None:
    policy = deploy_files.manifest("NetworkPolicy")["spec"]
    first, *_ = [peer for rule in policy["ingress"] for peer in rule["from"]]
    # https://kubernetes.github.io/ingress-nginx/: namespace and labels of its chart and its manifests.
    assert first["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "ingress-nginx"
    }
    assert first["podSelector"]["matchLabels"] == {
        "app.kubernetes.io/name": "ingress-nginx",
        "app.kubernetes.io/component": "controller",
    }
    ports = [
        (port.get("protocol", "TCP"), port["port"])
        for rule in policy["egress"]
        for port in rule["ports"]
    ]
    # DNS, Redis, ThingSpace.
    assert ports == [("UDP", 53), ("TCP", 53), ("TCP", 6379), ("TCP", 443)]
    consumer = deploy_files.manifest("NetworkPolicy", "thingspace-fota-consumer")["spec"]
    # The consumer needs the first two of them alone, and Prometheus alone connects to it.
    assert (consumer["egress"], consumer["ingress"]) == (
        policy["egress"][:2],
        [rule for rule in policy["ingress"] if rule["ports"] == [{"port": "ops"}]],
    )


def test_no_platform_kills_a_consumer_before_it_has_handed_back_what_it_has() -> None:
    # docs/consumer.md: fifteen seconds more while Redis does not answer.
    longest_s = Options().shutdown_s + 15
    consumer = deploy_files.compose()["services"]["consumer"]
    assert int(consumer["stop_grace_period"].removesuffix("s")) > longest_s
    unit = deploy_files.unit("thingspace-fota-consumer")
    assert int(unit["TimeoutStopSec"][0]) > longest_s
    pod = deploy_files.manifest("Deployment", "thingspace-fota-consumer")["spec"]["template"][
        "spec"
    ]
    assert pod["terminationGracePeriodSeconds"] > longest_s


def test_consumer_of_the_compose_file_reads_the_queue_of_the_service() -> None:
    services = deploy_files.compose()["services"]
    consumer, service = services["consumer"], services["fota"]
    assert consumer["image"] == service["image"]
    assert consumer["environment"]["REDIS_URL"] == service["environment"]["REDIS_URL"]
    # It starts only if it is asked for, and gets none of the provider's credentials.
    assert consumer["profiles"] == ["consumer"]
    assert "env_file" not in consumer


def test_consumers_of_the_image_lie_in_its_working_directory() -> None:
    # The library is installed, so a program finds it from any folder: tests/system/deploy/test_image.py.
    [folder] = [rest for word, rest in deploy_files.last_stage() if word == "WORKDIR"]
    consumer = deploy_files.compose()["services"]["consumer"]
    assert consumer["volumes"] == [f"./consumer.py:{folder}/consumer.py:ro"]
    assert f"`COPY consumer.py {folder}/`" in (ROOT / "docs" / "deployment.md").read_text()


def runner_commands() -> dict[str, list[str]]:
    """How each platform starts `fota consume`: the words from the subcommand on."""
    unit = deploy_files.unit("thingspace-fota-consumer")["ExecStart"][0].split()
    lines = (ROOT / "Procfile").read_text().splitlines()
    [procfile] = [line.split()[1:] for line in lines if line.startswith("consumer:")]
    commands = {
        "systemd": unit,
        "compose": deploy_files.compose()["services"]["consumer"]["command"],
        "kubernetes": deploy_files.consumer_container()["command"],
        "procfile": procfile,
    }
    for words in commands.values():
        assert words[0].rpartition("/")[2] == "python"
        assert words[1:4] == ["-m", "listener", "consume"]
    return {name: words[3:] for name, words in commands.items()}


@pytest.mark.parametrize("platform", runner_commands())
def test_consumers_command_is_one_that_the_runner_accepts(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[RunnerOptions] = []
    monkeypatch.setattr("listener.consumer.runner.run.run", given.append)
    done = CliRunner().invoke(main, runner_commands()[platform])
    assert done.exit_code == 0, done.output
    [options] = given
    assert (options.target, options.processes) == ("consumer:consumer", 1)
    # Procfile: every dyno has one, and nobody outside reaches a port of it.
    hosts = {"systemd": ("127.0.0.1", 9465), "procfile": None}
    assert options.bind == hosts.get(platform, ("0.0.0.0", 9465))


def test_consumers_health_is_asked_where_it_is_served() -> None:
    container = deploy_files.consumer_container()
    [port] = container["ports"]
    assert port["containerPort"] == 9465
    probes = {name: container[name]["httpGet"] for name in ("readinessProbe", "livenessProbe")}
    assert probes == {
        "readinessProbe": {"path": "/healthz", "port": port["name"]},
        "livenessProbe": {"path": "/livez", "port": port["name"]},
    }
    [monitored] = deploy_files.manifest("PodMonitor", "thingspace-fota-consumer")["spec"][
        "podMetricsEndpoints"
    ]
    assert (monitored["port"], monitored["path"]) == (port["name"], "/metrics")
    check = deploy_files.compose()["services"]["consumer"]["healthcheck"]["test"]
    assert "'http://127.0.0.1:9465/healthz'" in check[-1]


def test_consumer_is_scaled_by_a_metric_that_there_is() -> None:
    spec = deploy_files.manifest("ScaledObject", "thingspace-fota-consumer")["spec"]
    deployment = deploy_files.manifest("Deployment", "thingspace-fota-consumer")
    assert spec["scaleTargetRef"] == {"name": deployment["metadata"]["name"]}
    [trigger] = spec["triggers"]
    # KEDA takes nothing but texts there.
    assert {type(value) for value in trigger["metadata"].values()} == {str}
    [metric] = re.findall(r"fota_\w+", trigger["metadata"]["query"])
    assert metric in {gauge.name for gauge in SCRAPE_GAUGES}
    assert spec["minReplicaCount"] < spec["maxReplicaCount"]


def test_consumers_selectors_find_its_pods() -> None:
    spec = deploy_files.manifest("Deployment", "thingspace-fota-consumer")["spec"]
    labels = spec["template"]["metadata"]["labels"]
    policy = deploy_files.manifest("NetworkPolicy", "thingspace-fota-consumer")["spec"]
    monitor = deploy_files.manifest("PodMonitor", "thingspace-fota-consumer")["spec"]
    for selector in (spec["selector"], policy["podSelector"], monitor["selector"]):
        assert selector == {"matchLabels": labels}


def test_unit_of_the_consumer_reloads_and_does_not_repeat_a_mistake() -> None:
    unit = deploy_files.unit("thingspace-fota-consumer")
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert unit["KillMode"] == ["mixed"]
    assert unit["RestartPreventExitStatus"] == ["2"]


def test_consumer_of_the_manifests_reads_the_queue_of_the_service() -> None:
    container = deploy_files.consumer_container()
    assert [one["name"] for one in container["env"]] == [
        "REDIS_URL",
        "QUEUE_NAMESPACE",
        "QUEUE_PARTITIONS",
    ]
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/: as restricted as the service.
    [service] = deploy_files.manifest("StatefulSet")["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"] == service["securityContext"]


def test_herokus_form_has_only_what_heroku_knows_and_makes_the_token() -> None:
    app = json.loads((ROOT / "app.json").read_text())
    assert set(app) <= APP_JSON
    for name, one in app["env"].items():
        assert set(one) <= {"description", "value", "required", "generator"}, name
        assert one["description"], name
    assert app["env"]["CALLBACK_TOKEN"]["generator"] == "secret"
    # REDIS_URL comes from the add-on, and PORT from the dyno.
    assert not {"REDIS_URL", "PORT"} & set(app["env"])


def test_no_process_of_a_platform_shows_the_credentials_to_the_workers() -> None:
    # Whatever the platforms start has the service's environment and user: a health check, a hook.
    runs = [rest for word, rest in deploy_files.last_stage() if word == "RUN"]
    check = next(rest for word, rest in deploy_files.last_stage() if word == "HEALTHCHECK")
    assert 'chmod 0711 "$(readlink -f /venv/bin/python)"' in runs
    assert json.loads(check.partition("CMD ")[2])[0] == "python"
    pod = deploy_files.manifest("StatefulSet")["spec"]["template"]["spec"]
    assert "exec" not in str(pod["containers"])
    assert "healthcheck" not in deploy_files.compose()["services"]["fota"]
    assert not [key for key in deploy_files.unit() if key.startswith("Exec") and key != "ExecStart"]
