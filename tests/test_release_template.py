"""Both sides made of one Deployment: what is split, what is left alone, and what is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cluster.existing import Options
from harness.config import Config, load
from harness.dry_run import lines
from harness.errors import ConfigurationError
from harness.labels import selects
from harness.release.manifests import Placement, blaming_file, prepare
from harness.release.rendering import render
from harness.release.template import two_sides
from tests.fake_kube import CONFIG, config_in

Json = dict[str, Any]
TEMPLATE = CONFIG.replace('blue = "shop-blue"\ngreen = "shop-green"', 'template = "shop"').replace(
    '[ledger]\nhost_path = "/var/lib/shop"\n', ""
)
OWN = {"labelSelector": {"matchLabels": {"app": "shop"}}, "topologyKey": "kubernetes.io/hostname"}
OTHERS = {"labelSelector": {"matchLabels": {"app": "redis"}}, "topologyKey": "kubernetes.io/hostname"}


def deployment(name: str = "shop", **labels: str) -> Json:
    pod: Json = {
        "containers": [{"name": "api", "image": "shop:latest"}],
        "topologySpreadConstraints": [{**copy.deepcopy(OWN), "maxSkew": 1}],
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [copy.deepcopy(OWN), {"topologyKey": "x"}],
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": copy.deepcopy(OTHERS)}
                ],
            }
        },
    }
    labels = {"app": name, **labels}
    template = {"metadata": {"labels": {**labels, "tier": "web"}}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": template},
    }


def users(**selector: str) -> Json:
    port = {"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30000}
    spec = {
        "type": "LoadBalancer",
        "clusterIP": "10.0.0.1",
        "externalTrafficPolicy": "Local",
        "selector": selector,
        "ports": [port],
    }
    metadata = {"name": "shop", "labels": {"app": "shop"}, "annotations": {"balancer": "public"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def other(kind: str, name: str, **spec: Any) -> Json:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


SHOP = [
    deployment(),
    deployment("redis"),
    users(app="shop"),
    other("Ingress", "shop", rules=[{"host": "shop.example.com"}]),
    other("PodDisruptionBudget", "shop", selector={"matchLabels": {"app": "shop"}}, maxUnavailable=1),
    other("PodDisruptionBudget", "all", selector={}, maxUnavailable="50%"),
    other("PodDisruptionBudget", "redis", selector={"matchLabels": {"app": "redis"}}, maxUnavailable=1),
    other("NetworkPolicy", "shop", podSelector={"matchLabels": {"app": "shop"}}),
    other("HorizontalPodAutoscaler", "shop", scaleTargetRef={"kind": "Deployment", "name": "shop"}),
    other("HorizontalPodAutoscaler", "redis", scaleTargetRef={"kind": "Deployment", "name": "redis"}),
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}, "data": {"a": "b"}},
]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_in(tmp_path, TEMPLATE)


def by_name(objects: list[Json]) -> dict[tuple[str, str], Json]:
    found = {(item["kind"], item["metadata"]["name"]): item for item in objects}
    assert len(found) == len(objects)
    return found


def test_two_sides_are_made_of_one(config: Config) -> None:
    before = copy.deepcopy(SHOP)
    made = by_name(two_sides(config, SHOP))
    assert before == SHOP
    kept = {(item["kind"], item["metadata"]["name"]) for item in SHOP}
    split = [("Deployment", "shop"), ("PodDisruptionBudget", "shop"), ("HorizontalPodAutoscaler", "shop")]
    sides = {(kind, f"{name}-{side}") for kind, name in split for side in ("blue", "green")}
    assert set(made) == (kept - set(split)) | sides | {("Service", "shop-blue"), ("Service", "shop-green")}
    for side in ("blue", "green"):
        one = made["Deployment", f"shop-{side}"]["spec"]
        assert one["selector"]["matchLabels"] == {"app": "shop", "color": side}
        assert one["template"]["metadata"]["labels"] == {"app": "shop", "tier": "web", "color": side}
        pod = one["template"]["spec"]
        mine = {"app": "shop", "color": side}
        assert pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == mine
        apart = pod["affinity"]["podAntiAffinity"]
        required = apart["requiredDuringSchedulingIgnoredDuringExecution"]
        assert [rule.get("labelSelector") for rule in required] == [{"matchLabels": mine}, None]
        (preferred,) = apart["preferredDuringSchedulingIgnoredDuringExecution"]
        assert preferred["podAffinityTerm"] == OTHERS
        assert made["PodDisruptionBudget", f"shop-{side}"]["spec"]["selector"]["matchLabels"] == mine
        target = made["HorizontalPodAutoscaler", f"shop-{side}"]["spec"]["scaleTargetRef"]
        assert target == {"kind": "Deployment", "name": f"shop-{side}"}
        internal = made["Service", f"shop-{side}"]
        assert internal["spec"] == {
            "type": "ClusterIP",
            "selector": mine,
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        }
        assert "annotations" not in internal["metadata"]
    assert made["Service", "shop"]["spec"]["selector"] == {"app": "shop", "color": "blue"}
    for name in ("redis", "shop", "all"):
        for kind in ("Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy", "ConfigMap"):
            if (kind, name) in made:
                assert made[kind, name] in before


def test_it_goes_through_what_is_applied(config: Config) -> None:
    made = by_name(prepare(config, two_sides(config, SHOP), Placement("bg-1", "v1", 30123)))
    assert made["Deployment", "shop-blue"]["spec"]["replicas"] == 3
    assert made["Deployment", "shop-green"]["spec"]["replicas"] == 0
    assert {
        made["Deployment", f"shop-{side}"]["spec"]["template"]["spec"]["containers"][0]["image"]
        for side in ("blue", "green")
    } == {"localhost/shop:v1"}
    assert made["Service", "shop"]["spec"]["type"] == "NodePort"


def test_services_that_are_there_are_kept_and_let_to_their_side(config: Config) -> None:
    own = other("Service", "shop-green", selector={"app": "shop"}, ports=[{"port": 81}])
    made = by_name(two_sides(config, [deployment(), users(app="shop", color="green"), own]))
    assert made["Service", "shop"]["spec"]["selector"]["color"] == "green"
    assert made["Service", "shop-green"]["spec"] == {
        "selector": {"app": "shop", "color": "green"},
        "ports": [{"port": 81}],
    }
    assert made["Service", "shop-blue"]["spec"]["selector"]["color"] == "blue"


def test_one_of_two_sides_may_be_the_template_of_both(tmp_path: Path) -> None:
    text = TEMPLATE.replace('template = "shop"', 'template = "shop-blue"\nblue = "shop-blue"\ngreen = "shop-green"')
    item = deployment("shop-blue", color="blue")
    made = by_name(two_sides(config_in(tmp_path, text), [item, users(app="shop-blue", color="blue")]))
    assert made["Deployment", "shop-green"]["spec"]["selector"]["matchLabels"]["color"] == "green"
    assert made["Deployment", "shop-blue"]["spec"]["selector"] == item["spec"]["selector"]


@pytest.mark.parametrize(
    ("objects", "said", "mend"),
    [
        ([deployment("shopp"), users()], "no Deployment 'shop': sides.template", "did you mean 'shopp'?"),
        ([deployment("redis"), users()], "no Deployment 'shop': sides.template", "they hold redis"),
        ([users()], "no Deployment 'shop': sides.template", "they hold none"),
        ([deployment(color="red"), users()], "has the label color='red' already", "service.selector_key"),
        ([deployment(), deployment("shop-green"), users()], "Deployment 'shop-green' beside", "leave sides.template"),
    ],
)
def test_manifests_that_dont_fit(config: Config, objects: list[Json], said: str, mend: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        two_sides(config, objects)
    assert said in error.value.what
    assert mend in error.value.mend


def test_without_the_service_that_is_said_where_it_is_looked_for(config: Config) -> None:
    made = two_sides(config, [deployment()])
    with pytest.raises(ConfigurationError, match="no Ingress 'shop'"):
        prepare(config, made, Placement("n", "v1"))
    with pytest.raises(ConfigurationError, match="no Service 'shop'"):
        prepare(config, made, Placement("n", "v1", ingress=False))


def test_rendered_listed_and_blamed_by_its_own_file(tmp_path: Path) -> None:
    from harness.cluster.answers import Refused

    (tmp_path / "manifests").mkdir()
    for number, item in enumerate(SHOP):
        (tmp_path / "manifests" / f"{number:02}.yaml").write_text(yaml.safe_dump(item))
    (tmp_path / "bluegreen.toml").write_text(TEMPLATE)
    config = load(tmp_path)
    rendered = render(config, Path("/nonexistent/kubectl"), "ns")
    assert rendered == two_sides(config, SHOP)
    listed = [line.split() for line in lines(config, rendered, Options(Path(), "ctx"))]
    for name in ("deployments/shop-blue", "deployments/shop-green", "services/shop-blue", "services/shop-green"):
        assert ["create", name] in listed
    assert ["create", "deployments/shop"] not in listed
    green = next(item for item in rendered if item["metadata"]["name"] == "shop-green")
    with pytest.raises(ConfigurationError, match=r"00\.yaml: invalid"), blaming_file(config, green):
        raise Refused("invalid", status=422)


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3)


@settings(deadline=None)
@given(own=LABELS, budget=LABELS)
def test_each_side_is_selected_by_its_own_and_by_no_other(
    tmp_path_factory: pytest.TempPathFactory, own: dict[str, str], budget: dict[str, str]
) -> None:
    config = config_in(tmp_path_factory.getbasetemp(), TEMPLATE)
    item = deployment(**own)
    pods = item["spec"]["template"]["metadata"]["labels"]
    made = by_name(
        two_sides(
            config,
            [item, users(app="shop", **own), other("PodDisruptionBudget", "b", selector={"matchLabels": budget})],
        )
    )
    labels = {s: made["Deployment", f"shop-{s}"]["spec"]["template"]["metadata"]["labels"] for s in ("blue", "green")}
    for side, ones in labels.items():
        assert {**pods, "color": side} == ones
        for name in (other_side for other_side in labels):
            selector = made["Deployment", f"shop-{name}"]["spec"]["selector"]
            assert selects(selector, ones) == (name == side)
            internal = made["Service", f"shop-{name}"]["spec"]["selector"]
            assert selects({"matchLabels": internal}, ones) == (name == side)
        assert selects({"matchLabels": made["Service", "shop"]["spec"]["selector"]}, ones) == (side == "blue")
        protecting = [one for (kind, _), one in made.items() if kind == "PodDisruptionBudget"]
        count = sum(selects(one["spec"]["selector"], ones) for one in protecting)
        assert count == int(selects({"matchLabels": budget}, pods))  # two budgets for one pod would stop every eviction
