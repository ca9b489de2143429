"""The switch argo-rollouts: what becomes of two Deployments, what the plugin is asked, how a side is found."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from harness.cluster import answers, kube_break
from harness.cluster.kube_rollouts import HASH, state
from harness.errors import ClusterError, ConfigurationError, IllegalMove
from harness.journal import Journal
from harness.release import smoke
from harness.release.switches import argo
from harness.release.switches.argo import ArgoSwitch
from harness.release.switches.rollout_objects import rolled, standing
from harness.release.verbs import Release
from tests.fake_kube import FakeClock, config_in
from tests.fake_rollouts import FakeRollouts

Json = dict[str, Any]
IMAGE = "localhost/shop:{}"


def objects() -> list[Json]:
    """What an application with a color for each side has."""

    def service(name: str, color: str) -> Json:
        spec = {"selector": {"app": "shop", "color": color}, "ports": [{"port": 80, "targetPort": "http"}]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}

    def side(color: str, replicas: int) -> Json:
        labels = {"app": "shop", "color": color}
        spread = {"labelSelector": {"matchLabels": labels}, "matchLabelKeys": ["pod-template-hash"]}
        container = {
            "name": "api",
            "image": IMAGE.format("v1"),
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}},
            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        }
        pod = {"containers": [container], "topologySpreadConstraints": [spread]}
        spec = {
            "replicas": replicas,
            "strategy": {"type": "RollingUpdate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        metadata = {"name": f"shop-{color}", "labels": {**labels, "owned": "yes"}}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}

    def budget(color: str) -> Json:
        spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "shop", "color": color}}}
        metadata = {"name": f"shop-{color}"}
        return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}

    colors = ("blue", "green")
    return copy.deepcopy(
        [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "stringData": {"key": "hush"}},
            service("shop", "blue"),
            *(service(f"shop-{color}", color) for color in colors),
            *(budget(color) for color in colors),
            side("blue", 4),
            side("green", 0),
        ]
    )


class Bench:
    """The switch on a cluster in memory, with the first version live."""

    def __init__(self, folder: Path) -> None:
        self.fake = FakeRollouts()
        self.events: list[str] = []
        self.switch = ArgoSwitch(
            self.fake.kube, "ns", config_in(folder), Path("plugin"), lambda name, **_: self.events.append(name)
        )
        prepared = self.switch.prepare(objects())
        self.fake.install(next(one for one in prepared if one["kind"] == "Rollout"))

    def status(self, side: str) -> answers.RolloutStatus:
        found = self.switch.sides.stand_in(f"shop-{side}")
        assert found is not None
        return answers.rollout_status(found)

    def deploy(self, side: str, version: str) -> None:
        self.switch.put(side, IMAGE.format(version), 4)
        assert self.status(side).done and self.status(side).ready == 4


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(tmp_path)
    monkeypatch.setattr(argo, "run", made.fake.plugin)
    monkeypatch.setattr(argo, "MOVED_SECONDS", 0.05)
    monkeypatch.setattr(argo, "EVERY_SECONDS", 0.01)
    return made


def test_two_deployments_become_one_rollout_without_colors(tmp_path: Path) -> None:
    given = objects()
    changed, live = rolled(config_in(tmp_path), given)
    assert live == "blue" and given == objects()
    named = {(one["kind"], one["metadata"]["name"]): one for one in changed}
    assert list(named) == [
        ("Secret", "token"),
        ("Service", "shop"),
        ("Service", "shop-preview"),
        ("PodDisruptionBudget", "shop-blue"),
        ("Rollout", "shop"),
    ]
    assert "color" not in str(changed)
    assert named["Service", "shop"]["spec"]["selector"] == {"app": "shop"}
    rollout = named["Rollout", "shop"]
    assert rollout["metadata"]["labels"] == {"app": "shop", "owned": "yes"}
    spec = rollout["spec"]
    assert spec["replicas"] == 4 and spec["selector"] == {"matchLabels": {"app": "shop"}}
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert spread["matchLabelKeys"] == [HASH]
    assert spec["strategy"] == {
        "blueGreen": {
            "activeService": "shop",
            "previewService": "shop-preview",
            "autoPromotionEnabled": False,
            "scaleDownDelaySeconds": 1800,
            "scaleDownDelayRevisionLimit": 1,
        }
    }


def test_pods_that_only_their_color_tells_from_others_are_refused(tmp_path: Path) -> None:
    given = objects()
    for item in given:
        if item["kind"] == "Service":
            del item["spec"]["selector"]["app"]
    with pytest.raises(ConfigurationError, match="only color tells"):
        rolled(config_in(tmp_path), given)


def template_of(bench: Bench, side: str) -> Json:
    """A side's containers, as whoever compares both sides reads them."""
    found = bench.switch.sides.stand_in(f"shop-{side}")
    assert found is not None
    return dict(found["spec"]["template"]["spec"])


