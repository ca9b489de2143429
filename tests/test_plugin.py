"""The plugin as a user meets it: scenarios run in an inner pytest, with a scripted timeline in place of a cluster."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import scipy.special

import harness.loading
import harness.report.files
import harness.report.terminal
import harness.scenario
import harness.words
import tests.simulated
from harness.errors import ClusterError, ConfigurationError
from harness.exits import exit_code
from tests.fake_kube import config_in
from tests.fake_server import shop_manifests

# an inner run in this process forgets what it imported, and numpy can't be imported twice: so it is there before
HERE_TO_STAY = (
    scipy.special,
    harness.loading,
    harness.report.files,
    harness.report.terminal,
    harness.scenario,
    harness.words,
    tests.simulated,
)

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[1]
CONFTEST = """
import pathlib, time, types
import pytest
from tests import simulated

LEFT_OUT = ("run.started", "instrument.tested", "scenario.finished")  # the plugin writes these itself

@pytest.fixture(scope="session")
def cluster(bluegreen_run, pytestconfig):
    log = pathlib.Path(pytestconfig.rootpath, "clusters.log")
    with log.open("a") as lines:
        lines.write("made\\n")
    bluegreen_run.environment = {"kubernetes": "simulated"}
    nodes = [types.SimpleNamespace(name=name) for name in simulated.NODES]
    names = lambda path: simulated.NODES
    yield types.SimpleNamespace(names=names, engine="simulated", lacks=lambda path: "")
    with log.open("a") as lines:
        lines.write("gone\\n")

@pytest.fixture(scope="session")
def instrument(cluster, bluegreen_run):
    class Tested:
        def journal(self, journal):
            journal.event("instrument.tested", result="pass", injected=9, reported=9, detail="")
        def record(self):
            return {"self_test": "pass", "injected": 9, "reported": 9}
    bluegreen_run.instrument = Tested()
    return bluegreen_run.instrument

@pytest.fixture
def namespace(scenario):
    return types.SimpleNamespace(name="simulated")

@pytest.fixture
def release(scenario, namespace):
    return scenario

@pytest.fixture
def load(scenario, release, monkeypatch):
    def play(**world):
        world = simulated.World(**world)
        monkeypatch.setattr(simulated, "T0", time.monotonic_ns() - int((world.seconds + 1) * 1e9))
        timeline = simulated.play(world)
        for event in timeline.events:
            if event.name not in LEFT_OUT:
                scenario.journal.event(event.name, t=event.t, **event.fields)
        (scenario.folder / "samples-7.bin").write_bytes(simulated.sample_file(timeline))
    return types.SimpleNamespace(play=play)
"""
HEAD = """
import time
import pytest
from harness.errors import ClusterError, ConfigurationError, IllegalMove, RolloutFailed, SetupError
from harness.words import CUTOVER, NEW, OLD, REFUSED_BY_SMOKE, nothing_lost, only
from tests.simulated import Down

on_service = pytest.mark.paths("service")
promised = pytest.mark.promises(nothing_lost(), only(NEW, after=CUTOVER, within=2.0))
LOSES = {"downs": (Down(6.0, 6.2),)}
LAGS = {"lag_ms": 60.0}
"""
GOOD = """
@on_service
@promised
def test_good(release, load):
    load.play()
"""
BAD = """
@on_service
@promised
def test_bad(release, load):
    load.play(**LOSES)
"""
UNSURE = """
@on_service
@promised
def test_unsure(release, load):
    load.play(**LAGS)
"""
BROKEN = """
@on_service
@promised
def test_broken(release, load):
    load.play()
    raise ClusterError("the API server is gone", "look at the control plane")
