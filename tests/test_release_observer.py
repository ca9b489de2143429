from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.answers import Endpoint, Refused
from harness.cluster.kube import NO_LOG
from harness.errors import ClusterError, HarnessError
from harness.journal import Journal
from harness.release import observer as module
from harness.release import partings
from harness.release.observer import Observer
from harness.waiting import until
from tests.fake_kube import FakeKube, config_in


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PODS_SECONDS", 0.02)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.02)


class Seen:
    def __init__(self, folder: Path, fake: FakeKube, wanted: dict[str, int]) -> None:
        self.journal = Journal(folder / "run")
        config = config_in(folder)
        self.observer = Observer(fake.kube, "ns", config, self.journal, lambda: wanted)

    def events(self, name: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.journal.path.read_text().splitlines()]
        return [event for event in found if event["name"] == name]

    def wait(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        until(lambda: len(self.events(name)) >= count, f"{count} {name}", timeout=5, every=0.01)
        return self.events(name)


def pods(side: str, count: int, ready: bool = True) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"10.0.0.{i}", ready, f"shop-{side}-5d4f8-abcd{i}") for i in range(count))


def test_slices_selector_and_pods_are_journaled(tmp_path: Path) -> None:
    fake = FakeKube()
    fake.deployments["shop-blue"].replicas = 4
    mixed = (*pods("green", 1, ready=False), *pods("blue", 2), Endpoint("10.9.9.9", True, ""))
    fake.slices = [pods("blue", 4), pods("blue", 4), mixed, ()]
    fake.selectors = [{"color": "blue"}, {"color": "blue"}, {"color": "green"}, {}]
    seen = Seen(tmp_path, fake, {"blue": 4, "green": 0})
    with seen.observer:
        slices = seen.wait("slice.changed", 3)
        seen.wait("selector.observed", 3)
        seen.wait("pods.observed", 2)
    assert [(s["addresses"], s["ready"], s["sides"]) for s in slices] == [
        (4, 4, {"blue": 4, "green": 0}),
        (4, 3, {"blue": 2, "green": 1, "other": 1}),
        (0, 0, {"blue": 0, "green": 0}),
    ]
    assert [event["value"] for event in seen.events("selector.observed")] == ["blue", "green", None]
    assert {(e["side"], e["ready"], e["wanted"]) for e in seen.events("pods.observed")} == {("blue", 4, 4)}
    seen.journal.close()


def test_each_pod_that_requests_may_reach_is_named_once(tmp_path: Path) -> None:
    fake = FakeKube()
    mixed = (*pods("green", 1, ready=False), *pods("blue", 3), Endpoint("10.9.9.9", True, ""))
    fake.slices = [pods("blue", 2), mixed, (), pods("green", 1)]
    seen = Seen(tmp_path, fake, {})
    with seen.observer:
        entered = seen.wait("pods.entered", 3)
    assert [event["pods"] for event in entered] == [
        ["shop-blue-5d4f8-abcd0", "shop-blue-5d4f8-abcd1"],
        ["shop-blue-5d4f8-abcd2"],
        ["shop-green-5d4f8-abcd0"],
    ]
    seen.journal.close()


def test_an_unanswered_watch_is_recorded_and_begun_anew(tmp_path: Path) -> None:
    fake = FakeKube()
    fake.slices = [pods("blue", 1), ClusterError("the connection broke"), pods("blue", 2)]
    seen = Seen(tmp_path, fake, {})
    with seen.observer:
        seen.wait("slice.changed", 2)
    (error,) = seen.events("observer.error")
    assert (error["what"], error["detail"]) == ("slices", "the connection broke")
    seen.journal.close()


def test_its_own_bug_is_raised_when_it_is_stopped(tmp_path: Path) -> None:
    fake = FakeKube()
    fake.slices = [RuntimeError("a bug")]
    seen = Seen(tmp_path, fake, {})
    seen.observer.start()
    until(lambda: not fake.slices, "the bug", timeout=5, every=0.01)
    with pytest.raises(HarnessError, match="a bug"):
        seen.observer.stop()
    seen.journal.close()


def test_stops_within_its_bound(tmp_path: Path) -> None:
    seen = Seen(tmp_path, FakeKube(), {})
    seen.observer.start()
    seen.observer.start()
    before = time.monotonic()
    seen.observer.stop()
    assert time.monotonic() - before < 4.5
    seen.journal.close()


def test_a_side_scaled_away_behind_our_back_shows(tmp_path: Path) -> None:
    fake = FakeKube()
    seen = Seen(tmp_path, fake, {"blue": 4})
    seen.observer.look()
    (event,) = seen.events("pods.observed")
    assert (event["ready"], event["wanted"]) == (0, 4)
    seen.journal.close()


def pod_item(name: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"nodeName": "worker"}, "status": {"phase": "Running", **status}}


def test_the_lives_of_pods_are_journaled_once_per_change(tmp_path: Path) -> None:
    fake = FakeKube()
    name, smoke = "shop-green-5d4f8-abcd1", "smoke-green-1-xyz12"
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    fake.pod_items = [
        {name: pod_item(name), smoke: pod_item(smoke)},
        {name: pod_item(name), smoke: pod_item(smoke)},
        {name: pod_item(name, **ready), smoke: pod_item(smoke)},
        {smoke: pod_item(smoke)},
    ]
    seen = Seen(tmp_path, fake, {})
    with seen.observer:
        gone = seen.wait("pod.gone")
    changes = [(one["pod"], one["side"], one["ready"]) for one in seen.events("pod.changed")]
    assert changes == [(name, "green", False), (smoke, "other", False), (name, "green", True)]
    assert [(one["pod"], one["side"]) for one in gone] == [(name, "green")]


