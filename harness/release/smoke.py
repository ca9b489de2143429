"""The check of the idle side by its internal name: a Job inside the cluster, and what its answer means."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.client import secrets
from harness.cluster.answers import JobResult
from harness.cluster.owned import OWNED
from harness.config import Config
from harness.errors import ClusterError, SmokeFailed, WaitTimeout
from harness.release.clock import Clock
from harness.waiting import until

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

GRACE_SECONDS = 15.0
"""Time for the Job's pod to be scheduled and started, beyond the check's own limit."""
REQUEST_SECONDS = 5.0
SETTLE_SECONDS = 5.0
"""Time for the nodes to learn of the side's pods, before anything is counted."""
POLL_SECONDS = 0.5
SECRET = "bluegreen-smoke"  # noqa: S105 - the name of one
ENVIRONMENT = "BG_"
"""Before each of the container's variables, so that none is one that the runner reads."""
NO_IMAGE = frozenset({"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName"})


def job(
    config: Config, side: str, version: str | None, image: str, number: int, service: str | None = None
) -> dict[str, Any]:
    """The Job that checks one side.

    Args:
        config: what to ask for, and how an answer tells its revision.
        side: checked by its internal Service, unless another one is named.
        version: the revision that every answer must tell.
        image: the smoke runner's image.
        number: of the check, for the Job's name.
        service: by which it is checked instead.

    """
    url = f"http://{service or config.service.internal_of(side)}:{config.service.port}{config.smoke.path}"
    args = ["--url", url, "--requests", str(config.smoke.requests)]
    args += ["--expect-status", str(config.first.expect_status)]
    if "smoke" not in config.identity.unproven:
        args += ["--identity", config.identity.revision, "--expect-revision", str(version)]
    args += ["--settle", f"{SETTLE_SECONDS:g}"]
    args += ["--timeout", f"{min(REQUEST_SECONDS, config.limits.smoke_seconds):g}"]
    if _same(config):
        args += ["--method", config.first.method]
        args += ["--body", secrets.replaced(config.first.body, _variable, _literal)] if config.first.body else []
    for header, value in config.first.headers.items():
        args += ["--header", f"{header}:{secrets.replaced(value, _variable, _literal)}"]
    labels = {"app.kubernetes.io/name": "bluegreen-smoke", **dict([OWNED])}
    container = {
        "name": "smoke",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": args,
        "env": [
            {"name": ENVIRONMENT + name, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": name}}}
            for name in _secrets(config)
        ],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"smoke-{side}-{number}", "labels": labels},
        "spec": {
            "backoffLimit": 0,  # one attempt: a second one would hide the first one's failure
            "activeDeadlineSeconds": round(limit_seconds(config)) + 10,  # after the wait, for a harness that died
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "containers": [container],
                },
            },
        },
    }


def secret(config: Config, environment: Mapping[str, str] | None) -> list[dict[str, Any]]:
    """The Secret with what the Job's headers take from the environment; nothing where they take nothing.

    Args:
        config: its headers name what they take.
        environment: where from; None for a Secret without values, which only shows that there is one.

    Raises:
        ConfigurationError: the environment lacks a name.

    """
    taken = _secrets(config)
    values = {name: "" if environment is None else secrets.fill(f"${{{name}}}", environment) for name in taken}
    metadata = {"name": SECRET, "labels": {"app.kubernetes.io/name": "bluegreen-smoke", **dict([OWNED])}}
    return [{"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}] if values else []


def _secrets(config: Config) -> list[str]:
    texts = [*config.first.headers.values(), *([config.first.body] if _same(config) else [])]
    found = [name for text in texts for name in secrets.names(text)]
    return list(dict.fromkeys(found))


def _same(config: Config) -> bool:
    """Whether smoke asks for what users ask for; a path of its own is read by a plain GET."""
    return config.smoke.path == config.first.path


def _variable(name: str) -> str:
    """What the kubelet replaces by the container's variable: the Job itself never holds the value."""
    return f"$({ENVIRONMENT}{name})"


def _literal(text: str) -> str:
    return text.replace("$", "$$")


def run(kube: Kube, namespace: str, manifest: dict[str, Any], timeout: float, clock: Clock) -> str:
    """Run the Job and wait for its result.

    Args:
        kube: the cluster.
        namespace: where the Job runs.
        manifest: as ``job`` gives it.
        timeout: bound in seconds.
        clock: to wait by.

    Returns:
        The detail of a check that passed.

    Raises:
        SmokeFailed: the check ran and failed, or ran out of time; with its detail.
        ClusterError: the runner itself can't run.

    """
    name = manifest["metadata"]["name"]
    kube.run_job(namespace, manifest)
    result = kube.job_result(namespace, name)

    def ended() -> bool:
        nonlocal result
        result = kube.job_result(namespace, name)
        check_started(result)
        return result.done

    # Out of time: the result, which isn't done then, tells the rest.
    with contextlib.suppress(WaitTimeout):
        until(ended, f"Job {name}", timeout=timeout, every=POLL_SECONDS, clock=clock.now, sleep=clock.sleep)
    return passed(result)


def limit_seconds(config: Config) -> float:
    """How long to wait for the Job."""
    return config.limits.smoke_seconds + GRACE_SECONDS


def check_started(result: JobResult) -> None:
    """Raise if the runner can't start, which is the harness' fault and not the release's.

    Raises:
        ClusterError: its image isn't to be had.

    """
    if result.waiting in NO_IMAGE:
        raise ClusterError(f"the smoke runner can't start: {result.waiting}", "load the smoke image into the cluster")


def passed(result: JobResult) -> str:
    """The detail of a check that passed.

    Raises:
        SmokeFailed: the check ran and failed, or ran out of time; with its detail.
        ClusterError: the runner itself broke and gave no answer.

    """
    answer = _last_answer(result.log)
    if answer is None:
        if not result.done and not result.started:
            raise ClusterError(
                f"the smoke runner's pod never started: {result.waiting or 'it was not scheduled'}",
                "see its events in the namespace's dump; the nodes may be short of room",
            )
        if not result.done:
            raise SmokeFailed(
                "smoke: no result in time", "see whether the idle side answers; limits.smoke_seconds bounds it"
            )
        raise ClusterError(
            f"the smoke runner ended without a result: {result.log.strip() or 'it said nothing'}",
            "see its pod in the namespace's dump",
        )
    detail = str(answer.get("detail", ""))
    if answer.get("result") != "pass" or not result.succeeded:
        raise SmokeFailed(f"smoke: {detail}", "mend the version and deploy it again; users have not seen it")
    return detail


def _last_answer(log: str) -> dict[str, Any] | None:
    for line in reversed(log.splitlines()):
        try:
            answer = json.loads(line)
        except ValueError:
            continue  # the runner's own messages before its result
        if isinstance(answer, dict) and "result" in answer:
            return answer
    return None
