"""A cause that a diagnosis may name, and what speaks for and against it in one scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.diagnosis.scene import Scene


@dataclass
class Case:
    """What speaks for and against one cause.

    Attributes:
        pro: in words.
        con: in words.
        score: the sum of the weights; what is needed and fails makes a case `ruled_out` whatever its score.
        ruled_out: something that the cause needs wasn't so.

    """

    pro: list[str] = field(default_factory=list)
    con: list[str] = field(default_factory=list)
    score: float = 0.0
    ruled_out: bool = False

    def needs(self, holds: object, text: str, otherwise: str, weight: float = 1.0) -> bool:
        """Without this the cause can't be it; returns whether it holds."""
        if holds:
            self.pro.append(text)
            self.score += weight
        else:
            self.con.append(otherwise)
            self.score -= weight
            self.ruled_out = True
        return bool(holds)

    def speaks(self, holds: object, text: str, otherwise: str = "", weight: float = 1.0) -> bool:
        """It makes the cause likelier, or where it isn't so, with words for that, less likely."""
        if holds:
            self.pro.append(text)
            self.score += weight
        elif otherwise:
            self.con.append(otherwise)
            self.score -= weight / 2
        return bool(holds)

    def contradicts(self, holds: object, text: str, weight: float = 2.0) -> None:
        """It makes the cause less likely."""
        if holds:
            self.con.append(text)
            self.score -= weight


Assess = Callable[[Scene, Case], None]


@dataclass(frozen=True)
class Rule:
    """One cause.

    Attributes:
        id: what others call it, such as no-readiness-probe.
        source: where the tutorial tells of it, such as M3 or T1.
        symptom: what users or the release saw.
        cause: why.
        mend: what to do.
        assess: fills in the case.

    """

    id: str
    source: str
    symptom: str
    cause: str
    mend: str
    assess: Assess


_RULES: dict[str, Rule] = {}


def rule(id_: str, source: str, *, symptom: str, cause: str, mend: str) -> Callable[[Assess], Assess]:
    """Registers the decorated function as the assessment of a cause.

    Raises:
        ValueError: two rules with the same id.

    """

    def register(assess: Assess) -> Assess:
        if id_ in _RULES:
            raise ValueError(f"two rules are called {id_}")
        _RULES[id_] = Rule(id_, source, symptom, cause, mend, assess)
        return assess

    return register


def rules() -> Mapping[str, Rule]:
    """All registered rules by id."""
    return dict(_RULES)


def known_lint(scene: Scene, case: Case, id_: str) -> bool:
    """Whether the cutover was refused for this very fault of the objects: then nothing else needs to be known."""
    text = scene.static.get(id_)
    if text:
        case.needs(True, f"the cutover was refused: {text}", "", 100.0 + _first(scene, id_))
    return bool(text)


def _first(scene: Scene, id_: str) -> float:
    """Of several such faults the first one found counts most."""
    order: list[Any] = list(scene.static)
    return 1.0 / (1 + order.index(id_))
