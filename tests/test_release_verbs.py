from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.answers import JobResult, Refused
from harness.errors import (
    ClusterError,
    ConfigurationError,
    IllegalMove,
    RolloutFailed,
    SmokeFailed,
    StillInUse,
    WaitTimeout,
)
from harness.journal import Journal
from harness.release.rollout import steps
from harness.release.switches.selector import SelectorSwitch
from harness.release.verbs import Release
from tests.broken import container, deployment
from tests.fake_kube import CONFIG, FakeClock, FakeKube, config_in


@dataclass(frozen=True)
class Breached:
    check: str = "lost"
    measured: float = 0.2
    limit: float = 0.01
    detail: str = "20 of 100 lost"


class Bench:
    """A release on a fake cluster, with its record."""

    def __init__(self, folder: Path, text: str = CONFIG, static: bool = False) -> None:
        self.fake = FakeKube()
        self.clock = FakeClock()
        self.journal = Journal(folder / "run")
        config = config_in(folder, text)
        switch = SelectorSwitch(self.fake.kube, "ns", config)
        self.release = Release(
            self.fake.kube,
            config,
            switch,
            self.journal,
            "ns",
            smoke_image="smoke:1",
            clock=self.clock.clock,
        )
        self.release.observer.static = static

    def events(self, *names: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.journal.path.read_text().splitlines()]
        return [event for event in found if not names or event["name"] in names]

    def installed(self) -> Release:
        objects = [{"kind": "Service", "metadata": {"name": "shop"}}]
        self.release.install("v1", objects)
        return self.release

    def released(self) -> Release:
        release = self.installed()
        release.deploy("v2")
        release.smoke()
        release.cutover()
        return release


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.release.close()
    made.journal.close()


def test_nothing_moves_before_install(bench: Bench) -> None:
    for verb in (bench.release.smoke, bench.release.cutover, bench.release.rollback, bench.release.retire):
        with pytest.raises(IllegalMove, match="nothing is installed yet"):
            verb()
    assert bench.fake.calls == []


def test_install_again_is_refused(bench: Bench) -> None:
    release = bench.installed()
    assert (release.active, release.idle, release.version_of("blue")) == ("blue", "green", "v1")
    with pytest.raises(IllegalMove, match="blue runs v1"):
        release.install("v1", [])


def test_manifests_that_the_server_refuses_are_the_configurations_fault(bench: Bench) -> None:
    bench.fake.apply_error = Refused("Deployment/shop-blue can't be applied: 422 no such field", status=422)
    with pytest.raises(ConfigurationError, match=r"manifests: Deployment/shop-blue .* no such field"):
        bench.installed()
    bench.fake.apply_error = Refused("503 overloaded", status=503)
    with pytest.raises(Refused):
        bench.installed()


def test_a_whole_release_is_journaled_as_the_evidence_reads_it(bench: Bench) -> None:
    release = bench.released()
    release.watch(seconds=3)
    assert (release.active, release.idle, release.version_of("green")) == ("green", "blue", "v2")
    assert bench.fake.calls == [
        ("apply", "Service", "shop"),
        ("image", "shop-green", "api", "localhost/shop:v2"),
        ("scale", "shop-green", "4"),
        ("job", "smoke-green-1"),
        ("flip", "green"),
    ]
    (started,) = bench.events("deploy.started")
    assert {key: started[key] for key in ("side", "version", "color")} == {
        "side": "green",
        "version": "v2",
        "color": "green",
    }
    (ready,) = bench.events("deploy.ready")
    assert (ready["ready"], ready["wanted"]) == (4, 4)
    assert bench.events("smoke.passed")[0]["detail"] == "20 of 20"
    planned, sent, acknowledged = bench.events("cutover.planned", "cutover.sent", "cutover.acknowledged")
    assert planned["at_ns"] - planned["t"] >= 1_000_000_000
    assert sent["t"] >= planned["at_ns"]
    assert acknowledged["resource_version"] == "77"
    assert [planned[key] for key in ("move", "from_revision", "to_revision", "from_side", "to_side")] == [
        "cutover",
        "v1",
        "v2",
        "blue",
        "green",
    ]
    watched = bench.events("watch.started", "watch.finished")
    assert [event["seconds"] for event in watched] == [3, pytest.approx(3.0)]
    assert {(e["side"], e["ready"], e["wanted"]) for e in bench.events("pods.observed")} >= {("blue", 4, 4)}
    assert bench.events("selector.observed")[-1]["value"] == "green"


