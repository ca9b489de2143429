"""The clients' messages against what the application wrote down: what was acknowledged must have arrived.

A message may arrive as often as it was sent: a repetition after a reconnect is the client's own, and told as such.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.evidence.arrivals import Arrivals
from harness.evidence.sockets import CLASS, Sockets

SHOWN: Final = 3
_BITS: Final = np.uint64(40)
_SOURCE: Final = np.uint64(60)

Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Written:
    """Counts are different messages, unless told otherwise.

    Args:
        acked: acknowledged, by the client's record.
        written: that the application wrote down.
        unwritten: acknowledged, and written down by no pod, though the record of the pod that acknowledged goes on.
        beyond: likewise, where that record isn't whole or ends too early: nothing can be told.
        again: arrivals beyond the number of times that the client sent the message.
        unasked: written down, and never sent.
        told: of each contradiction, the first ids.

    """

    acked: int = 0
    written: int = 0
    unwritten: int = 0
    beyond: int = 0
    again: int = 0
    unasked: int = 0
    told: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def contradictions(self) -> int:
        """What can't be in an honest run."""
        return self.unwritten + self.again + self.unasked

    def to_dict(self) -> dict[str, Any]:
        """As in verdict.json."""
        return {name: getattr(self, name) for name in ("acked", "written", "unwritten", "beyond", "again", "unasked")}


def reconcile_messages(sockets: Sockets, arrivals: Arrivals) -> Written:
    """Matches every message that was written down with its sends, by socket and number."""
    sent = _joined([_keys(number, part.sent) for number, part in enumerate(sockets.parts)])
    acked, acked_t, acked_pod = _acked(sockets)
    starts = np.asarray([part.began_ns for part in sockets.parts], np.int64)
    facts = []
    for record in arrivals.records:
        which = np.maximum(np.searchsorted(starts, record.messages["t"], side="right") - 1, 0)
        facts.append(_made(which, record.messages["socket"], record.messages["number"]))
    written = _joined(facts)
    sends, send_counts = np.unique(sent, return_counts=True)
    seen, seen_counts = np.unique(written, return_counts=True)
    known = np.isin(seen, sends)
    allowed = send_counts[np.searchsorted(sends, seen[known])]
    more = np.maximum(seen_counts[known] - allowed, 0)
    missing = ~np.isin(acked, seen)
    goes_on = {record.pod: record.last_ns for record in arrivals.records if not record.faults and not arrivals.faults}
    sure = missing & (acked_t < np.asarray([goes_on.get(pod, 0) for pod in acked_pod], np.int64))
    strange = seen[~known]
    return Written(
        acked=len(np.unique(acked)),
        written=len(seen),
        unwritten=len(np.unique(acked[sure])),
        beyond=len(np.unique(acked[missing & ~sure])),
        again=int(more.sum()),
        unasked=len(strange),
        told={
            "unwritten": _told(np.unique(acked[sure])),
            "again": _told(seen[known][more > 0]),
            "unasked": _told(strange),
        },
    )


def _acked(sockets: Sockets) -> tuple[Keys, npt.NDArray[np.int64], list[str]]:
    """Each acknowledgement: its message, when it came, and the pod that it came from."""
    pods = {
        (int(life["source"]), int(life["socket"]), int(life["attempt"])): sockets.text(int(life["pod"]))
        for life in sockets.lives
    }
    keys, times, names = [], [], []
    for number, part in enumerate(sockets.parts):
        keys.append(_keys(number, part.acked))
        times.append(part.acked["t"])
        places = zip(part.acked["socket"].tolist(), part.acked["attempt"].tolist(), strict=True)
        names += [pods.get((number, socket, attempt), "") for socket, attempt in places]
    return _joined(keys), np.concatenate([np.zeros(0, np.int64), *times]), names


def _keys(source: int, table: npt.NDArray[np.void]) -> Keys:
    return _made(np.full(len(table), source), table["socket"], table["number"])


def _made(source: npt.NDArray[Any], socket: npt.NDArray[Any], number: npt.NDArray[Any]) -> Keys:
    return np.asarray(
        source.astype(np.uint64) << _SOURCE | socket.astype(np.uint64) << _BITS | number.astype(np.uint64)
    )


def _joined(parts: list[Keys]) -> Keys:
    return np.concatenate([np.zeros(0, np.uint64), *parts])


def _told(keys: Keys) -> tuple[str, ...]:
    socket = (keys[:SHOWN] >> _BITS) & np.uint64(2**20 - 1)
    number = keys[:SHOWN] & np.uint64(2**40 - 1)
    return tuple(f"{CLASS}-{one} {other}" for one, other in zip(socket.tolist(), number.tolist(), strict=True))
