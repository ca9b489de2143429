"""The sockets of a run in numbers and in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.evidence.socket_arrivals import reconcile_messages
from harness.evidence.timeline import Timeline


def socket_numbers(timeline: Timeline) -> dict[str, Any]:
    """As in verdict.json: ``sockets``; empty where none ran. Times in ms, None where nothing was measured."""
    sockets = timeline.sockets
    if sockets is None:
        return {}
    found, messages, detect = sockets.reconnects, sockets.messages, sockets.detect_ns()
    back = found.back / 1e6
    p50, p99 = (float(np.percentile(back, share)) if len(back) else None for share in (50, 99))
    numbers = {
        "count": sockets.count,
        "open": dict(sockets.revisions_at(sockets.end_ns)),
        "attempts": len(sockets.lives),
        "bad": int(np.count_nonzero(sockets.bad)),
        "reconnects": len(back),
        "never_back": found.never,
        "codes": dict(sorted(sockets.codes().items())),
        "reconnect_ms": {"p50": p50, "p99": p99, "max": float(back.max()) if len(back) else None},
        "peak_share": sockets.peak() / sockets.count if sockets.count else None,
        "due": messages.due,
        "received": messages.received,
        "lost": messages.lost,
        "doubled": messages.doubled,
        "disordered": messages.disordered,
        "foreign": messages.foreign,
        "sent": messages.sent,
        "again": messages.again,
        "unacknowledged": messages.unacknowledged,
        "late_ms": messages.late_ns / 1e6,
        "detect_ms": None if detect is None else detect / 1e6,
    }
    if timeline.arrivals is not None:
        numbers["arrivals"] = reconcile_messages(sockets, timeline.arrivals).to_dict()
    return numbers


def socket_text(timeline: Timeline) -> str:
    """What the sockets lost, by kind, and when the first of them ended badly; "" where they lost nothing."""
    sockets = timeline.sockets
    if sockets is None or not sockets.losses:
        return ""
    messages = sockets.messages
    said = []
    bad = sockets.lives[sockets.bad]
    if len(bad):
        kinds: dict[str, int] = {}
        for life in bad:
            kinds[sockets.told(life)] = kinds.get(sockets.told(life), 0) + 1
        nodes = sorted({timeline.node(int(entry)) for entry in np.unique(bad["entry"])})
        text = f"{len(bad)} of {len(sockets.lives)} connections ({_counted(kinds)}) through {', '.join(nodes)}"
        sends = [(move.sent_ns, move.move) for move in timeline.moves() if move.sent_ns is not None]
        if sends:
            first = int(bad["ended"].min())
            sent, move = min(sends, key=lambda item: abs(item[0] - first))
            side = "after" if first >= sent else "before"
            text += f", the first {abs(first - sent) / 1e6:.0f} ms {side} a {move}"
        said.append(text)
    said += [f"{messages.lost} of {messages.due} messages never came"] if messages.lost else []
    if messages.unacknowledged:
        said.append(f"{messages.unacknowledged} of {messages.sent} messages were never acknowledged")
    return f"websocket: {', '.join(said)}"


def lost_sockets(record: Mapping[str, Any]) -> int:
    """Connections that were refused or ended badly, of a scenario's element of verdict.json."""
    return int((record.get("sockets") or {}).get("bad") or 0)


def lost_messages(record: Mapping[str, Any]) -> int:
    """Messages that never came or were never acknowledged, likewise."""
    told = record.get("sockets") or {}
    return int(told.get("lost") or 0) + int(told.get("unacknowledged") or 0)


def lost_text(record: Mapping[str, Any]) -> str:
    """Both, to stand behind a count of lost requests: ", 49 sockets, 3 messages"; "" where nothing was lost."""
    said = ((lost_sockets(record), "socket"), (lost_messages(record), "message"))
    return "".join(f", {count:,} {word}{'s' if count > 1 else ''}" for count, word in said if count)


def _counted(kinds: dict[str, int]) -> str:
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {kind}" for kind, count in ordered[:4])
