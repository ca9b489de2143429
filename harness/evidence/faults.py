"""Faults as the record tells them: what was asked, reached, seen and healed."""

from __future__ import annotations

from typing import Any

from harness.evidence.timeline import Event, Timeline


def faults(timeline: Timeline) -> list[dict[str, Any]]:
    """The faults, as in verdict.json.

    Times of one that was placed at a move are in ms from that move's announced instant; of any other from the first
    flip (from the injection where there was none), reached when its effect was seen.
    """
    flips = [move.sent_ns for move in timeline.flips() if move.sent_ns is not None]
    told = []
    for injected in timeline.named("fault.injected"):
        zero = flips[0] if flips else injected.t
        confirmed, healed = answer_to(timeline, injected, "confirmed"), answer_to(timeline, injected, "healed")
        asked = injected.fields.get("asked_ms")
        reached = injected.fields.get("reached_ms")
        if reached is None and confirmed is not None:
            reached = (confirmed.t - zero) / 1e6
        told.append(
            {
                "kind": str(injected.fields.get("kind") or ""),
                "asked_ms": asked if asked is not None else (injected.t - zero) / 1e6,
                "reached_ms": reached,
                "healed": healed is not None and healed.fields.get("ok", True) is True,
                "target": str(injected.fields.get("target") or ""),
                "move": str(injected.fields.get("move") or ""),
                "effect": "" if confirmed is None else str(confirmed.fields.get("effect") or ""),
            }
        )
    return told


def answer_to(timeline: Timeline, injected: Event, verb: str) -> Event | None:
    """The event `fault.<verb>` that belongs to an injection: by id, else by kind and order."""
    same = [event for event in timeline.named("fault.injected") if _key(event) == _key(injected)]
    answers = [event for event in timeline.named(f"fault.{verb}") if _key(event) == _key(injected)]
    index = same.index(injected)
    return answers[index] if index < len(answers) else None


def _key(event: Event) -> tuple[Any, Any]:
    return event.fields.get("id"), event.fields.get("kind")
