"""The pytest plugin: options, collection rules, one judgement per scenario, exit codes.

It is loaded in every pytest run of its environment. A run without scenarios is none of its business: everything but
its options, markers and fixtures waits until there is one.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from harness import collecting, exits, options
from harness.attending import ATTENDANT, Attendant
from harness.collecting import is_scenario
from harness.errors import EXIT_INCONCLUSIVE, EXIT_PASS, HarnessError, ReleaseError
from harness.fixtures import (  # noqa: F401 - fixtures are found by their names in this module
    app,
    bluegreen_run,
    cluster,
    faults,
    instrument,
    load,
    load_workers,
    meddler,
    namespace,
    path,
    pods,
    scenario,
)
from harness.fixtures_release import cutovers, release, seed, switch  # noqa: F401 - likewise
from harness.guard import Guard
from harness.outputs import publish
from harness.report import terminal
from harness.report.told import Told
from harness.run import CURRENT, RUN, Inconclusive, RunState
from harness.webhook import redacted

if TYPE_CHECKING:
    from harness.scenario import Scenario

RELEASES_FAULT = (ReleaseError, AssertionError, pytest.fail.Exception)
GUARD = pytest.StashKey[Guard]()
REFUSED = "bluegreen_refused"
"""Attribute of a collection report: the id of the worker process that refused."""
MARKERS = (
    "promises(*promises): what the scenario's author declares; judged from the recorded timeline",
    "paths(*names, smoke=None, nightly=None): where the scenario runs, of service and ingress (default: both); the one"
    " that is the smoke tier's; the one that only the nightly tier has, as nothing else is expected there",
    "application(file): another bluegreen.toml, relative to pytest's root folder or to the harness' own data",
    "policy(name): the pods end as [policies] NAME says; it is skipped by name where the configuration has none",
    "needs(word): the scenario needs a version that the configuration may lack; it is skipped by name there",
    "beyond(fault): its fault reaches beyond the namespace; it is skipped by name where that isn't allowed",
    "changed(*changes): what the scenario changes in the manifests, by both_sides(), idle_side() and service()",
    "switches: the scenario needs the application's own switches ([admin] switches); it is skipped by name without",
    "every_switch: --bg-switch runs the scenario with each switch that it names",
    "smoke: the smallest tier: one cutover and one rollback",
    "fast: runs in the fast tier",
    "nightly: runs only with --bg-tier nightly",
    "mutants: runs only with --bg-tier nightly; a broken release that must turn the gate red",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    options.add(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: Any, args: list[str]
) -> Generator[None, None, None]:
    """Refuse misspelt options before pytest's own, less helpful, message; conftest.py files add theirs first."""
    del early_config
    yield
    known = [name for group in (parser._anonymous, *parser._groups) for o in group.options for name in o.names()]
    options.add_alias(parser, known)
    options.refuse_misspelt(args, known)


