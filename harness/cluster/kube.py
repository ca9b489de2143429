"""The cluster's API as the harness uses it.

Every call is bounded and goes out once. The client's own default (``retries=None``) is urllib3's: three more attempts
to connect, and for GET, PUT and DELETE three more sends. A PATCH that was sent is not repeated even so, but a failure
that was hidden three times is not what the record should call an answer at the first attempt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from harness.cluster import answers
from harness.cluster.answers import Endpoint, EventInfo, JobResult, Json, NodeInfo, PodInfo, Refused, RolloutStatus
from harness.cluster.api import APPLY, COLLECTION_SECONDS, STRATEGIC, Api, segment
from harness.cluster.dump import dump
from harness.cluster.kubeconfig import connect
from harness.errors import ClusterError
from harness.waiting import until

DELETE_SECONDS = 120.0

NO_LOG = "(no log:"
"""What stands in place of a log that there is none of; the server's reason follows."""


class Kube:
    """One cluster.

    Args:
        kubeconfig: the file that names it.
        context: the context in it; None is the file's current one.
        api: instead of a connection to the cluster (tests).

    Raises:
        ConfigurationError: the file or the context can't be used.

    Attributes:
        stand_in: gives what is read in a Deployment's place where another controller keeps its pods; else None.

    Every method raises ClusterError where the API server doesn't answer in time and its subclass ``Refused``
    (with the HTTP status and the server's message) where it says no.

    """

    def __init__(self, kubeconfig: Path, context: str | None = None, *, api: Api | None = None) -> None:
        self.kubeconfig = kubeconfig
        self.context = context
        self._api = api or connect(kubeconfig, context)
        self.stand_in: Callable[[str], Json | None] = lambda _: None

    @property
    def api(self) -> Api:
        """What it speaks by, for what isn't a release's business."""
        return self._api

    # -- the cluster ------------------------------------------------------------------------------------------

    def ready(self, timeout: float = 5.0) -> bool:
        """Whether the API server says it is ready, within ``timeout`` seconds."""
        try:
            self._api.send("GET", "/readyz", timeout=timeout)
        except ClusterError:  # the question is exactly whether it answers
            return False
        return True

    def version(self) -> str:
        """The API server's version, e.g. ``v1.36.3``."""
        return str(self._api.get("/version")["gitVersion"])

    def nodes(self) -> tuple[NodeInfo, ...]:
        """All nodes, by name."""
        items = self._api.get("/api/v1/nodes")["items"]
        return tuple(sorted((answers.node_info(item) for item in items), key=lambda node: node.name))

    def create_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a namespace; one that exists is refused (409)."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}}
        self._api.send("POST", "/api/v1/namespaces", body=body)

    def namespaces(self, selector: str) -> tuple[str, ...]:
        """Names of the namespaces whose labels match ``selector``."""
        items = self._api.get("/api/v1/namespaces", {"labelSelector": selector})["items"]
        return tuple(item["metadata"]["name"] for item in items)

    def delete_namespace(self, name: str, wait: bool = False) -> None:
        """Delete a namespace, its Ingresses first (so that another one may use their host at once).

        Args:
            name: one that is gone already is fine.
            wait: until it is gone, at most ``DELETE_SECONDS``.

        Raises:
            WaitTimeout: it isn't gone in time.

        """
        path = f"/api/v1/namespaces/{segment(name)}"
        for target in (_in(name, "ingresses", "networking.k8s.io/v1"), path):
            try:
                self._api.send("DELETE", target)
            except Refused as error:
                if error.status not in (404, 409):  # gone, or on its way already
                    raise
        if wait:
            until(lambda: self._gone(path), f"namespace {name} to be gone", timeout=DELETE_SECONDS, every=0.5)

    def end_namespace(self, name: str) -> None:
        """Delete a namespace without waiting: Ingresses at once, pods without grace, the rest in its own time."""
        self.delete_namespace(name)
        try:
            self.delete_pods_now(name)
        except Refused as error:
            if error.status != 404:  # gone already
                raise

    def _gone(self, path: str) -> bool:
        try:
            self._api.get(path)
        except Refused as error:
            if error.status != 404:
                raise
            return True
        return False

    def delete_pods_now(self, namespace: str) -> None:
        """Delete all pods of a namespace with grace 0."""
        path = _in(namespace, "pods")
        self._api.send("DELETE", path, query={"gracePeriodSeconds": 0}, timeout=COLLECTION_SECONDS)

    def apply(self, objects: Iterable[Json], namespace: str) -> None:
        """Apply objects server-side, in the order given, as field manager ``bluegreen``.

        Raises:
            Refused: the server's message, with the object's kind and name.

        """
        for item in objects:
            name, kind = item["metadata"]["name"], item["kind"]
            try:
                collection, _ = self._api.locate(item["apiVersion"], kind)
                path = f"{collection.replace('{namespace}', segment(namespace))}/{segment(name)}"
                self._api.patch(path, item, APPLY, force="true")
            except Refused as error:
                what = f"{kind}/{name} can't be applied: {error.what}"
                raise Refused(what, error.mend, status=error.status, reason=error.reason) from error

    # -- Deployments ------------------------------------------------------------------------------------------

    def get_deployment(self, namespace: str, name: str) -> Json:
        """The Deployment as the server holds it, or what stands in for it."""
        return self.stand_in(name) or self._api.get(f"{_in(namespace, 'deployments', 'apps/v1')}/{segment(name)}")

    def patch_deployment_image(self, namespace: str, name: str, container: str, image: str) -> None:
        """Set one container's image."""
        body = {"spec": {"template": {"spec": {"containers": [{"name": container, "image": image}]}}}}
        self._api.patch(f"{_in(namespace, 'deployments', 'apps/v1')}/{segment(name)}", body, STRATEGIC)

    def scale(self, namespace: str, name: str, replicas: int) -> None:
        """Set how many pods a Deployment wants."""
        path = f"{_in(namespace, 'deployments', 'apps/v1')}/{segment(name)}/scale"
        self._api.patch(path, {"spec": {"replicas": replicas}})

    def rollout_status(self, namespace: str, name: str) -> RolloutStatus:
        """How far the Deployment's rollout is."""
        return answers.rollout_status(self.get_deployment(namespace, name))

    def pods_of(self, namespace: str, deployment: str) -> tuple[PodInfo, ...]:
        """The pods that a Deployment's own selector matches (match expressions are not read)."""
        labels = self.get_deployment(namespace, deployment)["spec"]["selector"].get("matchLabels", {})
        return self.pods(namespace, labels)

    # -- the switch -------------------------------------------------------------------------------------------

    def service(self, namespace: str, name: str) -> Json:
        """The Service as the server holds it."""
        return self._api.get(f"{_in(namespace, 'services')}/{segment(name)}")

    def service_selector(self, namespace: str, name: str) -> dict[str, str]:
        """The Service's selector, live."""
        return dict(self.service(namespace, name)["spec"].get("selector") or {})

    def node_port(self, namespace: str, name: str, port: int) -> int:
        """The NodePort that leads to a Service's port; 0 where it has none."""
        ports = self.service(namespace, name)["spec"].get("ports", [])
        return next((int(one.get("nodePort", 0)) for one in ports if one["port"] == port), 0)

    def patch_service_selector(
        self, namespace: str, name: str, selector: Mapping[str, str | None], manager: str = "bluegreen"
    ) -> str:
        """Change keys of a Service's selector by exactly one request.

        Returns:
            The Service's resource version after it.

        """
        body = {"spec": {"selector": dict(selector)}}
        after = self._api.patch(f"{_in(namespace, 'services')}/{segment(name)}", body, fieldManager=manager)
        return str(after["metadata"]["resourceVersion"])

    def apply_service_selector(self, namespace: str, name: str, selector: Mapping[str, str], manager: str) -> str:
        """Apply a Service's whole selector server-side, whoever holds it; returns its resource version after that."""
        body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": dict(selector)}}
        path = f"{_in(namespace, 'services')}/{segment(name)}"
        after = self._api.patch(path, body, APPLY, fieldManager=manager, force="true")
        return str(after["metadata"]["resourceVersion"])

    def service_endpoints(self, namespace: str, service: str) -> tuple[Endpoint, ...]:
        """The Service's endpoints now."""
        query: dict[str, str | int] = {"labelSelector": f"kubernetes.io/service-name={service}"}
        return answers.endpoints(self._api.get(_in(namespace, "endpointslices", "discovery.k8s.io/v1"), query)["items"])

    def watch_slices(self, namespace: str, service: str, stop: threading.Event) -> Iterator[tuple[Endpoint, ...]]:
        """The Service's endpoints now and after each change of its EndpointSlices, until ``stop``."""
        path = _in(namespace, "endpointslices", "discovery.k8s.io/v1")
        query: dict[str, str | int] = {"labelSelector": f"kubernetes.io/service-name={service}"}
        for slices in self._api.watch(path, query, stop):
            yield answers.endpoints(slices.values())

    def watch_selector(self, namespace: str, service: str, stop: threading.Event) -> Iterator[dict[str, str]]:
        """The Service's selector now and after each change of the Service, until ``stop``."""
        query: dict[str, str | int] = {"fieldSelector": f"metadata.name={service}"}
        for services in self._api.watch(_in(namespace, "services"), query, stop):
            if service in services:
                yield dict(services[service]["spec"].get("selector") or {})

    def watch_pods(self, namespace: str, stop: threading.Event) -> Iterator[dict[str, Json]]:
        """The namespace's pods by name, as the server holds them, now and after each change, until ``stop``."""
        yield from self._api.watch(_in(namespace, "pods"), {}, stop)

    # -- pods, events, logs -----------------------------------------------------------------------------------

    def pods(self, namespace: str, labels: Mapping[str, str] | None = None) -> tuple[PodInfo, ...]:
        """The pods with these labels, by name."""
        selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        items = self._api.get(_in(namespace, "pods"), {"labelSelector": selector} if selector else {})["items"]
        return tuple(sorted((answers.pod_info(item) for item in items), key=lambda pod: pod.name))

    def events(self, namespace: str) -> tuple[EventInfo, ...]:
        """The namespace's events, newest last."""
        return answers.event_infos(self._api.get(_in(namespace, "events"))["items"])

    def log_tail(
        self, namespace: str, pod: str, container: str, lines: int, previous: bool = False, follow_s: float = 0.0
    ) -> str:
        """The last lines of a container's log; for one without a log, the server's reason in brackets.

        With `follow_s` all that follows too, until the container has ended or said nothing for so many seconds: then
        it is given up by a ClusterError.
        """
        query: dict[str, str | int] = {"container": container, "tailLines": lines}
        if previous:
            query["previous"] = "true"
        if follow_s:
            query["follow"] = "true"
        try:
            path = f"{_in(namespace, 'pods')}/{segment(pod)}/log"
            return self._api.send("GET", path, query=query, timeout=follow_s or None).decode(errors="replace")
        except Refused as error:
            return f"{NO_LOG} {error.what})"

    def get_raw(self, namespace: str, pod: str, port: int, path: str, timeout: float = 5.0) -> bytes:
        """GET ``path`` from a pod's port through the API server."""
        target = f"{_in(namespace, 'pods')}/{segment(f'{pod}:{port}')}/proxy/{path.lstrip('/')}"
        return self._api.send("GET", target, timeout=timeout)

    def post_raw(
        self, namespace: str, pod: str, port: int, path: str, timeout: float = 5.0, body: Json | None = None
    ) -> bytes:
        """POST to ``path`` of a pod's port through the API server, a JSON body or none; it may end with a query."""
        target = f"{_in(namespace, 'pods')}/{segment(f'{pod}:{port}')}/proxy/{path.lstrip('/')}"
        return self._api.send("POST", target, body=body, timeout=timeout)

    def delete_pod(self, namespace: str, name: str) -> None:
        """Delete one pod, with the grace that it asks for; it isn't waited for."""
        self._api.send("DELETE", f"{_in(namespace, 'pods')}/{segment(name)}")

    def objects(self, namespace: str, resource: str, group: str = "v1", selector: str = "") -> list[Json]:
        """All objects of one resource, e.g. ``("deployments", "apps/v1")``, whose labels match ``selector``."""
        query: dict[str, str | int] = {"labelSelector": selector} if selector else {}
        return list(self._api.get(_in(namespace, resource, group), query)["items"])

    def get_object(self, namespace: str, resource: str, group: str, name: str) -> Json:
        """One object, e.g. of ``("ingresses", "networking.k8s.io/v1")``, as the server holds it."""
        return self._api.get(f"{_in(namespace, resource, group)}/{segment(name)}")

    def patch_object(self, namespace: str, resource: str, group: str, name: str, body: Json, manager: str) -> str:
        """Change one object by exactly one request, a merge patch; returns its resource version after that."""
        path = f"{_in(namespace, resource, group)}/{segment(name)}"
        return str(self._api.patch(path, body, fieldManager=manager)["metadata"]["resourceVersion"])

    def dump(self, namespace: str, folder: Path, selector: str = "") -> tuple[str, ...]:
        """Write the namespace's state below ``folder`` (see ``harness.cluster.dump``); returns what couldn't be had."""
        return dump(self, namespace, folder, selector)

    # -- Jobs -------------------------------------------------------------------------------------------------

    def run_job(self, namespace: str, manifest: Json) -> None:
        """Create a Job; it isn't waited for."""
        self._api.send("POST", _in(namespace, "jobs", "batch/v1"), body=manifest)

    def job_result(self, namespace: str, name: str) -> JobResult:
        """How the Job is doing, and once it is done, what its pod said last."""
        done, succeeded = answers.job_state(self._api.get(f"{_in(namespace, 'jobs', 'batch/v1')}/{segment(name)}"))
        pods = self.pods(namespace, {"job-name": name})
        waiting = next((pod.waiting for pod in pods if pod.waiting), "")
        log = ""
        if done and pods:
            log = self.log_tail(namespace, pods[-1].name, pods[-1].containers[0], 50)
        started = any(pod.phase != "Pending" for pod in pods)
        return JobResult(done, succeeded, waiting, log, started)


def _in(namespace: str, resource: str, group: str = "v1") -> str:
    """The path of a namespace's collection."""
    return f"/{'apis' if '/' in group else 'api'}/{group}/namespaces/{segment(namespace)}/{resource}"
