"""What a run of pytest shows and leaves for machines: terminal, junit.xml, metrics, notifications."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.evidence.store import read
from tests.conftest import closed_port
from tests.screen import Terminal
from tests.test_notify import Chat, chat, told  # noqa: F401 - chat is a fixture
from tests.test_plugin import (  # noqa: F401 - rehearse is a fixture
    BAD,
    GOOD,
    HEAD,
    ROOT,
    SECOND_TIME_GOOD,
    Rehearsal,
    rehearse,
)

pytest_plugins = ["pytester"]
SECRET = "s3cret"


def properties(folder: Path) -> dict[str, dict[str, str]]:
    cases = ElementTree.parse(folder / "junit.xml").getroot().iter("testcase")
    return {
        str(case.get("name")): {str(one.get("name")): str(one.get("value")) for one in case.iter("property")}
        for case in cases
    }


def test_junit_and_metrics_stand_beside_the_verdict(rehearse: Rehearsal) -> None:  # noqa: F811
    assert rehearse(GOOD + BAD + SECOND_TIME_GOOD, "--bg-rerun-inconclusive").ret == 1
    latest = rehearse.latest.parent
    found = properties(latest)
    assert found["test_good[service]"]["bluegreen.verdict"] == "pass"
    assert found["test_bad[service]"]["bluegreen.verdict"] == "fail"
    assert int(found["test_bad[service]"]["bluegreen.lost"]) > 0
    assert Path(found["test_bad[service]"]["bluegreen.evidence"], "events.jsonl").is_file()
    again = found["test_unsure_once[service]"]
    assert again["bluegreen.verdict"] == "pass" and again["bluegreen.evidence"].endswith("attempt2")
    metrics = (latest / "metrics.prom").resolve()
    assert metrics.parent == rehearse.latest.resolve().parent
    assert (
        'bluegreen_scenario_verdict{scenario="test_inner.py::test_bad[service]",verdict="fail"} 1'
        in metrics.read_text()
    )
    moves = rehearse.verdict["scenarios"][0]["moves"]
    assert [one["move"] for one in moves] == ["cutover"] and moves[0]["acknowledged_ms"] == pytest.approx(20)


MUTANTS = """
from types import SimpleNamespace
from harness.words import caught

def broken(name):
    marks = pytest.mark.promises(caught("cold-start", by="traffic"))
    return pytest.param(SimpleNamespace(id=name), id=name, marks=marks)

@pytest.fixture(autouse=True)
def applied(scenario, mutant):
    scenario.journal.event("mutant.applied", id=mutant.id, source="M3", expected="cold-start", gate="traffic")

@on_service
@pytest.mark.parametrize("mutant", [broken(name) for name in ("seen", "absent", "breaks", "ends", "never-begun")])
def test_caught(release, load, mutant):
    if mutant.id == "absent":
        pytest.skip("not this application's")
    load.play()
    if mutant.id == "breaks":
        raise ClusterError("the API server is gone", "look at the control plane")
    if mutant.id == "ends":
        raise KeyboardInterrupt

@on_service
@promised
@pytest.mark.parametrize("mutant", [SimpleNamespace(id="twin")])
def test_twin(release, load, mutant):
    raise AssertionError("the run is over by now")
