"""WebSockets of a run: every connection's life, how each came back, and what is missing from the record itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.evidence import socket_record as layout
from harness.evidence.socket_messages import Messages, messages
from harness.evidence.socket_record import SocketPart, Table

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CLEAN: Final = (1012, 1001)
"""Codes of a close that asks the client to come back (service restart, going away): RFC 6455 7.4.1 and IANA's list."""
PEAK_NS: Final = 100_000_000
CLASS: Final = "websocket"


@dataclass(frozen=True)
class Reconnects:
    """How closed sockets came back. Arrays have one element per close.

    Args:
        closed: index of the life that ended, into `Sockets.lives`.
        reopened: index of the next life that opened, or -1.
        took: from the end's detection to the next 101, ns; -1 where there was none.

    """

    closed: Ints
    reopened: Ints
    took: Ints

    @property
    def back(self) -> Ints:
        """The times of those that came back, ns."""
        return self.took[self.reopened >= 0]

    @property
    def never(self) -> int:
        """How many closes no later opening followed."""
        return int(np.count_nonzero(self.reopened < 0))


@dataclass(frozen=True)
class Sockets:
    """All sockets' files of a run.

    Args:
        parts: decoded, in the order of their beginnings.
        lives: of all parts, `source` set, by source, socket and attempt.
        strings: text by id, one set for all parts.

    """

    parts: tuple[SocketPart, ...] = ()
    lives: Table = field(default_factory=lambda: np.zeros(0, layout.LIFE))
    strings: tuple[str, ...] = ("",)

    @property
    def count(self) -> int:
        """How many sockets were to be open at once: those of the largest load."""
        return max((part.sockets for part in self.parts), default=0)

    @property
    def finished(self) -> bool:
        """Each client came to its end: what isn't there by now never comes."""
        return bool(self.parts) and all(part.totals is not None for part in self.parts)

    @property
    def end_ns(self) -> int:
        """When the last load was told to stop, else the last instant of the record; CLOCK_MONOTONIC."""
        stopped = [part.totals.stopped for part in self.parts if part.totals is not None]
        if self.finished and any(stopped):
            return max(stopped)
        stamps = [self.lives[name].max() for name in ("opened", "heard", "ended") if len(self.lives)]
        stamps += [part.received["t"].max() for part in self.parts if len(part.received)]
        return int(max(stamps, default=0))

    @cached_property
    def messages(self) -> Messages:
        """What became of the messages, over all parts."""
        return messages(self.parts, self.lives)

    @cached_property
    def bad(self) -> Mask:
        """Which lives are losses: refused, cut, silent, nonsense, or closed with a code that isn't clean."""
        return bad_ends(self.lives)

    @cached_property
    def reconnects(self) -> Reconnects:
        """Every end that the client didn't choose, with the next opening of the same socket."""
        lives = self.lives
        keys = keys_of(lives)
        ended = np.isin(lives["end"], (layout.SERVER, layout.CUT, layout.SILENT, layout.NONSENSE))
        closed = np.flatnonzero(ended & (lives["opened"] > 0))
        places = np.where(lives["opened"] > 0, np.arange(len(lives)), len(lives))
        # the nearest opening at or behind each place
        following = np.append(np.minimum.accumulate(places[::-1])[::-1], len(lives))[closed + 1]
        there = following < len(lives)
        there[there] = keys[following[there]] == keys[closed[there]]
        reopened = np.where(there, following, -1)
        took = np.full(len(closed), -1, np.int64)
        took[there] = lives["opened"][following[there]] - lives["ended"][closed[there]]
        return Reconnects(closed, reopened, took)

    @property
    def losses(self) -> int:
        """Lives that are losses, and messages that never came or were never acknowledged."""
        return int(np.count_nonzero(self.bad)) + self.messages.lost + self.messages.unacknowledged

    @property
    def attempts(self) -> int:
        """What can be lost: attempts to connect, and messages of both directions."""
        return len(self.lives) + self.messages.due + self.messages.sent

    def peak(self) -> int:
        """The most reconnects that opened within any 100 ms."""
        found = self.reconnects
        times = np.sort(self.lives["opened"][np.unique(found.reopened[found.reopened >= 0])])
        if not len(times):
            return 0
        return int((np.searchsorted(times, times + PEAK_NS, side="left") - np.arange(len(times))).max())

    def open_at(self, t: int) -> Mask:
        """Which lives were open at an instant, CLOCK_MONOTONIC ns."""
        lives = self.lives
        still = (lives["end"] == layout.OPEN) | (lives["ended"] > t)
        return np.asarray((lives["opened"] > 0) & (lives["opened"] <= t) & still)

    def revisions_at(self, t: int) -> Counter[str]:
        """How many sockets were open at an instant, by revision ("" where the handshake's answer told none)."""
        ids, counts = np.unique(self.lives["revision"][self.open_at(t)], return_counts=True)
        return Counter({self.text(key): int(count) for key, count in zip(ids.tolist(), counts.tolist(), strict=True)})

    def revisions(self) -> Counter[str]:
        """How many handshakes were answered by each revision, refusals included, as far as they told."""
        ids, counts = np.unique(self.lives["revision"][self.lives["revision"] > 0], return_counts=True)
        return Counter({self.text(key): int(count) for key, count in zip(ids.tolist(), counts.tolist(), strict=True)})

    def away_ns(self) -> int | None:
        """The longest time that a closed socket was away, 0 without any; None where one never came back."""
        found = self.reconnects
        return None if found.never else int(found.back.max()) if len(found.back) else 0

    def codes(self) -> Counter[str]:
        """How the lives ended that the client didn't end itself: by code, or by the reason of a refusal."""
        found: Counter[str] = Counter()
        for life in self.lives[~np.isin(self.lives["end"], (layout.OPEN, layout.DONE))]:
            found[self.told(life)] += 1
        return found

    def told(self, life: np.void) -> str:
        """How a life ended: a close code, or a refusal's status or reason."""
        end, status = int(life["end"]), int(life["status"])
        why = layout.REASONS[life["why"]] if life["why"] < len(layout.REASONS) else "?"
        if end in (layout.REFUSED, layout.OURS):
            return f"refused: {status}" if status and why == "status" else f"{layout.ENDS[end]}: {why}"
        return f"{life['code']}" if end == layout.SERVER else f"{life['code']} {why}"

    def text(self, string_id: int) -> str:
        """The text of a string id; "" for 0."""
        return self.strings[string_id] if 0 <= string_id < len(self.strings) else f"?{string_id}"

    def detect_ns(self) -> int | None:
        """The longest time from a peer's last sign of life until it was given up as silent; None without any."""
        silent = self.lives[self.lives["end"] == layout.SILENT]
        return int((silent["ended"] - silent["heard"]).max()) if len(silent) else None

    def faults(self) -> tuple[str, ...]:
        """Why the record can't vouch for everything; empty if it does. An unfinished one is no fault by itself."""
        said = [note for part in self.parts for note in part.notes]
        keys = keys_of(self.lives)
        if len(keys):
            groups, first = np.unique(keys, return_index=True)
            counts = np.diff(np.append(first, len(keys)))
            last = np.maximum.reduceat(self.lives["attempt"].astype(np.int64), first)
            holes = int(np.count_nonzero(last + 1 != counts))
            said += [f"{holes} of {len(groups)} sockets lack an attempt to connect"] if holes else []
        ours = int(np.count_nonzero(self.lives["end"] == layout.OURS))
        said += [f"this machine itself couldn't connect {ours} times"] if ours else []
        for number, part in enumerate(self.parts):
            said += _part_faults(part, self.lives[self.lives["source"] == number])
        return tuple(said)


