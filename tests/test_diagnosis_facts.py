"""What is written down of the cluster's objects, and the faults that show in it before users are moved."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.diagnosis import facts
from harness.diagnosis.lint import Facts, blocks, drifted, lint, moving
from harness.diagnosis.lives import lives
from harness.evidence.timeline import Timeline
from tests.broken import NAMES, Change, budget, container, deployment, mutated, pod_spec, policy, service
from tests.simulated import at, event


def known(items: list[dict[str, Any]], key: bytes = b"k") -> Facts:
    return Facts.of(facts.described(items, NAMES, key))


def found(items: list[dict[str, Any]]) -> dict[str, bool]:
    return {one.id: one.refuses for one in lint(known(items), "blue", "green")}


def test_a_sound_release_has_no_fault() -> None:
    assert found(mutated()) == {}


def test_a_selector_may_name_the_sides_otherwise() -> None:
    """As where a controller puts a hash of its own into the selector and the pods' labels."""
    items = mutated()
    for item in items:
        labels = item["spec"]["template"]["metadata"]["labels"] if item["kind"] == "Deployment" else {}
        labels["hash"] = {"blue": "7c4", "green": "5d9"}.get(labels.get("color", ""), "")
        if item["kind"] == "Service" and item["metadata"]["name"] == "shop":
            item["spec"]["selector"] = {"app": "shop", "hash": "7c4"}
    named = replace(NAMES, selector_key="hash", values={"blue": "7c4", "green": "5d9"})
    (users,) = (fields for _, fields in facts.described(items, named, b"k") if fields.get("role") == "users")
    assert users["matches"] == {"blue": ["shop-blue"], "green": ["shop-green"]}
    assert not lint(Facts.of(facts.described(items, named, b"k")), "blue", "green")


def label(item: dict[str, Any]) -> None:
    item["spec"]["template"]["metadata"]["labels"]["color"] = "gren"


def probe_port(port: object) -> Change:
    return lambda item: container(item)["readinessProbe"]["httpGet"].update(port=port)


def rename(item: dict[str, Any]) -> None:
    container(item)["ports"][0]["name"] = "web"
    container(item)["readinessProbe"]["httpGet"]["port"] = 8080
    container(item)["livenessProbe"]["httpGet"]["port"] = 8080


def spec(**values: Any) -> Change:
    return lambda item: item["spec"].update(values)


INGRESS: dict[str, Any] = {
    "kind": "Ingress",
    "metadata": {"name": "preview"},
    "spec": {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "shop-green"}}}]}}]},
}
FAULTS: list[tuple[str, bool, list[dict[str, Any]]]] = [
    ("no-readiness-probe", True, mutated(green=lambda item: container(item).pop("readinessProbe"))),
    ("wrong-probe-port", True, mutated(green=probe_port("htp"))),
    ("wrong-probe-port", False, mutated(green=probe_port(9999))),
    (
        "readiness-always-ok",
        False,
        mutated(green=lambda i: container(i)["readinessProbe"]["httpGet"].update(path="/alive")),
    ),
    ("selector-misspelt", True, mutated(green=label)),
    ("selector-empty", True, mutated(users=spec(selector={}))),
    ("selector-too-wide", True, [*mutated(), deployment("green", name="shop-trial")]),
    ("wrong-target-port", True, mutated(green=rename)),
    ("wrong-target-port", True, mutated(users=spec(ports=[{"port": 80, "targetPort": 9999}]))),
    ("session-affinity", True, mutated(users=spec(sessionAffinity="ClientIP"))),
    ("local-traffic-policy", False, mutated(users=spec(externalTrafficPolicy="Local"))),
    ("fewer-replicas", True, mutated(green=spec(replicas=3))),
    ("cpu-too-small", True, mutated(green=lambda i: container(i)["resources"]["limits"].update(cpu="50m"))),
    ("no-prestop", True, mutated(green=lambda item: container(item).pop("lifecycle"))),
    ("grace-too-short", True, mutated(green=lambda item: pod_spec(item).update(terminationGracePeriodSeconds=3))),
    ("max-unavailable", False, mutated(green=spec(strategy={"rollingUpdate": {"maxUnavailable": 1}}))),
    ("max-unavailable", False, mutated(green=spec(strategy={"type": "Recreate"}))),
    ("networkpolicy-one-side", True, [*mutated(), policy(color="green")]),
    ("preview-public", True, mutated(green_service=spec(type="NodePort"))),
    ("preview-public", True, [*mutated(), INGRESS]),
    ("pdb-missing", False, mutated(green_budget=None)),
    ("pdb-blocks", True, mutated(green_budget=spec(maxUnavailable=0))),
    ("moving-tag", True, mutated(green=lambda item: container(item).update(image="shop:latest"))),
    ("config-drift", False, mutated(green=lambda item: container(item)["env"].append({"name": "A", "value": "1"}))),
]