def test_deploy_to_the_active_side_is_refused_and_journaled(bench: Bench) -> None:
    release = bench.installed()
    calls = list(bench.fake.calls)
    with pytest.raises(IllegalMove, match="blue is the active side"):
        release.deploy("v2", side="blue")
    assert bench.fake.calls == calls
    assert "active side" in bench.events("deploy.refused")[0]["reason"]


def test_a_side_that_never_gets_ready_tells_why(bench: Bench) -> None:
    release = bench.installed()
    bench.fake.broken_images.add("localhost/shop:v2")
    before = bench.clock.ns
    with pytest.raises(RolloutFailed) as error:
        release.deploy("v2")
    text = str(error.value)
    assert text.startswith("deploy: green (v2) was not ready within 30 s: 0 ready")
    assert "BackOff: back-off restarting" in text
    assert "log shop-green-abc-0/api: KeyError: DATABASE_URL" in text
    assert "CrashLoopBackOff" in text
    assert "not of this side" not in text
    assert 30 <= (bench.clock.ns - before) / 1e9 <= 31
    assert bench.events("deploy.ready") == []
    assert "was not ready" in bench.events("deploy.refused")[0]["reason"]
    with pytest.raises(IllegalMove, match="isn't ready"):
        release.cutover()


def test_pods_may_start_a_few_at_a_time(bench: Bench) -> None:
    release = bench.installed()
    bench.fake.calls.clear()
    release.deploy("v2", at_once=3)
    assert [call for call in bench.fake.calls if call[0] == "scale"] == [
        ("scale", "shop-green", "3"),
        ("scale", "shop-green", "4"),
    ]
    assert bench.events("deploy.ready")[0]["ready"] == 4
    assert len(bench.events("deploy.started")) == 1
    assert steps(4, 1) == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="not 0"):
        steps(4, 0)