def test_a_release_is_what_the_plugin_is_asked(bench: Bench) -> None:
    switch, fake = bench.switch, bench.fake
    assert switch.active() == "blue" and bench.status("blue").done
    assert bench.status("green").wanted == 0
    assert template_of(bench, "green") == template_of(bench, "blue")
    bench.deploy("green", "v2")
    assert (switch.active(), fake.selector[HASH]) == ("blue", "v1hash")
    assert switch.preview("green") == "shop-preview"
    switch.check("cutover", "green")
    switch.flip("green")
    assert (switch.active(), fake.selector[HASH], switch.color("green")) == ("green", "v2hash", "v2hash")
    switch.check("rollback", "blue")
    switch.flip("blue")
    assert (switch.active(), fake.selector[HASH]) == ("blue", "v1hash")
    assert fake.said == [
        f"set image shop api={IMAGE.format('v2')}",
        "promote shop",
        "undo shop --to-revision=1",
    ]
    assert bench.events == ["rollout.asked"] * 2


def test_every_verb_of_a_release_works_on_replica_sets(bench: Bench, tmp_path: Path) -> None:
    """Static checks and the gate of the probes included: they read what stands for two Deployments."""
    fake, switch = bench.fake, bench.switch
    fake.stand_in = switch.sides.stand_in
    fake.usage = [{"open": 0, "arrivals": 0}]
    with Journal(tmp_path / "run") as journal:
        release = Release(
            fake.kube, config_in(tmp_path), switch, journal, "ns", smoke_image="smoke:1", clock=FakeClock().clock
        )
        release.observer.static = True
        release.install("v1", switch.prepare(objects()))
        for goes_back in (True, False):
            if release.version_of("green") is None:
                release.deploy("v2")
            release.smoke()
            release.cutover()
            if goes_back:
                release.rollback()
        release.retire(after=0)
        release.deploy("v1", at_once=3)
        release.smoke()
        release.cutover()
        release.close()
    told = [json.loads(line) for line in journal.path.read_text().splitlines()]
    moves = [one for one in told if one["name"] == "cutover.planned"]
    assert [(one["move"], one["to_side"], one["to_revision"]) for one in moves] == [
        ("cutover", "green", "v2"),
        ("rollback", "blue", "v1"),
        ("cutover", "green", "v2"),
        ("cutover", "blue", "v1"),
    ]
    assert [one["color"] for one in told if one["name"] == "deploy.ready"] == ["v2hash", "v1hash"]
    assert {tuple(one["managers"]) for one in told if one["name"] == "switch.written"} == {("rollouts-controller",)}
    checked = [one["faults"] for one in told if one["name"] == "static.checked"]
    assert len(checked) == 3 and not [fault for faults in checked for fault in faults if fault["refuses"]]
    described = [one for one in told if one["name"] == "service.described" and one["role"] == "users"]
    assert described[-1]["matches"] == {"blue": ["shop-blue"], "green": ["shop-green"]}


