"""The instrument's own test, once per run, beside the first deploy: its result goes into every scenario's record."""

from __future__ import annotations

import concurrent.futures
from typing import Any

from harness.client.selftest import SelfTestResult, in_subprocess
from harness.journal import Journal

BOUND_S = 15.0
"""Hard bound of the self-test in seconds; it takes about 4 on an idle machine, more beside starting pods."""


class Instrument:
    """Runs the self-test in the background and hands out its result.

    Nothing measured starts before it has ended: it would disturb the measurement and be disturbed by it.
    """

    def __init__(self) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="self-test")
        self._result: concurrent.futures.Future[SelfTestResult] = self._pool.submit(in_subprocess, BOUND_S)
        self._pool.shutdown(wait=False)

    def result(self) -> SelfTestResult:
        """The result, as soon as there is one."""
        return self._result.result()

    def journal(self, journal: Journal) -> None:
        """Write the result into a scenario's record."""
        result = self.result()
        journal.event(
            "instrument.tested",
            result=self.verdict,
            injected=result.injected,
            reported=result.reported,
            detail=result.detail,
            seconds=round(result.seconds, 2),
        )

    @property
    def verdict(self) -> str:
        """Either "pass" or "fail"."""
        return "pass" if self.result().passed else "fail"

    def record(self) -> dict[str, Any]:
        """verdict.json's ``instrument``."""
        result = self.result()
        return {"self_test": self.verdict, "injected": result.injected, "reported": result.reported}