def test_a_first_version_that_never_gets_ready_leaves_its_pods_in_the_record(bench: Bench) -> None:
    bench.fake.broken_images.add("localhost/shop:v1")
    status = {"containerStatuses": [{"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}
    bench.fake.items["pods"] = [{"metadata": {"name": "shop-blue-abc-0"}, "status": status}]
    with pytest.raises(RolloutFailed):
        bench.installed()
    (seen,) = bench.events("pod.changed")
    assert (seen["side"], seen["restarts"], seen["waiting"]) == ("blue", 3, "CrashLoopBackOff")
    assert bench.events("install.ready") == []


def test_cutover_before_smoke_never_reaches_the_switch(bench: Bench) -> None:
    release = bench.installed()
    release.deploy("v2")
    with pytest.raises(IllegalMove, match="has not passed smoke"):
        release.cutover()
    assert ("flip", "green") not in bench.fake.calls
    (refused,) = bench.events("cutover.refused")
    assert refused["move"] == "cutover"
    assert "has not passed smoke" in refused["reason"]
    assert bench.events("cutover.planned") == []


@pytest.mark.parametrize("static", [True, False])
def test_a_cutover_is_refused_for_what_the_objects_show_unless_told_otherwise(tmp_path: Path, static: bool) -> None:
    bench = Bench(tmp_path, static=static)
    blind = deployment("green", "localhost/shop:v2")
    del container(blind)["readinessProbe"]
    bench.fake.items = {"deployments": [deployment("blue", "localhost/shop:v1"), blind]}
    release = bench.installed()
    release.deploy("v2")
    release.smoke()
    if static:
        with pytest.raises(IllegalMove, match=r"no readiness probe.*no-readiness-probe"):
            release.cutover()
        assert ("flip", "green") not in bench.fake.calls
        (refused,) = bench.events("cutover.refused")
        assert "no-readiness-probe" in refused["reason"]
        (checked,) = bench.events("static.checked")
        assert [one["id"] for one in checked["faults"] if one["refuses"]] == ["no-readiness-probe"]
    else:
        release.cutover()
        assert ("flip", "green") in bench.fake.calls
    release.close()
    bench.journal.close()


def test_failed_smoke_keeps_users_away(bench: Bench) -> None:
    release = bench.installed()
    release.deploy("v2")
    bench.fake.job = JobResult(True, False, "", 'noise\n{"result": "fail", "detail": "status 500, expected 200"}\n')
    with pytest.raises(SmokeFailed, match="status 500"):
        release.smoke()
    (failed,) = bench.events("smoke.failed")
    assert (failed["side"], failed["version"]) == ("green", "v2")
    assert "status 500" in failed["detail"]
    with pytest.raises(IllegalMove):
        release.cutover()
    assert bench.fake.selector["color"] == "blue"


def test_a_cutover_is_announced_a_second_before_or_not_at_all(bench: Bench) -> None:
    release = bench.installed()
    release.deploy("v2")
    release.smoke()
    for lead in (0.5, float("nan")):
        with pytest.raises(ValueError, match="at least 1 s before"):
            release.cutover(lead_s=lead)
    release.cutover(lead_s=2.5)
    planned, sent = bench.events("cutover.planned", "cutover.sent")
    assert sent["t"] - planned["t"] == 2_500_000_000


def test_readiness_is_looked_at_right_before_the_cutover(bench: Bench) -> None:
    release = bench.installed()
    release.deploy("v2")
    release.smoke()
    bench.fake.deployments["shop-green"].broken = True
    with pytest.raises(IllegalMove, match=r"green .* isn't ready: 0 of 4"):
        release.cutover()
    bench.fake.deployments["shop-green"] = replace(bench.fake.deployments["shop-green"], broken=False, replicas=0)
    with pytest.raises(IllegalMove, match="isn't ready"):
        release.cutover()


def test_a_second_writer_is_noticed(bench: Bench) -> None:
    release = bench.released()
    bench.fake.selector["color"] = "blue"
    with pytest.raises(IllegalMove, match="someone else has moved the switch"):
        release.rollback()
    bench.fake.selector["color"] = "purple"
    with pytest.raises(ConfigurationError, match="'purple', which is no side"):
        release.rollback()
    bench.fake.selector["color"] = "green"


def test_rollback(bench: Bench) -> None:
    release = bench.released()
    release.rollback()
    assert (release.active, bench.fake.selector["color"]) == ("blue", "blue")
    assert [e["move"] for e in bench.events("cutover.acknowledged")] == ["cutover", "rollback"]
    with pytest.raises(IllegalMove, match="no cutover to take back"):
        release.rollback()


def test_many_cutovers_in_a_row(bench: Bench) -> None:
    release = bench.released()
    for _ in range(5):
        release.cutover()
    assert [call for call in bench.fake.calls if call[0] == "flip"] == [("flip", "green"), ("flip", "blue")] * 3
    names = [e["name"].split(".")[1] for e in bench.events("cutover.planned", "cutover.sent", "cutover.acknowledged")]
    assert names == ["planned", "sent", "acknowledged"] * 6


@pytest.mark.parametrize("applied", [True, False])
def test_an_unanswered_flip_is_settled_before_the_next_move(bench: Bench, applied: bool) -> None:
    release = bench.installed()
    release.deploy("v2")
    release.smoke()
    bench.fake.flip_error, bench.fake.flip_applies = ClusterError("no answer"), applied
    with pytest.raises(ClusterError, match="no answer"):
        release.cutover()
    assert bench.events("cutover.refused")[0]["reason"] == "no answer"
    bench.fake.flip_error = None
    if applied:
        release.rollback()
    else:
        release.cutover()
    assert release.active == ("blue" if applied else "green")
    assert bench.events("cutover.settled")[0]["happened"] is applied
    assert len([call for call in bench.fake.calls if call[0] == "flip"]) == 2


def test_watch_rolls_back_by_itself_and_says_why(bench: Bench) -> None:
    release = bench.released()
    polls: list[int] = []

    def ask() -> Breached | None:
        polls.append(bench.clock.ns)
        return Breached() if len(polls) == 3 else None

    breach = release.watch(60, ask)
    assert breach == Breached()
    assert (release.active, bench.fake.selector["color"]) == ("blue", "blue")
    (told,) = bench.events("watch.breached")
    assert [told[k] for k in ("check", "measured", "limit", "detail")] == ["lost", 0.2, 0.01, "20 of 100 lost"]
    assert polls[1] - polls[0] == 500_000_000
    assert bench.events("watch.finished")[0]["seconds"] < 5


def test_a_breach_without_a_way_back_is_no_quiet_pass(bench: Bench) -> None:
    release = bench.released()
    bench.fake.deployments["shop-blue"].replicas = 0
    with pytest.raises(IllegalMove, match="isn't running"):
        release.watch(10, Breached)
    assert len(bench.events("watch.breached", "watch.finished")) == 2


def test_retire_keeps_the_old_side_warm(bench: Bench) -> None:
    release = bench.released()
    with pytest.raises(IllegalMove, match="of 1800 s"):
        release.retire()
    assert bench.events("retire.refused")[0]["side"] == "blue"
    bench.clock.sleep(1800)
    release.retire()
    assert bench.fake.calls[-1] == ("scale", "shop-blue", "0")
    assert (bench.events("retire.done")[0]["open"], release.version_of("blue")) == (0, None)
    with pytest.raises(IllegalMove, match="no cutover to take back"):
        release.rollback()


@pytest.mark.parametrize("states", [[{"open": 1, "arrivals": 5}], [{"open": 0, "arrivals": n} for n in range(9)]])
def test_retire_refuses_while_users_are_there(bench: Bench, states: list[dict[str, Any]]) -> None:
    release = bench.released()
    bench.fake.usage = states
    with pytest.raises(StillInUse, match="blue has"):
        release.retire(after=0)
    (refused,) = bench.events("retire.refused")
    assert refused["open"] > 0 or refused["arrivals"] > 0
    assert ("scale", "shop-blue", "0") not in bench.fake.calls


def test_retire_doesnt_take_an_unreadable_state_for_idle(bench: Bench) -> None:
    release = bench.released()
    bench.fake.usage = [{"connections": 0}]
    with pytest.raises(ClusterError, match="no numbers 'open' and 'arrivals'"):
        release.retire(after=0)


def test_without_an_admin_port_retire_goes_by_time_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CONFIG.replace("[admin]\nport = 9000\n", ""))
    bench.released().retire(after=0)
    assert bench.events("retire.done")[0]["open"] is None
    bench.release.close()
    bench.journal.close()


def test_retire_goes_on_despite_users_only_where_that_is_said_and_waits_until_the_pods_are_gone(bench: Bench) -> None:
    release = bench.released()
    bench.fake.usage = [{"open": 3, "arrivals": 5}]
    with pytest.raises(StillInUse):
        release.retire(after=0)
    bench.fake.lingering = {"shop-blue": 4}
    began = bench.clock.ns
    release.retire(after=0, despite_users=True)
    names = [event["name"] for event in bench.events("retire.sent", "retire.done", "retire.gone")]
    assert names == ["retire.sent", "retire.done", "retire.gone"]
    assert bench.clock.ns - began == 4 * 200_000_000


def test_pods_that_outlive_their_grace_period_are_told(bench: Bench) -> None:
    release = bench.released()
    bench.fake.lingering = {"shop-blue": 10**6}
    with pytest.raises(WaitTimeout, match="pods of shop-blue to be gone"):
        release.retire(after=0)
    assert not bench.events("retire.gone")


DRAINED = CONFIG.replace("port = 9000", 'port = 9000\ndrain = "/drain"')


def test_a_drain_asks_every_pod_once_and_waits_until_nobody_is_there(tmp_path: Path) -> None:
    bench = Bench(tmp_path, DRAINED)
    release = bench.released()
    bench.fake.usage = [{"open": left, "arrivals": 0} for left in (2, 1, 0, 0, 1, 0, 0, 0, 0)]
    release.drain()
    asked = [call for call in bench.fake.calls if call[0] == "post"]
    assert asked == [("post", f"shop-blue-abc-{n}", "9000/drain") for n in range(4)]
    (sent,), (done,) = bench.events("drain.sent"), bench.events("drain.finished")
    assert (sent["side"], len(sent["pods"]), done["open"]) == ("blue", 4, 0)
    assert release.version_of("blue") == "v1"  # still there
    bench.journal.close()


def test_a_drain_that_users_outlive_is_no_quiet_pass(tmp_path: Path) -> None:
    bench = Bench(tmp_path, DRAINED)
    release = bench.released()
    bench.fake.usage = [{"open": 1, "arrivals": 0}]
    with pytest.raises(StillInUse, match="4 connections are still open on blue"):
        release.drain()
    assert bench.events("drain.finished")[0]["open"] == 4
    with pytest.raises(IllegalMove, match="users are on it"):
        release.drain("green")
    bench.journal.close()


def test_only_an_application_with_a_drain_can_be_asked(bench: Bench) -> None:
    release = bench.released()
    with pytest.raises(ConfigurationError, match="can't be asked to drain"):
        release.drain()