def test_a_way_back_that_the_controller_pauses_is_promoted(bench: Bench) -> None:
    """Where a pod of the side that was left isn't ready in that moment, the delay is over when it is."""
    bench.deploy("green", "v2")
    bench.switch.flip("green")
    bench.fake.left.clear()
    bench.switch.flip("blue")
    assert bench.fake.said[-2:] == ["undo shop --to-revision=1", "promote shop"]
    assert bench.switch.active() == "blue"


def test_a_side_that_was_rolled_back_is_put_before_promotion_again(bench: Bench) -> None:
    bench.deploy("green", "v2")
    bench.switch.flip("green")
    bench.switch.flip("blue")
    with pytest.raises(IllegalMove, match="another template"):
        bench.switch.check("cutover", "green")
    bench.fake.said.clear()
    assert bench.switch.preview("green") == "shop-preview"
    assert bench.switch.active() == "blue"
    bench.switch.check("cutover", "green")
    bench.switch.flip("green")
    assert bench.fake.said == ["undo shop --to-revision=2", "promote shop"]
    assert bench.switch.active() == "green"


def test_the_way_back_skips_a_version_that_users_never_had(bench: Bench) -> None:
    bench.deploy("green", "v2")
    bench.deploy("green", "v3")
    assert bench.fake.sets["shop-v2hash"]["spec"]["replicas"] == 0
    bench.switch.flip("green")
    bench.switch.flip("blue")
    assert bench.fake.said[-1] == "undo shop --to-revision=1"
    assert bench.switch.active() == "blue"


def test_what_argo_would_take_for_a_way_back_is_refused(bench: Bench) -> None:
    bench.deploy("green", "v2")
    bench.switch.flip("green")
    asked = list(bench.fake.said)
    with pytest.raises(IllegalMove, match="moves users at once"):
        bench.switch.put("blue", IMAGE.format("v1"), 4)
    with pytest.raises(IllegalMove, match="blue is the way back"):
        bench.switch.preview("blue")
    assert bench.fake.said == asked and bench.switch.active() == "green"
    bench.switch.put("blue", None, 0)
    assert bench.status("blue").wanted == 0
    bench.deploy("blue", "v1")
    assert bench.switch.active() == "green"
    bench.switch.check("cutover", "blue")


def test_a_service_without_the_hash_is_refused_a_release(bench: Bench) -> None:
    """The controller would take whatever comes for the first version, and move users to it."""
    bench.status("blue")
    del bench.fake.selector[HASH]
    with pytest.raises(IllegalMove, match="would move users at once") as refused:
        bench.switch.put("green", IMAGE.format("v2"), 4)
    assert refused.value.mend == f"put it back: {HASH}=v1hash"
    assert not bench.fake.said


def test_pods_start_a_few_at_a_time_as_preview_replicas(bench: Bench) -> None:
    sizes = []
    for size in (1, 3, 4):
        bench.switch.put("green", IMAGE.format("v2"), size)
        sizes.append(bench.status("green").wanted)
        assert bench.status("green").done
    assert sizes == [1, 3, 4]
    assert bench.fake.said == [f"set image shop api={IMAGE.format('v2')}"]
    assert bench.fake.calls == [("spec", "previewReplicaCount", size) for size in ("1", "3", "None")]


def test_an_aborted_release_is_not_promoted_and_may_be_tried_again(bench: Bench) -> None:
    bench.deploy("green", "v2")
    bench.switch.abort()
    assert bench.events == ["rollout.aborted"]
    with pytest.raises(IllegalMove, match="doesn't wait to be promoted"):
        bench.switch.check("cutover", "green")
    bench.switch.put("green", IMAGE.format("v2"), 4)
    assert bench.fake.said[-2:] == ["abort shop", "retry rollout shop"]
    bench.switch.check("cutover", "green")


def test_a_controller_that_does_nothing_is_no_cutover(bench: Bench) -> None:
    bench.deploy("green", "v2")
    bench.fake.asleep = True
    with pytest.raises(ClusterError, match="Service shop to lead to green: Paused"):
        bench.switch.flip("green")
    assert bench.switch.active() == "blue"


