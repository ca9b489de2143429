"""The benchmark of sockets measures: its server speaks the protocol, and the real load child keeps its sockets open."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import sockets
from harness.cluster.store import Store


@pytest.mark.processes
def test_a_short_run_loses_nothing_and_closes_its_ledger(tmp_path: Path) -> None:
    found = sockets.measure(Store(tmp_path, lambda _: None), 20, seconds=3.5)
    assert set(found["lost"].values()) == {0} and found["faults"] == []
    assert found["messages"]["due"] == found["messages"]["received"] >= 20
    assert found["messages"]["unacknowledged"] == 0
    assert set(found["lag_p99_ms"]) == {"fresh", "busy"}
