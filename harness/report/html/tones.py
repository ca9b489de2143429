"""Which of two looks a side and its revisions have: told apart by lightness, hatching and label, not by hue alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.evidence.timeline import Timeline

BLUE, GREEN, OTHER = 0, 1, 2
NAMES = ("blue", "green", "other")
"""Of the looks, as the page's style calls them."""


@dataclass(frozen=True)
class Tones:
    """The looks of one scenario.

    Args:
        sides: BLUE or GREEN (OTHER from the third on) by a side's name.
        revisions: by a revision's name; a revision that no event puts on a side is OTHER.
        places: the side by a revision's name, for labels.

    """

    sides: Mapping[str, int]
    revisions: Mapping[str, int]
    places: Mapping[str, str]

    def of_strings(self, timeline: Timeline) -> npt.NDArray[np.uint8]:
        """The look for each string id of the timeline."""
        return np.array([self.revisions.get(text, OTHER) for text in timeline.strings], np.uint8)

    def side(self, tone: int) -> str:
        """The name of the side that has this look; "" if none has."""
        return next((name for name, own in self.sides.items() if own == tone), "")

    def label(self, tone: int) -> str:
        """What answers of this look are: the revisions, and their side ("v1 · blue")."""
        side = self.side(tone)
        versions = [revision for revision, place in self.places.items() if place == side]
        return " · ".join([*(["/".join(versions)] if versions else []), side]) if side else "other"


def tones(timeline: Timeline) -> Tones:
    """The looks of a scenario's sides: blue and green by their names, others in the order in which they appear."""
    places: dict[str, str] = {}
    names: dict[str, None] = {}
    for revision, side in _placed(timeline):
        if side:
            names.setdefault(side)
            if revision:
                places.setdefault(revision, side)
    left = [tone for tone in (BLUE, GREEN) if NAMES[tone] not in names]
    sides: dict[str, int] = {}
    for name in names:
        sides[name] = NAMES.index(name) if name in NAMES[:2] else left.pop(0) if left else OTHER
    return Tones(sides, {revision: sides[side] for revision, side in places.items()}, places)


def _placed(timeline: Timeline) -> Iterator[tuple[str, str]]:
    """Pairs of a revision and its side, as the events tell them."""
    for event in timeline.named("install.ready"):
        yield str(event.fields.get("version") or ""), str(event.fields.get("side") or "")
    for move in timeline.moves():
        yield move.from_revision, move.from_side
        yield move.to_revision, move.to_side
    for event in timeline.named("deploy.started", "deploy.ready"):
        yield str(event.fields.get("version") or ""), str(event.fields.get("side") or "")
    for event in timeline.named("pods.observed"):
        yield "", str(event.fields.get("side") or "")
    for event in timeline.named("slice.changed"):
        yield from (("", str(side)) for side in event.fields.get("sides") or ())
