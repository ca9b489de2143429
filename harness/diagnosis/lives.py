"""The lives of pods, put together from their changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.evidence.timeline import SECOND, Timeline

SINCE_ALWAYS = -(2**63)


@dataclass(frozen=True)
class Life:
    """One pod. Times in ns; None means that it didn't happen.

    Attributes:
        pod: its name.
        side: whose it is; "other" for one that is no side's.
        born_ns: first seen.
        ready_ns: first seen ready.
        running_ns: first seen with a container running.
        stopping_ns: told to stop.
        ended_ns: told to stop, and first seen without a running container.
        gone_ns: no longer there.
        restarts: of its containers, with the time of each.
        entered_ns: the Service led users to it.
        last: its newest state, as `pod.changed`.
        waited: the first reason why a container didn't run.
        oom: a container was killed for its memory.
        init_failed: an init container ended with an error.
        exits: exit codes that were seen.

    """

    pod: str
    side: str
    born_ns: int
    ready_ns: int | None = None
    running_ns: int | None = None
    stopping_ns: int | None = None
    ended_ns: int | None = None
    gone_ns: int | None = None
    restarts: tuple[int, ...] = ()
    entered_ns: int | None = None
    last: Mapping[str, Any] | None = None
    waited: str = ""
    oom: bool = False
    init_failed: bool = False
    exits: tuple[int, ...] = ()

    @property
    def took_s(self) -> float | None:
        """Seconds from the order to stop until its containers had ended; None where one of both wasn't seen."""
        end = self.ended_ns if self.ended_ns is not None else self.gone_ns
        if self.stopping_ns is None or end is None:
            return None
        return (end - self.stopping_ns) / SECOND

    @property
    def node(self) -> str:
        """Where it ran."""
        return str((self.last or {}).get("node") or "")


def lives(timeline: Timeline) -> tuple[Life, ...]:
    """Every pod that was seen, in the order of their births."""
    found: dict[str, Life] = {}
    for event in timeline.named("pod.changed", "pod.gone", "pods.entered"):
        if event.name == "pods.entered":
            for name in event.fields.get("pods") or ():
                if name in found and found[name].entered_ns is None:
                    found[name] = replace(found[name], entered_ns=event.t)
            continue
        name = str(event.fields.get("pod") or "")
        known = found.get(name) or Life(name, str(event.fields.get("side") or "other"), event.t)
        if event.name == "pod.gone":
            found[name] = replace(known, gone_ns=event.t)
        else:
            found[name] = _changed(known, event.t, event.fields)
    return tuple(found.values())


def _changed(life: Life, t: int, fields: Mapping[str, Any]) -> Life:
    restarts = int(fields.get("restarts") or 0) - len(life.restarts)
    ended = life.ended_ns is None and fields.get("stopping") and not fields.get("running")
    code = fields.get("last_exit")
    return replace(
        life,
        ready_ns=t if life.ready_ns is None and fields.get("ready") else life.ready_ns,
        running_ns=t if life.running_ns is None and fields.get("running") else life.running_ns,
        stopping_ns=t if life.stopping_ns is None and fields.get("stopping") else life.stopping_ns,
        ended_ns=t if ended and life.running_ns is not None else life.ended_ns,
        restarts=(*life.restarts, *([t] * max(0, restarts))),
        waited=life.waited or str(fields.get("waiting") or "").replace("ContainerCreating", ""),
        oom=life.oom or fields.get("last_reason") == "OOMKilled",
        init_failed=life.init_failed or bool(fields.get("init_failed")),
        exits=(*life.exits, int(code)) if code is not None and code not in life.exits else life.exits,
        last=dict(fields),
    )