"""


class Rehearsal:
    """Runs an inner pytest, and reads what it left behind."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        pytester.makeconftest(CONFTEST)

    def __call__(self, body: str, *args: str) -> pytest.RunResult:
        self.pytester.makepyfile(test_inner=HEAD + body)
        return self.again(*args)

    def again(self, *args: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess(
            *("-p", "harness.plugin", "-p", "no:cacheprovider", "-p", "no:logging"),
            *(f"--bg-config={ROOT / 'bluegreen.toml'}", *args),
            no_reraise_ctrlc=True,
        )

    @property
    def latest(self) -> Path:
        return self.pytester.path / "artifacts" / "latest" / "verdict.json"

    @property
    def verdict(self) -> dict[str, Any]:
        return dict(json.loads(self.latest.read_text()))

    @property
    def record(self) -> dict[str, Any]:
        (record,) = self.verdict["scenarios"]
        return dict(record)

    @property
    def clusters(self) -> list[str]:
        return (self.pytester.path / "clusters.log").read_text().split()


@pytest.fixture
def rehearse(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Rehearsal:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return Rehearsal(pytester)


def findings(record: dict[str, Any]) -> dict[str, str]:
    return {one["check"]: one["verdict"] for one in record["findings"]}


# -- verdicts and exit codes ------------------------------------------------------------------------------------------


def test_a_good_release_passes_with_its_evidence_on_disk(rehearse: Rehearsal) -> None:
    result = rehearse(GOOD)
    assert result.ret == 0
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*blue-green verdict*", "verdict: pass (1 of 1 scenarios)", "repeat: pytest *"])
    verdict, record = rehearse.verdict, rehearse.record
    assert (verdict["schema"], verdict["verdict"], verdict["tier"]) == (1, "pass", "default")
    assert verdict["environment"] == {"kubernetes": "simulated"}
    assert verdict["instrument"] == {"self_test": "pass", "injected": 9, "reported": 9}
    assert verdict["harness_errors"] == []
    assert verdict["not_covered"]
    assert record["id"] == "test_inner.py::test_good[service]"
    assert (record["verdict"], record["path"], record["expect"], record["level"]) == (
        *("pass", "service", "no_loss", "user"),
    )
    assert set(findings(record).values()) == {"pass"}
    assert {"nothing_lost", "only", "ledger", "lag", "self_test", "near_flip"} <= set(findings(record))
    assert record["samples"]["by_class"]["fresh"]["issued"] == 2400
    assert record["cutovers"] == 1
    assert record["cutover"]["acknowledged_ms"] == pytest.approx(20)
    folder = Path(record["evidence"])
    assert folder.parent == rehearse.latest.resolve().parent
    events = [json.loads(line)["name"] for line in (folder / "events.jsonl").read_text().splitlines()]
    assert (events[0], events[-1]) == ("run.started", "scenario.finished")
    assert events.count("promise.declared") == 2
    assert (folder / "samples-7.bin").stat().st_size > 64 * 2400


def test_the_report_lies_beside_the_verdict_whatever_that_is(rehearse: Rehearsal) -> None:
    assert rehearse(GOOD + BAD).ret == 1
    report = rehearse.latest.with_name("report.html")
    assert report.resolve() == rehearse.latest.resolve().with_name("report.html")
    text = report.read_text()
    assert "A promise was broken: 1 of 2 scenarios failed." in text
    assert "test_good[service]" in text and "Its record is gone" not in text


def test_a_report_that_cannot_be_built_changes_no_verdict(rehearse: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_more: object) -> str:
        raise ZeroDivisionError("no\nbins")

    monkeypatch.setattr(harness.report.files, "build", broken)
    result = rehearse(GOOD)
    assert result.ret == 0
    assert rehearse.verdict["verdict"] == "pass"
    assert not rehearse.latest.with_name("report.html").exists()
    result.stderr.fnmatch_lines(["bluegreen: report.html could not be written (ZeroDivisionError: no bins)"])


def test_a_lost_request_fails_once_and_tells_what_happened_around_it(rehearse: Rehearsal) -> None:
    result = rehearse(BAD)
    assert result.ret == 1
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "FAIL: test_inner.py::test_bad?service?",
            "*fail *nothing_lost*",
            "*around the first lost request:*",
            "*-2000.0 ms  cutover.sent move=cutover*",
            "*evidence: *",
            "verdict: fail (0 of 1 scenarios)",
        ]
    )
    assert findings(rehearse.record)["nothing_lost"] == "fail"
    assert rehearse.record["samples"]["failed"] > 0


def test_thin_evidence_is_shown_as_inconclusive(rehearse: Rehearsal) -> None:
    result = rehearse(UNSURE, "-v")
    assert result.ret == 10
    result.stdout.fnmatch_lines(["*::test_unsure?service? INCONCLUSIVE*", "verdict: inconclusive (0 of 1 scenarios)"])
    result.stdout.no_fnmatch_line("*FAILED*")
    assert findings(rehearse.record)["lag"] == "inconclusive"


def test_a_scenario_that_measured_nothing_is_inconclusive(rehearse: Rehearsal) -> None:
    assert rehearse("@on_service\n@promised\ndef test_idle(release, load): pass").ret == 10
    assert rehearse.record["verdict"] == "inconclusive"


def test_a_broken_harness_is_an_error_and_keeps_the_evidence(rehearse: Rehearsal) -> None:
    result = rehearse(BROKEN)
    assert result.ret == 11
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["the API server is gone", "  mend: look at the control plane"])
    assert rehearse.verdict["verdict"] == "inconclusive"
    assert rehearse.verdict["scenarios"] == []
    assert rehearse.verdict["harness_errors"] == ["test_inner.py::test_broken[service]: the API server is gone"]
    (record,) = rehearse.latest.resolve().parent.glob("*/events.jsonl")
    assert "scenario.broke" in record.read_text()