def test_a_template_that_the_controller_has_not_seen_is_not_up(bench: Bench) -> None:
    bench.status("blue")
    bench.fake.asleep = True
    bench.switch.put("green", IMAGE.format("v2"), 4)
    assert not bench.status("green").done
    with pytest.raises(IllegalMove, match="another template"):
        bench.switch.check("cutover", "green")


def test_somebody_elses_template_is_the_idle_sides_from_then_on(bench: Bench) -> None:
    """A fault changes what it takes for the idle side's Deployment."""
    bench.deploy("green", "v2")
    bench.fake.starting = True
    kube = bench.fake.kube
    kube.stand_in = bench.switch.sides.stand_in

    def change(fields: Json) -> None:
        containers = [{"name": "api", **fields}]
        kube_break.patch_deployment(
            kube, "ns", "shop-green", {"spec": {"template": {"spec": {"containers": containers}}}}
        )

    change({"image": "image.invalid/nothing:1"})
    assert (bench.status("green").ready, bench.switch.color("green")) == (0, "1hash")
    with pytest.raises(IllegalMove, match="doesn't wait"):
        bench.switch.check("cutover", "green")
    bench.fake.starting = False
    change({"image": IMAGE.format("v2")})
    assert bench.status("green").done and bench.switch.color("green") == "v2hash"
    assert bench.switch.active() == "blue"


def test_a_selector_that_nobody_knows_is_neither_side(bench: Bench) -> None:
    bench.deploy("green", "v2")
    bench.fake.selector = {"app": "shop", HASH: "strange"}
    with pytest.raises(ConfigurationError, match="no side's"):
        bench.switch.active()
    sides = bench.switch.sides
    assert sides.selected(bench.fake.selector) == "strange"
    assert sides.selected({"app": "shop", HASH: "v2hash"}) == "green"
    assert sides.selected({"app": "shop"}) is None


def test_the_idle_side_is_checked_by_the_preview_service(bench: Bench, tmp_path: Path) -> None:
    bench.deploy("green", "v2")
    job = smoke.job(config_in(tmp_path), "green", "v2", "smoke:1", 1, bench.switch.preview("green"))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"][:2] == ["--url", "http://shop-preview:80/"]


def test_pods_are_told_by_their_hash(bench: Bench) -> None:
    sides = bench.switch.sides
    bench.status("blue")
    assert sides.of_pod("shop-v1hash-abcde") == "blue"
    assert sides.of_pod("shop-early-abcde") == "green"
    assert sides.of_pod("smoke-green-1-abcde") == "other"
    assert sides.of_pod("shop") == "other"
    assert sides.stand_in("somebody-elses") is None


def test_a_replica_set_stands_as_a_deployment_of_the_size_that_is_wanted() -> None:
    strategy: Json = {"blueGreen": {}}
    template: Json = {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": []}}
    rollout: Json = {
        "kind": "Rollout",
        "metadata": {"generation": 2, "name": "shop"},
        "spec": {"replicas": 4, "strategy": strategy, "template": template},
        "status": {
            "observedGeneration": "2",
            "currentPodHash": "new",
            "blueGreen": {"activeSelector": "old"},
            "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "too late"}],
        },
    }

    def status(hash_: str, **fields: Any) -> answers.RolloutStatus:
        side = {
            "metadata": {"labels": {HASH: hash_}},
            "spec": {"replicas": 0, "selector": {}, "template": template},
            "status": fields,
        }
        return answers.rollout_status(standing("shop-green", rollout, state(rollout), side))

    begun = status("new")
    assert (begun.wanted, begun.done, begun.failed) == (4, False, True)
    assert "too late" in begun.message
    old = status("old")
    assert (old.wanted, old.done, old.failed) == (0, True, False)
    rollout["metadata"]["generation"] = 3
    assert not status("new", replicas=4, readyReplicas=4, availableReplicas=4).done
    none = answers.rollout_status(standing("shop-green", rollout, state(rollout), None))
    assert (none.wanted, none.observed) == (0, False)
