"""The instrument's own test: against a server that misbehaves, reported = injected and arrivals = issued, exactly.

Runs before every load, in a process of its own: ``python -m harness.client.selftest --json``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from harness.client.exchange import Request
from harness.client.http import Connection
from harness.client.identity import Identity
from harness.client.lanes import Lane
from harness.client.misbehave import MODES
from harness.client.misbehave_tls import ToyTlsProcess
from harness.client.recorder import Recorder
from harness.client.rows import Row, judged, told
from harness.client.selftest_tls import secure_rows
from harness.client.socket_selftest import SocketRow, SocketSetup, in_own_process, run_sockets
from harness.client.stopped import TIMEOUT_S, Setup, guarded, read_samples, stop_a_server
from harness.client.toy_process import ToyProcess
from harness.evidence.samples import Samples

EVERY: Final = 6
COUNT: Final = 18
HANG_TIMEOUT_S: Final = 0.8
"""Long enough that on a busy machine no good answer is taken for a hanging one."""
NICENESS: Final = -10

ERROR_OF: Final = {
    "fin": "closed",
    "rst": "reset",
    "unread": "reset",
    "half_header": "closed",
    "half_body": "truncated",
    "garbage": "framing",
    "wrong_length": "framing",
    "proxy_503": "proxy_5xx",
    "app_503": "app_5xx",
    "hang": "read_timeout",
}
"""The class that each mode must be told as; without a byte of the answer on a reused connection, its idle_ twin."""
SILENT: Final = frozenset({"fin", "rst", "unread"})
KINDS: Final = (("kept", "GET"), ("fresh", "GET"), ("post", "POST"))


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """What the self-test found.

    Args:
        passed: every row and the stopped server are exact.
        injected: misbehaviors of all rows.
        reported: lost samples of the right class of all rows.
        rows: by mode and kind of connection.
        sockets: by mode of the WebSockets' server.
        stall: the stopped server: truth and bracket in ms.
        detail: what is wrong, in words; "" when passed.
        seconds: how long it took.

    """

    passed: bool
    injected: int
    reported: int
    rows: tuple[Row, ...]
    stall: dict[str, float]
    detail: str
    seconds: float
    sockets: tuple[SocketRow, ...] = ()

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SelfTestResult:
        """Read `to_json`'s text."""
        data: dict[str, Any] = json.loads(text)
        data["rows"] = tuple(Row(**row) for row in data["rows"])
        data["sockets"] = tuple(SocketRow(**row) for row in data["sockets"])
        return cls(**data)


def run_selftest(
    seconds_bound: float = 10.0,
    *,
    connect: Callable[[str, int, int], Connection] = Connection,
    recorder: Callable[[Path], Recorder] = Recorder,
    sockets: SocketSetup | None = None,
    lane: Callable[..., Lane] = Lane,
) -> SelfTestResult:
    """Run every mode on every kind of connection, by TLS too, and on sockets; stop a server for exactly one second.

    Args:
        seconds_bound: the test is red if it takes longer.
        connect: makes a connection from host, port and entry; other than the default only in tests.
        recorder: makes a record in a folder; other than the default only in tests.
        sockets: the parts of the WebSockets' client; by default in a process of its own.
        lane: makes a way by HTTP/2, as `Lane`; other than the default only in tests.

    """
    begun = time.monotonic()
    setup = Setup(connect, recorder, lane)
    with tempfile.TemporaryDirectory(prefix="selftest-") as folder, ToyProcess() as bad, ToyProcess() as stopped:
        (modes := Path(folder) / "modes").mkdir()
        (stall := Path(folder) / "stall").mkdir()
        outcome: dict[str, float] = {}
        beside = threading.Thread(target=guarded, args=(setup, stop_a_server, stopped, stall, outcome), daemon=True)
        beside.start()
        secure: list[Row] = []
        with_tls = threading.Thread(
            target=guarded, args=(setup, _secure, Path(folder), begun + seconds_bound, secure), daemon=True
        )
        with_tls.start()
        rows = _modes(setup, bad, modes, begun + seconds_bound)
        with_tls.join(max(0.0, begun + seconds_bound - time.monotonic()))
        if not secure and not setup.errors:
            setup.errors.append(f"the part with TLS was not over within {seconds_bound:g} s")
        rows += secure
        beside.join(max(0.0, begun + seconds_bound - time.monotonic()))
        if beside.is_alive():
            setup.errors.append(f"the stopped server's part was not over within {seconds_bound:g} s")
        elif not outcome and not setup.errors:
            setup.errors.append("the stopped server's part died")
        # Behind the others: the stopped server's times are told to some milliseconds.
        (own := Path(folder) / "sockets").mkdir()
        socket_rows: list[SocketRow] = []
        guarded(setup, _sockets, sockets, own, begun + seconds_bound, socket_rows)
    seconds = time.monotonic() - begun
    if seconds > seconds_bound:
        setup.errors.append(f"took {seconds:.1f} s, bound {seconds_bound:g} s")
    wrong = [told(row) for row in rows if not row.passed] + setup.errors
    wrong += [f"sockets, {row.mode}: {row.wrong}" for row in socket_rows if row.wrong]
    return SelfTestResult(
        passed=not wrong,
        injected=sum(row.injected for row in rows) + sum(one.injected for one in socket_rows),
        reported=sum(row.reported for row in rows) + sum(one.reported for one in socket_rows),
        rows=tuple(rows),
        stall=outcome,
        detail="; ".join(wrong),
        seconds=seconds,
        sockets=tuple(socket_rows),
    )


