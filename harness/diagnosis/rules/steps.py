"""What was done in the wrong order, or not at all."""

from __future__ import annotations

import re

from harness.diagnosis.rule import Case, rule
from harness.diagnosis.scene import NO_ANSWER, Scene


@rule(
    "same-deployment-reused", "M2", symptom="users meet the new version without any cutover, and there is no way back",
    cause="the new version was rolled out onto the side that users are on",
    mend="deploy to the idle side only; a rollback needs the old version to be running",
)  # fmt: skip
def same_deployment_reused(scene: Scene, case: Case) -> None:
    told = [one for one in scene.timeline.named("side.described") if one.fields.get("side") == scene.old]
    images = list(dict.fromkeys(str(one.fields.get("image")) for one in told if one.fields.get("image")))
    case.needs(
        len(images) > 1 and scene.moved_ns is None, f"{scene.old}'s image became {images[-1] if images else ''}",
        "the side that users are on kept its image", 3,
    )  # fmt: skip
    case.speaks(len(scene.answers_of(scene.answered)) > 1, "two versions answered before any cutover")
    case.speaks(scene.refused("cutover"), "there was nothing to cut over to")


@rule(
    "promoted-before-smoke", "M4", symptom="users meet a version that nobody has tried",
    cause="the switch was moved though smoke had not passed for the new side",
    mend="let nothing but the release move the switch, and only after smoke has passed",
)  # fmt: skip
def promoted_before_smoke(scene: Scene, case: Case) -> None:
    moved = scene.moved_ns
    if moved is None:
        refused = scene.refused("cutover")
        case.needs(
            "smoke" in refused and "passed" in refused, "a cutover was asked for before smoke, and refused",
            "users were never moved", 3,
        )  # fmt: skip
        return
    passed = [one for one in scene.timeline.named("smoke.passed") if one.t <= moved]
    case.needs(not passed, "users were moved and smoke had not passed", "smoke had passed before", 2)
    failed = [one for one in scene.timeline.named("smoke.failed") if one.t <= moved]
    case.speaks(failed, "smoke had refused the version", "", 2)
    wrong = len(scene.wrong)
    case.speaks(wrong, f"{wrong} answers were errors of the application's", "the application answered without errors")


@rule(
    "promoted-before-ready", "T1", symptom="an outage right after the switch that ends by itself",
    cause="the switch was moved before the new side's pods were ready",
    mend="wait for the rollout's end, then smoke, then switch; see probes and endpoints",
)  # fmt: skip
def promoted_before_ready(scene: Scene, case: Case) -> None:
    moved = scene.moved_ns
    if moved is None:
        refused = scene.refused("cutover")
        case.needs(
            "isn't ready" in refused or "nothing is deployed" in refused, f"a cutover was refused: {refused[:120]}",
            "users were never moved", 3,
        )  # fmt: skip
        case.contradicts(scene.refused("deploy"), "the rollout itself was refused", 4)
        here, there = scene.size(scene.new), scene.size(scene.old)
        case.contradicts(here and there and here < there, f"{here} pods were all that the side should have", 2)
        return
    pods = scene.pods(scene.new)
    ready = [pod for pod in pods if pod.ready_ns is not None and pod.ready_ns <= moved]
    unready = [one for one in scene.slices if one.fields.get("addresses") and not one.fields.get("ready")]
    case.needs(
        not ready and not scene.timeline.named("deploy.ready"), "no pod of the new side was ready then",
        "pods of the new side were ready then", 3,
    )  # fmt: skip
    case.speaks(unready, "the Service had endpoints, none of them ready", "", 2)
    hurt = sum(scene.errors[name] for name in NO_ANSWER) + len(scene.late)
    case.speaks(hurt, f"{hurt} requests found nobody", "every request found somebody")


def _after_move(scene: Scene, side: str) -> list[dict[str, object]]:
    moved = scene.moved_ns if scene.moved_ns is not None else 2**63 - 1
    return [
        dict(one.fields)
        for one in scene.timeline.named("pods.observed")
        if one.t >= moved and one.fields.get("side") == side
    ]


@rule(
    "old-side-deleted", "M5", symptom="there is no way back",
    cause="the old side's Deployment was deleted as soon as users had left it",
    mend="keep the old side for at least 30 minutes; scale it down by a release's own retirement",
)  # fmt: skip
def old_side_deleted(scene: Scene, case: Case) -> None:
    gone = [one for one in _after_move(scene, scene.old) if one.get("exists") is False]
    case.needs(gone, "the old side's Deployment was gone after the cutover", "the old side's Deployment stayed", 4)


@rule(
    "old-side-scaled-down", "T6", symptom="there is no way back, or only a slow one",
    cause="the old side was scaled down as soon as users had left it",
    mend="keep the old side in its full size for at least 30 minutes",
)  # fmt: skip
def old_side_scaled_down(scene: Scene, case: Case) -> None:
    size = scene.shrunk(scene.old)
    case.needs(
        size is not None, f"the old side was scaled to {size} after the cutover", "the old side kept its size", 3
    )
    refused = "isn't running" in scene.refused("cutover")
    case.speaks(refused, "a rollback was refused: the side isn't running")
    case.contradicts(any(one.get("exists") is False for one in _after_move(scene, scene.old)), "it was deleted")


@rule(
    "version-fails-smoke", "P2", symptom="smoke refuses the new version",
    cause="the version answers with errors, though its pods are ready",
    mend="mend the version; let readiness ask for what users ask for",
)  # fmt: skip
def version_fails_smoke(scene: Scene, case: Case) -> None:
    smoke = scene.refused("smoke")
    told = re.search(r"status \d+, expected", smoke)
    case.needs(told, f"smoke said: {smoke[:150]}", "smoke saw no wrong status", 3)
    case.contradicts(scene.moved_ns is not None, "users were moved all the same")
