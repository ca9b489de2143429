"""The pytest plugin: options, collection rules, one judgement per scenario, exit codes."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from harness import options
from harness.errors import (
    EXIT_CONFIGURATION,
    EXIT_FAIL,
    EXIT_HARNESS,
    EXIT_INCONCLUSIVE,
    ConfigurationError,
    HarnessError,
    ReleaseError,
)
from harness.fixtures import (  # noqa: F401 - fixtures are found by their names in this module
    app,
    bluegreen_run,
    cluster,
    cutovers,
    instrument,
    load,
    meddler,
    namespace,
    path,
    release,
    scenario,
)
from harness.report import terminal
from harness.run import CURRENT, RUN, Inconclusive, RunState

if TYPE_CHECKING:
    from harness.scenario import Scenario

RELEASES_FAULT = (ReleaseError, AssertionError, pytest.fail.Exception)
STDERR = pytest.StashKey[int]()
MARKERS = (
    "promises(*promises): what the scenario's author declares; judged from the recorded timeline",
    "paths(*names): the paths on which the scenario runs, of service and ingress (default: both)",
    "application(file): another bluegreen.toml, relative to pytest's root folder or to the harness' own data",
    "needs(word): the scenario needs a version that the configuration may lack; it is skipped by name there",
    "fast: runs in the fast tier",
    "nightly: runs only with --bg-tier nightly",
    "mutants: runs only with --bg-tier nightly; a broken release that must turn the gate red",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    options.add(parser)


def pytest_load_initial_conftests(early_config: pytest.Config, parser: Any, args: list[str]) -> None:
    """Refuse misspelt options before pytest's own, less helpful, message."""
    del early_config
    known = [name for group in (parser._anonymous, *parser._groups) for o in group.options for name in o.names()]
    options.refuse_misspelt(args, known)


def pytest_configure(config: pytest.Config) -> None:
    """Register markers, refuse what spoils a verdict, prepare the run."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    options.refuse(config)
    config.stash[RUN] = RunState(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A scenario must promise something; nightly ones need their tier."""
    mute = [item for item in _scenarios(items) if item.get_closest_marker("promises") is None]
    if mute:
        raise pytest.UsageError(
            f"{mute[0].nodeid} promises nothing, so it could never fail\n  mend: add @pytest.mark.promises(...)"
        )
    _check_promises(items)
    if config.getoption("--bg-tier") == "nightly":
        return
    named = config.getoption("-m")  # who names a marker wants it; "not fast" names neither
    kept_for_later = [marker for marker in ("nightly", "mutants") if marker not in named]
    later = [item for item in items if any(item.get_closest_marker(marker) for marker in kept_for_later)]
    if later:
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if item not in later]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Where scenarios run, junit.xml goes beside their verdict."""
    if _scenarios(session.items) and not session.config.option.collectonly:
        session.config.stash[RUN].record_junit()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a scenario on each of its paths."""
    if {"path", "release"} <= set(metafunc.fixturenames):
        marker = metafunc.definition.get_closest_marker("paths")
        metafunc.parametrize("path", marker.args if marker else ("service", "ingress"), indirect=True)


