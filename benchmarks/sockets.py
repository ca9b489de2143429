"""What WebSockets cost the other classes: the lag of fresh and busy requests beside none, 100 and 1,000 sockets.

Writes artifacts/latest/bench/sockets.json. The load child is the real one, the server a process of its own; limits are
those of a scenario: p99 of (sent - intended) at most 2/rate, and nothing lost.
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks import ours, result
from benchmarks.running import realtime, window
from benchmarks.socket_server import served
from harness.client.plan import ClassPlan
from harness.client.socket_plan import SocketPlan
from harness.cluster.store import Store, cache_root
from harness.evidence.losses import losses, ran
from harness.evidence.socket_summary import socket_numbers
from harness.evidence.statistics import lag_by_class

COUNTS = (0, 100, 1000)
RATES = {"fresh": 200.0, "busy": 50.0}
SECONDS = 12.0


def main() -> int:
    """Measure, write the file, print it; 1 where a limit wasn't met at 1,000 sockets."""
    store = Store(cache_root(), lambda text: print(f"[bench] {text}", flush=True))
    found = {str(count): measure(store, count) for count in COUNTS}
    numbers = {"seconds": SECONDS, "sockets": found, "met": found[str(COUNTS[-1])]["met"]}
    print(result.keep("sockets", numbers).read_text())
    return 0 if numbers["met"] else 1


def measure(store: Store, count: int, seconds: float = SECONDS) -> dict[str, Any]:
    """The lag beside so many sockets, and what became of their messages."""
    classes = {name: ClassPlan(rate) for name, rate in RATES.items()}
    sockets = SocketPlan("/ws", count) if count else None
    with window(store) as folder, served() as port:
        timeline, done = ours.drive([port], classes, seconds, folder, prefix=realtime(), sockets=sockets)
    lags = {spec.name: round(lag / 1e6, 2) for spec, lag in lag_by_class(timeline).items()}
    lost = {name: losses(timeline, name).lost for name in ran(timeline)}
    met = all(lag <= 2e3 / RATES[name] for name, lag in lags.items()) and not any(lost.values())
    numbers = socket_numbers(timeline)
    faults = timeline.sockets.faults() if timeline.sockets is not None else ()
    print(json.dumps({"sockets": count, "lag_p99_ms": lags, "lost": lost}), flush=True)
    return {
        "met": met and not faults and numbers.get("count", 0) == count,
        "lag_p99_ms": lags,
        "lost": lost,
        "cpu_share": round(done.cpu_s / done.seconds, 3),
        "messages": {key: numbers[key] for key in ("due", "received", "sent", "unacknowledged")} if numbers else {},
        "faults": list(faults),
    }
