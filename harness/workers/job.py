"""The Job whose pods are a load's workers. Pure: no cluster."""

from __future__ import annotations

from typing import Any, Final

from harness.client.agent import FOLDER, LOCUSTFILE, PORT, TOKEN
from harness.cluster.owned import OWNED

NAME: Final = "bluegreen-load"
INDEX: Final = "batch.kubernetes.io/job-completion-index"
"""Annotation of a pod of an Indexed Job: its number, from 0."""
RECORD: Final = "/record"
BEYOND_S: Final = 300.0
"""After the load's own limit, for a harness that died: the Job ends by itself."""


def job(name: str, workers: int, image: str, token: str, max_seconds: float) -> dict[str, Any]:
    """The Job of one load.

    Args:
        name: its own.
        workers: how many pods; the first one runs Locust's master too.
        image: of the workers.
        token: that their agents want to hear.
        max_seconds: of the load.

    """
    labels = {"app.kubernetes.io/name": NAME, **dict([OWNED])}
    container = {
        "name": "worker",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": TOKEN, "value": token}, {"name": FOLDER, "value": RECORD},
                {"name": LOCUSTFILE, "value": "/opt/load/loadtests/distributed.py"}],
        "ports": [{"name": "agent", "containerPort": PORT}],
        "volumeMounts": [{"name": "record", "mountPath": RECORD}],
        # it needs about a tenth of a core at 200/s, but at once: what it lacks of the processor is lag
        "resources": {"requests": {"cpu": "400m", "memory": "160Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }  # fmt: skip
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": workers,
            "parallelism": workers,
            "backoffLimit": 0,  # another pod in a dead one's place would begin a schedule of its own
            "activeDeadlineSeconds": round(max_seconds + BEYOND_S),
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 5,
                    "topologySpreadConstraints": [spread],
                    "containers": [container],
                    "volumes": [{"name": "record", "emptyDir": {"sizeLimit": "2Gi"}}],
                },
            },
        },
    }
