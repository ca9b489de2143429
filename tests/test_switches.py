"""The switches: what each sends, who is named for it, and the table that compares them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from harness.checks.promises import no_flip_back, only
from harness.checks.registry import judge
from harness.errors import ClusterError, ConfigurationError
from harness.release.switches import Written, managers
from harness.release.switches.chart import chart, split
from harness.release.switches.helm import HelmSwitch
from harness.release.switches.ingress import IngressSwitch
from harness.release.switches.known import KNOWN, Means, named
from harness.release.switches.kustomize import KustomizeSwitch
from harness.release.switches.own_services import backends
from harness.release.switches.selector import MANAGER, AppliedSelectorSwitch, SelectorSwitch, TwoStepSwitch
from harness.report import switches as table
from tests.conftest import Programs
from tests.fake_kube import CONFIG, FakeKube, config_in
from tests.simulated import CODES, Flip, World, at, changed, event, having, play


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


def test_a_selector_is_patched_or_applied_by_one_request(kube: FakeKube, tmp_path: Path) -> None:
    config = config_in(tmp_path)
    for make in (SelectorSwitch, AppliedSelectorSwitch):
        switch = make(kube.kube, "ns", config)
        kube.calls.clear()
        kube.manager = "somebody"
        for side in ("green", "blue"):
            assert switch.flip(side).resource_version == "77"
            assert switch.active() == side
            assert kube.selector == {"app": "shop", "color": side}
        assert kube.calls == [("flip", "green"), ("flip", "blue")]
        assert switch.written() == Written("Service/shop", "spec.selector", (MANAGER,), MANAGER)


def test_two_steps_let_both_sides_in_for_a_while(kube: FakeKube, tmp_path: Path) -> None:
    told: list[Any] = []

    def note(name: str, **fields: Any) -> None:
        told.append((name, fields, dict(kube.selector)))

    switch = TwoStepSwitch(kube.kube, "ns", config_in(tmp_path), note, 1.5, told.append)
    switch.flip("green")
    assert told == [
        ("switch.widened", {"seconds": 1.5}, {"app": "shop"}),
        1.5,
        ("switch.narrowed", {"to_side": "green"}, {"app": "shop"}),
    ]
    assert switch.active() == "green"


def test_kustomize_applies_the_overlay_of_the_side(kube: FakeKube, tmp_path: Path, programs: Programs) -> None:
    kubectl = programs.add("kubectl")
    kube.kubeconfig, kube.context = tmp_path / "config", "ctx"  # type: ignore[attr-defined]
    folder = tmp_path / "kustomize"
    switch = KustomizeSwitch(kube.kube, "ns", config_in(tmp_path), kubectl, folder)
    switch.flip("green")
    (call,) = programs.calls("kubectl")
    assert call[1:] == [
        *("--kubeconfig", str(tmp_path / "config"), "--context", "ctx", "--namespace", "ns"),
        *("apply", "-k", str(folder / "overlays" / "green")),
    ]
    base = yaml.safe_load((folder / "base" / "service.yaml").read_text())
    assert base["spec"]["ports"][0]["nodePort"] == 30080
    assert "clusterIP" not in base["spec"] and "uid" not in base["metadata"]
    for side in ("blue", "green"):
        overlay = yaml.safe_load((folder / "overlays" / side / "kustomization.yaml").read_text())
        assert yaml.safe_load(overlay["patches"][0]["patch"])[0]["value"] == side
    written = switch.written()
    assert written is not None and written.tool == "kubectl-client-side-apply"


def test_a_kubectl_that_refuses_is_a_move_that_was_refused(kube: FakeKube, tmp_path: Path, programs: Programs) -> None:
    kubectl = programs.add("kubectl", "echo 'error: conflict' >&2; exit 1")
    kube.kubeconfig, kube.context = tmp_path / "config", None  # type: ignore[attr-defined]
    switch = KustomizeSwitch(kube.kube, "ns", config_in(tmp_path), kubectl, tmp_path / "kustomize")
    with pytest.raises(ClusterError, match="conflict"):
        switch.flip("green")


class WithIngress(FakeKube):
    """A cluster with one Ingress, changed by merge patches."""

    def __init__(self, item: dict[str, Any]) -> None:
        super().__init__()
        self.item = item

    def get_object(self, namespace: str, resource: str, group: str, name: str) -> dict[str, Any]:
        assert (resource, group) == ("ingresses", "networking.k8s.io/v1")
        held = {"manager": self.manager, "fieldsV1": {"f:spec": {"f:rules": {}}}}
        return {**self.item, "metadata": {"name": name, "managedFields": [held]}}

    def patch_object(
        self, namespace: str, resource: str, group: str, name: str, body: dict[str, Any], manager: str
    ) -> str:
        self.manager = manager
        self.item = {**self.item, "spec": {**self.item["spec"], **body["spec"]}}
        return "9"


def objects() -> list[dict[str, Any]]:
    def service(name: str, port: int, selector: dict[str, str]) -> dict[str, Any]:
        ports = [{"port": port, "targetPort": "http"}]
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": selector, "ports": ports},
        }

    backend = {"service": {"name": "shop", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "shop"},
        "spec": {"rules": [{"host": "shop.example.com", "http": {"paths": paths}}]},
    }
    sides = [service(f"shop-{side}", 8000, {"app": "shop", "color": side}) for side in ("blue", "green")]
    return [service("shop", 80, {"app": "shop", "color": "blue"}), *sides, ingress]


def test_the_ingress_leads_to_a_side_s_own_service(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    given = objects()
    kube = WithIngress(given[-1])
    switch = IngressSwitch(kube.kube, "ns", config)
    *_, kube.item, both = switch.prepare(given)
    assert both["metadata"]["name"] == "shop-both"
    assert [backend["name"] for backend in backends(both["spec"])] == ["shop-blue", "shop-green"]
    assert both["spec"]["rules"][0]["host"] == "ns.both.invalid"
    assert given == objects()
    (path,) = kube.item["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"] == {"service": {"name": "shop-blue", "port": {"number": 8000}}}
    assert switch.active() == "blue"
    assert switch.services() == ("shop-blue", "shop-green")
    switch.flip("green")
    assert switch.active() == "green"
    assert switch.written() == Written("Ingress/shop", "spec.rules", (MANAGER,), MANAGER)
    kube.item = objects()[-1]
    with pytest.raises(ConfigurationError, match="leads to shop, which is no one side"):
        switch.active()


def test_without_an_ingress_there_is_no_such_switch(kube: FakeKube, tmp_path: Path) -> None:
    text = CONFIG.replace('[ingress]\nname = "shop"\nhost = "shop.example.com"\n', "")
    with pytest.raises(ConfigurationError, match=r"no \[ingress\]"):
        IngressSwitch(kube.kube, "ns", config_in(tmp_path, text))


def test_managers_are_those_of_the_field_alone() -> None:
    entries = [
        {"manager": "helm", "fieldsV1": {"f:spec": {"f:selector": {".": {}}}}},
        {"manager": "helm", "fieldsV1": {"f:spec": {"f:selector": {}}}},
        {"manager": "other", "fieldsV1": {"f:spec": {"f:ports": {}}}},
        {"manager": "bare"},
    ]
    item = {"metadata": {"managedFields": entries}}
    assert managers(item, "spec", "selector") == ("helm",)
    assert managers({"metadata": {}}, "spec", "selector") == ()


def test_switches_are_named_by_a_list_or_all_at_once() -> None:
    assert named("all") == tuple(KNOWN)
    assert named("kustomize, selector,kustomize") == ("kustomize", "selector")
    with pytest.raises(ConfigurationError, match="kustomise") as refused:
        named("kustomise")
    assert refused.value.mend == "did you mean kustomize?"


def test_each_switch_is_made_by_its_own_name(kube: FakeKube, tmp_path: Path) -> None:
    program = tmp_path / "program"
    means = Means(
        kube=kube.kube,
        namespace="ns",
        config=config_in(tmp_path),
        kubectl=program,
        helm=lambda: program,
        rollouts=lambda: program,
        gateway=lambda: "gateways/shop",
        folder=tmp_path,
        event=lambda *_, **__: None,
        apart={"blue": "ns-blue", "green": "ns-green"},
    )
    assert [kind.make(means).name for kind in KNOWN.values()] == list(KNOWN)
    assert all(kind.paths for kind in KNOWN.values())


def two_steps(old_until: float) -> Any:
    """Both sides answer from the first step on; the second one comes 2 s later, and old answers until ``old_until``."""
    events = [
        event(6.0, "switch.narrowed", to_side="green"),
        event(6.02, "cutover.acknowledged", move="cutover", resource_version="8"),
        event(6.1, "selector.observed", value="green"),
    ]
    calm = play(World(flips=[Flip(4.0, acknowledged=False)], events=events))
    samples = calm.samples
    late = (samples["sent"] > at(4.6)) & (samples["sent"] < at(old_until)) & (samples["cls"] == CODES["fresh"])
    return changed(calm, np.flatnonzero(late)[::2], revision=calm.id_of("v1"))


@pytest.mark.parametrize("promise", [only("v2", within=2.0), no_flip_back()])
def test_the_window_in_which_both_sides_are_meant_to_answer_is_no_fault(promise: Any) -> None:
    assert judge(two_steps(7.9), [promise])[0].verdict == "pass"
    assert judge(two_steps(8.6), [promise])[0].verdict == "fail"


def test_who_else_held_the_selector_is_told() -> None:
    def written(*managers: str) -> Any:
        fields = {"object": "Service/shop", "field": "spec.selector", "managers": list(managers), "tool": "helm"}
        return having(play(World()), event(4.1, "switch.written", move="cutover", **fields))

    def judged(timeline: Any) -> Any:
        return next(one for one in judge(timeline, []) if one.check == "moved_by_tool")

    assert judged(written("helm")).verdict == "pass"
    found = judged(written("helm", "kubectl-edit"))
    assert (found.verdict, found.measured) == ("fail", 1)
    assert "held by helm, kubectl-edit, not by helm alone" in found.detail
    assert judged(written()).verdict == "fail"
    assert not [one for one in judge(play(World()), []) if one.check == "moved_by_tool"]


def record(switch: str, path: str, *, expect: str = "no_loss", lost: int = 0, first: float = 100.0) -> dict[str, Any]:
    move = {"acknowledged_ms": 9.0, "first_new_ms": first, "mixed_ms": 1.0, "last_old_ms": {"fresh": first + 1}}
    return {
        "switch": switch,
        "path": path,
        "expect": expect,
        "verdict": "pass",
        "release_seconds": 12.5,
        "samples": {"by_class": {"fresh": {"failed": lost, "unknown": 0}, "busy": {"failed": 0, "unknown": 0}}},
        "sockets": {"bad": 2},
        "moves": [{"move": "cutover", **move}, {"move": "rollback", **move, "first_new_ms": None}],
    }


def test_the_table_has_each_switch_and_path_with_its_spread() -> None:
    records = [
        record("selector", "service", first=100),
        record("selector", "service", first=300, lost=3),
        record("selector", "service", expect="loses", lost=99),
        record("ingress", "ingress"),
        {"switch": "", "path": "service"},
    ]
    told = table.document(records)["switches"]
    assert list(told) == ["selector", "ingress"]
    cell = told["selector"]["paths"]["service"]
    assert cell["repeats"] == 4
    assert cell["lost"] == {"fresh": 3, "busy": 0, "websocket": 4}
    assert cell["first_new_ms"] == {"median": 200, "min": 100, "max": 300}
    assert cell["rollback_first_ms"] == {}
    assert cell["release_s"]["median"] == 12.5
    assert cell["verdicts"] == {"pass": 2}


def deployments() -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": f"shop-{side}", "annotations": {"says": "{{ not a template }}"}},
            "spec": {
                "replicas": replicas,
                "template": {"spec": {"containers": [{"name": "api", "image": "localhost/shop:v1"}]}},
            },
        }
        for side, replicas in (("blue", 4), ("green", 0))
    ]


SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "stringData": {"key": "hush"}}


def test_a_chart_has_the_colors_as_values_and_everything_else_as_it_is(tmp_path: Path) -> None:
    files = chart(config_in(tmp_path), [*deployments(), *objects()])
    assert yaml.safe_load(files["values.yaml"]) == {
        "liveColor": "blue",
        "blue": {"image": {"tag": "v1"}, "replicas": 4},
        "green": {"image": {"tag": "v1"}, "replicas": 0},
    }
    green = files["templates/01-deployment-shop-green.yaml"]
    assert "replicas: {{ .Values.green.replicas }}\n" in green
    assert "image: localhost/shop:{{ .Values.green.image.tag }}\n" in green
    assert '{{ "{{" }} not a template }}' in green
    assert "color: {{ .Values.liveColor | quote }}\n" in files["templates/02-service-shop.yaml"]
    schema = json.loads(files["values.schema.json"])
    assert schema["properties"]["liveColor"] == {"enum": ["blue", "green"]}


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("localhost/shop:v1", ("localhost/shop", "v1")),
        ("localhost:5000/shop", ("localhost:5000/shop", "latest")),
        ("localhost:5000/shop:v2", ("localhost:5000/shop", "v2")),
    ],
)
def test_an_image_is_repository_and_tag(image: str, parts: tuple[str, str]) -> None:
    assert split(image) == parts


def test_helm_installs_deploys_moves_users_and_rolls_back(kube: FakeKube, tmp_path: Path, programs: Programs) -> None:
    program = programs.add("helm")
    kube.kubeconfig, kube.context = tmp_path / "config", None  # type: ignore[attr-defined]
    folder = tmp_path / "chart"
    switch = HelmSwitch(kube.kube, "ns", config_in(tmp_path), program, folder)
    assert switch.install([SECRET, *deployments(), *objects()])
    assert kube.calls == [("apply", "Secret", "token")]
    assert not any("hush" in file.read_text() for file in folder.rglob("*") if file.is_file())
    assert switch.put("green", "localhost/shop:v2", 4)
    switch.flip("green")
    switch.flip("blue")
    switch.put("green", "localhost/shop:v3", 4)
    switch.flip("green")
    switch.put("blue", None, 0)
    where = ["--namespace", "ns", "--kubeconfig", str(tmp_path / "config")]
    upgrade = ["upgrade", "shop", str(folder), "--reuse-values"]
    calls = [call[1:] for call in programs.calls("helm")]
    assert calls == [
        ["lint", "--strict", str(folder)],
        ["install", "shop", str(folder), *where],
        [*upgrade, "--set-string", "green.image.tag=v2", "--set", "green.replicas=4", *where],
        [*upgrade, "--set-string", "liveColor=green", *where],
        ["rollback", "shop", "2", *where],
        [*upgrade, "--set-string", "green.image.tag=v3", "--set", "green.replicas=4", *where],
        [*upgrade, "--set-string", "liveColor=green", *where],
        [*upgrade, "--set", "blue.replicas=0", *where],
    ]


def test_a_revision_that_the_cluster_refused_is_counted(kube: FakeKube, tmp_path: Path, programs: Programs) -> None:
    refusing = """case "$1" in
upgrade) echo 'Error: conflict with "kubectl"' >&2; exit 1;;
history) echo '[{"revision": 7, "status": "failed"}]';;
esac"""
    program = programs.add("helm", refusing)
    kube.kubeconfig, kube.context = tmp_path / "config", None  # type: ignore[attr-defined]
    switch = HelmSwitch(kube.kube, "ns", config_in(tmp_path), program, tmp_path / "chart")
    with pytest.raises(ClusterError, match="conflict with"):
        switch.flip("green")
    program.write_text(program.read_text().replace("exit 1", "exit 0"))
    assert switch.flip("green").resource_version == "helm revision 8"
    switch.flip("blue")
    assert programs.calls("helm")[-1][1:4] == ["rollback", "shop", "7"]


def test_what_helm_refuses_was_refused(kube: FakeKube, tmp_path: Path, programs: Programs) -> None:
    program = programs.add("helm", "echo 'Error: conflict with \"kubectl-patch\"' >&2; exit 1")
    kube.kubeconfig, kube.context = tmp_path / "config", None  # type: ignore[attr-defined]
    with pytest.raises(ClusterError, match="conflict with"):
        HelmSwitch(kube.kube, "ns", config_in(tmp_path), program, tmp_path / "chart").flip("green")
