"""What the live display costs: processor time of its thread, and the generator's lag with and without it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final, TextIO

from benchmarks import ours, result
from benchmarks.running import realtime, window
from harness.client.plan import ClassPlan
from harness.client.toy_process import ToyProcess
from harness.cluster.store import Store, cache_root
from harness.evidence.statistics import lag_p99
from harness.journal import Journal
from harness.live import Live
from harness.report.screen import choose

SECONDS: Final = 12.0
LIMIT_SHARE: Final = 0.02
ROUNDS: Final = 4
"""In turn without and with it, so that a busy moment of the machine falls on both."""
CLASSES: Final = {
    "fresh": ClassPlan(200.0, path="/ok/fresh"),
    "busy": ClassPlan(50.0, path="/ok/busy"),
    "post": ClassPlan(10.0, path="/ok/post"),
}


class _Terminal:
    """A terminal that takes whatever is drawn and shows nobody: /dev/null that says it is one."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def main() -> int:
    """Measure and write it down; 1 if the display costs more than it may."""
    shares, without, with_it = [], [], []
    store = Store(cache_root(), lambda text: print(f"[bench] {text}", flush=True))
    with ToyProcess() as toy:
        for _ in range(ROUNDS):
            without.append(_lag(store, toy.port, show=False)[0])
            lag, share = _lag(store, toy.port, show=True)
            with_it.append(lag)
            shares.append(share)
    numbers = {
        "seconds": SECONDS,
        "rate": sum(one.rate for one in CLASSES.values()),
        "core_share": [round(one, 5) for one in shares],
        "lag_p99_ms_without": without,
        "lag_p99_ms_with": with_it,
    }
    path = result.keep("live", numbers)
    sys.stdout.write(
        f"live display: {100 * max(shares):.2f} % of a core (limit {100 * LIMIT_SHARE:g} %);"
        f" p99 lag {median(without):.2f} ms without it, {median(with_it):.2f} ms with it\n{path}\n"
    )
    return int(max(shares) > LIMIT_SHARE)


def _lag(store: Store, port: int, *, show: bool) -> tuple[float, float]:
    """One load's p99 lag in ms over its fresh class, and the display's share of a core."""
    with window(store) as where, Path(os.devnull).open("w", encoding="utf-8") as null:
        with _shown(where, _Terminal(null), on=show) as live:
            began = time.monotonic()
            timeline, _ = ours.drive([port], CLASSES, SECONDS, where, prefix=realtime())
            took = time.monotonic() - began
        lag = lag_p99(timeline.of_class("fresh"))
        assert lag is not None, "the load sent nothing"
        return round(lag / 1e6, 3), live.cpu_s / took if live else 0.0


@contextmanager
def _shown(folder: Path, terminal: Any, *, on: bool) -> Iterator[Live | None]:
    if not on:
        yield None
        return
    screen = choose(terminal, {"TERM": "xterm"}, "benchmark", verbosity=1, captured=True, color="yes")
    live = Live(folder, screen)
    with Journal(folder) as journal:
        journal.event("run.started", level="user")
        journal.event("load.started", classes={name: one.rate for name, one in CLASSES.items()})
        journal.event("watch.started", seconds=SECONDS)
        live.start()
        try:
            yield live
        finally:
            live.stop()


if __name__ == "__main__":
    sys.exit(main())
