"""The instrument's own test, its sockets: each misbehavior told as what it was, each count equal to the server's."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from harness.client.identity import Identity
from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.client.socket_plan import SocketPlan
from harness.client.socket_recorder import SocketRecorder
from harness.client.socket_toy import CLOSES, MODES, NONSENSE, REFUSALS
from harness.client.sockets import Connect, SocketClass
from harness.client.toy_process import ToyProcess
from harness.client.websocket import WebSocket
from harness.evidence.samples import SAMPLE
from harness.evidence.socket_record import decode_sockets
from harness.evidence.sockets import Sockets, joined

SOCKETS: Final = 2
EVERY_MS: Final = 100
SECONDS: Final = 1.2
"""At least; as long as it takes until the server has done what it should, on a busy machine."""
PING_S: Final = 0.3
PONG_S: Final = 3.0
SILENT_S: Final = 0.8
"""The same in the mode that waits for it: on a busy machine no living peer is taken for a silent one."""
ENDING_S: Final = 2.0
"""Of the deadline, for the sockets to end."""
CHILD_S: Final = 15.0
"""Of a process of its own beyond the deadline, before it is taken for hanging."""

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
GOOD: Final = ("ok", "fragments")
"""Modes in which nothing is wrong."""
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
    running: dict[str, SocketClass] = {}
    begun = time.monotonic()
    with ToyProcess("harness.client.socket_toy") as server:
        threads = [
            threading.Thread(target=_mode, args=(setup, server.port, folder, mode, records, running), daemon=True)
            for mode in MODES
        ]
        for thread in threads:
            thread.start()
        while (
            time.monotonic() < deadline - ENDING_S
            and any(thread.is_alive() for thread in threads)
            and (time.monotonic() < begun + SECONDS or not _all_done(server.report()))
        ):
            time.sleep(0.05)
        for sockets in list(running.values()):
            sockets.stop()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        report = server.report()
    return [_judge(mode, records.get(mode, "not over in time"), Counter(report.get(mode, {}))) for mode in MODES]


def in_own_process(seconds: float) -> list[SocketRow]:
    """The same by the default parts in another process, whose threads don't make this one's late.

    Raises:
        RuntimeError: it died or hung.

    """
    command = [sys.executable, "-m", "harness.client.socket_selftest", str(seconds)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds + CHILD_S,
            cwd=Path(__file__).parents[2],
            check=True,
        )
        return [SocketRow(**row) for row in json.loads(done.stdout)]
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"the sockets' part hangs: not over after {seconds + CHILD_S:g} s") from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"the sockets' part died: {str(error.stderr).strip()[-500:]}") from None


def _all_done(report: dict[str, dict[str, int]]) -> bool:
    """Every socket was treated as its mode says, and is back and up to date."""
    for mode in MODES:
        seen = Counter(report.get(mode, {}))
        if seen["injected"] < (0 if mode in GOOD else SOCKETS):
            return False
        if seen["caught_up"] < (SOCKETS if mode in TOLD else 0):
            return False
    return True


def _mode(
    setup: SocketSetup,
    port: int,
    folder: Path,
    mode: str,
    records: dict[str, Sockets | str],
    running: dict[str, SocketClass],
) -> None:
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
                f"/{mode}",
                SOCKETS,
                every_ms=EVERY_MS,
                ramp_s=0.05,
                ping_s=PING_S,
                pong_s=SILENT_S if mode == "silent" else PONG_S,
                cap_s=0.2,
            ),
        )
        record = setup.recorder(own)
        sockets = SocketClass(plan, record, _spawn, connect=setup.connect)
        running[mode] = sockets
        sockets.run(time.monotonic_ns(), 2**62)
        record.close()
        raw = np.fromfile(record.path, dtype=SAMPLE)
        records[mode] = joined([decode_sockets(raw, 0, record.path.name)]) or "no record"
    except Exception as error:  # in a thread: it makes the row red instead
        records[mode] = repr(error)


def _spawn(function: Callable[..., None], *args: object) -> None:
    threading.Thread(target=function, args=args, daemon=True).start()


def _judge(mode: str, record: Sockets | str, seen: Counter[str]) -> SocketRow:
    injected = 0 if mode in GOOD else seen["injected"]
    if isinstance(record, str):
        return SocketRow(mode, injected, 0, record)
    messages, codes = record.messages, record.codes()
    reported = codes[TOLD[mode]] if mode in TOLD else int(getattr(messages, COUNTED.get(mode, "lost")))
    # What the server didn't acknowledge before it closed is sent again, and acknowledged then.
    # So is what was under way just then, so there may be more of it than was injected, in the server's count too.
    reported = min(messages.again, injected) if mode == "deaf" else reported
    wanted = {
        "injected": (injected, 0 if mode in GOOD else SOCKETS),
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


def main() -> None:
    """Run it within the seconds that the command line gives, and tell the rows as JSON."""
    deadline = time.monotonic() + float(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="selftest-") as folder:
        rows = run_sockets(SocketSetup(), Path(folder), deadline)
    sys.stdout.write(json.dumps([asdict(row) for row in rows]) + "\n")


if __name__ == "__main__":
    main()