@pytest.mark.parametrize(
    ("fixture", "error", "code", "text"),
    [
        ("cluster", 'SetupError("no engine", "install one")', 11, "no engine"),
        ("cluster", 'ConfigurationError("a key is wrong", "mend it")', 4, "a key is wrong"),
        ("load", "OSError('no such disk')", 11, "no such disk"),
    ],
)
def test_what_breaks_in_a_fixture_is_an_error(
    rehearse: Rehearsal, fixture: str, error: str, code: int, text: str
) -> None:
    scope = "session" if fixture == "cluster" else "function"
    result = rehearse(f"@pytest.fixture(scope='{scope}')\ndef {fixture}():\n    raise {error}\n{GOOD}")
    assert result.ret == code
    result.assert_outcomes(errors=1)
    assert text in rehearse.verdict["harness_errors"][0]
    assert rehearse.verdict["verdict"] == "inconclusive"


def test_a_slip_in_the_scenarios_own_code_is_an_error_not_a_bad_release(rehearse: Rehearsal) -> None:
    result = rehearse("@on_service\n@promised\ndef test_slip(release, load):\n    load.play()\n    load.ply()")
    assert result.ret == 11
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*load.ply()*", "*AttributeError*"])
    assert "'ply'" in rehearse.verdict["harness_errors"][0]


@pytest.mark.parametrize("where", ["body", "set-up"])
def test_an_error_of_the_release_is_a_failure(rehearse: Rehearsal, where: str) -> None:
    error = 'RolloutFailed("green never got ready", "look at its log")'
    if where == "body":
        result = rehearse(
            f"@on_service\n@promised\ndef test_rollout(release, load):\n    load.play()\n    raise {error}\n"
        )
    else:
        result = rehearse(f"@pytest.fixture\ndef release(scenario): raise {error}\n{GOOD}")
    assert result.ret == 1
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*fail *completed*green never got ready*", "verdict: fail (0 of 1 scenarios)"])
    assert findings(rehearse.record)["completed"] == "fail"
    assert "scenario.finished" in (Path(rehearse.record["evidence"]) / "events.jsonl").read_text()


def test_an_assertion_in_the_body_is_a_failure_and_the_rest_is_judged(rehearse: Rehearsal) -> None:
    result = rehearse(
        "@on_service\n@promised\ndef test_claim(release, load):\n    load.play()\n    assert 1 == 2, 'no equal'"
    )
    assert result.ret == 1
    result.assert_outcomes(failed=1)
    assert findings(rehearse.record) | {"completed": "fail", "nothing_lost": "pass"} == findings(rehearse.record)


def test_fail_beats_broken_and_inconclusive(rehearse: Rehearsal) -> None:
    assert rehearse(GOOD + BAD + UNSURE + BROKEN).ret == 1
    assert rehearse.verdict["verdict"] == "fail"
    assert [one["verdict"] for one in rehearse.verdict["scenarios"]] == ["pass", "fail", "inconclusive"]


def test_broken_beats_inconclusive(rehearse: Rehearsal) -> None:
    assert rehearse(GOOD + UNSURE + BROKEN).ret == 11


def test_a_plain_test_that_fails_beside_a_good_scenario_fails_the_run(rehearse: Rehearsal) -> None:
    result = rehearse(GOOD + "\ndef test_plain(): assert False")
    assert result.ret == 1
    assert rehearse.verdict["verdict"] == "pass"  # users lost nothing all the same


PLAIN = "\ndef test_plain(): assert False\n"


@pytest.mark.parametrize("body", [UNSURE, BROKEN, BROKEN + UNSURE], ids=["unsure", "broken", "both"])
def test_a_plain_test_that_fails_is_not_hidden_by_thin_evidence_or_a_broken_harness(
    rehearse: Rehearsal, body: str
) -> None:
    assert rehearse(body + PLAIN).ret == 1
    assert rehearse.verdict["verdict"] == "inconclusive"  # the scenarios' own


def test_a_file_that_cannot_be_collected_is_not_hidden_either(rehearse: Rehearsal) -> None:
    rehearse.pytester.makepyfile(test_torn="import no_such_module")
    assert rehearse(UNSURE, "--continue-on-collection-errors").ret == 1


def test_wrong_configuration_beats_a_broken_harness(rehearse: Rehearsal) -> None:
    wrong = BROKEN.replace("test_broken", "test_wrong").replace("ClusterError", "ConfigurationError")
    assert rehearse(wrong + BROKEN + UNSURE).ret == 4


