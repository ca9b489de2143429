"""Run every benchmark: ``python -m benchmarks [part ...]``."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import instrument, live, report, sockets, startup

PARTS: dict[str, Callable[[], int | None]] = {
    "startup": startup.main,
    "instrument": instrument.main,
    "live": live.main,
    "report": report.main,
    "sockets": sockets.main,
}


def main() -> int:
    """Run the parts named on the command line, or all."""
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        sys.stderr.write(f"no benchmark is called {unknown[0]}\n  mend: one of {', '.join(PARTS)}\n")
        return 4
    return max(PARTS[name]() or 0 for name in wanted)


if __name__ == "__main__":
    sys.exit(main())
