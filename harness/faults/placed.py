"""Timing: a helper that is armed beforehand, and sleeps until an absolute instant of CLOCK_MONOTONIC."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.faults.left_over import Cure

if TYPE_CHECKING:
    from harness.cluster.engine import Engine

Strike = Callable[[int | None], int]
"""Injects at an instant of CLOCK_MONOTONIC in ns (None: at once), and returns the instant that was reached."""

ENGINE_LEAD_NS = 80_000_000
"""What an engine's pause takes from its start to its effect, about: it is started so much earlier."""
HELPER_SECONDS = 60.0

# /proc/uptime is the same kernel's clock in every node, 10 ms fine; bash reads it without a further process.
_HELPER = """
echo $$ >/run/bluegreen-fault-{ident}
cs() {{ read -r up _ </proc/uptime; now=${{up/./}}; }}
{prepare}
cs; echo "armed $now"
left=$(( {at} - now ))
if [ $left -gt 0 ]; then sleep "$(printf %d.%02d $(( left / 100 )) $(( left % 100 )))"; fi
deed() {{
{go}
}}
deed || exit 1
cs; echo "reached $now"
"""


def call(act: Callable[[], object]) -> Strike:
    """Call ``act`` at the instant; reached is when it returned."""

    def strike(at_ns: int | None) -> int:
        sleep_until(at_ns)
        act()
        return time.monotonic_ns()

    return strike


def by_engine(engine: Engine, *words: str) -> Strike:
    """Run an engine command so that it takes effect about then; reached is when it returned."""

    def strike(at_ns: int | None) -> int:
        sleep_until(None if at_ns is None else at_ns - ENGINE_LEAD_NS)
        engine(*words, what=" ".join(words))
        return time.monotonic_ns()

    return strike


def in_node(
    engine: Engine, node: str, ident: str, go: str, prepare: str = "", after: str = "", lead_ms: float = 0.0
) -> Strike:
    """Have bash in a node do ``go`` at the instant.

    Args:
        engine: that the node runs in.
        node: the container.
        ident: of the fault, for ``disarm``.
        go: the deed.
        prepare: finds out what ``go`` needs, as soon as it is armed; it may fail the helper by ``exit 1``.
        after: what is done once the deed was reported, in the background.
        lead_ms: how much earlier the deed is begun, since it takes so long.

    Raises:
        SetupError: the helper failed.

    """

    def strike(at_ns: int | None) -> int:
        at = 0 if at_ns is None else round((at_ns - lead_ms * 1e6 + _boot_offset_ns()) / 1e7)
        script = _HELPER.format(ident=ident, prepare=prepare, at=at, go=go)
        if after:
            script += f"setsid bash -c {shlex.quote(after)} </dev/null >/dev/null 2>&1 &\n"
        done = engine("exec", node, "bash", "-c", script, what=f"do it in {node}", timeout=HELPER_SECONDS)
        for line in done.stdout.splitlines():
            if line.startswith("reached "):
                return int(line.split()[1]) * 10_000_000 - _boot_offset_ns()
        raise HarnessError(f"the helper in {node} didn't tell when it acted: {done.stdout!r}", "report this as a bug")

    return strike


def disarm(node: str, ident: str) -> Cure:
    """End a helper that is still asleep; a number that somebody else has by now is left alone."""
    file = f"/run/bluegreen-fault-{ident}"
    return Cure(
        node,
        f"if read -r p <{file}; then grep -q {ident} /proc/$p/cmdline && kill $p; rm -f {file}; fi 2>/dev/null; true",
    )


def sleep_until(at_ns: int | None) -> None:
    """Return at ``at_ns`` of CLOCK_MONOTONIC, at once where that is over or None."""
    while at_ns is not None and (left := at_ns - time.monotonic_ns()) > 0:
        time.sleep(left / 1e9)


def _boot_offset_ns() -> int:
    """By how much /proc/uptime is ahead of CLOCK_MONOTONIC: the time that the machine was suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
