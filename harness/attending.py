"""What looks on while a scenario runs and tells of it afterwards: the display, notifications, files for machines.

Registered by the plugin only where scenarios run.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, TextIO

import pytest

from harness.report import junit
from harness.webhook import Webhook, webhook_of

if TYPE_CHECKING:
    from harness.live import Live
    from harness.scenario import Scenario

ATTENDANT: pytest.StashKey[Attendant] = pytest.StashKey()


class Attendant:
    """Shows the running scenario and sends notifications; one per run.

    Args:
        config: pytest's configuration.

    Raises:
        ConfigurationError: BLUEGREEN_NOTIFY is no URL.

    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._webhook: Webhook | None = webhook_of(config.getoption("--bg-notify"))
        self._writer = config.get_terminal_writer()
        self._file, self._ours = _terminal(self._writer)
        self._live: Live | None = None

    def close(self) -> None:
        """End."""
        self._quiet()
        if self._ours:
            self._file.close()

    @contextlib.contextmanager
    def attending(self, scenario: Scenario) -> Iterator[None]:
        """Look on while the block runs; the display ends earlier, before pytest writes the result."""
        if self._webhook is not None:
            from harness.notify import Notifier

            notifier = Notifier(self._webhook, scenario.folder, scenario.journal, lambda: about(scenario))
            notifier.start()
            scenario.at_end.append(notifier.stop)
        self._show(scenario)
        try:
            yield
        finally:
            self._quiet()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, Any]:
        """A set-up that ends badly is followed by its report at once."""
        try:
            return (yield)
        except BaseException:
            self._quiet()
            raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        """The report follows at once."""
        try:
            return (yield)
        finally:
            self._quiet()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """The record's numbers become properties of the test in junit.xml."""
        from harness.run import RUN

        record = item.config.stash[RUN].scenarios.get(item.nodeid)
        item.user_properties[:] = junit.merged(item.user_properties, record)
        return (yield)

    def pytest_enter_pdb(self) -> None:
        """Whoever debugs has the terminal to himself."""
        self._quiet()

    def say(self, text: str) -> bool:
        """Show a line that stays, together with the display; False where there is none just now."""
        if self._live is None:
            return False
        self._live.say(text)
        return True

    def _show(self, scenario: Scenario) -> None:
        from harness.live import Live
        from harness.report.screen import choose

        option = self._config.option
        title = scenario.node_id.rsplit("::", 1)[-1]
        screen = choose(
            self._file,
            os.environ,
            title,
            verbosity=option.verbose,
            captured=option.capture != "no" and not self._logs_live(),
            color=option.color,
        )
        self._live = Live(scenario.folder, screen)
        self._live.start(self._writer._current_line)

    def _logs_live(self) -> bool:
        """Whether pytest writes log lines while a test runs."""
        if not self._config.pluginmanager.has_plugin("logging-plugin"):
            return False
        return bool(self._config.getini("log_cli") or self._config.getoption("log_cli_level", None))

    def _quiet(self) -> None:
        from harness.run import RUN

        live, self._live = self._live, None
        if live is not None:
            live.stop()
            notes = self._config.stash[RUN].notes
            notes += [live.broke] if live.broke and live.broke not in notes else []


def about(scenario: Scenario) -> dict[str, str]:
    """What a notification says of the scenario."""
    return {"scenario": scenario.node_id, "namespace": scenario.namespace, "run": scenario.run.run.id}


def _terminal(writer: Any) -> tuple[TextIO, bool]:
    """The terminal as it is outside of the tests, and whether it is ours to close.

    While a test runs, pytest leads the descriptor 1 into a file: a duplicate, made while no test runs, stays.
    """
    file: TextIO = writer._file
    try:
        descriptor = file.fileno()
    except (OSError, ValueError, AttributeError):
        return file, False
    encoding = getattr(file, "encoding", None) or sys.getdefaultencoding()
    return os.fdopen(os.dup(descriptor), "w", encoding=encoding, errors="replace"), True