"""


def test_mutants_without_a_verdict_are_told_and_lower_the_score(rehearse: Rehearsal) -> None:  # noqa: F811
    rehearse(MUTANTS)
    (file,) = rehearse.pytester.path.glob("artifacts/2*/mutants.json")
    told = json.loads(file.read_text())
    assert [one["id"] for one in told["mutants"]] == ["seen"]
    assert told["unjudged"] == ["breaks", "ends", "never-begun"]


@pytest.mark.parametrize("ci", ["", "true"])
def test_a_failure_tells_how_to_follow_and_how_to_repeat_it(
    ci: str,
    rehearse: Rehearsal,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CI", ci)  # where it is set, pytest cuts no line of its short summary
    ours = ("--bg-slo", "99", "--bg-strict", "--bg-notify", f"http://127.0.0.1:{closed_port()}/{SECRET}")
    result = rehearse(BAD, *ours, "-k", "bad")
    result.stdout.fnmatch_lines(
        [
            "*+0.0 ms  first lost request *-fresh-* (connect_refused, through *)",
            "  evidence: *",
            "  follow it: bluegreen trace */test_inner.test_bad-service *-fresh-*",
            "  repeat: pytest 'test_inner.py::test_bad?service?' --bg-config=*/bluegreen.toml --bg-slo 99 --bg-strict",
        ]
    )
    text = str(result.stdout)
    for once in ("around the first lost request", "follow it: ", "blue-green verdict", "verdict: fail"):
        assert text.count(once) == 1, once
    last = [line for line in result.outlines if line.startswith("FAILED ")]
    assert len(last) == 1 and last[0].startswith("FAILED test_inner.py::test_bad[service] - fail nothing_lost measured")
    assert SECRET not in text


def test_pytests_own_options_work_as_ever(rehearse: Rehearsal) -> None:  # noqa: F811
    args = ("-p", "cacheprovider", "-o", "cache_dir=kept")
    rehearse.pytester.makepyfile(test_inner=HEAD + GOOD + BAD)

    def run(*more: str) -> pytest.RunResult:
        return rehearse.pytester.runpytest_inprocess(
            *("-p", "harness.plugin", "-p", "no:logging", f"--bg-config={ROOT / 'bluegreen.toml'}", *args, *more)
        )

    run("-k", "good").assert_outcomes(passed=1, deselected=1)
    run().assert_outcomes(passed=1, failed=1)
    run("--lf").assert_outcomes(failed=1)
    quiet = run("-q", "-k", "good")
    assert "[bluegreen]" not in str(quiet.stdout)
    assert quiet.outlines[0].startswith(".")
    verbose = run("-v", "-k", "good")
    verbose.stdout.fnmatch_lines(["*test_inner.py::test_good?service? PASSED*"])
    normal = run("-k", "good")
    assert sum("cutover acknowledged" in line for line in normal.outlines) <= 1
    normal.stdout.fnmatch_lines(["test_inner.py .*"])


def test_a_notification_leaves_no_secret_anywhere(
    rehearse: Rehearsal,  # noqa: F811
    chat: object,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = chat(200)  # type: ignore[operator]
    assert isinstance(there, Chat)
    url = f"http://127.0.0.1:{there.server.server_port}/hooks/{SECRET}"
    later = GOOD + "    time.sleep(0.6)\n"
    for args, environment in ((("--bg-notify", url), ""), ((f"--bg-notify={url}",), ""), ((), url)):
        monkeypatch.setenv("BLUEGREEN_NOTIFY", environment)
        result = rehearse(later, "-v", "-rA", *args)
        assert result.ret == 0
        assert SECRET not in str(result.stdout) + str(result.stderr)
        (sent,) = told(Path(rehearse.record["evidence"]))
        assert sent.name == "notify.sent"
    assert len(there.got) == 3
    body = there.got[0][1]
    assert body["scenario"] == "test_inner.py::test_good[service]"
    assert body["run"] == Path(rehearse.record["evidence"]).parent.name or len(body["run"]) > 10
    for file in (rehearse.pytester.path / "artifacts").rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


def test_who_can_not_be_told_changes_no_verdict(rehearse: Rehearsal) -> None:  # noqa: F811
    assert rehearse(GOOD, f"--bg-notify=http://127.0.0.1:{closed_port()}/{SECRET}").ret == 0
    (failed,) = read(Path(rehearse.record["evidence"])).named("notify.failed", "notify.sent")
    assert failed.name == "notify.failed" and failed.fields["error"]


@pytest.mark.parametrize("way", ["option", "environment"])
def test_a_wrong_address_is_refused_without_being_repeated(
    rehearse: Rehearsal,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    if way == "environment":
        monkeypatch.setenv("BLUEGREEN_NOTIFY", f"gopher://{SECRET}")
    result = rehearse(GOOD, *([f"--bg-notify=gopher://{SECRET}"] if way == "option" else []))
    assert result.ret == 4
    text = str(result.stdout) + str(result.stderr)
    assert "no http or https URL" in text and SECRET not in text


def test_the_jobs_summary_is_written_once(
    rehearse: Rehearsal,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    rehearse(GOOD + BAD)
    text = (tmp_path / "summary.md").read_text()
    assert text.count("Blue-green verdict: fail (1 of 2 scenarios)") == 1


# -- on a real terminal -----------------------------------------------------------------------------------------------

SLOWLY = """
@on_service
@promised
def test_slowly(release, load):
    load.play()
    print("said by the test")
    time.sleep(1.6)
