"""Both demos' manifests, as data: what the tutorial promises, what a cutover needs, and colors that don't differ."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from images.app.bluegreen_app.arrivals import PROBES
from images.app.bluegreen_app.server import LAST_WORDS_SECONDS

ROOT = Path(__file__).parent.parent
ENVOYS_IDLE_SECONDS = 3600
"""`common_http_protocol_options.idle_timeout` of an Envoy cluster that sets none."""
DEMOS = {
    "demo": ROOT / "bluegreen.toml",
    "nginx": ROOT / "manifests" / "nginx" / "bluegreen.toml",
    "datasette": ROOT / "manifests" / "datasette" / "bluegreen.toml",
}


def read(*path: str) -> Any:
    return yaml.safe_load(ROOT.joinpath("manifests", *path).read_text())


def described(demo: str) -> dict[str, Any]:
    return tomllib.loads(DEMOS[demo].read_text())


def pod_of(demo: str) -> dict[str, Any]:
    spec: dict[str, Any] = read(demo, "base", "deployment.yaml")["spec"]["template"]["spec"]
    return spec


def container_of(demo: str) -> dict[str, Any]:
    (container,) = pod_of(demo)["containers"]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize("demo", DEMOS)
def test_the_sides_are_one_base_and_differ_by_their_color_alone(demo: str) -> None:
    blue, green = (ROOT / "manifests" / demo / color for color in ("blue", "green"))
    for side in (blue, green):
        assert [f.name for f in side.iterdir()] == ["kustomization.yaml"]
    text = (blue / "kustomization.yaml").read_text()
    assert (green / "kustomization.yaml").read_text() == text.replace("blue\n", "green\n")
    parsed = read(demo, "blue", "kustomization.yaml")
    assert set(parsed) == {"apiVersion", "kind", "resources", "nameSuffix", "labels", "images"}
    assert parsed["resources"] == ["../base"]
    assert parsed["labels"] == [{"pairs": {"color": "blue"}, "includeSelectors": True}]


@pytest.mark.parametrize("demo", DEMOS)
def test_every_file_is_listed_and_every_listed_file_is_there(demo: str) -> None:
    for folder in (ROOT / "manifests" / demo, ROOT / "manifests" / demo / "base"):
        listed = set(yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"])
        there = {f.name for f in folder.iterdir() if f.suffix != ".toml"} - {"kustomization.yaml", "base"}
        assert listed == there


@pytest.mark.parametrize("demo", DEMOS)
def test_the_switch_is_the_only_place_where_a_color_is_chosen(demo: str) -> None:
    service = read(demo, "service.yaml")["spec"]
    app = service["selector"]["app"]
    assert service["selector"] == {"app": app, "color": "blue"}
    assert service["sessionAffinity"] == "None"
    assert service["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]
    shared = [
        read(demo, "ingress.yaml"),
        *(read(demo, "base", f) for f in read(demo, "base", "kustomization.yaml")["resources"]),
    ]
    assert not re.search(r"\b(blue|green)\b", yaml.safe_dump(shared))


@pytest.mark.parametrize("demo", DEMOS)
def test_every_selector_of_the_base_can_be_completed_by_the_color(demo: str) -> None:
    """An empty selector takes every pod of the namespace, and Kustomize adds no color to it."""
    app = read(demo, "service.yaml")["spec"]["selector"]["app"]
    deployment = read(demo, "base", "deployment.yaml")["spec"]
    assert deployment["selector"] == {"matchLabels": {"app": app}}
    assert deployment["template"]["metadata"]["labels"] == {"app": app}
    assert read(demo, "base", "service.yaml")["spec"]["selector"] == {"app": app}
    for spread in deployment["template"]["spec"].get("topologySpreadConstraints", []):
        assert spread["labelSelector"] == {"matchLabels": {"app": app}}
        assert spread["topologyKey"] == "kubernetes.io/hostname"
    if demo == "demo":
        budget = read(demo, "base", "poddisruptionbudget.yaml")["spec"]
        assert budget == {"maxUnavailable": 1, "selector": {"matchLabels": {"app": app}}}


@pytest.mark.parametrize("demo", DEMOS)
def test_the_description_names_what_the_manifests_have(demo: str) -> None:
    toml = described(demo)
    assert (DEMOS[demo].parent / toml["app"]["manifests"]).resolve() == ROOT / "manifests" / demo
    service, ingress = read(demo, "service.yaml"), read(demo, "ingress.yaml")
    deployment, internal = read(demo, "base", "deployment.yaml"), read(demo, "base", "service.yaml")
    container = container_of(demo)
    for color in ("blue", "green"):
        overlay = read(demo, color, "kustomization.yaml")
        assert deployment["metadata"]["name"] + overlay["nameSuffix"] == toml["sides"][color]
        assert internal["metadata"]["name"] + overlay["nameSuffix"] == toml["service"]["internal"].format(side=color)
        (image,) = overlay["images"]
        assert image["name"] == container["image"]
        assert f"{image['newName']}:{image['newTag']}" == toml["app"]["image"].format(version=toml["app"]["old"])
    assert container["name"] == toml["app"]["container"]
    assert service["metadata"]["name"] == toml["service"]["name"]
    assert service["spec"]["ports"][0]["port"] == toml["service"]["port"]
    assert toml["service"]["selector_key"] in service["spec"]["selector"]
    (rule,) = ingress["spec"]["rules"]
    path, *others = rule["http"]["paths"]
    # Contour upgrades only on a path that is in the rules as its annotation names it
    upgraded = ingress["metadata"].get("annotations", {}).get("projectcontour.io/websocket-routes", "")
    assert [(other["path"], other["backend"]) for other in others] == [
        (one, path["backend"]) for one in upgraded.split()
    ]
    assert upgraded == ("/ws" if demo == "demo" else "")
    told = {"name": ingress["metadata"]["name"], "host": rule["host"], "path": path["path"]}
    assert {"path": "/"} | {key: value for key, value in toml["ingress"].items() if key != "tls"} == told
    assert path["backend"]["service"] == {"name": toml["service"]["name"], "port": {"number": toml["service"]["port"]}}


def test_the_description_of_the_demo_names_its_ledger_its_admin_port_and_its_bad_versions() -> None:
    toml = described("demo")
    (volume,) = pod_of("demo")["volumes"]
    assert volume["hostPath"]["path"] == toml["ledger"]["host_path"]
    ports = {port["name"]: port["containerPort"] for port in container_of("demo")["ports"]}
    assert ports == {"http": 8080, "admin": toml["admin"]["port"]}
    versions = {toml["app"]["old"], toml["app"]["new"], *toml["bad"].values()}
    assert versions == {"v1", "v2", "v-bad", "v-latent"}


def test_the_plain_demo_asks_for_no_privilege() -> None:
    assert not {"ledger", "admin", "bad"} & set(described("nginx"))
    assert described("nginx")["identity"] == {"revision": "json:revision"}


def test_no_service_leads_to_the_admin_port() -> None:
    for service in (read("demo", "service.yaml"), read("demo", "base", "service.yaml")):
        assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]


@pytest.mark.parametrize(("demo", "replicas"), [("demo", 4), ("nginx", 2)])
def test_a_rollout_never_has_fewer_pods_than_wanted(demo: str, replicas: int) -> None:
    spec = read(demo, "base", "deployment.yaml")["spec"]
    assert spec["replicas"] == replicas
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0},
    }
    assert spec["progressDeadlineSeconds"] == described(demo)["limits"]["ready_seconds"]


def test_resources_are_the_tutorials() -> None:
    assert container_of("demo")["resources"] == {
        "requests": {"cpu": "100m", "memory": "256Mi"},
        "limits": {"cpu": "500m", "memory": "512Mi"},
    }
    assert container_of("nginx")["resources"]["requests"] == {"cpu": "20m", "memory": "32Mi"}


def test_probes_ask_paths_that_the_application_answers() -> None:
    container = container_of("demo")
    asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {name: get["path"] for name, get in asked.items()} == {
        "startup": "/startupz",
        "readiness": "/readyz",
        "liveness": "/livez",
    }
    assert {get["path"] for get in asked.values()} <= PROBES
    assert "/healthz" in PROBES  # the tutorial's name for readiness
    for demo in DEMOS:
        assert container_of(demo)["readinessProbe"]["periodSeconds"] == 1


def test_the_times_of_leaving_fit_into_each_other() -> None:
    pod, container = pod_of("demo"), container_of("demo")
    env = {e["name"]: e["value"] for e in container["env"] if "value" in e}
    drain, idle = int(env["DRAIN_SECONDS"]), float(env["DRAIN_KEEP_ALIVE_SECONDS"])
    assert described("demo")["load"]["idle_gap_seconds"] < idle < drain
    assert int(env["KEEP_ALIVE_SECONDS"]) > ENVOYS_IDLE_SECONDS
    assert 0 < int(env["DRAIN_SOCKET_SECONDS"]) < drain
    assert drain + LAST_WORDS_SECONDS < pod["terminationGracePeriodSeconds"]
    assert container["lifecycle"]["preStop"]["httpGet"] == {"path": "/drain", "port": "admin"}
    timeout = read("demo", "ingress.yaml")["metadata"]["annotations"]["projectcontour.io/response-timeout"]
    assert int(timeout.removesuffix("s")) > drain
    (nginx,) = re.findall(r"keepalive_timeout (\d+)s;", (ROOT / "images" / "nginx" / "nginx.conf").read_text())
    assert int(nginx) > ENVOYS_IDLE_SECONDS
    leaving = container_of("nginx")["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 0 < leaving < pod_of("nginx")["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("demo", DEMOS)
def test_pods_have_no_rights_that_they_do_not_need(demo: str) -> None:
    pod, container = pod_of(demo), container_of(demo)
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert container["imagePullPolicy"] == "IfNotPresent"


def test_the_policy_that_closes_idle_connections_does_so_when_idle_users_come_back() -> None:
    assert described("demo")["policies"]["closes_idle"] == "manifests/policies/closes-idle"
    (container,) = read("policies", "closes-idle", "idle.yaml")["spec"]["template"]["spec"]["containers"]
    assert container["name"] == container_of("demo")["name"]
    assert set(container) == {"name", "env"}
    (setting,) = container["env"]
    assert setting["name"] == "KEEP_ALIVE_SECONDS"
    assert int(setting["value"]) == described("demo")["load"]["idle_gap_seconds"]


def test_the_pod_learns_its_color_from_its_label_so_that_no_patch_sets_it() -> None:
    sources = {
        e["name"]: e["valueFrom"]["fieldRef"]["fieldPath"] for e in container_of("demo")["env"] if "valueFrom" in e
    }
    assert sources == {"COLOR": "metadata.labels['color']", "POD_NAME": "metadata.name"}


@pytest.mark.parametrize("policy", ["naive", "sleep"])
def test_another_policy_changes_how_a_pod_ends_and_nothing_else(policy: str) -> None:
    assert described("demo")["policies"][policy] == f"manifests/policies/{policy}"
    kustomization = read("policies", policy, "kustomization.yaml")
    assert kustomization["resources"] == ["../../demo"]
    assert kustomization["patches"] == [{"path": "ending.yaml", "target": {"kind": "Deployment"}}]
    spec = read("policies", policy, "ending.yaml")["spec"]
    assert set(spec) == {"template"}
    assert set(spec["template"]["spec"]) == {"containers"}
    (container,) = spec["template"]["spec"]["containers"]
    assert set(container) == {"name", "env", "lifecycle"}
    assert container["name"] == container_of("demo")["name"]
    assert container["env"] == [{"name": "ON_SIGTERM", "value": "exit"}]
    if policy == "naive":
        assert container["lifecycle"] == {"$patch": "delete"}
    else:
        hook = container["lifecycle"]["preStop"]
        assert hook["httpGet"] is None
        # longer than a slow answer takes, so that what is cut is only what is kept open
        assert hook["sleep"]["seconds"] * 1000 > int(described("demo")["request"]["slow"]["path"].rpartition("=")[2])