@pytest.mark.parametrize(("fault", "refuses", "items"), FAULTS, ids=[f"{one[0]}-{n}" for n, one in enumerate(FAULTS)])
def test_a_fault_shows(fault: str, refuses: bool, items: list[dict[str, Any]]) -> None:
    told = found(items)
    assert told.get(fault) is refuses
    others = {name for name, grave in told.items() if grave and name != fault}
    assert others == set(), "one fault is told as one"


def test_what_is_the_same_on_both_sides_is_no_drift_and_no_one_sided_policy() -> None:
    def both(change: Change) -> list[dict[str, Any]]:
        return mutated(blue=change, green=change)

    assert "no-prestop" in found(both(lambda item: container(item).pop("lifecycle")))
    assert not found(both(lambda item: container(item).pop("lifecycle")))["no-prestop"]
    assert "config-drift" not in found(both(lambda item: container(item)["env"].append({"name": "A", "value": "1"})))
    assert found([*mutated(), policy(app="shop")]) == {}
    two = [*mutated(), policy(color="green"), policy(color="blue")]
    two[-1]["metadata"]["name"] = "other"
    assert found(two) == {}


def test_a_host_that_nobody_can_have_makes_no_preview_public() -> None:
    rule = {**INGRESS["spec"]["rules"][0], "host": "ns.both.invalid"}
    assert found([*mutated(), {**INGRESS, "spec": {"rules": [rule]}}]) == {}


def test_what_is_not_known_is_no_fault() -> None:
    assert lint(Facts(), "blue", "green") == []
    assert found(mutated(green=None)) == {}
    assert known(mutated(green=None)).side("green") == {}


def test_a_sleep_is_held_against_the_grace_period() -> None:
    def hook(seconds: int, grace: int) -> Change:
        def change(item: dict[str, Any]) -> None:
            container(item)["lifecycle"] = {"preStop": {"exec": {"command": ["sh", "-c", f"sleep {seconds}"]}}}
            pod_spec(item)["terminationGracePeriodSeconds"] = grace

        return change

    assert "grace-too-short" in found(mutated(green=hook(20, 20)))
    assert "grace-too-short" not in found(mutated(green=hook(3, 5)))


@given(st.text(min_size=1), st.text(min_size=1), st.binary(min_size=16, max_size=16))
def test_no_value_of_an_environment_is_written_down(one: str, other: str, key: bytes) -> None:
    def env(value: str) -> Change:
        return lambda item: container(item)["env"].append({"name": "N", "value": f"secret-{value}"})

    told = facts.described(mutated(blue=env(one), green=env(other)), NAMES, key)
    assert "secret-" not in json.dumps(told)
    sides = Facts.of(told).sides
    assert (drifted(sides["blue"], sides["green"]) == []) == (one == other)


def test_names_of_secrets_and_config_maps_are_kept_without_their_content() -> None:
    def refs(item: dict[str, Any]) -> None:
        container(item)["env"] += [
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "b"}}},
        ]
        container(item)["envFrom"] = [{"secretRef": {"name": "more"}}, {"configMapRef": {"name": "rest"}}]
        pod_spec(item)["volumes"] = [
            {"name": "v", "secret": {"secretName": "tls"}},
            {"name": "w", "configMap": {"name": "x"}},
        ]

    told = known(mutated(green=refs)).side("green")["references"]
    assert told == ["ConfigMap/conf", "ConfigMap/rest", "ConfigMap/x", "Secret/keys", "Secret/more", "Secret/tls"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("2", 2.0), ("256Mi", 256 * 1024**2), ("1.5", 1.5), ("1Gi", 1024.0**3), ("x", None), ("5E", None)],
)
def test_quantities(text: str, value: float | None) -> None:
    assert facts.number(text) == value