@pytest.mark.parametrize(
    ("verdict", "others", "errors", "code"),
    [
        ("pass", False, [], 0),
        ("inconclusive", False, [], 10),
        ("inconclusive", False, [ClusterError("a")], 11),
        ("pass", False, [None], 11),
        ("inconclusive", False, [ClusterError("a"), ConfigurationError("b")], 4),
        ("inconclusive", True, [ConfigurationError("b")], 1),
        ("fail", False, [ConfigurationError("b"), None], 1),
        ("pass", True, [], 1),
    ],
)
def test_the_order_of_the_exit_codes(verdict: str, others: bool, errors: list[BaseException | None], code: int) -> None:
    assert exit_code(verdict, others_failed=others, errors=errors) == code


def test_the_first_error_at_the_end_is_told_with_those_behind_it(rehearse: Rehearsal) -> None:
    ends = """
    def end(text):
        raise ClusterError(text, "mend it")
    for text in ("second", "first"):  # last in, first out
        release.at_end.append(lambda text=text: end(text))
"""
    for body, lines in (
        (GOOD + ends, ["first", "  mend: mend it", "  after that: second"]),
        (
            GOOD + ends + '    raise IllegalMove("no way", "")',
            ["first", "  after that: second", "  before that*no way"],
        ),
        (BROKEN.replace("    raise", ends + "    raise"), ["the API server is gone", "*that: first", "*that: second"]),
    ):
        result = rehearse(body)
        assert result.ret == 11
        result.stdout.fnmatch_lines(lines)


# -- a second attempt -------------------------------------------------------------------------------------------------

SECOND_TIME_GOOD = """
played = []

@on_service
@promised
def test_unsure_once(release, load):
    played.append(1)
    load.play(**({} if len(played) > 1 else LAGS))
"""


def test_an_inconclusive_scenario_is_run_once_more_and_both_attempts_are_recorded(rehearse: Rehearsal) -> None:
    result = rehearse(SECOND_TIME_GOOD + GOOD, "--bg-rerun-inconclusive")
    assert result.ret == 0
    result.assert_outcomes(passed=2)
    record = rehearse.verdict["scenarios"][0]
    assert [one["verdict"] for one in record["attempts"]] == ["inconclusive", "pass"]
    first, second = (Path(one["evidence"]) for one in record["attempts"])
    assert first != second
    assert (first / "events.jsonl").exists()
    assert (second / "events.jsonl").exists()
    assert rehearse.clusters == ["made", "gone"]  # the cluster outlives the repetition


def test_a_second_inconclusive_attempt_is_the_last(rehearse: Rehearsal) -> None:
    result = rehearse(UNSURE, "--bg-rerun-inconclusive")
    assert result.ret == 10
    assert [one["verdict"] for one in rehearse.record["attempts"]] == ["inconclusive", "inconclusive"]
    assert rehearse.clusters == ["made", "gone"]


def test_without_the_option_nothing_is_run_again(rehearse: Rehearsal) -> None:
    assert rehearse(SECOND_TIME_GOOD).ret == 10
    assert len(rehearse.record["attempts"]) == 1


def test_neither_a_failed_nor_a_broken_scenario_is_ever_run_again(rehearse: Rehearsal) -> None:
    counting = "\n\nimport atexit\n" + BAD.replace("load.play", "print('BAD RUNS'); load.play")
    result = rehearse(counting + BROKEN.replace("load.play", "print('BROKEN RUNS'); load.play"), "-s",
                      "--bg-rerun-inconclusive")  # fmt: skip
    assert result.ret == 1
    assert [line.count("BAD RUNS") for line in result.outlines if "BAD RUNS" in line] == [1]
    assert [line.count("BROKEN RUNS") for line in result.outlines if "BROKEN RUNS" in line] == [1]
    assert len(rehearse.record["attempts"]) == 1


# -- collection -------------------------------------------------------------------------------------------------------


def test_a_scenario_without_promises_is_refused_at_collection(rehearse: Rehearsal) -> None:
    result = rehearse(GOOD + "\n@on_service\ndef test_mute(release, load): pass")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*test_inner.py::test_mute?service? promises nothing*", "*mend: *promises(...)*"])
    assert not (rehearse.pytester.path / "artifacts").exists()


def test_a_scenario_runs_on_both_paths_unless_it_says_otherwise(rehearse: Rehearsal) -> None:
    result = rehearse("@promised\ndef test_both(release, load, path): pass\n" + GOOD, "--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        "test_inner.py::test_both[service]",
        "test_inner.py::test_both[ingress]",
        "test_inner.py::test_good[service]",
    ]


TIERS = """
@pytest.mark.nightly
@on_service
@promised
def test_late(release, load): load.play()

@pytest.mark.mutants
@on_service
@promised
def test_mutant(release, load): load.play()

@pytest.mark.fast
@on_service
@promised
def test_quick(release, load): load.play()
"""