def ending(name: str) -> dict[str, Any]:
    item = pod_item(name)
    spec = {**item["spec"], "containers": [{"name": "api"}, {"name": "proxy"}]}
    return {**item, "metadata": {"name": name, "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec}


def test_the_logs_of_a_sides_pods_that_end_are_read_to_their_end_and_once(tmp_path: Path) -> None:
    fake = FakeKube()
    name, mute, lost, smoke = (
        *("shop-blue-5d4f8-abcd1", "shop-blue-5d4f8-abcd2", "shop-blue-5d4f8-abcd3"),
        "smoke-green-1-xyz12",
    )
    words = {name: "last words\n", mute: f"{NO_LOG} 404 not found)"}

    def last_words(pod: str) -> str:
        if pod == lost:
            raise ClusterError("the connection broke")
        return words[pod]

    fake.last_words = last_words
    alive = {one: pod_item(one) for one in (name, mute, lost, smoke)}
    going = {one: ending(one) for one in alive}
    changed = {**going, name: {**going[name], "status": {"phase": "Succeeded"}}}
    fake.pod_items = [alive, going, changed, {}]
    seen = Seen(tmp_path, fake, {})
    with seen.observer:
        seen.wait("pod.gone", 4)
    seen.observer.partings.write(tmp_path / "logs")
    told = {file.name: file.read_text() for file in (tmp_path / "logs").iterdir()}
    assert told == {f"{name}.{container}.log": "last words\n" for container in ("api", "proxy")}
    assert sorted(fake.followed) == sorted((pod, one) for pod in (name, mute, lost) for one in ("api", "proxy"))
    assert seen.events("observer.error") == []


def test_a_log_that_does_not_end_holds_nobody_up_and_where_no_pod_ends_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partings, "WRITE_SECONDS", 0.05)
    fake, release = FakeKube(), threading.Event()
    name = "shop-blue-5d4f8-abcd1"
    fake.last_words = lambda _: str(release.wait(10))
    fake.pod_items = [{name: pod_item(name)}]
    seen = Seen(tmp_path / "calm", fake, {})
    with seen.observer:
        seen.wait("pod.changed")
    assert fake.followed == [] and not seen.observer.partings._threads
    fake.pod_items = [{name: ending(name)}, {}]
    seen = Seen(tmp_path / "ends", fake, {})
    before = time.monotonic()
    with seen.observer:
        seen.wait("pod.gone")
    seen.observer.partings.write(tmp_path / "logs")
    assert time.monotonic() - before < 4
    assert not (tmp_path / "logs").exists() and len(fake.followed) == 2
    release.set()


def test_of_a_hundred_pods_that_end_at_once_some_logs_are_read(tmp_path: Path) -> None:
    fake = FakeKube()
    found = partings.Partings(fake.kube, "ns")
    for number in range(101):
        found.follow(ending(f"shop-blue-5d4f8-{number:05}"))
    found.write(tmp_path)
    assert len(fake.followed) == len(list(tmp_path.iterdir())) == partings.MOST


def test_a_side_that_somebody_deleted_is_seen_as_having_no_pod(tmp_path: Path) -> None:
    fake = FakeKube()

    def missing(namespace: str, name: str) -> Any:
        raise Refused("not found", status=404 if name == "shop-blue" else 500)

    fake.rollout_status = missing  # type: ignore[method-assign]
    seen = Seen(tmp_path, fake, {"blue": 4, "green": 4})
    seen.observer.look_at_pods()
    (event,) = seen.events("pods.observed")
    assert event | {"side": "blue", "ready": 0, "wanted": 4, "replicas": 0, "exists": False} == event
    assert [one["what"] for one in seen.events("observer.error")] == ["pods"]


def test_objects_and_warnings_are_written_down_once_until_they_change(tmp_path: Path) -> None:
    fake = FakeKube()
    service: dict[str, Any] = {
        "metadata": {"name": "shop"},
        "spec": {"selector": {"app": "shop", "color": "blue"}, "ports": [{"port": 80, "targetPort": "http"}]},
    }
    fake.items = {"services": [service]}
    seen = Seen(tmp_path, fake, {})
    seen.observer.describe()
    seen.observer.describe()
    assert [one["service"] for one in seen.events("service.described")] == ["shop"]
    assert [(one["side"], one["exists"]) for one in seen.events("side.described")] == [
        ("blue", False),
        ("green", False),
    ]
    assert [one["reason"] for one in seen.events("cluster.warned")] == ["BackOff"]
    fake.items = {"services": [{**service, "spec": {**service["spec"], "sessionAffinity": "ClientIP"}}]}
    seen.observer.describe()
    assert [one["affinity"] for one in seen.events("service.described")] == ["None", "ClientIP"]
    assert seen.observer.check("blue", "green") == []
    assert seen.events("static.checked")[0]["faults"] == []


def test_objects_that_cannot_be_read_are_told_as_that(tmp_path: Path) -> None:
    fake = FakeKube()

    def refused(*_: Any) -> Any:
        raise ClusterError("no answer")

    fake.objects = refused  # type: ignore[method-assign, assignment]
    seen = Seen(tmp_path, fake, {})
    seen.observer.describe()
    assert [one["what"] for one in seen.events("observer.error")] == ["objects"]
    with pytest.raises(ClusterError):
        seen.observer.check("blue", "green")
