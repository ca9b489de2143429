"""Why requests were lost when pods ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.diagnosis.lint import short_grace
from harness.diagnosis.lives import Life
from harness.diagnosis.rule import Case, known_lint, rule
from harness.diagnosis.scene import CUT, Scene
from harness.evidence.samples import ERRORS, Samples
from harness.evidence.timeline import SECOND

AT_ONCE_S = 4.0
"""A pod that has ended so soon after its order to stop has waited for nobody; that is seen about a second late."""
AFTER_NS = 3 * SECOND
TOGETHER_NS = 2 * SECOND


def stopped(scene: Scene) -> list[Life]:
    """Pods that users were led to, and that ended under load."""
    begun = scene.timeline.first("load.started")
    since = begun.t if begun else 0
    return [pod for pod in scene.lives if pod.stopping_ns is not None and pod.stopping_ns >= since and _used(pod)]


def _used(pod: Life) -> bool:
    return pod.entered_ns is not None or pod.ready_ns is not None


def near(samples: Samples, pods: Sequence[Life], scene: Scene) -> npt.NDArray[np.bool_]:
    """Which of some requests were under way while one of the pods ended."""
    found = np.zeros(len(samples), bool)
    for pod in pods:
        end = (pod.gone_ns or scene.timeline.end_ns) + AFTER_NS
        found |= (samples["end"] >= (pod.stopping_ns or 0)) & (samples["intended"] <= end)
    return found


def _ended(scene: Scene, case: Case) -> list[Life]:
    pods = stopped(scene)
    case.needs(pods, f"{len(pods)} pods that served users were stopped", "no pod that served users was stopped")
    count = int(np.count_nonzero(near(scene.lost, pods, scene)))
    case.needs(count, f"{count} requests were lost while they ended", "nothing was lost while they ended")
    return pods


def _facts_of(scene: Scene, pods: Sequence[Life]) -> dict[str, object]:
    return dict(scene.all_facts.side(pods[0].side)) if pods else {}


def _took(pods: Sequence[Life]) -> float | None:
    known = [pod.took_s for pod in pods if pod.took_s is not None]
    return float(np.median(known)) if known else None


def _text(took: float | None) -> str:
    return "" if took is None else f"they took {took:.1f} s"


@rule(
    "no-prestop", "M7", symptom="requests are cut or refused whenever pods end",
    cause="pods have no preStop hook: they end while the nodes still lead users to them",
    mend="add a preStop hook that drains, or at least sleeps for some seconds",
)  # fmt: skip
def no_prestop(scene: Scene, case: Case) -> None:
    if known_lint(scene, case, "no-prestop"):
        return
    pods = _ended(scene, case)
    side = _facts_of(scene, pods)
    case.needs(side and side.get("pre_stop") is None, "they have no preStop hook", "they have a preStop hook", 2)
    took = _took(pods)
    case.contradicts(
        took is not None and took >= float(str(side.get("grace") or 30)) - 0.5, f"{_text(took)}: all of their grace", 3
    )
    case.contradicts(side.get("shell"), "a shell is their first process, which passes no signal on")


@rule(
    "exits-at-once", "M7", symptom="requests in flight are cut whenever pods end",
    cause="the drain waits for nobody: pods are gone at once",
    mend="let the preStop hook wait until the last answer is out and new ones have stopped coming",
)  # fmt: skip
def exits_at_once(scene: Scene, case: Case) -> None:
    pods = _ended(scene, case)
    side = _facts_of(scene, pods)
    case.needs(side.get("pre_stop") is not None, "they have a preStop hook", "they have no preStop hook")
    took = _took(pods)
    case.needs(
        took is not None and took <= AT_ONCE_S,
        f"{_text(took)} to end",
        f"{_text(took) or 'not seen to end'}",
        2,
    )
    short = _cut_short(scene, pods)
    case.needs(short, f"{short} requests were cut, not refused", "no request was cut: none was in flight there")
    case.contradicts(short_grace(side), "their grace period is short")


def _cut_short(scene: Scene, pods: Sequence[Life]) -> int:
    """Lost requests that had been taken: their connections ended under them, or an ending pod gave them up."""
    codes = [ERRORS.index(name) for name in CUT]
    ids = [scene.timeline.id_of(pod.pod) for pod in pods]
    given_up = (scene.lost["error"] == ERRORS.index("app_5xx")) & np.isin(scene.lost["pod"], ids)
    return int(np.count_nonzero(np.isin(scene.lost["error"], codes) | given_up))


@rule(
    "grace-too-short", "M7", symptom="requests in flight are cut some seconds after pods were told to end",
    cause="the grace period is shorter than the drain: pods are killed in the middle of it",
    mend="make terminationGracePeriodSeconds longer than the preStop hook and the drain together",
)  # fmt: skip
def grace_too_short(scene: Scene, case: Case) -> None:
    if known_lint(scene, case, "grace-too-short"):
        return
    pods = _ended(scene, case)
    side = _facts_of(scene, pods)
    grace = float(str(side.get("grace") or 30))
    case.needs(short_grace(side), f"grace is {grace:g} s, the preStop hook included", f"grace is {grace:g} s", 2)
    took = _took(pods)
    case.speaks(took is not None and took >= grace - 0.5, f"{_text(took)}: all of it", f"{_text(took)} of it", 1)


@rule(
    "sigterm-ignored", "M7", symptom="requests in flight are cut when pods' grace is over",
    cause="nobody in the pod hears SIGTERM: it serves on until it is killed",
    mend="let the application be the container's first process (exec in a shell), and end on SIGTERM",
)  # fmt: skip
def sigterm_ignored(scene: Scene, case: Case) -> None:
    pods = _ended(scene, case)
    side = _facts_of(scene, pods)
    grace, took = float(str(side.get("grace") or 30)), _took(pods)
    case.needs(
        took is not None and took >= grace - 0.5, f"{_text(took)}, all of their grace of {grace:g} s",
        f"{_text(took) or 'not seen to end'}, of a grace of {grace:g} s", 2,
    )  # fmt: skip
    case.speaks(side.get("shell"), "a shell is their first process, which passes no signal on", "", 2)
    case.contradicts(short_grace(side), "a preStop hook takes that time")


@rule(
    "max-unavailable", "P5", symptom="an outage while the live side is rolled out anew",
    cause="a rollout may take pods away before their successors are ready",
    mend="set maxUnavailable 0 and maxSurge 100%",
)  # fmt: skip
def max_unavailable(scene: Scene, case: Case) -> None:
    pods = _ended(scene, case)
    side = _facts_of(scene, pods)
    allowed = str(side.get("max_unavailable", "0"))
    case.needs(
        allowed not in ("0", "0%"), f"a rollout may take {allowed} of the pods", "a rollout takes no pod first", 2
    )
    early = [pod for pod in pods if not _successors_ready(scene, pod)]
    case.needs(
        early,
        f"{len(early)} of them were stopped before a successor was ready",
        "their successors were ready before",
        2,
    )
    case.contradicts(any((pod.last or {}).get("evicted") for pod in pods), "they were evicted", 4)


def _successors_ready(scene: Scene, pod: Life) -> bool:
    others = [one for one in scene.pods(pod.side) if one.pod != pod.pod]
    stop = pod.stopping_ns or 0
    return any(one.ready_ns is not None and one.ready_ns <= stop and (one.stopping_ns or stop + 1) > stop for one in
               others if one.born_ns > pod.born_ns + TOGETHER_NS)  # fmt: skip


@rule(
    "pdb-missing", "P5", symptom="an outage while nodes are drained",
    cause="no PodDisruptionBudget holds evictions back: all pods of the live side went at once",
    mend="give both sides a PodDisruptionBudget with maxUnavailable 1",
)  # fmt: skip
def pdb_missing(scene: Scene, case: Case) -> None:
    pods = _ended(scene, case)
    evicted = [pod for pod in pods if (pod.last or {}).get("evicted")]
    case.needs(len(evicted) > 1, f"{len(evicted)} of them were evicted", "they weren't evicted", 2)
    side = evicted[0].side if evicted else scene.new
    held = [one for one in scene.all_facts.budgets if side in one["sides"]]
    case.needs(not held, f"no PodDisruptionBudget is about {side}", "a PodDisruptionBudget is about them", 2)