def _part_faults(part: SocketPart, lives: Table) -> list[str]:
    known = set(keys_of(lives, with_attempt=True).tolist())
    said = []
    for name in ("received", "sent", "acked"):
        used = set(np.unique(keys_of(getattr(part, name), with_attempt=True)).tolist())
        said += [f"{part.name}: messages {name} on {len(used - known)} unrecorded connections"] if used - known else []
    if part.totals is None:
        return said
    had = {
        "lives": len(lives),
        "received": len(part.received),
        "sent": len(part.sent),
        "acked": len(part.acked),
        "open": int(np.count_nonzero(lives["end"] == layout.OPEN)),
    }
    for name, count in had.items():
        told = getattr(part.totals, name)
        said += [f"{part.name}: {told} {name} counted, {count} recorded"] if told != count else []
    said += [f"{part.name}: {part.totals.open} connections have no end"] if part.totals.open else []
    opened = len(np.unique(lives["socket"]))
    said += [f"{part.name}: {opened} of {part.sockets} sockets were tried"] if opened != part.sockets else []
    return said


def bad_ends(lives: Table) -> Mask:
    """Which lives, of dtype `LIFE`, are losses, as `Sockets.bad` tells."""
    unclean = (lives["end"] == layout.SERVER) & ~np.isin(lives["code"], CLEAN)
    others = (layout.REFUSED, layout.CUT, layout.SILENT, layout.NONSENSE)
    return np.asarray(unclean | np.isin(lives["end"], others))


def keys_of(table: Table, *, with_attempt: bool = False) -> npt.NDArray[np.uint64]:
    """One number per socket of a run; with the attempt, within one source, one per connection."""
    socket = table["socket"].astype(np.uint64)
    if with_attempt:
        return np.asarray(socket << np.uint64(32) | table["attempt"].astype(np.uint64))
    return np.asarray(table["source"].astype(np.uint64) << np.uint64(32) | socket)


def joined(parts: Sequence[SocketPart]) -> Sockets | None:
    """One record of several files', the same for any order of them; None where there is no file."""
    if not parts:
        return None
    ordered = sorted(parts, key=lambda part: (part.began_ns, part.name))
    strings: dict[str, int] = {"": 0}
    tables = []
    for source, part in enumerate(ordered):
        lives = part.lives.copy()
        lives["source"] = source
        for column in ("revision", "pod", "text"):
            table = np.zeros(65536, np.uint16)
            for key in np.unique(lives[column]).tolist():
                if key:
                    table[key] = strings.setdefault(part.strings.get(key) or f"?{key}", len(strings))
            lives[column] = table[lives[column]]
        tables.append(lives)
    return Sockets(tuple(ordered), np.concatenate(tables), tuple(strings))
