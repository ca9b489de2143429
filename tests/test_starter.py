"""bluegreen init: what it finds in the demos, what it leaves to the user, and that it takes nothing for granted."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli import main
from harness.config import load
from harness.errors import EXIT_CONFIGURATION, EXIT_PASS, ConfigurationError
from harness.guess import Guess, guesses, pairs
from harness.starter import STDOUT, init

ROOT = Path(__file__).resolve().parents[1]
Json = dict[str, Any]


def filled(text: str) -> str:
    """What a user does who follows the comments."""
    return text.replace("# new =  # FILL IN", 'new = "v2"  #').replace(
        '# revision = "header:X-Version"', 'revision = "header:X-Version"'
    )


@pytest.mark.parametrize("file", ["bluegreen.toml", "manifests/nginx/bluegreen.toml"])
def test_of_the_demos_only_the_new_version_and_the_identity_are_left_to_fill_in(tmp_path: Path, file: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH")
    known = load(ROOT / file)
    target = tmp_path / "deep" / "bluegreen.toml"
    target.parent.mkdir()
    said = init(known.app.manifests, str(target), force=False)
    assert [line.partition("FILL IN: ")[2].split(",")[0] for line in said[2:]] == [
        "both sides have the same tag",
        "revision",
    ]
    with pytest.raises(ConfigurationError, match=r"app\.new is missing"):
        load(target)
    target.write_text(filled(target.read_text()))
    made = load(target)
    assert known.ingress is not None
    without_tls = replace(known.ingress, tls=None)  # whether to have it is the user's to say
    assert (made.sides, made.service, made.ingress) == (known.sides, known.service, without_tls)
    assert made.app == known.app


def deployment(name: str, color: str, tag: str, **changes: Any) -> Json:
    labels = {"app": "shop", "color": color}
    container: Json = {
        "name": "web",
        "image": f"registry:5000/shop:{tag}",
        "ports": [{"name": "http", "containerPort": 80}],
    }
    container["readinessProbe"] = {"httpGet": {"path": "/ready"}}
    spec = {"selector": {"matchLabels": labels}, "template": {"spec": {"containers": [container]}}}
    return {"kind": "Deployment", "metadata": {"name": name}, "spec": {**spec, **changes}}


def service(name: str, **selector: str) -> Json:
    return {
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": "shop", **selector}, "ports": [{"port": 8000, "targetPort": "http"}]},
    }


def ingress(name: str, to: str, host: str = "shop.example.com") -> Json:
    path = {"path": "/", "backend": {"service": {"name": to, "port": {"number": 8000}}}}
    return {
        "kind": "Ingress",
        "metadata": {"name": name},
        "spec": {"rules": [{"host": host, "http": {"paths": [path]}}]},
    }


SHOP = [
    deployment("shop-blue", "blue", "1.4"),
    deployment("shop-green", "green", "1.5"),
    service("shop", color="green"),
    service("blue-shop", color="blue"),
    service("green-shop", color="green"),
    service("all"),
    ingress("web", "shop"),
]


def values(objects: list[Json]) -> Json:
    return {key: guess.value for key, guess in guesses(objects).items()}


def single(*more: Json, **changes: Any) -> list[Json]:
    one = deployment("shop", "", "1.4", **changes)
    one["spec"]["selector"]["matchLabels"].pop("color", None)
    return [one, service("shop"), *more]


def test_of_one_deployment_both_sides_are_made() -> None:
    objects = single(ingress("web", "shop"))
    assert values(objects) == {
        "app.name": "shop",
        "app.container": "web",
        "app.image": "registry:5000/shop:{version}",
        "app.old": "1.4",
        "app.new": None,
        "sides.template": "shop",
        "service.name": "shop",
        "service.port": 8000,
        "service.selector_key": "color",
        "service.internal": "shop-{side}",
        "ingress.name": "web",
        "ingress.host": "shop.example.com",
        "ingress.path": "/",
        "smoke.path": "/ready",
    }
    assert guesses(objects)["sides.template"].why == "the only Deployment: both sides are made of it"
    untagged = single()
    containers(untagged[0])[0]["image"] = "shop"
    assert guesses(untagged)["app.old"] == Guess(None, "the tag of the version that is live")
    labeled = single()
    labeled[0]["spec"]["selector"]["matchLabels"]["color"] = "brown"
    assert values(labeled)["service.selector_key"] == "side"
    assert values(labeled)["service.name"] == "shop"


def test_of_several_deployments_it_is_the_one_behind_the_ingress() -> None:
    other = deployment("worker", "", "1.4", selector={"matchLabels": {"app": "worker", "queue": "x"}})
    assert values(single(other))["sides.blue"] is None
    assert "sides.template" not in values(single(other))
    found = guesses(single(other, ingress("web", "shop")))["sides.template"]
    assert (found.value, found.why) == ("shop", "the only Deployment behind the Ingress: both sides are made of it")
    both = deployment("api", "", "1.4", selector={"matchLabels": {"app": "shop", "more": "x"}})
    assert "sides.template" not in values(single(both, ingress("web", "shop")))


def test_what_is_written_of_one_deployment_is_a_configuration_but_for_its_gaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "k8s", single(ingress("web", "shop")))
    said = init(tmp_path, "bluegreen.toml", force=False)
    assert [line.partition("FILL IN: ")[2].split(",")[0] for line in said[2:]] == [
        "the tag of the version to release",
        "revision",
    ]
    Path("bluegreen.toml").write_text(filled(Path("bluegreen.toml").read_text()))
    made = load(tmp_path)
    assert made.sides.deployments == {"blue": "shop-blue", "green": "shop-green"}
    assert made.sides.template == "shop"
    written(tmp_path / "more", single())
    with pytest.raises(ConfigurationError, match="several folders hold one Deployment"):
        init(tmp_path, STDOUT, force=False)
    written(tmp_path / "sides", SHOP)  # two sides are what is looked for first
    assert 'manifests = "sides"  # read as they are' in init(tmp_path, STDOUT, force=False)


def test_a_path_below_another_one_of_the_same_host_is_a_special_case_of_it() -> None:
    sockets = ingress("web", "shop")
    (rule,) = sockets["spec"]["rules"]
    rule["http"]["paths"].append({**rule["http"]["paths"][0], "path": "/ws"})
    assert values([*SHOP[:-1], sockets]) == values(SHOP)
    rule["http"]["paths"][0]["path"] = "/w"
    assert values([*SHOP[:-1], sockets])["ingress.path"] is None  # neither leads to the other


def test_everything_that_manifests_tell() -> None:
    assert values(SHOP) == {
        "app.name": "shop",
        "app.container": "web",
        "app.image": "registry:5000/shop:{version}",
        "app.old": "1.5",  # the side that users are on
        "app.new": "1.4",
        "sides.blue": "shop-blue",
        "sides.green": "shop-green",
        "service.name": "shop",
        "service.port": 8000,
        "service.selector_key": "color",
        "service.internal": "{side}-shop",
        "ingress.name": "web",
        "ingress.host": "shop.example.com",
        "ingress.path": "/",
        "smoke.path": "/ready",
    }


def changed(number: int, change: Any) -> list[Json]:
    objects = copy.deepcopy(SHOP)
    change(objects[number])
    return objects


def containers(item: Json) -> list[Json]:
    found: list[Json] = item["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize(
    ("objects", "key", "why", "candidates"),
    [
        ([*SHOP, deployment("b", "blue", "2"), deployment("g", "green", "2")], "sides.blue", "which of them", 4),
        ([deployment("a", "red", "1"), deployment("b", "teal", "1")], "sides.blue", "values blue and green", 1),
        (SHOP[2:], "sides.blue", "no two Deployments", 0),
        ([*SHOP[:6], service("api", color="blue")], "service.name", "which one", 2),
        (SHOP[:2], "service.name", "none found", 0),
        ([*SHOP[:3], *SHOP[5:]], "service.internal", "none found", 0),
        ([*SHOP, ingress("web", "shop", "other.example.com")], "ingress.host", "which one", 2),
        (changed(0, lambda d: containers(d)[0].update(image="shop@sha256:0")), "app.new", "no tag on blue", 0),
        (changed(1, lambda d: containers(d)[0].update(image="elsewhere:1")), "app.image", "which one", 2),
    ],
)
def test_what_is_ambiguous_is_listed_and_nothing_is_chosen(
    objects: list[Json], key: str, why: str, candidates: int
) -> None:
    guess = guesses(objects)[key]
    assert guess.value is None
    assert why in guess.why
    assert len(guess.candidates) == candidates


def test_an_ingress_tells_which_service_users_enter_by() -> None:
    assert values([*SHOP, service("api", color="blue")])["service.name"] == "shop"


def test_of_several_containers_the_one_that_the_service_leads_to() -> None:
    objects = copy.deepcopy(SHOP)
    for item in objects[:2]:
        containers(item).insert(0, {"name": "proxy", "image": "proxy:1"})
    assert values(objects)["app.container"] == "web"
    for item in objects[:2]:
        containers(item)[1].pop("ports")
    assert guesses(objects)["app.container"].candidates == ("proxy", "web")
    assert values(objects)["app.image"] is None


def test_deployments_that_differ_by_more_are_no_pair() -> None:
    assert (
        pairs([SHOP[0], deployment("x", "green", "1", selector={"matchLabels": {"app": "x", "color": "green"}})]) == []
    )


def written(folder: Path, objects: list[Json]) -> Path:
    folder.mkdir(parents=True)
    (folder / "all.yaml").write_text(yaml.safe_dump_all(objects))
    return folder


def test_the_folder_is_looked_for_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="no folder with two sides, or with one Deployment"):
        init(tmp_path, STDOUT, force=False)
    written(tmp_path / "k8s" / "shop", SHOP)
    written(tmp_path / "docs", [{"kind": "Other", "metadata": {"name": "x"}}])
    written(tmp_path / ".cache" / "shop", SHOP)
    (tmp_path / "docs" / "broken.yaml").write_text("a: [b")
    assert 'manifests = "k8s/shop"  # read as they are' in init(tmp_path, STDOUT, force=False)
    written(tmp_path / "more", SHOP)
    with pytest.raises(ConfigurationError, match="several folders hold two sides"):
        init(tmp_path, STDOUT, force=False)


def test_a_kustomization_without_kubectl_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = written(tmp_path / "k8s", SHOP)
    (folder / "kustomization.yaml").write_text("resources: [all.yaml]\n")
    assert any("kubectl is not on PATH" in line for line in init(folder, STDOUT, force=False))


def test_nothing_is_overwritten_unless_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "k8s", SHOP)
    assert main(["init", "k8s"]) == EXIT_PASS
    assert "to fill in:" in capsys.readouterr().out
    first = Path("bluegreen.toml").read_text()
    Path("bluegreen.toml").write_text("mine")
    assert main(["init"]) == EXIT_CONFIGURATION
    assert "bluegreen.toml exists" in capsys.readouterr().err
    assert Path("bluegreen.toml").read_text() == "mine"
    assert main(["init", "--force"]) == EXIT_PASS
    assert Path("bluegreen.toml").read_text() == first
    assert main(["init", "--write", "-"]) == EXIT_PASS
    assert main(["init", "--write", "no/where.toml"]) == EXIT_CONFIGURATION
    Path("bluegreen.toml").write_text(filled(first))
    assert load(tmp_path).app.new == "1.4"
