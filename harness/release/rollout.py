"""Waits until a side is up, and where it never is, says what its pods said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cluster.answers import RolloutStatus
from harness.errors import ClusterError, RolloutFailed, WaitTimeout
from harness.release.clock import Clock
from harness.waiting import until

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

POLL_SECONDS = 0.5
EVENTS = 8
LOG_LINES = 10
PODS = 4


def wait(kube: Kube, namespace: str, deployment: str, timeout: float, what: str, clock: Clock) -> RolloutStatus:
    """Wait until a Deployment's rollout is complete.

    Args:
        kube: the cluster.
        namespace: where the Deployment is.
        deployment: its name.
        timeout: bound in seconds.
        what: begins the error, e.g. "deploy: green (v2)".
        clock: to wait by.

    Raises:
        RolloutFailed: not in time, or the controller gave up; with pods' states, events and last log lines.
        ClusterError: the API server didn't answer.

    """
    last: list[RolloutStatus] = []

    def ended() -> RolloutStatus | None:
        status = kube.rollout_status(namespace, deployment)
        last[:] = [status]
        return status if status.done or status.failed else None

    try:
        status = until(ended, f"{deployment}", timeout=timeout, every=POLL_SECONDS, clock=clock.now, sleep=clock.sleep)
    except WaitTimeout as error:
        raise _failed(kube, namespace, deployment, f"{what} was not ready within {timeout:g} s", last[0]) from error
    if status.failed:
        raise _failed(kube, namespace, deployment, f"{what} will not get ready", status)
    return status


def _failed(kube: Kube, namespace: str, deployment: str, what: str, status: RolloutStatus) -> RolloutFailed:
    try:
        detail = describe(kube, namespace, deployment)
    except ClusterError as error:  # the rollout failed all the same; say that its reasons can't be had
        detail = f"  (no further detail: {error.what})"
    return RolloutFailed(
        f"{what}: {status.message}\n{detail}",
        "mend the version by the events and log lines above; limits.ready_seconds bounds the wait",
    )


def describe(kube: Kube, namespace: str, deployment: str) -> str:
    """A side's pods that aren't ready, its last events, and the last log lines of the first such pod.

    Raises:
        ClusterError: the API server didn't answer.

    """
    lines: list[str] = []
    stuck = [pod for pod in kube.pods_of(namespace, deployment) if not pod.ready]
    lines += [
        f"  pod {pod.name} on {pod.node or 'no node'}: {pod.waiting or pod.phase}, {pod.restarts} restarts"
        for pod in stuck[:PODS]
    ]
    if len(stuck) > PODS:
        lines.append(f"  and {len(stuck) - PODS} more pods that aren't ready")
    related = [e for e in kube.events(namespace) if e.name == deployment or e.name.startswith(f"{deployment}-")]
    lines += [f"  event {event}" for event in related[-EVENTS:]]
    if stuck:
        pod = stuck[0]
        for container in pod.containers:
            log = kube.log_tail(namespace, pod.name, container, LOG_LINES, previous=False)
            if not log.strip() and pod.restarts:
                log = kube.log_tail(namespace, pod.name, container, LOG_LINES, previous=True)
            lines += [f"  log {pod.name}/{container}: {line}" for line in log.splitlines()[-LOG_LINES:]]
    return "\n".join(lines)


def steps(wanted: int, at_once: int) -> list[int]:
    """The sizes by which a side grows to ``wanted`` pods, ``at_once`` more each time.

    Raises:
        ValueError: fewer than one at once.

    """
    if at_once < 1:
        raise ValueError(f"at least one pod starts at a time, not {at_once}")
    return [*range(at_once, wanted, at_once), wanted]
