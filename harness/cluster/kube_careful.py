"""The API of a cluster that somebody else owns: nothing is changed but what was made here, and that is labelled."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from harness.cluster.answers import Json, Refused
from harness.cluster.api import COLLECTION_SECONDS, Api, segment
from harness.cluster.dump import RESOURCES
from harness.cluster.kube import DELETE_SECONDS, Kube
from harness.cluster.owned import ALLOWED, OWNED
from harness.cluster.permissions import Right, kinds
from harness.errors import ClusterError, ConfigurationError
from harness.waiting import until

SELECTOR = "=".join(OWNED)
MADE_NAME = re.compile(r"bg-[0-9a-f]{8}")
"""Names of the namespaces that the harness makes."""
QUOTA = {"pods": "200", "services": "20", "services.loadbalancers": "0", "persistentvolumeclaims": "10"}
"""Bounds on what one scenario can start, far beyond what it needs; a cloud's load balancer costs money."""
_EVERYWHERE = {"kube-root-ca.crt", "kubernetes"}
"""Objects that Kubernetes itself puts into namespaces."""


class CarefulKube(Kube):
    """One cluster, and what of it is ours; see ``Kube`` for the rest.

    Attributes:
        made: (apiVersion, kind) of all that was created.

    """

    def __init__(self, kubeconfig: Path, context: str | None = None, *, api: Api | None = None) -> None:
        super().__init__(kubeconfig, context, api=api)
        self.made: set[tuple[str, str]] = set()

    def apply(self, objects: Iterable[Json], namespace: str) -> None:
        """Create the objects, in the order given. A name that exists is refused by the server, whoever's it is.

        Raises:
            Refused: the server's message, with the object's kind and name.
            ConfigurationError: an object is of the whole cluster, not of a namespace.

        """
        for item in objects:
            self._create(item, namespace, {})

    def try_out(self, item: Json, namespace: str) -> None:
        """Have the server check the creation of an object without creating it.

        Raises:
            Refused: as ``apply``.

        """
        self._create(item, namespace, {"dryRun": "All"})

    def create_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a namespace with a bound on what can be started in it; one that exists is refused (409)."""
        super().create_namespace(name, labels)
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": QUOTA},
                 "metadata": {"name": "bluegreen", "labels": dict([OWNED])}}  # fmt: skip
        try:
            self._api.send("POST", f"/api/v1/namespaces/{segment(name)}/resourcequotas", body=quota)
        except BaseException:
            self.delete_namespace(name)  # without its bound it isn't used
            raise

    def delete_namespace(self, name: str, wait: bool = False) -> None:
        """Delete a namespace that the harness made, as ``Kube`` does; any other is refused.

        Raises:
            ConfigurationError: it isn't ours.

        """
        labels = self.namespace_labels(name)
        if labels is None:
            return
        if labels.get(OWNED[0]) != OWNED[1] or not MADE_NAME.fullmatch(name):
            raise ConfigurationError(f"namespace {name} was not made here, and is not deleted", "delete it by hand")
        super().delete_namespace(name, wait)

    def delete_pods_now(self, namespace: str) -> None:
        """Delete all pods of ours in a namespace with grace 0."""
        query: dict[str, str | int] = {"gracePeriodSeconds": 0, "labelSelector": SELECTOR}
        path = f"/api/v1/namespaces/{segment(namespace)}/pods"
        self._api.send("DELETE", path, query=query, timeout=COLLECTION_SECONDS)

    def namespace_labels(self, name: str) -> dict[str, str] | None:
        """A namespace's labels, None where there is no such namespace."""
        try:
            return dict(self._api.get(f"/api/v1/namespaces/{segment(name)}")["metadata"].get("labels") or {})
        except Refused as error:
            if error.status != 404:
                raise
            return None

    def require_usable(self, namespace: str, kinds: Iterable[tuple[str, str]] = ()) -> None:
        """Refuse a namespace that somebody else lives in, or that an earlier run has left something in.

        Args:
            namespace: where.
            kinds: as ``residents`` takes them.

        Raises:
            ConfigurationError: with the mend.

        """
        if namespace.startswith("kube-"):
            raise ConfigurationError(f"namespace {namespace} is Kubernetes' own", "name one for the test alone")
        labels = self.namespace_labels(namespace)
        if labels is None:
            raise ConfigurationError(f"there is no namespace {namespace}", f"kubectl create namespace {namespace}")
        ours, others = self.residents(namespace, kinds)
        if ours:
            raise ConfigurationError(
                f"namespace {namespace} holds what a harness made: {_few(ours)}",
                f"if no run is going on there: bluegreen clean --bg-context NAME --namespace {namespace}",
            )
        if others and labels.get(ALLOWED[0]) != ALLOWED[1]:
            raise ConfigurationError(
                f"namespace {namespace} holds what is not ours: {_few(others)}",
                f"name an empty one, or allow it: kubectl label namespace {namespace} {'='.join(ALLOWED)}",
            )

    def residents(self, namespace: str, kinds: Iterable[tuple[str, str]] = ()) -> tuple[list[str], list[str]]:
        """The namespace's objects as ``resource/name``: those with our label, and the others.

        Args:
            namespace: where.
            kinds: (apiVersion, kind) of what is going to be made. Of these only ours count: accounts, roles and pull
                secrets are what the owner of the namespace puts there for the run.

        """
        ours: list[str] = []
        others: list[str] = []
        for resource, group in RESOURCES:
            for item in self.objects(namespace, resource, group):
                if item["metadata"]["name"] not in _EVERYWHERE and resource != "endpointslices":
                    mine = (item["metadata"].get("labels") or {}).get(OWNED[0]) == OWNED[1]
                    (ours if mine else others).append(f"{resource}/{item['metadata']['name']}")
        for version, kind in sorted(kinds):
            try:
                ours += self._named(self._collection(namespace, version, kind, kind))
            except Refused as error:
                if error.status != 404:  # a kind that there isn't: its creation tells
                    raise
        return list(dict.fromkeys(ours)), others

    def remove(self, namespace: str, kinds: Iterable[tuple[str, str]]) -> list[str]:
        """Delete all objects with our label, of these kinds and Jobs and pods, and wait until they are gone.

        The selection by label is the server's: nothing else can be hit. A kind that the server doesn't know, or refuses
        to this account, doesn't keep the others from going.

        Args:
            namespace: where.
            kinds: (apiVersion, kind) of what the manifests hold.

        Returns:
            what was there, as ``resource/name``.

        Raises:
            ClusterError: kinds that could not be looked for, once all the others are gone.
            WaitTimeout: something isn't gone in time.

        """
        refused: dict[str, str] = {}  # by kind and version: two groups may have a kind of the same name
        mends: list[str] = []

        @contextlib.contextmanager
        def going_on(kind: str) -> Iterator[None]:
            try:
                yield
            except (Refused, ConfigurationError) as error:
                if isinstance(error, Refused) and error.status not in (403, 404):
                    raise
                refused[kind] = error.what
                mends.append(error.mend)

        paths: dict[str, str] = {}
        for version, kind in sorted({*kinds, ("batch/v1", "Job"), ("v1", "Pod")}):
            with going_on(f"{kind} of {version}"):
                paths[self._collection(namespace, version, kind, kind)] = f"{kind} of {version}"
        replica_sets = {f"/apis/apps/v1/namespaces/{segment(namespace)}/replicasets": "ReplicaSet of apps/v1"}
        found: set[str] = set()

        def gone() -> bool:
            left = False
            for path, kind in {**paths, **replica_sets}.items():
                if kind not in refused:
                    with going_on(kind):
                        names = self._named(path)
                        left = left or bool(names)
                        if names and path in paths:
                            found.update(names)
                            self._delete_ours(path)
            return not left

        until(gone, f"what is ours in {namespace} to be gone", timeout=DELETE_SECONDS, every=0.2)
        if refused:
            said = "; ".join(f"{kind} ({what})" for kind, what in refused.items())
            raise ClusterError(f"{namespace}: all else that is ours is gone, but not looked for was {said}", mends[0])
        return sorted(found)

    def may(self, right: Right, namespace: str) -> bool:
        """Whether this account has a right: in a namespace, or with "" in the whole cluster."""
        resource, _, below = right.resource.partition("/")
        asked = {"namespace": namespace, "verb": right.verb, "group": right.group, "resource": resource,
                 "subresource": below}  # fmt: skip
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": asked}}  # fmt: skip
        answer = self._api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
        return bool(answer.get("status", {}).get("allowed"))

    def ingress_classes(self) -> dict[str, bool]:
        """The cluster's Ingress classes by name, and whether each is the default one."""
        default = "ingressclass.kubernetes.io/is-default-class"
        return {
            item["metadata"]["name"]: (item["metadata"].get("annotations") or {}).get(default) == "true"
            for item in self._api.get("/apis/networking.k8s.io/v1/ingressclasses")["items"]
        }

    def images_on_nodes(self) -> set[str]:
        """Names of the images that the nodes tell they have (a kubelet tells 50 at most)."""
        nodes = self._api.get("/api/v1/nodes")["items"]
        listed = [image for node in nodes for image in node.get("status", {}).get("images") or []]
        return {name for image in listed for name in image.get("names") or []}

    def _create(self, item: Json, namespace: str, query: dict[str, str]) -> None:
        name, kind = item["metadata"]["name"], item["kind"]
        try:
            path = self._collection(namespace, item["apiVersion"], kind, f"{kind}/{name}")
            if "dryRun" not in query:
                self.made |= kinds([item])  # before it is sent: it may be there without an answer
            manager = {"fieldManager": "bluegreen", "fieldValidation": "Strict"}
            self._api.send("POST", path, query={**manager, **query}, body=item)
        except Refused as error:
            mend = error.mend
            if error.status == 409:
                mend = "what exists is never changed: name another namespace, or rename the object in the manifests"
            what = f"{kind}/{name} can't be made: {error.what}"
            raise Refused(what, mend, status=error.status, reason=error.reason) from error

    def _collection(self, namespace: str, version: str, kind: str, what: str) -> str:
        collection, namespaced = self._api.locate(version, kind)
        if not namespaced:  # without a namespace the path would reach everybody's
            raise ConfigurationError(
                f"{what} is cluster-wide, would outlive the run",
                "install it in the cluster beforehand and leave it out of the manifests",
            )
        return collection.replace("{namespace}", segment(namespace))

    def _delete_ours(self, path: str) -> None:
        query: dict[str, str | int] = {"labelSelector": SELECTOR, "propagationPolicy": "Background"}
        if path.endswith("/pods"):
            query["gracePeriodSeconds"] = 0
        self._api.send("DELETE", path, query=query, timeout=COLLECTION_SECONDS)

    def _named(self, path: str) -> list[str]:
        items = self._api.get(path, {"labelSelector": SELECTOR})["items"]
        return [f"{path.rsplit('/', 1)[1]}/{item['metadata']['name']}" for item in items]


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
