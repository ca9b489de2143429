"""One worker's record, fetched while it grows: the local file holds what the worker's own does, byte for byte."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.client.agent import KINDS
from harness.client.follower import Follower
from harness.errors import LoadError

Reading = Callable[[str, int], bytes]
"""Gives bytes of a kind of record from an offset on, b"" where there are none yet."""


class Fetched:
    """The record's local copy.

    Args:
        folder: gets ``samples-<stem>.bin`` and, where there are any, ``sockets-<stem>.bin``.
        stem: of the files' names.
        reading: asks the worker.
        kinds: of records that it has.

    Attributes:
        sampled: names of the classes with a sample so far.
        defined: names of the classes that have begun so far.

    """

    def __init__(self, folder: Path, stem: str, reading: Reading, kinds: Sequence[str] = KINDS) -> None:
        self.sampled: set[str] = set()
        self.defined: set[str] = set()
        self._paths = {kind: folder / f"{kind}-{stem}.bin" for kind in kinds}
        self._sizes = dict.fromkeys(kinds, 0)
        self._follower = Follower(self._paths["samples"])
        self._reading = reading
        self._lock = threading.Lock()

    def more(self) -> int:
        """Fetch what came since the last time, at most one answer's worth of each kind; returns how many bytes.

        Raises:
            HarnessError: the worker didn't answer.

        """
        with self._lock:
            got = 0
            for kind, path in self._paths.items():
                data = self._reading(kind, self._sizes[kind])
                if data:
                    with path.open("ab") as file:
                        file.write(data)
                    self._sizes[kind] += len(data)
                    got += len(data)
            samples = self._follower.read()
            codes = np.unique(samples["cls"]).tolist()
            self.defined |= set(self._follower.classes.values())
            self.sampled |= {self._follower.classes[code] for code in codes}
            return got

    def to_the_end(self, sizes: Mapping[str, int]) -> None:
        """Fetch all that a worker has which has ended.

        Args:
            sizes: of its files, by its own word.

        Raises:
            LoadError: it gave less than it said.
            HarnessError: it didn't answer.

        """
        while self.more():
            pass
        for kind, size in sizes.items():
            if self._sizes[kind] != size:
                raise LoadError(f"{self._sizes[kind]} of {size} bytes of its {kind} were to be had")