@pytest.mark.parametrize(
    ("args", "names"),
    [
        ((), ["quick"]),
        (("--bg-tier", "nightly"), ["late", "mutant", "quick"]),
        (("-m", "fast"), ["quick"]),
        (("-m", "not fast"), []),
        (("-m", "nightly"), ["late"]),
    ],
)
def test_tiers(rehearse: Rehearsal, args: tuple[str, ...], names: list[str]) -> None:
    result = rehearse(TIERS, "--collect-only", "-q", *args)
    shown = [line.split("test_")[-1].removesuffix("[service]") for line in result.outlines if "::" in line]
    assert shown == names


def test_one_path_of_a_scenario_may_be_the_nightly_tiers(rehearse: Rehearsal) -> None:
    body = """
@pytest.mark.paths(nightly="ingress")
@promised
def test_both(release, load): load.play()
"""
    collected = rehearse(body, "--collect-only", "-q")
    assert [line for line in collected.outlines if "::" in line] == ["test_inner.py::test_both[service]"]
    collected = rehearse.again("--collect-only", "-q", "--bg-tier", "nightly")
    assert len([line for line in collected.outlines if "::" in line]) == 2


def test_the_tier_is_recorded(rehearse: Rehearsal) -> None:
    rehearse(TIERS, "-m", "fast")
    assert rehearse.verdict["tier"] == "fast"


def test_a_version_that_the_configuration_lacks_skips_by_name(rehearse: Rehearsal) -> None:
    needs = "@pytest.mark.needs(REFUSED_BY_SMOKE)" + GOOD
    result = rehearse(needs, "-rs", f"--bg-config={ROOT / 'manifests' / 'nginx' / 'bluegreen.toml'}")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*names no version for {refused_by_smoke}*"])
    assert result.ret == 10  # nothing was judged


def test_a_path_on_which_nothing_would_tell_who_answered_is_skipped_by_name(rehearse: Rehearsal) -> None:
    result = rehearse(GOOD, "-rs", f"--bg-config={ROOT / 'manifests' / 'proxied' / 'bluegreen.toml'}")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(['*revision = "envoy" tells who answered on the ingress path alone*'])


@pytest.mark.parametrize("way", ["skip", "fail"])
def test_who_leaves_once_users_are_there_is_judged_all_the_same(rehearse: Rehearsal, way: str) -> None:
    left = (
        f"\n@on_service\n@promised\ndef test_left(release, load):\n    load.play(**LOSES)\n    pytest.{way}('enough')\n"
    )
    result = rehearse(GOOD + left)
    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=1)
    records = {one["id"].split("::")[1]: one for one in rehearse.verdict["scenarios"]}
    findings = {one["check"]: one["verdict"] for one in records["test_left[service]"]["findings"]}
    assert findings["nothing_lost"] == findings["completed"] == "fail"


def test_what_was_skipped_is_in_the_verdict_and_among_what_is_not_covered(rehearse: Rehearsal) -> None:
    skipped = "@pytest.mark.skip('not today')" + GOOD.replace("test_good", "test_left_out")
    result = rehearse(GOOD + skipped)
    assert result.ret == 0
    assert rehearse.verdict["skipped"] == [{"id": "test_inner.py::test_left_out[service]", "reason": "not today"}]
    result.stdout.fnmatch_lines(["not covered: test_inner.py::test_left_out?service? (not today); *"])
    assert len(rehearse.verdict["scenarios"]) == 1


def test_promises_without_anything_to_judge_them_by_are_refused(rehearse: Rehearsal) -> None:
    result = rehearse("@promised\ndef test_hopeful(): pass")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*test_hopeful has promises, but nothing*", "*mend: take the fixture release*"])


