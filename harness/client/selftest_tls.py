"""The self-test's part with TLS: handshakes that go wrong, and HTTP/2 servers that leave, reset and cut."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from harness.client.exchange import Request
from harness.client.identity import Identity
from harness.client.misbehave_tls import HOST, ToyTlsProcess
from harness.client.pacer import Way
from harness.client.plan import Entry
from harness.client.recorder import Recorder
from harness.client.rows import Row, judged
from harness.client.stopped import TIMEOUT_S, Setup, guarded, read_samples, spawn_thread
from harness.client.tls import HTTP1, HTTP2, TlsConnection, context_of
from harness.evidence.samples import FLAG_GOAWAY, FLAG_REPLACED, OK, Samples

EVERY: Final = 6
COUNT: Final = 18
HANDSHAKES: Final = 3
HANG_TIMEOUT_S: Final = 0.8

STREAMS: Final = {
    "goaway": "goaway",
    "goaway_answered": "none",
    "goaway_cut": "goaway_cut",
    "refused_stream": "refused_stream",
    "stream_reset": "stream_reset",
    "cut": "truncated",
    "fin": "closed",
    "rst": "reset",
    "hang": "read_timeout",
    "proxy_503": "proxy_5xx",
    "app_503": "app_5xx",
}
"""How each of `harness.client.misbehave_tls.MODES` must be told on HTTP/2."""
RETRIABLE: Final = frozenset({"goaway", "refused_stream"})
SHAKEN: Final = {
    "stranger": "tls_certificate",
    "other_name": "tls_certificate",
    "expired": "tls_certificate",
    "stall": "tls_timeout",
    "cut_short": "tls_handshake",
    "plain": "tls_handshake",
}
"""How each bad handshake of `harness.client.misbehave_tls.PORTS` must be told."""


class _Case:
    """One row to be: which requests go where, and what must be told of them."""

    def __init__(self, protocol: str, mode: str, error: str, port: str = "good") -> None:
        self.name = f"{'h2' if protocol == HTTP2 else 'tls'}/{mode}"
        self.protocol, self.mode, self.error, self.port = protocol, mode, error, port
        self.shaken = port != "good"
        self.path = f"/{mode}/{self.name.partition('/')[0]}"
        self.count, self.every = (HANDSHAKES, 1) if self.shaken else (COUNT, EVERY)
        self.timeout_s = HANG_TIMEOUT_S if mode in ("hang", "stall") else TIMEOUT_S
        self.issued = 0


CASES: Final = (
    *((HTTP2, mode, error, "good") for mode, error in STREAMS.items()),
    *((HTTP1, kind, error, kind) for kind, error in SHAKEN.items()),
    *((HTTP2, kind, SHAKEN[kind], kind) for kind in ("stranger", "stall")),
    (HTTP2, "http1", "alpn", "http1"),
    (HTTP1, "cut", "truncated", "good"),
)


def secure_rows(setup: Setup, server: ToyTlsProcess, folder: Path, deadline: float) -> list[Row]:
    """Run all cases side by side.

    Args:
        setup: the parts under test; gets what went wrong.
        server: what misbehaves.
        folder: for the record and the authorities.
        deadline: time.monotonic() by which it must be over.

    """
    (folder / "ca.pem").write_text(server.ca, encoding="utf-8")
    contexts = {protocol: context_of(str(folder / "ca.pem"), protocol) for protocol in (HTTP1, HTTP2)}
    record = setup.recorder(folder)
    cases = [_Case(*case) for case in CASES]
    threads = []
    for code, case in enumerate(cases):
        record.define_class(code, case.name, 1.0, time.monotonic_ns(), TIMEOUT_S)
        port = server.ports[case.port]
        args = (setup, _run, case, record, code, port, contexts[case.protocol])
        threads.append(threading.Thread(target=guarded, args=args, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        setup.errors.append("the part with TLS was not over in time")
    record.close()
    samples = read_samples(record.path)
    report = server.report()
    return [_judge(case, samples[samples["cls"] == code], report.get(case.path, {})) for code, case in enumerate(cases)]


def _run(setup: Setup, case: _Case, record: Recorder, code: int, port: int, context: ssl.SSLContext) -> None:
    identity = Identity(revision_header="X-Toy-Version", pod_header="X-Toy-Pod")
    request = Request(
        path=f"{case.path}?every={EVERY}", host=HOST, method="GET", identity=identity, timeout_s=case.timeout_s
    )
    make: Callable[[], Way] = lambda: TlsConnection("127.0.0.1", port, 0, context, HOST)  # noqa: E731
    if case.protocol == HTTP2:
        make = lambda: setup.lane(Entry("127.0.0.1", 1, "toy", port), 0, context, HOST, spawn_thread)  # noqa: E731
    with contextlib.closing(make()) as way:
        for seq in range(case.count):
            intended = time.monotonic_ns()
            case.issued += 1
            answer = way.attempt(request, f"selftest-{code}-{seq}")
            record.sample(code, seq, intended, 0, request.method_code, answer)
            if case.protocol == HTTP1:
                way.close()


def _judge(case: _Case, samples: Samples, seen: dict[str, int]) -> Row:
    if case.error != "none":
        return judged(
            case.name,
            case.error,
            case.issued,
            samples,
            seen,
            count=case.count,
            every=case.every,
            retriable=case.mode in RETRIABLE,
            arrives=not case.shaken,
        )
    # A server that leaves and answers all the same: nothing is lost, and its leaving is on record.
    left = (samples["flags"] & (FLAG_GOAWAY | FLAG_REPLACED)) == FLAG_GOAWAY
    reported = int(np.count_nonzero(left & (samples["outcome"] == OK)))
    lost = int(np.count_nonzero(samples["outcome"] != OK))
    injected, arrivals, distinct = (seen.get(key, 0) for key in ("injected", "arrivals", "distinct"))
    passed = (
        {case.issued, len(samples), arrivals, distinct} == {COUNT}
        and reported == injected == COUNT // EVERY
        and lost == 0
    )
    return Row(
        mode=case.name,
        error=case.error,
        injected=injected,
        reported=reported,
        lost=lost,
        issued=case.issued,
        recorded=len(samples),
        arrivals=arrivals,
        distinct=distinct,
        retriable=0,
        passed=passed,
    )
