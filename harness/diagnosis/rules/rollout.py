"""Why a side never came up."""

from __future__ import annotations

import re

from harness.diagnosis.rule import Case, known_lint, rule
from harness.diagnosis.scene import Scene

IMAGE = ("ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName")
NOT_UP = "the new side never got ready, and users never saw it"


def _never_up(scene: Scene, case: Case) -> str:
    why = scene.refused("deploy", "install")
    case.needs(why, "the rollout was given up", "no rollout was refused")
    return why


def _alive_and_unready(scene: Scene) -> bool:
    pods = scene.pods(scene.new)
    return any(pod.running_ns is not None and pod.ready_ns is None and not pod.restarts for pod in pods)


@rule(
    "wrong-probe-port", "T1", symptom=NOT_UP,
    cause="the readiness probe asks a port on which nothing listens",
    mend="let the probe name the container's own port, best by its name",
)  # fmt: skip
def wrong_probe_port(scene: Scene, case: Case) -> None:
    if known_lint(scene, case, "wrong-probe-port"):
        return
    _never_up(scene, case)
    probe = (scene.here.get("probes") or {}).get("readiness") or {}
    case.needs(
        probe and not probe.get("known"),
        f"readiness asks port {probe.get('asked')}, which the container doesn't declare",
        "readiness asks a port that the container declares" if probe else "no readiness probe is known of",
        2,
    )
    case.speaks(_alive_and_unready(scene), "pods run without restarts and are never ready", "no pod runs unready")
    refused = any("Readiness probe failed" in one and "refused" in one for one in scene.warnings)
    case.speaks(refused, "the kubelet's readiness probes were refused", "no probe is known to have been refused")


@rule(
    "readiness-never-ok", "T1", symptom=NOT_UP,
    cause="the application says that it isn't ready, or its probe asks the wrong path",
    mend="ask the probe's path in a pod by hand; mend the path or what the application waits for",
)  # fmt: skip
def readiness_never_ok(scene: Scene, case: Case) -> None:
    _never_up(scene, case)
    probe = (scene.here.get("probes") or {}).get("readiness") or {}
    case.needs(probe.get("known"), "the readiness probe's port is right", "the readiness probe's port isn't known")
    case.needs(_alive_and_unready(scene), "pods run without restarts and are never ready", "no pod runs unready")
    told = next((one for one in scene.warnings if re.search(r"Readiness probe failed: HTTP .* (4|5)\d\d", one)), "")
    case.speaks(told, f"the cluster warns: {told[:120]}", "no probe is known to have been answered", 2)


@rule(
    "image-not-there", "T5", symptom=NOT_UP,
    cause="the nodes have no such image and can't pull it",
    mend="push the image, mend its name, or pull it on every node before the release",
)  # fmt: skip
def image_not_there(scene: Scene, case: Case) -> None:
    why = _never_up(scene, case)
    waits = [pod.waited for pod in scene.pods(scene.new) if pod.waited in IMAGE]
    told = waits[0] if waits else next((name for name in IMAGE if name in why), "")
    case.needs(told, f"pods wait with {told}", "no pod waits for its image", 3)


@rule(
    "secret-missing", "S3", symptom=NOT_UP,
    cause="a Secret or ConfigMap that the new side reads isn't there",
    mend="create it before the release, and let both sides read the same one",
)  # fmt: skip
def secret_missing(scene: Scene, case: Case) -> None:
    why = _never_up(scene, case)
    told = next((one for one in scene.warnings if re.search(r'(secret|configmap) ".*" not found', one)), "")
    waits = any(pod.waited == "CreateContainerConfigError" for pod in scene.pods(scene.new))
    waits = waits or "CreateContainerConfigError" in why
    case.needs(
        told or waits, told[:150] or "pods wait with CreateContainerConfigError", "nothing is said to be missing", 3
    )
    here, there = set(scene.here.get("references") or ()), set(scene.there.get("references") or ())
    case.speaks(here - there, f"only the new side reads {', '.join(sorted(here - there))}")


@rule(
    "no-room", "F4", symptom=NOT_UP,
    cause="the cluster has no room for both sides: a quota, or nodes without free processor or memory",
    mend="a release needs twice the resources for its time: raise the quota or add nodes",
)  # fmt: skip
def no_room(scene: Scene, case: Case) -> None:
    _never_up(scene, case)
    pattern = r"exceeded quota|FailedScheduling: .*Insufficient|FailedScheduling: .*nodes are available"
    told = next((one for one in scene.warnings if re.search(pattern, one)), "")
    case.needs(told, f"the cluster warns: {told[:150]}", "no pod was turned away for want of room", 3)


@rule(
    "memory-too-small", "T3", symptom=NOT_UP,
    cause="pods are killed for using more memory than their limit",
    mend="raise limits.memory on both sides",
)  # fmt: skip
def memory_too_small(scene: Scene, case: Case) -> None:
    case.needs(scene.refusals or len(scene.lost), "the release was stopped or lost requests", "nothing went wrong")
    killed = [pod for pod in scene.pods(scene.new) if pod.oom]
    case.needs(killed, f"{len(killed)} pods of {scene.new} were OOMKilled", "no pod was OOMKilled", 4)


@rule(
    "init-container-fails", "T4", symptom=NOT_UP,
    cause="what has to be done before the application starts fails: a migration that isn't fully applied, as a rule",
    mend="see the init container's log; apply the schema by a release of its own before the code's",
)  # fmt: skip
def init_container_fails(scene: Scene, case: Case) -> None:
    _never_up(scene, case)
    case.needs(scene.here.get("init"), "the new side has init containers", "the new side has no init container")
    failed = [pod for pod in scene.pods(scene.new) if pod.init_failed]
    case.needs(failed, f"they failed in {len(failed)} pods", "none of them is known to have failed", 3)


@rule(
    "keep-alive-longer-than-drain", "M7", symptom=NOT_UP,
    cause="idle connections would outlive the drain, and the application refuses to start like that",
    mend="keep the keep-alive time-out shorter than the drain, and the drain shorter than the grace period",
)  # fmt: skip
def keep_alive_longer_than_drain(scene: Scene, case: Case) -> None:
    why = _never_up(scene, case)
    said = re.search(r"[^\n]*keep.?alive[^\n]*drain[^\n]*", why, re.IGNORECASE)
    case.needs(said, f"its log says: {said[0].strip()[:150] if said else ''}", "its log says nothing of it", 4)
    crashed = any(pod.restarts or pod.exits for pod in scene.pods(scene.new))
    case.speaks(crashed, "its containers ended by themselves")


@rule(
    "crashes-at-start", "T1", symptom=NOT_UP,
    cause="the application ends by itself right after its start",
    mend="read its last log lines, which are in the refusal's reason",
)  # fmt: skip
def crashes_at_start(scene: Scene, case: Case) -> None:
    _never_up(scene, case)
    crashed = [pod for pod in scene.pods(scene.new) if (pod.restarts or any(pod.exits)) and not pod.init_failed]
    case.needs(crashed, f"containers of {len(crashed)} pods ended by themselves", "no container ended by itself")
    case.contradicts(any(pod.oom for pod in crashed), "they were killed for their memory")