def pytest_configure(config: pytest.Config) -> None:
    """Register markers, prepare the run."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.stash[RUN] = RunState(config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, pytest.CollectReport]:
    """Remember a file that can't be collected: it is no scenario's fault, and still no pass."""
    report: pytest.CollectReport = yield
    if report.failed:
        collector.config.stash[RUN].other_failed(collector.nodeid, failed=True)
    return report


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A refusal that came from another process, a worker, ends this run with pytest's code for wrong usage."""
    if getattr(report, REFUSED, os.getpid()) != os.getpid():
        raise pytest.UsageError(options.PARALLEL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A scenario must promise something; nightly ones need their tier."""
    collecting.refuse_unjudgeable(items)
    if config.getoption("--bg-switch"):
        later = collecting.of_no_switch(items)
    else:
        later = collecting.later(items, config.getoption("--bg-tier"), config.getoption("-m"))
    if later:
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if item not in later]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse what spoils a verdict, where a scenario was selected."""
    selected = collecting.scenarios(session.items)
    if not selected:
        return
    options.refuse(session.config)
    if not session.config.option.collectonly:
        collecting.refuse_misconfigured(session.config, selected)
    if hasattr(session.config, "workerinput"):  # of pytest-xdist: its controller collects nothing, and hears by reports
        report = pytest.CollectReport("", "failed", options.PARALLEL, [])
        setattr(report, REFUSED, os.getpid())
        session.config.hook.pytest_collectreport(report=report)
        session.items.clear()  # nothing of this run may begin while the controller is being told


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Where scenarios run, junit.xml goes beside their verdict, and the run ends in time and tidily."""
    if not collecting.scenarios(session.items) or session.config.option.collectonly:
        return None
    if session.config.getoption("--bg-dry-run"):
        _dry_run(session)
        return True  # nothing runs; the exit code says that nothing was proven
    run = session.config.stash[RUN]
    run.record_junit()
    run.mutants = collecting.mutants(session.items)
    attendant = session.config.stash[ATTENDANT] = Attendant(session.config)
    session.config.pluginmanager.register(attendant, "bluegreen-attendant")
    guard = session.config.stash[GUARD] = Guard(run.time_limit, run.out_of_time)
    guard.start()
    return None


def _dry_run(session: pytest.Session) -> None:
    from harness.fixtures import configurations, say
    from harness.setup import dry_run

    try:
        for line in dry_run(session.config, configurations(session)):
            say(session.config)(line)
    except HarnessError as error:
        pytest.exit(str(error), returncode=error.exit_code)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a scenario on each of its paths, and with each switch that was asked for."""
    if is_scenario(metafunc.definition):
        get = metafunc.config.getoption
        collecting.parametrize(metafunc, get("--bg-switch"), get("--bg-load-workers"))


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
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        if not current.loaded:
            raise
        raised = error  # who leaves once users are there has not come to the end: no skip hides what they lost
    except Exception as error:
        current.abandon(error)
        raise
    current.conclude(raised)
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A broken harness is an ERROR, a bad release a FAILED: they never look alike."""
    report = yield
    run: RunState = item.config.stash[RUN]
    if not is_scenario(item):
        run.other_failed(f"{item.nodeid} {call.when}", failed=report.failed)
        return report
    if report.skipped:
        run.skipped[item.nodeid] = _reason(report)
    if call.excinfo is None or report.skipped:
        return report
    error = call.excinfo.value
    if isinstance(error, Inconclusive | pytest.fail.Exception) and _current(item) is not None:
        report.longrepr = Told(str(error), line=1)  # the first finding; line 0 is the verdict with the scenario's name
        report.inconclusive = isinstance(error, Inconclusive)
        report.when = "call" if call.when == "setup" else report.when
    elif isinstance(error, Exception):
        if isinstance(error, HarnessError):
            report.longrepr = Told("\n".join([str(error), *getattr(error, "__notes__", ())]), line=0)
        report.when = "setup" if call.when == "call" else report.when
        run.broke(item.nodeid, error)
    return report


def _reason(report: pytest.TestReport) -> str:
    """Why pytest skipped: the third of (file, line, "Skipped: ..."), or the reason of an expected failure."""
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "")
    return str(told).removeprefix("Skipped: ")


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Show an inconclusive scenario as what it is."""
    if getattr(report, "inconclusive", False):
        return "inconclusive", "I", ("INCONCLUSIVE", {"yellow": True})
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """With --bg-rerun-inconclusive, run an inconclusive scenario once more, whole; nothing else is ever tried again."""
    if not item.config.getoption("--bg-rerun-inconclusive") or not is_scenario(item):
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
    if run.began:
        arguments = redacted([str(one) for one in config.invocation_params.args])
        terminal.summary(terminalreporter, run.document(), run.folder, arguments, run.notes)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write verdict.json and choose the exit code: 0 pass, 1 fail, 4 configuration, 10 inconclusive, 11 harness."""
    run: RunState = session.config.stash[RUN]
    if GUARD in session.config.stash:
        session.config.stash[GUARD].stop()
        session.config.stash[ATTENDANT].close()
    if exitstatus == pytest.ExitCode.INTERRUPTED:
        run.interrupted()
    if not run.began:
        selected = collecting.scenarios(session.items) and not session.config.option.collectonly
        if selected and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = EXIT_INCONCLUSIVE  # scenarios were selected, and none was judged: no evidence
        return
    interrupted = exitstatus == pytest.ExitCode.INTERRUPTED and not run.timed_out
    document = run.write(latest=not interrupted)
    run.notes += publish(document, os.environ)
    if not interrupted:
        code = exits.exit_code(document["verdict"], others_failed=run.others_failed, errors=run.raised)
        session.exitstatus = code if code != EXIT_PASS else session.exitstatus


def _current(item: pytest.Item) -> Scenario | None:
    """The item's running scenario, or None before and after."""
    return item.stash.get(CURRENT, None)