"""


def on_a_terminal(rehearse: Rehearsal, *args: str, interrupt_at: str = "") -> Iterator[str]:  # noqa: F811
    """The output of an inner run whose terminal is a terminal, piece by piece; Ctrl-C once a text is seen."""
    command = ["env", "--default-signal=INT"]  # a job in the background of a shell inherits that it is ignored
    command += [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "harness.plugin"]
    command += [f"--bg-config={ROOT / 'bluegreen.toml'}", "--color=no", *args]
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    environment |= {"TERM": "xterm", "COLUMNS": "80", "LINES": "30", "PYTHONPATH": str(ROOT)}
    terminal, theirs = pty.openpty()
    with subprocess.Popen(
        command, cwd=rehearse.pytester.path, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as child:
        os.close(theirs)
        with os.fdopen(terminal, "rb", buffering=0) as file, contextlib.suppress(OSError):  # EIO: the child is gone
            while raw := file.read(65536):
                if interrupt_at and interrupt_at in raw.decode(errors="replace"):
                    child.send_signal(signal.SIGINT)
                    interrupt_at = ""
                yield raw.decode(errors="replace")
        child.wait(timeout=30)


@pytest.mark.processes
@pytest.mark.parametrize("args", [(), ("-v",), ("-q",)])
def test_the_block_shows_what_goes_on_and_leaves_nothing(rehearse: Rehearsal, args: tuple[str, ...]) -> None:  # noqa: F811
    rehearse.pytester.makepyfile(test_inner=HEAD + SLOWLY)
    terminal, seen = Terminal(), ""
    for piece in on_a_terminal(rehearse, *args):
        seen += piece
        terminal.feed(re.sub(r"\x1b\[0?m", "", piece).replace("\r\n", "\n"))
    assert "0 lost" in seen and "longest gap" in seen, seen
    shown = "\n".join(terminal.lines)
    assert shown.count("longest gap") == 0, shown
    assert "verdict: pass (1 of 1 scenarios)" in shown
    assert not terminal.hidden
    result = {(): "test_inner.py .", ("-v",): "test_inner.py::test_slowly[service] PASSED", ("-q",): "."}[args]
    assert any(line.startswith(result) for line in terminal.lines), shown


SAYING = (
    SLOWLY
    + """
    from harness.fixtures import say
    say(pytestconfig)("waiting for another run")
    time.sleep(0.6)
"""
)


@pytest.mark.processes
def test_what_the_harness_says_meanwhile_is_whole_and_stays(rehearse: Rehearsal) -> None:  # noqa: F811
    body = SAYING.replace("test_slowly(release, load)", "test_slowly(release, load, pytestconfig)")
    rehearse.pytester.makepyfile(test_inner=HEAD + body)
    terminal = Terminal()
    for piece in on_a_terminal(rehearse):
        terminal.feed(re.sub(r"\x1b\[0?m", "", piece).replace("\r\n", "\n"))
    lines = terminal.lines
    assert lines.count("[bluegreen] waiting for another run") == 1, lines
    assert any(line.startswith("test_inner.py .") for line in lines) and "longest gap" not in "".join(lines)


@pytest.mark.processes
def test_an_interrupted_run_leaves_the_terminal_as_it_was(rehearse: Rehearsal) -> None:  # noqa: F811
    rehearse.pytester.makepyfile(test_inner=HEAD + SLOWLY.replace("1.6", "30"))
    terminal = Terminal()
    for piece in on_a_terminal(rehearse, interrupt_at="longest gap"):
        terminal.feed(re.sub(r"\x1b\[0?m", "", piece).replace("\r\n", "\n"))
    shown = "\n".join(terminal.lines)
    assert "KeyboardInterrupt" in shown and "test_slowly[service]: interrupted" in shown, shown
    assert "longest gap" not in shown and not terminal.hidden


@pytest.mark.processes
def test_with_s_what_the_test_says_stays_whole(rehearse: Rehearsal) -> None:  # noqa: F811
    rehearse.pytester.makepyfile(test_inner=HEAD + SLOWLY)
    text = "".join(on_a_terminal(rehearse, "-s"))
    assert text.count("said by the test\r\n") == 1
    assert "\x1b[1A" not in text and "\x1b[2K" not in text
    assert text.count("[bluegreen]") == text.count("\n[bluegreen]") > 3
