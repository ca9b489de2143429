"""Each cause is found by its traces, and not where the best confusable neighbor left nearly the same ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.checks.caught import TWINS, explained
from harness.checks.finding import FAIL
from harness.checks.promises import GATE, only
from harness.checks.registry import judge
from harness.diagnosis.ranking import UNKNOWN, diagnose
from harness.diagnosis.rule import rules
from harness.evidence.timeline import Timeline
from tests.broken import (
    FLIP_S,
    Change,
    Record,
    budget,
    container,
    deployment,
    mutated,
    pod_spec,
    policy,
)
from tests.simulated import event

ROOT = Path(__file__).parents[1]


def failed(timeline: Timeline) -> list[str]:
    findings = judge(timeline, (*GATE, only("v2", classes=["busy"])) if timeline.first("busy.wanted") else GATE)
    return [one.check for one in findings if one.verdict == FAIL and one.check not in TWINS]


def ids(timeline: Timeline) -> list[str]:
    return [one["id"] for one in diagnose(timeline, failed(timeline))]


def without(key: str) -> Change:
    return lambda item: container(item).pop(key)


def probing(**how: Any) -> Change:
    return lambda item: container(item)["readinessProbe"].update(how)


def green(change: Change) -> list[dict[str, Any]]:
    return mutated(green=change)


# -- rollouts -------------------------------------------------------------------------------------------------------


def unready(items: list[dict[str, Any]], reason: str = "deploy: not ready in time", **pod: Any) -> Record:
    record = Record(items, flipped=False)
    return record.pod("green-1", "green", -1.0, **pod).refused("deploy", reason)


def wrong_probe_port() -> Record:
    record = unready(green(probing(httpGet={"path": "/ready", "port": 8082})))
    return record.warned("Unhealthy", "Readiness probe failed: dial tcp 10.0.0.7:8082: connect: connection refused")


def readiness_never_ok() -> Record:
    record = unready(green(probing(httpGet={"path": "/nope", "port": "http"})))
    return record.warned("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404")


def image_not_there() -> Record:
    return unready(mutated(), running=False, waiting="ImagePullBackOff")


def secret_missing() -> Record:
    item = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}}
    record = unready(green(lambda one: container(one)["env"].append(item)), running=False,
                     waiting="CreateContainerConfigError")  # fmt: skip
    return record.warned("Failed", 'Error: secret "keys" not found')


def no_room() -> Record:
    record = Record(mutated(), flipped=False).refused("deploy", "deploy: not ready in time: 0 of 4 pods ready")
    return record.warned("FailedCreate", 'pods "shop-green-1" is forbidden: exceeded quota: small, requested: pods=1')


def memory_too_small() -> Record:
    return unready(mutated(), running=False, restarts=2, last_exit=137, last_reason="OOMKilled",
                   waiting="CrashLoopBackOff")  # fmt: skip


def init_container_fails() -> Record:
    init = {"name": "migrate", "image": "shop:v2"}
    items = green(lambda one: pod_spec(one).update(initContainers=[init]))
    return unready(items, running=False, init_failed=True, last_exit=1, waiting="CrashLoopBackOff")


def keep_alive_longer_than_drain() -> Record:
    reason = "deploy: not ready\n  log x/api: ValueError: KEEP_ALIVE=60 must be shorter than DRAIN=30"
    return unready(mutated(), reason, running=False, restarts=1, last_exit=1, waiting="CrashLoopBackOff")


def crashes_at_start() -> Record:
    reason = "deploy: not ready\n  log x/api: KeyError: 'HOME'"
    return unready(mutated(), reason, running=False, restarts=1, last_exit=1, waiting="CrashLoopBackOff")


def first_version_crashes() -> Record:
    """The side that users were to begin on: nothing is installed, and nobody has observed its pods until then."""
    record = Record(mutated(), flipped=False).without("install.ready", "slice.changed", "selector.observed")
    return record.pod(
        "blue-1", "blue", 3.0, running=False, restarts=2, last_exit=1, waiting="CrashLoopBackOff"
    ).refused("install", "install: blue (v1) was not ready")


# -- the switch -----------------------------------------------------------------------------------------------------


def nowhere(items: list[dict[str, Any]]) -> Record:
    """Nothing is behind the Service once it was switched."""
    return Record(items).without("slice.changed").ready().lose(FLIP_S + 0.3, 12).slice(FLIP_S + 0.1, 0)


def selector_misspelt() -> Record:
    def relabel(item: dict[str, Any]) -> None:
        item["spec"]["template"]["metadata"]["labels"]["color"] = "gren"

    return nowhere(green(relabel))


def misspelt_later() -> Record:
    record = Record().ready().lose(FLIP_S + 2, 12)
    return record.selected(FLIP_S + 2, "greenx").slice(FLIP_S + 2.1, 0)


def selector_empty() -> Record:
    record = Record().ready().selected(FLIP_S + 2, None, {}).lose(FLIP_S + 4, 8, every=4)
    return record.stopped("green-0", "green", FLIP_S + 3.5, 3.0)


def selector_too_wide() -> Record:
    record = Record().ready().selected(FLIP_S + 2, None).answers(FLIP_S + 2.3, 12, "v1", every=2)
    return record.slice(FLIP_S + 2.1, 8, blue=4, green=4)


def stray() -> Record:
    trial = deployment("green", "shop:v1", 2, "shop-trial")
    record = Record([*mutated(), trial]).ready().answers(FLIP_S + 1, 12, "v1", every=3)
    return record.slice(FLIP_S + 0.1, 6, green=4, other=2)


def stray_in_smoke() -> Record:
    trial = deployment("green", "shop:v1", 2, "shop-trial")
    record = Record([*mutated(), trial], flipped=False)
    return record.refused("smoke", "smoke: 14 of 20; request 2: revision v1, expected v2")


def wrong_target_port() -> Record:
    def rename(item: dict[str, Any]) -> None:
        container(item)["ports"][0]["name"] = "web"
        container(item)["readinessProbe"]["httpGet"]["port"] = 8080

    return Record(green(rename)).ready().lose(FLIP_S + 0.3, 12)


def wrong_target_port_in_smoke() -> Record:
    def rename(item: dict[str, Any]) -> None:
        container(item)["ports"][0]["name"] = "web"
        container(item)["readinessProbe"]["httpGet"]["port"] = 8080

    return Record(green(rename), flipped=False).refused("smoke", "smoke: request 1: ConnectError: refused")


def second_writer() -> Record:
    record = Record().ready().selected(FLIP_S + 2, "blue").answers(FLIP_S + 2.3, 12, "v1")
    return record.slice(FLIP_S + 2.1, 4, blue=4)


def endpoints_not_updated() -> Record:
    record = Record().without("slice.changed").ready().slice(12.15, 4, green=4)  # once nobody is there any more
    return record.answers(FLIP_S, 12, "v1")


def revision_header_wrong() -> Record:
    return Record().ready().answers(FLIP_S, 12, "v1", pod="green-1")


def revision_header_wrong_in_smoke() -> Record:
    return Record(flipped=False).refused("smoke", "smoke: 0 of 20; request 1: revision v1, expected v2")


def networkpolicy_one_side() -> Record:
    items = [*mutated(), policy(color="green")]
    return Record(items).ready().lose(FLIP_S + 0.3, 12, "connect_timeout", every=2)


def local_traffic_policy() -> Record:
    record = Record(mutated(users=lambda item: item["spec"].update(externalTrafficPolicy="Local"))).ready()
    samples = record.timeline.samples
    late = samples["intended"] > samples["intended"].min() + round((FLIP_S + 0.6) * 1e9)
    hit = np.flatnonzero(late & (samples["entry"] == 0) & (samples["nth"] == 1))
    from harness.evidence import samples as layout
    from tests.simulated import changed

    error = layout.ERRORS.index("connect_timeout")
    record.timeline = changed(record.timeline, hit, outcome=layout.FAILED, error=error, revision=0, pod=0)
    return record


def long_lived_connections() -> Record:
    return Record().ready().add(event(0, "busy.wanted"))


# -- steps ----------------------------------------------------------------------------------------------------------


def same_deployment_reused() -> Record:
    record = Record(flipped=False).without("deploy.started").answers(6, 12, "v2", every=2)
    record.add(*[one for one in _described_again() if one.fields.get("side") == "blue"])
    return record.refused("cutover", "cutover: nothing is deployed on green")


def _described_again() -> list[Any]:
    from tests.broken import described

    return described(mutated(blue=lambda item: container(item).update(image="shop:v2")), 7.0)


def by_hand(**world: Any) -> Record:
    return Record(flipped=False, **world).selected(FLIP_S, "green").slice(FLIP_S + 0.1, 4, green=4)


def promoted_before_smoke() -> Record:
    record = by_hand().ready().without("smoke.passed")
    record.add(event(-0.7, "smoke.failed", side="green", reason="smoke: status 500, expected 200"))
    return record.answers(FLIP_S + 0.2, 12, "v2").lose(FLIP_S + 0.2, 12, "app_5xx")


def cutover_before_smoke() -> Record:
    record = Record(flipped=False).ready().without("smoke.passed")
    return record.refused("cutover", "cutover: green (v2) has not passed smoke")


def promoted_before_ready() -> Record:
    record = Record(flipped=False).selected(FLIP_S, "green").slice(FLIP_S + 0.1, 0, green=4)
    record.pod("green-0", "green", FLIP_S + 3, ready=True).slice(FLIP_S + 3.1, 4, green=4)
    return record.lose(FLIP_S + 0.2, FLIP_S + 3.1)


def old_side_deleted() -> Record:
    record = Record().ready().without("pods.observed")
    told = {"ready": 0, "wanted": 4, "replicas": 0, "exists": False}
    return record.add(event(FLIP_S + 1, "pods.observed", side="blue", **told))


def old_side_scaled_down() -> Record:
    record = Record().ready().without("pods.observed")
    told = {"ready": 0, "wanted": 4, "replicas": 0, "exists": True}
    return record.add(event(FLIP_S + 1, "pods.observed", side="blue", **told))


def scaled_down_and_slow() -> Record:
    """The pods that end take the processor from those that have just got all users."""
    return old_side_scaled_down().delay(FLIP_S + 0.1, FLIP_S + 0.6, 1.2)


def version_fails_smoke() -> Record:
    return Record(flipped=False).refused("smoke", "smoke: 0 of 20; request 1: status 500, expected 200, revision='v2'")


# -- the end of pods ------------------------------------------------------------------------------------------------


def ending(items: list[dict[str, Any]], took: float, error: str = "closed", **pod: Any) -> Record:
    record = Record(items).ready()
    for number in range(4):
        record.pod(f"green-new-{number}", "green", 6.0, ready=True)
        record.stopped(f"green-{number}", "green", 6.5, took, **pod)
    return record.lose(6.6, 6.6 + min(took, 4) + 0.5, error, every=40)


def no_prestop() -> Record:
    return ending(green(without("lifecycle")), 1.5)


def exits_at_once() -> Record:
    return ending(mutated(), 1.0)


def grace_too_short() -> Record:
    return ending(green(lambda item: pod_spec(item).update(terminationGracePeriodSeconds=1)), 3.2)


def sigterm_ignored() -> Record:
    def shell(item: dict[str, Any]) -> None:
        container(item).pop("lifecycle")
        container(item)["command"] = ["/bin/sh", "-c", "serve"]
        pod_spec(item)["terminationGracePeriodSeconds"] = 3

    return ending(green(shell), 3.4)


def max_unavailable() -> Record:
    def greedy(item: dict[str, Any]) -> None:
        item["spec"]["strategy"]["rollingUpdate"] = {"maxUnavailable": "100%"}

    record = Record(green(greedy)).ready()
    for number in range(4):
        record.stopped(f"green-{number}", "green", 6.5, 4.0).pod(f"green-new-{number}", "green", 7.0)
    return record.lose(7.5, 9.5)


def pdb_missing() -> Record:
    record = Record(mutated(green_budget=None)).ready()
    for number in range(4):
        record.stopped(f"green-{number}", "green", 6.5, 4.0, evicted=True).pod(f"green-new-{number}", "green", 7.0)
    return record.lose(7.5, 9.5)


# -- running ----------------------------------------------------------------------------------------------------------


def no_readiness_probe() -> Record:
    record = Record(green(without("readinessProbe"))).ready().pod("green-new", "green", 7.0, ready=True)
    record.stopped("green-0", "green", 6.8, 4.0)
    return record.lose(7.05, 7.8, every=4)


def readiness_always_ok() -> Record:
    record = Record(green(probing(httpGet={"path": "/alive", "port": "http"}))).ready()
    record.add(event(0.0, "pods.entered", pods=["green-0"])).pod("green-0", "green", 9.0, restarts=1, last_exit=0)
    return record.lose(8.8, 9.5, every=4)


def liveness_kills_pods() -> Record:
    record = Record(
        green(lambda item: container(item)["livenessProbe"].update(httpGet={"path": "/no", "port": "http"}))
    )
    record.ready().add(event(0.0, "pods.entered", pods=["green-0"])).pod(
        "green-0", "green", 9.0, restarts=1, last_exit=0
    )
    record.warned("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 404")
    return record.lose(8.8, 9.5, every=4)


def version_breaks() -> Record:
    return Record().ready().lose(8, 12, "app_5xx")


def config_drift() -> Record:
    return (
        Record(green(lambda item: container(item)["env"].append({"name": "MODE", "value": "b"})))
        .ready()
        .lose(8, 12, "app_5xx")
    )


def fewer_replicas() -> Record:
    record = Record().ready().delay(FLIP_S + 0.6, 12, 1.5)
    return record.add(
        event(FLIP_S - 0.2, "pods.observed", side="green", ready=1, wanted=4, replicas=1, exists=True),
        event(FLIP_S - 0.2, "pods.observed", side="blue", ready=4, wanted=4, replicas=4, exists=True),
    )


def cpu_too_small() -> Record:
    slow = {"limits": {"cpu": "50m", "memory": "256Mi"}}
    return Record(green(lambda item: container(item).update(resources=slow))).ready().delay(FLIP_S + 0.6, 12, 1.5)


def cold_start() -> Record:
    return Record().ready().delay(FLIP_S + 0.5, FLIP_S + 2.0, 1.5, every=5)


# -- only objects -----------------------------------------------------------------------------------------------------


def refused_for(*faults: str) -> Record:
    told = [{"id": one, "text": f"something is {one}", "refuses": True} for one in faults]
    record = Record(flipped=False).ready().add(event(2.9, "static.checked", side="green", faults=told))
    return record.refused("cutover", "cutover: " + "; ".join(f"something is {one} ({one})" for one in faults))


def idle_close(**flags: int) -> Record:
    record = Record(mutated()).ready().lose(6.0, 6.1, "proxy_5xx", every=3)
    return record.add(event(9.0, "proxy.told", proxies=3, flags=flags, requests=[], unread=[]))


CASES: dict[str, list[Callable[[], Record]]] = {
    "wrong-probe-port": [wrong_probe_port],
    "readiness-never-ok": [readiness_never_ok],
    "image-not-there": [image_not_there],
    "secret-missing": [secret_missing],
    "no-room": [no_room],
    "memory-too-small": [memory_too_small],
    "init-container-fails": [init_container_fails],
    "keep-alive-longer-than-drain": [keep_alive_longer_than_drain],
    "crashes-at-start": [crashes_at_start, first_version_crashes],
    "selector-misspelt": [selector_misspelt, misspelt_later],
    "selector-empty": [selector_empty],
    "selector-too-wide": [selector_too_wide, stray, stray_in_smoke],
    "wrong-target-port": [wrong_target_port, wrong_target_port_in_smoke],
    "second-writer": [second_writer],
    "endpoints-not-updated": [endpoints_not_updated],
    "revision-header-wrong": [revision_header_wrong, revision_header_wrong_in_smoke],
    "networkpolicy-one-side": [networkpolicy_one_side],
    "local-traffic-policy": [local_traffic_policy],
    "long-lived-connections": [long_lived_connections],
    "same-deployment-reused": [same_deployment_reused],
    "promoted-before-smoke": [promoted_before_smoke, cutover_before_smoke],
    "promoted-before-ready": [promoted_before_ready],
    "old-side-deleted": [old_side_deleted],
    "old-side-scaled-down": [old_side_scaled_down, scaled_down_and_slow],
    "version-fails-smoke": [version_fails_smoke],
    "no-prestop": [no_prestop],
    "exits-at-once": [exits_at_once],
    "grace-too-short": [grace_too_short],
    "sigterm-ignored": [sigterm_ignored],
    "max-unavailable": [max_unavailable],
    "pdb-missing": [pdb_missing],
    "no-readiness-probe": [no_readiness_probe],
    "readiness-always-ok": [readiness_always_ok],
    "liveness-kills-pods": [liveness_kills_pods],
    "version-breaks-under-traffic": [version_breaks],
    "config-drift": [config_drift],
    "fewer-replicas": [fewer_replicas],
    "cpu-too-small": [cpu_too_small],
    "cold-start": [cold_start],
    "preview-public": [lambda: refused_for("preview-public")],
    "session-affinity": [lambda: refused_for("session-affinity")],
    "pdb-blocks": [lambda: refused_for("pdb-blocks")],
    "moving-tag": [lambda: refused_for("moving-tag")],
    "idle-close-behind-proxy": [lambda: idle_close(UC=2, UPE=1)],
}
NEIGHBORS = {
    "wrong-probe-port": "readiness-never-ok",
    "image-not-there": "secret-missing",
    "memory-too-small": "crashes-at-start",
    "init-container-fails": "crashes-at-start",
    "keep-alive-longer-than-drain": "crashes-at-start",
    "no-room": "image-not-there",
    "selector-misspelt": "promoted-before-ready",
    "selector-empty": "selector-too-wide",
    "second-writer": "endpoints-not-updated",
    "endpoints-not-updated": "revision-header-wrong",
    "wrong-target-port": "networkpolicy-one-side",
    "local-traffic-policy": "networkpolicy-one-side",
    "long-lived-connections": "endpoints-not-updated",
    "same-deployment-reused": "promoted-before-smoke",
    "promoted-before-smoke": "version-breaks-under-traffic",
    "old-side-deleted": "old-side-scaled-down",
    "version-fails-smoke": "revision-header-wrong",
    "no-prestop": "exits-at-once",
    "grace-too-short": "sigterm-ignored",
    "max-unavailable": "pdb-missing",
    "no-readiness-probe": "max-unavailable",
    "readiness-always-ok": "liveness-kills-pods",
    "version-breaks-under-traffic": "config-drift",
    "fewer-replicas": "cpu-too-small",
    "cold-start": "cpu-too-small",
    "preview-public": "session-affinity",
    "pdb-blocks": "moving-tag",
    "idle-close-behind-proxy": "exits-at-once",
}
"""The cause that leaves the most similar traces."""
ALL = [pytest.param(one, build, id=f"{one}-{n}") for one, builds in CASES.items() for n, build in enumerate(builds)]


@pytest.mark.parametrize(("expected", "build"), ALL)
def test_a_cause_is_found_by_its_traces(expected: str, build: Callable[[], Record]) -> None:
    timeline = build().done
    told = diagnose(timeline, failed(timeline))
    assert told[0]["id"] == expected, [(one["id"], one["for"], one["against"]) for one in told]
    assert told[0]["likely"]
    assert told[0]["for"]
    assert len(told) <= 3
    for other in told[1:]:
        assert other["against"] or other["likely"]


@pytest.mark.parametrize(("one", "other"), NEIGHBORS.items())
def test_neighbors_are_told_apart(one: str, other: str) -> None:
    for mine, theirs in ((one, other), (other, one)):
        for build in CASES[mine]:
            timeline = build().done
            likely = [found["id"] for found in diagnose(timeline, failed(timeline)) if found["likely"]]
            assert likely[0] == mine
            assert theirs not in likely or likely.index(mine) < likely.index(theirs)


def test_every_rule_has_a_case_and_a_neighbor() -> None:
    assert set(CASES) == set(rules())
    assert set(rules()) == set(NEIGHBORS) | set(NEIGHBORS.values())


def test_of_several_faults_that_a_cutover_was_refused_for_the_first_comes_first() -> None:
    assert ids(refused_for("session-affinity", "pdb-blocks").done)[:2] == ["session-affinity", "pdb-blocks"]
    assert ids(refused_for("pdb-blocks", "session-affinity").done)[:2] == ["pdb-blocks", "session-affinity"]


def test_what_nothing_explains_is_said_to_be_unknown() -> None:
    timeline = Record().ready().lose(9, 9.5, "truncated", every=9).done
    first, *others = diagnose(timeline, failed(timeline))
    assert first["id"] == UNKNOWN
    assert all(not one["likely"] and one["against"] for one in others)


def test_nothing_is_explained_where_nothing_failed() -> None:
    timeline = Record().ready().done
    assert failed(timeline) == []
    assert diagnose(timeline, []) == []
    assert explained(timeline, GATE, judge(timeline, GATE)) == []


def test_what_was_done_on_purpose_is_not_looked_at() -> None:
    timeline = no_readiness_probe().done
    before = diagnose(timeline, failed(timeline))
    told = [
        event(1, "fault.injected", kind="selector-misspelt"),
        event(1, "procedure.step", step="delete-idle"),
        event(-2, "mutant.applied", id="old-side-deleted", expected="old-side-deleted"),
    ]
    assert diagnose(Record.add(no_readiness_probe(), *told).done, failed(timeline)) == before


def test_no_rule_knows_a_mutant() -> None:
    for file in (ROOT / "harness" / "diagnosis").rglob("*.py"):
        assert not re.search(r"\bmutants?\b", file.read_text().replace('"mutant."', "")), file


def test_budgets_and_policies_of_both_sides_are_no_cause() -> None:
    items = [*mutated(), policy(app="shop"), budget("green", minAvailable=1)]
    timeline = Record(items).ready().lose(FLIP_S + 0.3, 12, "connect_timeout", every=2).done
    assert "networkpolicy-one-side" not in [one["id"] for one in diagnose(timeline, failed(timeline)) if one["likely"]]
