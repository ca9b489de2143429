"""docs/writing.md, followed literally: its files are put where it says and used as it says."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from harness.checks import registry
from harness.checks.finding import Finding
from harness.checks.registry import bind
from harness.evidence.timeline import Timeline
from harness.faults.block import Faults
from harness.faults.ground import Ground
from harness.faults.left_over import FaultJournal
from harness.journal import Journal
from harness.release.switches import Switch
from tests.conftest import ROOT
from tests.fake_kube import FakeKube, config_in
from tests.simulated import CODES, World, changed, play
from tests.test_faults_block import FakeCluster
from tests.test_plugin import HEAD, Rehearsal, rehearse  # noqa: F401 - rehearse is a fixture

pytest_plugins = ["pytester"]
PAGE = (ROOT / "docs" / "writing.md").read_text()
FILES = dict(re.findall(r"`(release/\w+\.py)`:\n\n```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
SCENARIO, CHECK, FAULT, SWITCH = (
    f"release/{name}.py" for name in ("test_orders", "checks_of_ours", "faults_of_ours", "conftest")
)


@pytest.fixture
def load_module(tmp_path: Path) -> Iterator[Any]:
    names = []

    def load(name: str) -> ModuleType:
        file = tmp_path / Path(name).name
        file.write_text(FILES[name])
        spec = importlib.util.spec_from_file_location(f"of_the_page_{file.stem}", file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        names.append(spec.name)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    known = dict(registry._CHECKS)
    yield load
    registry._CHECKS.clear()
    registry._CHECKS.update(known)
    for one in names:
        del sys.modules[one]


def test_the_page_has_one_file_of_each() -> None:
    assert set(FILES) == {SCENARIO, CHECK, FAULT, SWITCH}


def test_the_check_is_green_and_red_and_without_evidence_neither(load_module: Any) -> None:
    module = load_module(CHECK)
    promise = module.busy_in_time(0.5)

    def judged(timeline: Timeline) -> Finding:
        found = bind(promise).rule(timeline, **promise.params)
        assert found is not None
        return found

    good = play(World())
    assert judged(good).verdict == "pass"
    which = np.flatnonzero(good.samples["cls"] == CODES["busy"])[:3]
    bad = changed(good, which, end=good.samples["intended"][which] + 600_000_000)
    found = judged(bad)
    assert (found.verdict, found.detail) == ("fail", f"3 of {len(good.of_class('busy'))} requests took longer")
    assert found.measured == pytest.approx(0.6)
    assert judged(play(World(classes=("fresh",)))).verdict == "inconclusive"


def test_a_scenario_promises_the_check_and_a_stored_run_is_judged_by_it_again(rehearse: Rehearsal) -> None:  # noqa: F811
    (rehearse.pytester.path / "checks_of_ours.py").write_text(FILES[CHECK])
    words = re.search(r"@pytest\.mark\.promises\((nothing_lost\(\), busy_in_time\(.*?\))\)`", PAGE)
    assert words is not None
    body = f"""
from checks_of_ours import busy_in_time

@on_service
@pytest.mark.promises({words[1]})
def test_orders(release, load):
    load.play()
"""
    rehearse.pytester.makepyfile(test_inner=HEAD + body)
    result = rehearse.again()
    assert result.ret == 0, result.outlines
    assert {one["check"] for one in rehearse.record["findings"]} >= {"busy_in_time", "nothing_lost"}
    # as another process does that has never seen the check
    again = [sys.executable, "-m", "harness.cli", "recheck", rehearse.record["evidence"]]
    unknown = rehearse.pytester.run(*again)
    assert unknown.ret == 4
    unknown.stderr.fnmatch_lines(["*there is no check called busy_in_time*"])
    known = rehearse.pytester.run(*again, "--checks", "checks_of_ours.py")
    assert known.ret == 0
    known.stdout.fnmatch_lines(["*pass*busy_in_time*"])


def test_the_fault_is_injected_seen_and_healed(load_module: Any, tmp_path: Path) -> None:
    module = load_module(FAULT)
    kube, cluster = FakeKube(), FakeCluster(tmp_path / "state", None)
    config: Any = config_in(tmp_path)
    release: Any = None
    kube.scale("ns", "shop-green", 4)
    ground = Ground(kube.kube, "ns", config, release, cluster)  # type: ignore[arg-type]
    journal = Journal(tmp_path)
    faults = Faults(ground, journal, FaultJournal(cluster.state))
    with faults.during(module.one_pod_less("green")):
        assert kube.deployments["shop-green"].replicas == 3
    assert kube.deployments["shop-green"].replicas == 4
    journal.close()
    text = journal.path.read_text()
    assert all(word in text for word in ("fault.injected", "3 pods of 4", "fault.healed"))


def test_the_scenario_is_collected_and_the_switch_is_asked_for(rehearse: Rehearsal) -> None:  # noqa: F811
    (rehearse.pytester.path / "conftest.py").unlink()  # nothing is set up: the real fixtures are only planned
    folder = rehearse.pytester.path / "release"
    folder.mkdir()
    (folder / "test_orders.py").write_text(FILES[SCENARIO])
    (folder / "conftest.py").write_text(FILES[SWITCH])
    result = rehearse.again("--setup-plan", "-q", str(folder))
    result.stdout.fnmatch_lines(
        [
            "*SETUP *F switch (fixtures used: app, namespace)",
            "*SETUP *F release (fixtures used: * switch)",
            "*test_orders.py::test_orders_go_on_while_users_are_moved?service?*",
        ]
    )


def test_the_switch_moves_users_once(load_module: Any, tmp_path: Path) -> None:
    from harness.release.switches.selector import SelectorSwitch

    module = load_module(SWITCH)
    kube = FakeKube()
    switch: Switch = module.Ours(SelectorSwitch(kube.kube, "ns", config_in(tmp_path)))
    assert (switch.name, switch.active(), switch.color("green")) == ("ours", "blue", "green")
    switch.flip("green")
    assert switch.active() == "green"
    assert kube.calls == [("flip", "green")]