def _sockets(setup: Setup, parts: SocketSetup | None, folder: Path, deadline: float, rows: list[SocketRow]) -> None:
    rows += run_sockets(parts, folder, deadline) if parts else in_own_process(deadline - time.monotonic())
    if not rows:
        setup.errors.append("the sockets' part has no result")


def in_subprocess(seconds_bound: float = 10.0) -> SelfTestResult:
    """Run the self-test in a process of its own, bounded even if that hangs.

    Never raises for a red or dead self-test: that is a result, not passed.
    """
    command = [sys.executable, "-m", "harness.client.selftest", "--json", "--seconds", str(seconds_bound)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds_bound + 15,
            cwd=Path(__file__).parents[2],
            check=False,
        )
        return SelfTestResult.from_json(done.stdout)
    except subprocess.TimeoutExpired:
        detail = f"hangs: not over after {seconds_bound + 15:g} s"
    except (ValueError, TypeError, KeyError):
        detail = f"died with exit code {done.returncode}: {done.stderr.strip()[-500:]}"
    return SelfTestResult(False, 0, 0, (), {}, detail, seconds_bound)


def _secure(setup: Setup, folder: Path, deadline: float, rows: list[Row]) -> None:
    (folder / "tls").mkdir()
    with ToyTlsProcess() as server:
        rows += secure_rows(setup, server, folder / "tls", deadline)


def _modes(setup: Setup, server: ToyProcess, folder: Path, deadline: float) -> list[Row]:
    record = setup.recorder(folder)
    names = [(mode, kind, method) for mode in MODES for kind, method in KINDS]
    issued = [0] * len(names)
    threads = []
    for code, (mode, kind, method) in enumerate(names):
        record.define_class(code, f"{mode}/{kind}", 1.0, time.monotonic_ns(), TIMEOUT_S)
        target = _request(f"/{mode}/{kind}?every={EVERY}", method, HANG_TIMEOUT_S if mode == "hang" else TIMEOUT_S)
        threads.append(
            threading.Thread(
                target=guarded, args=(setup, _row, server.port, record, code, kind, target, issued), daemon=True
            )
        )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        setup.errors.append("the modes were not over in time")
    record.close()
    samples = read_samples(record.path)
    report = server.report()
    return [
        _judge(mode, kind, method, issued[code], samples[samples["cls"] == code], report.get(f"/{mode}/{kind}", {}))
        for code, (mode, kind, method) in enumerate(names)
    ]


def _judge(mode: str, kind: str, method: str, issued: int, samples: Samples, seen: dict[str, int]) -> Row:
    quiet = kind == "kept" and mode in SILENT
    error = f"idle_{ERROR_OF[mode]}" if quiet else ERROR_OF[mode]
    retriable = quiet and method == "GET"
    return judged(f"{mode}/{kind}", error, issued, samples, seen, count=COUNT, every=EVERY, retriable=retriable)


def _request(path: str, method: str, timeout_s: float) -> Request:
    identity = Identity(revision_header="X-Toy-Version", pod_header="X-Toy-Pod")
    body = "{id}" if method == "POST" else ""
    return Request(path=path, host="toy.test", method=method, body=body, identity=identity, timeout_s=timeout_s)


def _row(setup: Setup, port: int, record: Recorder, code: int, kind: str, request: Request, issued: list[int]) -> None:
    with contextlib.closing(setup.connect("127.0.0.1", port, 0)) as connection:
        for seq in range(COUNT):
            intended = time.monotonic_ns()
            issued[code] += 1
            answer = connection.attempt(request, f"selftest-{code}-{seq}")
            record.sample(code, seq, intended, 0, request.method_code, answer)
            if kind != "kept":
                connection.close()


def main() -> int:
    """Run the self-test and tell the result on standard output."""
    parser = argparse.ArgumentParser(prog="python -m harness.client.selftest", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    parser.add_argument("--seconds", type=float, default=10.0, help="bound of the whole test")
    options = parser.parse_args()
    with contextlib.suppress(PermissionError):  # it shares the machine with the first deploy
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    result = run_selftest(options.seconds)
    if options.json:
        sys.stdout.write(result.to_json() + "\n")
    else:
        for row in result.rows:
            sys.stdout.write(f"{'ok ' if row.passed else 'RED'} {told(row)}\n")
        for one in result.sockets:
            sys.stdout.write(f"{'RED' if one.wrong else 'ok '} sockets/{one.mode}: {one.wrong or one.injected}\n")
        sys.stdout.write(f"{'pass' if result.passed else 'FAIL: ' + result.detail} in {result.seconds:.1f} s\n")
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
