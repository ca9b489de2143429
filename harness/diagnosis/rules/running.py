"""Why a side that users were led to didn't serve them well."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from harness.diagnosis.lint import always_ready, drifted, smaller
from harness.diagnosis.rule import Case, known_lint, rule
from harness.diagnosis.scene import CUT, NO_ANSWER, Scene
from harness.evidence.timeline import SECOND

START_NS = 15 * SECOND
"""A process that takes longer to start than this is another matter."""
OVER_NS = 3 * SECOND
WARM_NS = 10 * SECOND


def _served(scene: Scene, case: Case) -> bool:
    return case.needs(scene.moved_ns is not None, "users were on the new side", "users were never on the new side")


def _probes(scene: Scene) -> dict[str, Any]:
    return dict(scene.here.get("probes") or {})


@rule(
    "no-readiness-probe", "M3", symptom="a short outage whenever a pod of the new side starts",
    cause="the new side has no readiness probe: users are led to pods that don't listen yet",
    mend="give both sides the same readiness probe, on the port and for the thing that users need",
)  # fmt: skip
def no_readiness_probe(scene: Scene, case: Case) -> None:
    if known_lint(scene, case, "no-readiness-probe"):
        return
    case.needs(
        scene.here and _probes(scene).get("readiness") is None, "the new side has no readiness probe",
        "the new side has a readiness probe", 2,
    )  # fmt: skip
    smoke = scene.refused("smoke")
    unsafe = re.search(r"probes of \S+ are unsafe", scene.refused("deploy", "cutover"))
    asked = unsafe or smoke or scene.moved_ns is not None
    case.needs(asked, "it was refused for its probes" if unsafe else "the new side was asked", "it was never asked")
    starts = [pod.ready_ns for pod in scene.pods(scene.new) if pod.ready_ns is not None]
    near = np.zeros(len(scene.lost), bool)
    for start in starts:
        near |= (scene.lost["end"] >= start - SECOND) & (scene.lost["intended"] <= start + START_NS)
    refused = sum(scene.errors_of(scene.lost[near])[name] for name in NO_ANSWER)
    told = f"{refused} connections were refused just after a pod had started" if refused else "nobody took connections"
    case.speaks(
        refused or unsafe or "Connect" in smoke, told, "no connection was refused just after a pod had started", 2
    )


@rule(
    "readiness-always-ok", "M3", symptom="users are led to pods that can't serve",
    cause="readiness asks what liveness asks: it never takes a pod out that lives",
    mend="let readiness say no while a pod drains, starts, or lacks what it needs",
)  # fmt: skip
def readiness_always_ok(scene: Scene, case: Case) -> None:
    _served(scene, case)
    case.needs(always_ready(_probes(scene)), "readiness asks what liveness asks", "readiness asks for itself", 2)
    hurt = [pod for pod in scene.pods(scene.new) if pod.restarts and pod.entered_ns is not None]
    case.needs(
        len(scene.lost), f"{len(scene.lost)} requests were lost", "nothing was lost"
    )  # fmt: skip
    case.speaks(hurt, f"{len(hurt)} pods ended and began anew while users were led to them", "", 2)
    case.contradicts(any("Liveness probe failed" in one for one in scene.warnings), "liveness itself failed")


@rule(
    "liveness-kills-pods", "T1", symptom="requests are lost whenever a pod of the new side begins anew",
    cause="the liveness probe kills pods that serve well",
    mend="let liveness ask for nothing but life, later and more patiently than readiness",
)  # fmt: skip
def liveness_kills_pods(scene: Scene, case: Case) -> None:
    case.needs(scene.refusals or len(scene.lost), "the release was stopped or lost requests", "nothing went wrong")
    told = next((one for one in scene.warnings if "Liveness probe failed" in one), "")
    case.needs(told, f"the cluster warns: {told[:120]}", "no liveness probe is known to have failed", 2)
    killed = [pod for pod in scene.pods(scene.new) if pod.restarts]
    case.speaks(killed, f"{len(killed)} pods of the new side began anew", "", 2)


@rule(
    "version-breaks-under-traffic", "P2", symptom="the new version passes smoke and fails its users",
    cause="a fault of the version that smoke's few requests don't reach",
    mend="mend the version; let smoke ask for more, and for what broke",
)  # fmt: skip
def version_breaks(scene: Scene, case: Case) -> None:
    _served(scene, case)
    case.needs(scene.timeline.first("smoke.passed"), "smoke had passed", "smoke had not passed")
    wrong = len(scene.wrong)
    case.needs(wrong, f"{wrong} answers were errors of the application's", "the application answered without errors", 2)
    ids = scene.timeline.id_of(scene.revisions[1])
    mine = int(np.count_nonzero(scene.wrong["revision"] == ids))
    case.speaks(mine == wrong, "all of them are the new version's", "the old version gave some of them")
    case.contradicts(bool(scene.there and scene.here) and drifted(scene.there, scene.here),
                     "the sides' environments differ", 3)  # fmt: skip


@rule(
    "config-drift", "M6", symptom="the new side fails where the old one doesn't, with the same version or not",
    cause="the sides' environments differ in more than the color",
    mend="write both sides from one base; let nothing but the image differ",
)  # fmt: skip
def config_drift(scene: Scene, case: Case) -> None:
    smoke = scene.refused("smoke")
    case.needs(smoke or scene.moved_ns is not None, "the new side was asked", "the new side was never asked")
    names = drifted(scene.there, scene.here) if scene.there and scene.here else []
    case.needs(names, f"the sides differ in {', '.join(names)}", "the sides' environments are equal", 2)
    wrong = len(scene.wrong)
    case.speaks(
        wrong, f"{wrong} answers were errors of the application's", "the application answered without errors", 2
    )
    case.contradicts("revision" in smoke, "smoke met another version")


def _slow(scene: Scene) -> int:
    return len(scene.late) + scene.errors["read_timeout"] + scene.errors["connect_timeout"]


@rule(
    "fewer-replicas", "T3", symptom="the new side is fine in smoke and too slow under load",
    cause="the new side has fewer pods than the old one",
    mend="scale the new side to the old one's size before the switch",
)  # fmt: skip
def fewer_replicas(scene: Scene, case: Case) -> None:
    if known_lint(scene, case, "fewer-replicas"):
        return
    refused = scene.refused("cutover")
    here, there = scene.size(scene.new), scene.size(scene.old)
    case.needs(
        here is not None and there is not None and here < there, f"{here} pods took over from {there}",
        f"{here} pods took over from {there}", 2,
    )  # fmt: skip
    case.needs(refused or scene.moved_ns is not None, "it was about to be switched", "there was no switch")
    case.speaks(_slow(scene), f"{_slow(scene)} answers came late or not at all", "answers came in time")


@rule(
    "cpu-too-small", "T3", symptom="the new side is fine in smoke and too slow under load",
    cause="the new side's pods may use much less of the processor than the old one's",
    mend="give both sides the same resources",
)  # fmt: skip
def cpu_too_small(scene: Scene, case: Case) -> None:
    if known_lint(scene, case, "cpu-too-small"):
        return
    _served(scene, case)
    here, there = ((one.get("resources") or {}).get("limits_cpu") for one in (scene.here, scene.there))
    case.needs(
        smaller(scene.here, scene.there), f"a pod may use {here} of a processor, one of the old side {there}",
        "the sides' pods may use as much of the processor", 2,
    )  # fmt: skip
    case.speaks(_slow(scene), f"{_slow(scene)} answers came late or not at all", "answers came in time")


@rule(
    "cold-start", "P3", symptom="the first answers after the cutover are slow, later ones aren't",
    cause="the new side was cold: pools, caches and code were made ready by the first users",
    mend="warm the new side with synthetic requests of every kind before the switch",
)  # fmt: skip
def cold_start(scene: Scene, case: Case) -> None:
    _served(scene, case)
    late, moved = scene.late, scene.moved_ns or 0
    case.needs(len(late), f"{len(late)} answers were late", "no answer was late")
    in_time = bool(len(late)) and int(late["intended"].min()) >= moved - OVER_NS
    over = bool(len(late)) and int(late["end"].max()) <= moved + WARM_NS
    case.needs(in_time and over, "all of them just after the cutover", "not just after the cutover", 2)
    went_on = scene.timeline.samples["end"].max() if len(scene.timeline.samples) else 0
    case.speaks(over and int(went_on) > int(late["end"].max()) + SECOND, "later ones came in time", "", 1)
    broken = sum(scene.errors[name] for name in (*NO_ANSWER, *CUT))
    case.contradicts(broken, f"{broken} connections were refused or cut", 1.5)
    here, there = scene.size(scene.new), scene.size(scene.old)
    case.contradicts(here is not None and there is not None and here < there, "the new side is smaller", 2)
    case.contradicts(smaller(scene.here, scene.there), "the new side's pods may use less of the processor", 2)
    unready = [one for one in scene.slices if not one.fields.get("ready")]
    case.contradicts(unready, "there was no ready endpoint for a while", 3)
    case.contradicts(scene.shrunk(scene.old) is not None, "the old side was scaled down beside it", 3)
