"""The instrument's own test, its sockets: each misbehavior told as what it was, each count equal to the server's."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from harness.client.identity import Identity
from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.client.socket_plan import SocketPlan
from harness.client.socket_recorder import SocketRecorder
from harness.client.socket_toy import CLOSES, MODES, NONSENSE, REFUSALS, SocketToyProcess
from harness.client.sockets import Connect, SocketClass
from harness.client.websocket import WebSocket
from harness.evidence.samples import SAMPLE
from harness.evidence.socket_record import decode_sockets
from harness.evidence.sockets import Sockets, joined

SOCKETS: Final = 2
EVERY_MS: Final = 100
SECONDS: Final = 1.2
WAIT_S: Final = 0.4
"""Between two pings, and for a pong: long enough for a busy machine."""

TOLD: Final = {
    **{mode: str(code) for mode, code in CLOSES.items()},
    **{mode: f"refused: {status}" for mode, status in REFUSALS.items()},
    "no_handshake": "refused: handshake_framing",
    "fin": "1006 fin",
    "half_frame": "1006 fin",
    "rst": "1006 rst",
    "silent": "1006 pong",
    "deaf": "1012",
    "garbage": "1002 framing",
    "binary": "1003 message",
    "no_json": "1003 message",
}
"""How each mode's connection must be told to have ended."""
COUNTED: Final = {"gap": "lost", "double": "doubled", "disorder": "disordered", "foreign": "foreign"}
"""What each mode must be counted as, in `harness.evidence.socket_messages.Messages`."""


@dataclass(slots=True)
class SocketSetup:
    """The parts under test: broken ones are put in by the tests of this test."""

    connect: Connect = WebSocket
    recorder: Callable[[Path], SocketRecorder] = SocketRecorder


@dataclass(frozen=True, slots=True)
class SocketRow:
    """One mode: what was injected, what was reported, and what is wrong with it ("" if nothing is)."""

    mode: str
    injected: int
    reported: int
    wrong: str


def run_sockets(setup: SocketSetup, folder: Path, deadline: float) -> list[SocketRow]:
    """Every mode against a server of its own, all at once.

    Args:
        setup: the parts under test.
        folder: for the records.
        deadline: time.monotonic() seconds; what isn't over by then is wrong.

    """
    records: dict[str, Sockets | str] = {}
    with SocketToyProcess() as server:
        threads = [
            threading.Thread(target=_mode, args=(setup, server.port, folder, mode, records), daemon=True)
            for mode in MODES
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        report = server.report()
    return [_judge(mode, records.get(mode, "not over in time"), Counter(report.get(mode, {}))) for mode in MODES]


def _mode(setup: SocketSetup, port: int, folder: Path, mode: str, records: dict[str, Sockets | str]) -> None:
    try:
        (own := folder / mode).mkdir()
        plan = LoadPlan(
            entries=(Entry("127.0.0.1", port, "toy"),),
            hosts=("127.0.0.1",),
            host_header="toy.test",
            classes={"fresh": ClassPlan(1.0)},
            run_tag=mode,
            folder=str(own),
            identity=Identity(revision_header="X-Toy-Version", pod_header="X-Toy-Pod"),
            sockets=SocketPlan(
                f"/{mode}", SOCKETS, every_ms=EVERY_MS, ramp_s=0.05, ping_s=WAIT_S, pong_s=WAIT_S, cap_s=0.2
            ),
        )
        record = setup.recorder(own)
        sockets = SocketClass(plan, record, _spawn, connect=setup.connect)
        start = time.monotonic_ns()
        sockets.run(start, start + int(SECONDS * 1e9))
        record.close()
        raw = np.fromfile(record.path, dtype=SAMPLE)
        records[mode] = joined([decode_sockets(raw, 0, record.path.name)]) or "no record"
    except Exception as error:  # in a thread: it makes the row red instead
        records[mode] = repr(error)


def _spawn(function: Callable[..., None], *args: object) -> None:
    threading.Thread(target=function, args=args, daemon=True).start()


def _judge(mode: str, record: Sockets | str, seen: Counter[str]) -> SocketRow:
    injected = 0 if mode in ("ok", "fragments") else seen["injected"]
    if isinstance(record, str):
        return SocketRow(mode, injected, 0, record)
    messages, codes = record.messages, record.codes()
    reported = codes[TOLD[mode]] if mode in TOLD else int(getattr(messages, COUNTED.get(mode, "lost")))
    # What the server didn't acknowledge before it closed is sent again, and acknowledged then.
    # So is what was under way just then, so there may be more of it than was injected, in the server's count too.
    reported = min(messages.again, injected) if mode == "deaf" else reported
    wanted = {
        "injected": (injected, 0 if mode in ("ok", "fragments") else SOCKETS),
        "reported": (reported, injected),
        "ends": (codes.total(), injected if mode in TOLD else 0),
        "connections": (len(record.lives), seen["connections"]),
        "received": (messages.received, seen["sent"]),
        "sent": (messages.sent + messages.again, seen["written"] + seen["again"]),
        "open at the end": (int(np.count_nonzero(record.lives["code"] == 1000)) - codes["1000"], SOCKETS),
    }
    for name in ("lost", "doubled", "disordered", "foreign"):
        wanted[name] = (int(getattr(messages, name)), injected if COUNTED.get(mode) == name else 0)
    wanted["unacknowledged"] = (messages.unacknowledged, 0)
    if mode in NONSENSE:
        # The server may have sent on before it read the close, and the client may have been sending too.
        del wanted["received"]
    if mode in TOLD:  # what the client sent just then may never have been read
        del wanted["sent"]
    wrong = [f"{name} {is_} instead of {should}" for name, (is_, should) in wanted.items() if is_ != should]
    wrong += record.faults()
    return SocketRow(mode, injected, reported, "; ".join(wrong))
