"""What the cluster's objects alone show, and a cutover was refused for."""

from __future__ import annotations

from harness.diagnosis.rule import Assess, Case, known_lint, rule
from harness.diagnosis.scene import Scene

REFUSED = "the cutover was refused before users noticed anything"


def _only_lint(id_: str) -> Assess:
    def assess(scene: Scene, case: Case) -> None:
        if not known_lint(scene, case, id_):
            case.needs(False, "", "no cutover was refused for it")

    return assess


for id_, source, cause, mend in (
    (
        "preview-public", "S2", "the new side can be reached from outside before it is released",
        "keep the side's own Service a ClusterIP, and let no Ingress lead to it",
    ),
    (
        "session-affinity", "T2", "the Service keeps each client with one pod, so that a switch doesn't spread them",
        "set sessionAffinity None",
    ),
    (
        "pdb-blocks", "P5", "the side's PodDisruptionBudget lets no pod go, so that no node can ever be drained",
        "set maxUnavailable 1, or minAvailable to less than the replicas",
    ),
    (
        "moving-tag", "P7", "the image's tag can mean another image tomorrow: a rollback may bring up something else",
        "release by a version's own tag, or by digest",
    ),
):  # fmt: skip
    rule(id_, source, symptom=REFUSED, cause=cause, mend=mend)(_only_lint(id_))
