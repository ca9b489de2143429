"""A stored run judged again: the same by its own limits, otherwise by others, and nothing misspelt gets through."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.checks.promise import Promise, promises_of
from harness.checks.registry import judge
from harness.cli import main
from harness.errors import ConfigurationError
from harness.evidence import samples as layout
from harness.evidence.store import read
from harness.evidence.timeline import Timeline
from harness.limits import Limit, limit, promise
from harness.recheck import Limits, judged, load_checks
from harness.scenario import Scenario
from harness.words import nothing_lost, only, red
from tests.simulated import CODES, Down, Flip, World, changed, event, having, play, write

ROOT = Path(__file__).resolve().parents[1]


def store(folder: Path, timeline: Timeline, *promises: Promise) -> Timeline:
    folder.mkdir(parents=True, exist_ok=True)
    declared = [event(-1.9, "promise.declared", **one.to_dict()) for one in promises or (nothing_lost(),)]
    write(folder, having(timeline, *declared))
    return read(folder)


def retriable(timeline: Timeline) -> Timeline:
    """The same timeline with two idle losses that any client may retry."""
    idle = np.flatnonzero(timeline.samples["cls"] == CODES["idle"])[4:6]
    return changed(timeline, idle, outcome=layout.UNKNOWN, error=6, revision=0, pod=0, flags=layout.FLAG_RETRIABLE)


@pytest.mark.parametrize("world", [{}, {"slo": 0.999, "downs": (Down(6.0, 6.2),)}, {"level": "strict", "lag_ms": 60.0}])
def test_by_its_own_limits_a_run_gets_its_own_findings(tmp_path: Path, world: dict[str, Any]) -> None:
    timeline = store(tmp_path, play(World(**world)), nothing_lost(), only("v2"), red(only("v1")))
    own = judge(timeline, promises_of(timeline))
    assert judged(timeline, Limits()) == own
    same = Limits(limits=(limit("only.within=2.0"), limit("lag.lines=2"), limit("near_flip.fresh=300")))
    assert judged(timeline, same) == own
    given = ("nothing_lost()", "only('v2', after=CUTOVER, within=2.0)", "red(only('v1'))")
    assert judged(timeline, Limits(promises=[promise(text) for text in given])) == own
    if "slo" in world:
        assert judged(timeline, Limits(slo=0.999)) == own


@pytest.mark.parametrize(
    ("world", "options", "before", "after"),
    [
        ({"flips": [Flip(4, delays=(0.2, 1.4, 0.3))]}, ["--limit", "only.within=1"], 0, 1),
        ({"flips": [Flip(4, delays=(0.2, 2.4, 0.3))]}, ["--limit", "only.within=3"], 1, 0),
        ({"lag_ms": 11.0}, ["--limit", "lag.lines=3"], 10, 0),
        ({}, ["--limit", "near_flip.fresh=9999"], 0, 10),
        ({}, ["--limit=near_flip.slow=999"], 0, 10),
        ({}, ["--promise", "never_served('v2')"], 0, 1),
        ({"downs": [Down(8.1, 8.3)]}, ["--promise=nothing_lost(classes=['idle'])"], 1, 0),
        ({"downs": [Down(8.1, 8.3)]}, ["--limit", "nothing_lost.classes=idle"], 1, 0),
        ({"downs": [Down(8.1, 8.3)]}, ["--promise", "only('v2')"], 1, 0),
        ({"downs": [Down(8.1, 8.3)]}, ["--promise", "only('v2')", "--slo=99.9"], 1, 1),
        ({"downs": [Down(8.1, 8.3)]}, ["--promise", "only('v2')", "--slo", "90"], 1, 0),
    ],
)
def test_other_limits_give_other_verdicts(
    tmp_path: Path, world: dict[str, Any], options: list[str], before: int, after: int
) -> None:
    store(tmp_path / "a", play(World(**world)), nothing_lost(), only("v2"))
    assert main(["recheck", str(tmp_path)]) == before
    assert main(["recheck", str(tmp_path), *options]) == after


def test_the_level_can_be_another_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(tmp_path / "a", retriable(play(World())))
    assert main(["recheck", str(tmp_path)]) == 0
    assert "2 of 24 idle were lost, retriable by any client" in capsys.readouterr().out
    assert main(["recheck", str(tmp_path), "--strict"]) == 1
    assert "counted at level strict" in capsys.readouterr().out
    store(tmp_path / "a", retriable(play(World(level="strict"))))
    assert main(["recheck", str(tmp_path)]) == 1
    assert main(["recheck", str(tmp_path), "--user"]) == 0


def test_a_twin_takes_the_limits_of_its_promise(tmp_path: Path) -> None:
    store(tmp_path / "a", play(World(flips=[Flip(4, delays=(0.2, 2.4, 0.3))])), red(only("v2")))
    assert main(["recheck", str(tmp_path)]) == 0
    assert main(["recheck", str(tmp_path), "--limit", "only.within=3"]) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--strct"], "did you mean --strict?"),
        (["--limits", "x"], "did you mean --limit?"),
        (["--slow=99"], "did you mean --slo?"),
        (["--strict", "--user"], "not allowed with"),
        (["--slo", "0.999"], "did you mean 99.9?"),
        (["--limit", "only.withn=3"], "did you mean within?"),
        (["--limit", "onyl.within=3"], "did you mean only?"),
        (["--limit", "only.within"], "write CHECK.PARAM=VALUE"),
        (["--limit", "within=3"], "write CHECK.PARAM=VALUE"),
        (["--limit", "only.within=soon"], "write a number"),
        (["--limit", "only.within=nan"], "write a number"),
        (["--limit", "only.within=-1"], "write a number"),
        (["--limit", "near_flip.fresh=1.5"], "write a whole number"),
        (["--limit", "ledger.faults=1"], "it has none at all"),
        (["--limit", "cutover_happened.refusals_promised=1"], "it has none at all"),
        (["--limit", "no_flip_back.within=1"], "no scenario here promises no_flip_back"),
        (["--limit", "nothing_lost.classes=frehs"], "did you mean fresh?"),
        (["--promise", "nothing_lots()"], "did you mean nothing_lost?"),
        (["--promise", "only('v2', withn=3)"], "did you mean within?"),
        (["--promise", "only(NEW)"], "write the version in quotes"),
        (["--promise", "only()"], "it takes (revision"),
        (["--promise", "nothing_lost"], "isn't known here"),
        (["--promise", "'nothing_lost'"], "is no promise"),
        (["--promise", "nothing_lost("], "is no promise"),
        (["--promise", "__import__('os').system('x')"], "there is no promise called"),
        (["--promise", "nothing_lost(1 + 1)"], "is no promise"),
    ],
)
def test_every_misspelling_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    store(tmp_path / "a", play(World(seconds=6)))
    assert main(["recheck", str(tmp_path), *options]) == 4
    streams = capsys.readouterr()
    assert said in streams.err
    assert "verdict" not in streams.out


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("only.within=1.5", 1.5),
        ("only.classes=fresh, post", ("fresh", "post")),
        ("only.revision=v7", "v7"),
        ("idle_side_warm.wanted=3", 3),
        ("loses.at_most_ms=none", None),
    ],
)
def test_a_limit_is_read_by_the_type_of_its_parameter(text: str, value: object) -> None:
    check, _, param = text.split("=")[0].partition(".")
    assert limit(text) == Limit(check, param, value)
    with pytest.raises(ConfigurationError):
        limit(text.replace("=", "x=", 1))


ALONE = """
import sys
from harness.cli import main
code = main(sys.argv[1:])
heavy = {"kubernetes", "pytest_kind", "locust", "gevent", "httpx", "pytest", "urllib3"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


@pytest.mark.processes
def test_it_needs_neither_a_cluster_nor_what_speaks_to_one(tmp_path: Path) -> None:
    store(tmp_path / "a", play(World(seconds=6)))
    words = ["recheck", str(tmp_path), "--strict", "--slo", "99", "--limit", "lag.lines=9"]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout


def test_the_watch_counts_what_counts_at_the_level(tmp_path: Path) -> None:
    """Idle losses that any client may retry don't roll a release back; a strict run counts them."""
    config = SimpleNamespace(limits=SimpleNamespace(cutover_seconds=2.0))
    for level, breached in (("user", False), ("strict", True)):
        timeline = play(World(level=level, seconds=6))
        idle = np.flatnonzero(timeline.samples["cls"] == CODES["idle"])
        timeline = changed(timeline, idle, outcome=layout.UNKNOWN, flags=layout.FLAG_RETRIABLE)
        few = changed(timeline, np.flatnonzero(timeline.samples["cls"] != CODES["idle"])[::2], intended=0)
        folder = tmp_path / level
        store(folder, few)
        scenario: Any = SimpleNamespace(folder=folder, config=config)
        assert (Scenario.breached(scenario) is not None) is breached


@pytest.mark.parametrize(
    ("text", "why"), [(None, "FileNotFoundError"), ("None.x", "AttributeError"), ("(", "SyntaxError")]
)
def test_a_file_of_checks_that_can_not_be_run_is_told_by_name(tmp_path: Path, text: str | None, why: str) -> None:
    file = tmp_path / "checks.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match=f"checks.py can't be run: {why}"):
        load_checks(file)
