from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.answers import Endpoint
from harness.errors import ClusterError, HarnessError
from harness.journal import Journal
from harness.release import observer as module
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