def test_a_scenario_that_came_with_the_harness_finds_the_configuration_that_came_with_it(rehearse: Rehearsal) -> None:
    marked = '@pytest.mark.application("manifests/nginx/bluegreen.toml")\n@pytest.mark.needs(REFUSED_BY_SMOKE)' + GOOD
    result = rehearse(marked, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([f"*{ROOT / 'manifests' / 'nginx' / 'bluegreen.toml'} names no version*"])
    missing = rehearse('@pytest.mark.application("manifests/nosuch/bluegreen.toml")' + GOOD)
    assert missing.ret == 4


def test_the_strict_level_reaches_the_record(rehearse: Rehearsal) -> None:
    rehearse(GOOD, "--bg-strict")
    assert rehearse.record["level"] == "strict"


def test_a_burnt_error_budget_fails_a_scenario_whose_promises_hold(rehearse: Rehearsal) -> None:
    body = """
@on_service
@pytest.mark.promises(only(NEW, after=CUTOVER, within=2.0))
def test_bounded(release, load): load.play(**LOSES)
"""
    assert rehearse(body).ret == 0
    assert not rehearse.record["slo"]
    result = rehearse(body, "--bg-slo", "99.9")
    assert result.ret == 1
    assert rehearse.record["slo"]["target"] == 0.999 and rehearse.record["slo"]["burn"] > 1
    result.stdout.fnmatch_lines(
        ["*fail * slo * measured * budgets, limit 1*", "*burns * of its error budget (99.9 %)*"]
    )


# -- options ----------------------------------------------------------------------------------------------------------


def test_a_misspelt_option_names_the_nearest(rehearse: Rehearsal) -> None:
    result = rehearse(GOOD, "--bg-cutover=3")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: there is no option --bg-cutover", "  mend: did you mean --bg-cutovers?"])


def _outside(rehearse: Rehearsal, *args: str, plugin: str = "harness.plugin") -> pytest.RunResult:
    """An inner run in a process of its own, where another plugin is loaded or a signal arrives."""
    rehearse.pytester._monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return rehearse.pytester.run(
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", plugin),
        *(f"--bg-config={ROOT / 'bluegreen.toml'}", *args),
        timeout=40,
    )


@pytest.mark.processes
def test_parallel_workers_are_refused_by_name_where_scenarios_would_run(rehearse: Rehearsal) -> None:
    rehearse.pytester.makepyfile(test_inner=HEAD + GOOD)
    result = _outside(rehearse, "-p", "xdist.plugin", "-n", "2")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: pytest-xdist's -n was given*", "*mend: leave -n out*"])
    assert not (rehearse.pytester.path / "clusters.log").exists()
    assert not (rehearse.pytester.path / "artifacts").exists()


@pytest.mark.processes
def test_scenarios_that_were_not_selected_refuse_nothing(rehearse: Rehearsal) -> None:
    rehearse.pytester.makepyfile(test_inner=HEAD + GOOD + "\ndef test_plain(): pass\n")
    args = ("-k", "plain", "-p", "xdist.plugin", "-n", "2", "-p", "pytest_kind.plugin", "--kubeconfig=/home/me/config")
    result = _outside(rehearse, *args)
    assert result.ret == 0
    result.assert_outcomes(passed=1)


FOREIGN = """
import signal, threading
import pytest

@pytest.fixture
def scenario(): return 1

@pytest.fixture
def release(scenario): return scenario

@pytest.fixture
def path(): return "theirs"

@pytest.mark.parametrize("number", range(3))
def test_their_release(release, path, number):
    assert (release, path) == (1, "theirs")

@pytest.mark.nightly
def test_their_nightly(): pass

def test_their_process_is_as_it_was():
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
"""


@pytest.mark.processes
def test_runs_without_scenarios_are_left_alone(rehearse: Rehearsal) -> None:
    rehearse.pytester.makeconftest("")
    rehearse.pytester.makepyfile(test_inner=FOREIGN)
    args = ("-p", "pytest_kind.plugin", "--kubeconfig=/home/me/.kube/config")
    result = _outside(rehearse, *args)
    assert result.ret == 0
    result.assert_outcomes(passed=5)
    result.stdout.no_fnmatch_line("*blue-green*")
    result = _outside(rehearse, *args, "-p", "xdist.plugin", "-n", "2")
    assert result.ret == 0
    result.assert_outcomes(passed=5)
    assert not (rehearse.pytester.path / "artifacts").exists()


def test_an_override_that_asks_for_ours_has_a_scenario_all_the_same(rehearse: Rehearsal) -> None:
    over = "@pytest.fixture\ndef scenario(scenario): return scenario\n"
    assert rehearse(over + GOOD).ret == 0
    assert rehearse.record["verdict"] == "pass"


def test_the_process_is_as_it_was_after_a_run(rehearse: Rehearsal) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert rehearse(GOOD).ret == 0
    assert signal.getsignal(signal.SIGTERM) is before
    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer)]


def test_options_that_a_conftest_adds_are_no_misspelt_ones(rehearse: Rehearsal) -> None:
    rehearse.pytester.makeconftest("def pytest_addoption(parser): parser.addoption('--bg-mine')")
    rehearse.pytester.makepyfile(test_inner="def test_plain(pytestconfig): assert pytestconfig.option.bg_mine == '1'")
    assert rehearse.again("--bg-mine=1").ret == 0


def test_a_foreign_kubeconfig_is_refused(rehearse: Rehearsal) -> None:
    result = rehearse(GOOD, "-p", "pytest_kind.plugin", "--kubeconfig=/home/me/.kube/config")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*foreign kubeconfig*/home/me/.kube/config", "*mend: *"])
    assert not (rehearse.pytester.path / "clusters.log").exists()


