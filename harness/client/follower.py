"""Reads a sample file while it grows: the live stream of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.evidence.samples import (
    CLASS,
    KIND_CLASS,
    KIND_SAMPLE,
    KIND_STRING,
    RECORD_SIZE,
    SAMPLE,
    STRING,
    Samples,
    empty,
)


class Follower:
    """Reads a growing sample file: each call of `read` returns what is new.

    Args:
        path: of the file; it needn't be there yet.

    Attributes:
        strings: revision and pod names by id, as far as the file has been read.
        classes: class names by code, likewise.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.strings: dict[int, str] = {0: ""}
        self.classes: dict[int, str] = {}
        self._raw: dict[int, bytes] = {}
        self._offset = 0

    def read(self) -> Samples:
        """Whole records that came since the last call; samples only, the rest goes to `strings` and `classes`."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return empty()
        data = data[: len(data) // RECORD_SIZE * RECORD_SIZE]
        self._offset += len(data)
        records = np.frombuffer(data, dtype=SAMPLE)
        kinds = records["kind"]
        for record in np.frombuffer(data, dtype=STRING)[kinds == KIND_STRING]:
            ident = int(record["id"])
            self._raw[ident] = self._raw.get(ident, b"") + record["payload"].tobytes()[: int(record["length"])]
            self.strings[ident] = self._raw[ident].decode("utf-8", "replace")
        for record in np.frombuffer(data, dtype=CLASS)[kinds == KIND_CLASS]:
            self.classes[int(record["cls"])] = self.strings[int(record["name"])]
        samples: Samples = records[kinds == KIND_SAMPLE]
        return samples