@pytest.mark.parametrize(
    ("image", "moves"),
    [
        ("a/b:latest", True),
        ("a/b", True),
        ("h:5000/b", True),
        ("a/b:v1", False),
        ("a/b@sha256:00", False),
        ("h:5000/b:v1", False),
    ],
)
def test_tags_that_move(image: str, moves: bool) -> None:
    assert moving(image) is moves


@pytest.mark.parametrize(
    ("limits", "replicas", "none"),
    [
        ({"maxUnavailable": 0}, 4, True),
        ({"maxUnavailable": "0%"}, 4, True),
        ({"maxUnavailable": 1}, 4, False),
        ({"minAvailable": "100%"}, 4, True),
        ({"minAvailable": 4}, 4, True),
        ({"minAvailable": 3}, 4, False),
        ({"minAvailable": 4}, 0, False),
    ],
)
def test_budgets_that_let_nobody_go(limits: dict[str, Any], replicas: int, none: bool) -> None:
    assert blocks(facts.budget(budget("green", **limits), NAMES, [deployment("green")]), replicas) is none


@pytest.mark.parametrize(
    ("expression", "sides"),
    [
        ({"key": "color", "operator": "In", "values": ["green"]}, ["green"]),
        ({"key": "color", "operator": "NotIn", "values": ["green"]}, ["blue"]),
        ({"key": "color", "operator": "Exists"}, ["blue", "green"]),
        ({"key": "color", "operator": "DoesNotExist"}, []),
    ],
)
def test_expressions_of_selectors_are_read(expression: dict[str, Any], sides: list[str]) -> None:
    item = policy()
    item["spec"]["podSelector"] = {"matchExpressions": [expression]}
    assert facts.policy(item, NAMES, [deployment("blue"), deployment("green")])["sides"] == sides


def test_which_deployments_a_service_selects_for_each_side() -> None:
    items = [deployment("blue"), deployment("green"), deployment("green", name="shop-trial")]
    assert facts.service(service("shop", "blue"), NAMES, items)["matches"] == {
        "blue": ["shop-blue"],
        "green": ["shop-green", "shop-trial"],
    }
    assert facts.service(service("shop-green", "green"), NAMES, items)["role"] == "green"


def test_a_pod_as_the_server_tells_it() -> None:
    item = {
        "metadata": {"name": "p", "deletionTimestamp": "now"},
        "spec": {"nodeName": "worker"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "DisruptionTarget", "status": "True"}],
            "containerStatuses": [
                {
                    "restartCount": 2,
                    "imageID": "localhost/x@sha256:ab",
                    "state": {"running": {}},
                    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                }
            ],
        },
    }
    told = facts.pod(item)
    assert (told["ready"], told["running"], told["restarts"], told["stopping"], told["evicted"]) == (
        True,
        True,
        2,
        True,
        True,
    )
    assert (told["last_exit"], told["last_reason"], told["image_id"], told["node"]) == (
        137,
        "OOMKilled",
        "sha256:ab",
        "worker",
    )
    assert facts.pod({"metadata": {"name": "q"}})["ready"] is False


def test_the_life_of_a_pod() -> None:
    told = {"pod": "p", "side": "green", "restarts": 0, "running": False, "ready": False, "stopping": False}
    events = (
        event(0, "pod.changed", **told),
        event(1, "pod.changed", **{**told, "running": True}),
        event(2, "pod.changed", **{**told, "running": True, "ready": True}),
        event(2.5, "pods.entered", pods=["p", "stranger"]),
        event(3, "pod.changed", **{**told, "restarts": 2, "last_exit": 1, "waiting": "CrashLoopBackOff"}),
        event(5, "pod.changed", **{**told, "running": True, "restarts": 2, "last_exit": 1, "stopping": True}),
        event(7, "pod.changed", **{**told, "restarts": 2, "last_exit": 1, "stopping": True}),
        event(7.5, "pod.gone", pod="p", side="green"),
    )
    (life,) = lives(Timeline(events))
    assert (life.born_ns, life.running_ns, life.ready_ns, life.entered_ns) == (at(0), at(1), at(2), at(2.5))
    assert (life.restarts, life.exits, life.waited, life.took_s) == ((at(3), at(3)), (1,), "CrashLoopBackOff", 2.0)
    assert life.gone_ns == at(7.5)