@pytest.mark.parametrize(
    ("args", "what", "mend"),
    [
        (["--bg-namespace=shop"], "*--bg-namespace was given without a cluster", "*--bg-context*"),
        (["--bg-dry-run"], "*--bg-dry-run was given without a cluster", "*--bg-context*"),
        (["--bg-context=mine"], "*no host was named*", "*--bg-target HOST*"),
        (["--bg-context=mine", "--bg-target=http://a"], "*'http://a' is no host", "*HOST?:PORT*"),
        (["--bg-context=mine", "--bg-allow-faults=nodes"], "*no fault beyond*'nodes'", "*did you mean*"),
    ],
)
def test_a_cluster_of_ones_own_is_named_whole_or_not_at_all(
    rehearse: Rehearsal, args: list[str], what: str, mend: str
) -> None:
    result = rehearse(GOOD, *args)
    assert result.ret == 4
    result.stderr.fnmatch_lines([what, mend])
    assert not (rehearse.pytester.path / "clusters.log").exists()


def test_a_foreign_cluster_skips_by_name_what_it_can_not_or_may_not_have(rehearse: Rehearsal) -> None:
    rehearse.pytester.makeconftest(
        CONFTEST.replace('engine="simulated"', "engine=None, allowed_faults=()").replace(
            'lacks=lambda path: ""', 'lacks=lambda path: "no host" if path == "ingress" else ""'
        )
    )
    beyond = BAD.replace("@on_service", '@on_service\n@pytest.mark.beyond("controller-manager-stalled")')
    theirs = UNSURE.replace("@on_service", '@on_service\n@pytest.mark.application("manifests/nginx/bluegreen.toml")')
    result = rehearse(GOOD.replace("@on_service", "") + beyond + theirs, "-rs")
    assert result.ret == 0
    result.assert_outcomes(passed=1, skipped=3)
    reasons = {one["id"].split("::")[1]: one["reason"] for one in rehearse.verdict["skipped"]}
    assert reasons["test_good[ingress]"] == "no host"
    assert "the fault controller-manager-stalled needs a cluster" in reasons["test_bad[service]"]
    assert "application of the harness' own" in reasons["test_unsure[service]"]


