"""A load's workers as pods: made by a Job, spoken to over the API server, so that nothing else must reach them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from harness.client.agent import PORT
from harness.errors import ClusterError, WaitTimeout
from harness.release.smoke import NO_IMAGE
from harness.waiting import until
from harness.workers.hands import Member
from harness.workers.job import INDEX, NAME, job

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

READY_S: Final = 120.0
"""For all pods to be scheduled and started: several start at once, perhaps on one busy machine."""


class Pods:
    """The workers of one load.

    Args:
        kube: the cluster.
        namespace: where they run.
        image: theirs.
        workers: how many.
        max_seconds: of the load.

    """

    def __init__(self, kube: Kube, namespace: str, image: str, workers: int, max_seconds: float) -> None:
        self.name = f"{NAME}-{secrets.token_hex(3)}"
        self._kube = kube
        self._namespace = namespace
        self._workers = workers
        self._image = image
        self._token = secrets.token_urlsafe(24)
        self._job = job(self.name, workers, image, self._token, max_seconds)
        self._pods: list[str] = []

    def begin(self) -> Sequence[Member]:
        """Make the Job and wait until every agent answers.

        Raises:
            ClusterError: the image isn't to be had, a pod ended, or they didn't start in time.

        """
        self._kube.run_job(self._namespace, self._job)
        members: list[Member] = []

        def there() -> bool:
            items = self._kube.objects(self._namespace, "pods", selector=f"job-name={self.name}")
            for item in items:
                self._refuse(item)
            items.sort(key=lambda item: int(item["metadata"]["annotations"][INDEX]))
            members[:] = [_member(number, item) for number, item in enumerate(items)]
            self._pods = [member.pod for member in members]
            running = [item.get("status", {}).get("phase") == "Running" for item in items]
            return len(items) == self._workers and all(running) and all(map(self._answers, range(self._workers)))

        try:
            until(there, f"{self._workers} workers of {self.name}", timeout=READY_S, every=0.5)
        except WaitTimeout as error:
            raise ClusterError(
                error.what, "see their pods in the namespace's dump; the nodes may be short of room"
            ) from None
        return members

    def call(self, number: int, method: str, path: str, body: Any = None, timeout: float = 5.0) -> bytes:
        """One question to a worker's agent, asked once.

        Raises:
            ClusterError: the API server or the agent didn't answer in time, or said no.

        """
        target = f"{self._token}/{path}"
        if method == "GET":
            return self._kube.get_raw(self._namespace, self._pods[number], PORT, target, timeout)
        return self._kube.post_raw(self._namespace, self._pods[number], PORT, target, timeout, body)

    def _answers(self, number: int) -> bool:
        try:
            return bool(self.call(number, "GET", "clock"))
        except ClusterError:  # it has just started: whether it listens by now is the question
            return False

    def _refuse(self, item: dict[str, Any]) -> None:
        states = item.get("status", {}).get("containerStatuses") or []
        waiting = [str((one.get("state", {}).get("waiting") or {}).get("reason", "")) for one in states]
        if NO_IMAGE.intersection(waiting):
            raise ClusterError(
                f"the workers can't start: {waiting[0]} of {self._image}",
                "load that image into the cluster, or name one that the nodes can pull: --bg-load-image",
            )
        if item.get("status", {}).get("phase") in ("Failed", "Succeeded"):
            pod = item["metadata"]["name"]
            said = self._kube.log_tail(self._namespace, pod, "worker", 10).strip()
            raise ClusterError(f"worker {pod} ended before it began: {said or 'it said nothing'}", "see its pod")


def _member(number: int, item: dict[str, Any]) -> Member:
    name, status = item["metadata"]["name"], item.get("status", {})
    return Member(number, name, str(item.get("spec", {}).get("nodeName") or ""), str(status.get("podIP") or ""))
