"""Versions that are bad on purpose: the fault is baked into the image, as a real bug would be."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("none", "500", "later", "unready")


@dataclass(frozen=True)
class Fault:
    """What is wrong with this version.

    Attributes:
        kind: one of ``KINDS``. ``500``: every answer to users is a 500, while readiness is fine.
            ``later``: the same, but only after ``after`` requests. ``unready``: never ready.
        after: requests that this pod answers well first; 0 unless ``kind`` is ``later``.

    """

    kind: str = "none"
    after: int = 0

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read ``""``, ``"500"``, ``"later:N"`` or ``"unready"``.

        Raises:
            ValueError: anything else.

        """
        if text in ("", "none"):
            return cls()
        if text in ("500", "unready"):
            return cls(text)
        kind, _, number = text.partition(":")
        if kind == "later" and number.isascii() and number.isdigit():
            return cls(kind, int(number))
        raise ValueError(f"FAULT={text!r}: must be empty, 500, later:N or unready")

    def breaks(self, requests: int) -> bool:
        """Whether the ``requests``-th request (counted from 1) of this pod is answered with a 500."""
        return self.kind == "500" or (self.kind == "later" and requests > self.after)