def pytest_sessionstart(session: pytest.Session) -> None:
    """SIGTERM ends a run as Ctrl-C does, so that everything is put away; a wall-clock limit dumps all stacks."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    stderr = session.config.stash[STDERR] = os.dup(2)  # while a test runs, pytest keeps what goes to 2 for itself
    session.config.stash[RUN].start_clock(lambda limit: _out_of_time(limit, stderr))


def _interrupt(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(f"signal {number}")


def _out_of_time(limit: float, stderr: int) -> None:
    os.write(stderr, f"\nthe run did not end within {limit:.0f} s (--bg-time-limit); all stacks follow\n".encode())
    faulthandler.dump_traceback(stderr, all_threads=True)
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """A version that never gets ready before the body begins is the release's fault too: judged, and FAILED."""
    try:
        return (yield)
    except RELEASES_FAULT as error:
        if (current := _current(item)) is not None:
            current.conclude(error)
        raise
    except Exception as error:
        if (current := _current(item)) is not None:
            current.abandon(error)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Run the scenario's body, then judge its timeline: all checks, one failure."""
    current = _current(item)
    if current is None:
        return (yield)
    raised: BaseException | None = None
    try:
        yield
    except RELEASES_FAULT as error:
        raised = error  # the record is judged all the same, so that the evidence is complete
    except Exception as error:
        current.abandon(error)
        raise
    current.conclude(raised)
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A broken harness is an ERROR, a bad release a FAILED: they never look alike."""
    report = yield
    if call.excinfo is None or not _is_scenario(item):
        return report
    error = call.excinfo.value
    if isinstance(error, Inconclusive | pytest.fail.Exception) and _current(item) is not None:
        report.longrepr = str(error)
        report.inconclusive = isinstance(error, Inconclusive)
        report.when = "call" if call.when == "setup" else report.when
    elif isinstance(error, Exception):
        if isinstance(error, HarnessError):
            report.longrepr = str(error)
        report.when = "setup" if call.when == "call" else report.when
        item.config.stash[RUN].broke(item.nodeid, error)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Show an inconclusive scenario as what it is."""
    if getattr(report, "inconclusive", False):
        return "inconclusive", "I", ("INCONCLUSIVE", {"yellow": True})
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """With --bg-rerun-inconclusive, run an inconclusive scenario once more, whole; nothing else is ever tried again."""
    if not item.config.getoption("--bg-rerun-inconclusive") or not _is_scenario(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports, again = _attempt(item, nextitem, may_repeat=True)
    if again:
        item.config.stash[RUN].again(item.nodeid)
        item._initrequest()  # type: ignore[attr-defined]
        reports, _ = _attempt(item, nextitem, may_repeat=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _attempt(item: pytest.Item, nextitem: pytest.Item | None, *, may_repeat: bool) -> tuple[list[Any], bool]:
    """Set-up, call and teardown once; the session's fixtures survive the teardown if a second attempt follows."""
    from _pytest.runner import call_and_report

    reports = [call_and_report(item, "setup", log=False)]
    if reports[0].passed:
        reports.append(call_and_report(item, "call", log=False))
    again = may_repeat and any(getattr(report, "inconclusive", False) for report in reports)
    # pytest tears down whatever the next item doesn't share: a sibling shares all but the function's own fixtures
    following = _StandIn.from_parent(item.parent, name="again") if again and item.parent else nextitem
    reports.append(call_and_report(item, "teardown", log=False, nextitem=following))
    item._request = False  # type: ignore[attr-defined]
    item.funcargs = None  # type: ignore[attr-defined]
    return reports, again


class _StandIn(pytest.Item):
    def runtest(self) -> None:
        raise AssertionError("never run")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the verdict, the evidence's place, what isn't covered, and the command that repeats it."""
    run: RunState = config.stash[RUN]
    if run.scenarios or run.errors:
        terminal.summary(terminalreporter, run.document(), run.folder, config.invocation_params.args)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write verdict.json and choose the exit code: 0 pass, 1 fail, 4 configuration, 10 inconclusive, 11 harness."""
    run: RunState = session.config.stash[RUN]
    run.stop_clock()
    os.close(session.config.stash[STDERR])
    if not (run.scenarios or run.errors):
        if exitstatus == pytest.ExitCode.OK and _scenarios(session.items) and not session.config.option.collectonly:
            session.exitstatus = EXIT_INCONCLUSIVE  # scenarios were selected, and none was judged: no evidence
        return
    interrupted = exitstatus == pytest.ExitCode.INTERRUPTED and not run.timed_out
    document = run.write(latest=not interrupted)
    if interrupted:
        return
    failed = document["verdict"] == "fail" or (exitstatus == pytest.ExitCode.TESTS_FAILED and run.only_failures)
    if failed:
        session.exitstatus = EXIT_FAIL
    elif any(isinstance(error, ConfigurationError) for error in run.raised):
        session.exitstatus = EXIT_CONFIGURATION
    elif run.errors:
        session.exitstatus = EXIT_HARNESS
    elif document["verdict"] == "inconclusive":
        session.exitstatus = EXIT_INCONCLUSIVE


def _check_promises(items: list[pytest.Item]) -> None:
    """A misspelt promise is said before the cluster starts, not after the scenario has run."""
    scenarios = _scenarios(items)
    if not scenarios:
        return
    from harness.checks.registry import bind

    for item in scenarios:
        for promise in item.get_closest_marker("promises").args:  # type: ignore[union-attr]
            try:
                bind(promise)
            except ConfigurationError as error:
                raise pytest.UsageError(f"{item.nodeid}: {error}") from error


def _scenarios(items: list[pytest.Item]) -> list[pytest.Item]:
    return [item for item in items if _is_scenario(item)]


def _is_scenario(item: pytest.Item) -> bool:
    return "release" in getattr(item, "fixturenames", ())


def _current(item: pytest.Item) -> Scenario | None:
    """The item's running scenario, or None before and after."""
    return item.stash.get(CURRENT, None)