def test_a_dry_run_runs_nothing_and_proves_nothing(rehearse: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl = rehearse.pytester.path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(f"#!/bin/sh\ncat '{rehearse.pytester.path}/rendered.yaml'\n")
    kubectl.chmod(0o755)
    (rehearse.pytester.path / "rendered.yaml").write_text(shop_manifests())
    monkeypatch.setenv("PATH", f"{kubectl.parent}:/usr/bin:/bin")
    config = config_in(rehearse.pytester.path)
    words = (f"--bg-config={config.file}", "--bg-context=mine", "--namespace=theirs", "--bg-dry-run")
    result = rehearse(GOOD, *words)
    assert result.ret == 10
    result.stdout.fnmatch_lines(["*context mine, namespace theirs*nothing was sent", "*create * deployments/shop-blue"])
    assert not (rehearse.pytester.path / "clusters.log").exists()
    assert not (rehearse.pytester.path / "artifacts").exists()
    (rehearse.pytester.path / "rendered.yaml").write_text("kind: List\nmetadata: {name: x}\n")
    assert rehearse.again(*words).ret == 4


def test_an_option_of_somebody_elses_is_left_to_them(rehearse: Rehearsal) -> None:
    theirs = "def pytest_addoption(parser): parser.addoption('--namespace', dest='theirs')\n"
    (rehearse.pytester.path / "conftest.py").write_text(theirs)
    rehearse.pytester.makepyfile(
        test_inner="def test_plain(pytestconfig): assert vars(pytestconfig.option).items() >= EXPECTED.items()\n"
        "EXPECTED = {'theirs': 'x', 'bg_namespace': ''}"
    )
    assert rehearse.again("--namespace=x").ret == 0


def test_a_wrong_configuration_is_said_once_before_anything_starts(rehearse: Rehearsal) -> None:
    two = GOOD + GOOD.replace("test_", "test_other_")
    result = rehearse(two, "--bg-config=missing.toml")
    assert result.ret == 4
    assert len([line for line in result.errlines if "missing.toml" in line]) == 1
    assert "mend: " in result.stderr.str() and not (rehearse.pytester.path / "clusters.log").exists()
    assert rehearse(two, "--bg-config=missing.toml", "--collect-only").ret == 0


# -- files of other people --------------------------------------------------------------------------------------------


def test_the_users_own_junit_file_is_written_where_they_asked(rehearse: Rehearsal) -> None:
    result = rehearse(GOOD + BAD + BROKEN, "--junitxml=mine/report.xml")
    assert result.ret == 1
    (suite,) = ElementTree.parse(rehearse.pytester.path / "mine" / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")


def test_junit_is_written_beside_the_verdict_where_nobody_asked_for_it(rehearse: Rehearsal) -> None:
    assert rehearse(GOOD + BAD + BROKEN).ret == 1
    (suite,) = ElementTree.parse(rehearse.latest.with_name("junit.xml")).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    rehearse.pytester.makepyfile(test_inner="def test_plain(): pass")
    before = rehearse.latest.with_name("junit.xml").readlink()
    assert rehearse.again().ret == 0
    assert rehearse.latest.with_name("junit.xml").readlink() == before


def test_a_misspelt_promise_is_refused_before_a_cluster_starts(rehearse: Rehearsal) -> None:
    body = "\n@on_service\n@pytest.mark.promises(Promise('nothing_lots'))\ndef test_it(release, load): pass\n"
    result = rehearse("from harness.checks.promise import Promise\n" + body)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no check called nothing_lots*", "*did you mean nothing_lost*"])
    assert not (rehearse.pytester.path / "clusters.log").exists()


def test_only_scenarios_move_the_latest_verdict(rehearse: Rehearsal) -> None:
    assert rehearse(GOOD).ret == 0
    before = rehearse.latest.readlink()
    assert not before.is_absolute()
    rehearse.pytester.makepyfile(test_inner="def test_plain(): pass")
    assert rehearse.again().ret == 0
    rehearse.pytester.makepyfile(
        test_inner="from harness.errors import SetupError\ndef test_plain(): raise SetupError('a', 'b')"
    )
    assert rehearse.again().ret == 1
    assert rehearse.latest.readlink() == before
    assert rehearse(BAD).ret == 1
    assert rehearse.latest.readlink() != before
    assert rehearse.verdict["verdict"] == "fail"


def test_an_interrupted_run_keeps_its_evidence_and_is_no_verdict_for_others(rehearse: Rehearsal) -> None:
    stopped = "\n@on_service\n@promised\ndef test_stopped(release, load): raise KeyboardInterrupt\n"
    result = rehearse(GOOD + stopped)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert not rehearse.latest.exists()
    (verdict,) = (rehearse.pytester.path / "artifacts").glob("*/verdict.json")
    document = json.loads(verdict.read_text())
    assert len(document["scenarios"]) == 1
    assert document["harness_errors"] == ["test_inner.py::test_stopped[service]: interrupted, so it has no verdict"]
    result.stdout.fnmatch_lines(["harness *test_stopped*: interrupted*", "evidence: *"])
    assert rehearse.clusters == ["made", "gone"]


@pytest.mark.processes
def test_sigterm_ends_a_run_as_ctrl_c_does(rehearse: Rehearsal) -> None:
    stopped = (
        "\nimport os, signal\n\n@on_service\n@promised\ndef test_stopped(release, load):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n    while True: time.sleep(0.05)\n"
    )
    rehearse.pytester.makepyfile(test_inner=HEAD + GOOD + stopped)
    result = _outside(rehearse)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert not rehearse.latest.exists()
    assert rehearse.clusters == ["made", "gone"]


def test_an_api_server_that_is_gone_is_told_once_however_much_breaks_behind_it(rehearse: Rehearsal) -> None:
    namespace = """
@pytest.fixture
def namespace(scenario):
    yield scenario
    raise ClusterError("DELETE /api/v1/namespaces/x: no answer", "ask whether the cluster still runs")
"""
    result = rehearse(namespace + BROKEN)
    assert result.ret == 11
    assert rehearse.verdict["harness_errors"] == ["test_inner.py::test_broken[service]: the API server is gone"]
    result.stdout.fnmatch_lines(["the API server is gone", "*mend: look at the control plane"])
    assert rehearse.clusters == ["made", "gone"]


@pytest.mark.processes
def test_the_time_limit_dumps_stacks_ends_the_run_and_is_no_pass(rehearse: Rehearsal) -> None:
    rehearse.pytester.makepyfile(
        test_inner=HEAD
        + GOOD
        + "\n@on_service\n@promised\ndef test_endless(release, load):\n    while True: time.sleep(0.05)"
    )
    result = _outside(rehearse, "--bg-time-limit=3")
    assert result.ret == 11
    result.stderr.fnmatch_lines(["the run did not end within 3 s (--bg-time-limit)*", "*in test_endless"])
    assert rehearse.verdict["verdict"] == "inconclusive"
    assert "--bg-time-limit" in rehearse.verdict["harness_errors"][0]
    assert rehearse.clusters == ["made", "gone"]
