"""A cluster that somebody else owns, for real: an account with exactly the printed Role, one namespace, named hosts.

Beside ``make check``, since it needs a cluster: run by ``make nightly``, or ``pytest platforms``. Cluster: one of its
own, or what BLUEGREEN_CLUSTER names, which is kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cluster import session
from harness.cluster.ports import INGRESS_NODE_PORT, INGRESS_TLS_NODE_PORT, LEASED_NODE_PORTS
from harness.cluster.shell import run
from harness.config import load
from harness.resources import resource
from harness.setup import applications_of
from harness.waiting import until
from platforms.conftest import ROOT

KEPT = os.environ.get("BLUEGREEN_CLUSTER")
NAME = KEPT or "bluegreen-theirs"
CONTEXT = "theirs"
PORT = LEASED_NODE_PORTS[0]
CUTOVER = "cutover_loses_nothing"


@pytest.fixture(scope="module")
def owner() -> Iterator[session.OwnCluster]:
    """A cluster of kind; what follows doesn't know that the harness made it."""
    options = session.Options(ROOT, resource("images"), resource("manifests"), cluster_name=NAME, keep=bool(KEPT))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", os.devnull)  # the session sets it: put back at the end
        with session.cluster(options, applications_of([load(ROOT / "bluegreen.toml")]), print) as made:
            yield made


@dataclass(frozen=True)
class Tenant:
    """An account that may do in one namespace what ``bluegreen rbac`` prints, and nothing else."""

    owner: session.OwnCluster
    namespace: str
    kubeconfig: Path
    folder: Path

    def kubectl(self, *words: str) -> str:
        """As the cluster's owner."""
        return _kubectl(self.owner, *words)

    def log_in(self, account: str) -> None:
        """Write the kubeconfig of one of the namespace's accounts."""
        token = self.kubectl("create", "token", account, "-n", self.namespace, "--duration=2h").strip()
        theirs = yaml.safe_load(self.owner.kubeconfig.read_text())
        cluster = theirs["clusters"][0]["name"]
        theirs["users"] = [{"name": account, "user": {"token": token}}]
        theirs["contexts"] = [{"name": CONTEXT, "context": {"cluster": cluster, "user": account}}]
        theirs["current-context"] = CONTEXT
        self.kubeconfig.write_text(yaml.safe_dump(theirs))

    @property
    def cluster(self) -> list[str]:
        """Which cluster."""
        return ["--bg-kubeconfig", str(self.kubeconfig), "--bg-context", CONTEXT]

    @property
    def words(self) -> list[str]:
        """Which cluster and namespace."""
        return [*self.cluster, "--namespace", self.namespace]

    def bluegreen(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command, as the tenant."""
        return self.python("-m", "harness.cli", *words)

    def rehearse(self, *words: str, where: Sequence[str] | None = None) -> subprocess.CompletedProcess[str]:
        """A cutover, as the tenant; in the namespace unless told otherwise."""
        artifacts = ("--bg-artifacts", str(self.folder / "artifacts"), "--bg-rerun-inconclusive")
        return self.python("-m", "pytest", "scenarios", *(where or self.words), *artifacts, *words)

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.owner.kubectl.parent}:{os.environ['PATH']}"
        return subprocess.run([sys.executable, *words], cwd=ROOT, env={**os.environ, "PATH": path},
                              capture_output=True, text=True, timeout=600, check=False)  # fmt: skip

    def left(self) -> list[str]:
        """What is in the namespace, beside what Kubernetes and the account need."""
        kinds = "deployments,replicasets,pods,services,ingresses,jobs,poddisruptionbudgets,configmaps,resourcequotas"
        found = self.kubectl("get", kinds, "-n", self.namespace, "-o", "name").split()
        return [name for name in found if name != "configmap/kube-root-ca.crt"]

    @property
    def verdict(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "artifacts" / "latest" / "verdict.json").read_text()))


@pytest.fixture
def tenant(owner: session.OwnCluster, tmp_path: Path) -> Iterator[Tenant]:
    """A namespace with an account, as docs/your-cluster.md tells its owner to make them."""
    kubectl = partial(_kubectl, owner)
    namespace = f"shop-{os.getpid()}"
    kubectl("create", "namespace", namespace)
    try:
        kubectl("create", "serviceaccount", "rehearsal", "-n", namespace)
        given = Tenant(owner, namespace, tmp_path / "kubeconfig", tmp_path)
        printed = given.bluegreen("rbac", "--namespace", namespace)
        assert printed.returncode == 0, printed.stderr
        (tmp_path / "role.yaml").write_text(printed.stdout)
        kubectl("apply", "-f", str(tmp_path / "role.yaml"))
        kubectl("create", "rolebinding", "bluegreen", "-n", namespace, "--role=bluegreen",
                f"--serviceaccount={namespace}:rehearsal")  # fmt: skip
        given.log_in("rehearsal")
        yield given
    finally:
        kubectl("delete", "namespace", namespace, "--wait=true", "--timeout=120s")


def _kubectl(owner: session.OwnCluster, *words: str) -> str:
    command: list[str | Path] = [owner.kubectl, "--kubeconfig", owner.kubeconfig, *words]
    return run(command, f"kubectl {words[0]} {words[1]}", timeout=150).stdout


def targets(owner: session.OwnCluster, way: str) -> list[str]:
    """The options that name each node: its own address, or the port of this machine that leads to it."""
    if way == "addresses":
        return [word for node in owner.nodes for word in ("--bg-target", f"service={node.address}")]
    if not owner.nodes[0].mapped:
        pytest.skip("the engine maps no port without a proxy: nodes are reached by their addresses alone")
    mapped = [("service", node.mapped[PORT]) for node in owner.nodes]
    mapped.append(("ingress", owner.nodes[0].mapped[INGRESS_NODE_PORT]))
    mapped.append(("tls", owner.nodes[0].mapped[INGRESS_TLS_NODE_PORT]))
    named = [word for path, port in mapped for word in ("--bg-target", f"{path}=127.0.0.1:{port}")]
    return [*named, "--bg-node-port", str(PORT)]


@pytest.mark.parametrize(
    ("way", "expression", "paths"),
    [("addresses", f"{CUTOVER} and service", {"service"}), ("mapped", CUTOVER, {"service", "ingress"})],
)
def test_a_cutover_with_exactly_the_printed_role(tenant: Tenant, way: str, expression: str, paths: set[str]) -> None:
    named = targets(tenant.owner, way)
    before = tenant.kubectl("get", "namespaces", "-o", "name")
    looked = tenant.bluegreen("preflight", *tenant.words, *named)
    assert looked.returncode == 0, looked.stdout
    done = tenant.rehearse("-k", expression, *named)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    verdict = tenant.verdict
    assert verdict["verdict"] == "pass"
    assert {one["path"] for one in verdict["scenarios"]} == paths
    for one in verdict["scenarios"]:
        assert one["samples"]["by_class"]["fresh"]["issued"] >= 2000
        assert ("h2" in one["samples"]["by_class"]) == (one["path"] == "ingress")
        assert one["unproven"] == ["arrivals: the cluster has no folder for records"]
    assert verdict["environment"]["nodes"] is None  # the Role doesn't reach that far
    assert tenant.left() == []
    assert tenant.kubectl("get", "namespaces", "-o", "name") == before


@pytest.fixture
def maker(tenant: Tenant) -> Iterator[Tenant]:
    """The account with the printed ClusterRole instead: its runs make their namespaces."""
    printed = tenant.bluegreen("rbac")
    (wide,) = [one for one in yaml.safe_load_all(printed.stdout) if one["kind"] == "ClusterRole"]
    wide["metadata"]["name"] = name = f"bluegreen-{tenant.namespace}"
    (tenant.folder / "wide.yaml").write_text(yaml.safe_dump(wide))
    tenant.kubectl("delete", "rolebinding", "bluegreen", "-n", tenant.namespace)
    tenant.kubectl("apply", "-f", str(tenant.folder / "wide.yaml"))
    try:
        account = f"--serviceaccount={tenant.namespace}:rehearsal"
        tenant.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", account)
        yield tenant
    finally:
        tenant.kubectl("delete", "clusterrolebinding,clusterrole", name, "--ignore-not-found")


def test_a_cutover_in_a_namespace_of_its_own_with_exactly_the_printed_cluster_role(maker: Tenant) -> None:
    named = targets(maker.owner, "addresses")
    before = maker.kubectl("get", "namespaces", "-o", "name")
    looked = maker.bluegreen("preflight", *maker.cluster, *named)
    assert looked.returncode == 0, looked.stdout
    done = maker.rehearse("-k", f"{CUTOVER} and service", *named, where=maker.cluster)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    (one,) = maker.verdict["scenarios"]
    assert (one["verdict"], one["path"]) == ("pass", "service")
    assert maker.verdict["environment"]["nodes"] is not None  # this Role reaches that far
    gone = partial(maker.kubectl, "get", "namespaces", "-o", "name")
    until(lambda: gone() == before, "the made namespace to be gone", timeout=120, every=1.0)


def test_without_the_role_it_ends_at_once_and_says_what_is_missing(tenant: Tenant) -> None:
    tenant.kubectl("delete", "rolebinding", "bluegreen", "-n", tenant.namespace)
    named = ["--bg-target", "service=127.0.0.1"]
    done = tenant.rehearse("-k", f"{CUTOVER} and service", *named)
    assert done.returncode == 11, done.stdout
    assert "bluegreen rbac" in done.stdout
    assert tenant.bluegreen("preflight", *tenant.words, *named).returncode == 11
    assert tenant.left() == []


def test_what_a_killed_run_left_is_found_and_nothing_else_goes(tenant: Tenant) -> None:
    tenant.kubectl("create", "configmap", "theirs", "-n", tenant.namespace)
    tenant.kubectl("label", "namespace", tenant.namespace, "bluegreen.dev/allow=pytest-bluegreen")
    named = targets(tenant.owner, "addresses")
    words = [sys.executable, "-m", "pytest", "scenarios", "-k", f"{CUTOVER} and service", *tenant.words, *named]
    words += ["--bg-artifacts", str(tenant.folder / "artifacts")]
    path = f"{tenant.owner.kubectl.parent}:{os.environ['PATH']}"
    with (tenant.folder / "log").open("wb") as log:
        killed = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PATH": path}, stdout=log, stderr=log)
        try:
            until(lambda: any("pod/" in name for name in tenant.left()), "the first pod", timeout=120, every=0.5)
        finally:
            killed.kill()
            killed.wait()
    refused = tenant.rehearse("-k", f"{CUTOVER} and service", *named)
    assert refused.returncode == 4, refused.stdout
    assert "bluegreen clean" in refused.stdout
    cleaned = tenant.bluegreen("clean", *tenant.words)
    assert cleaned.returncode == 0, cleaned.stderr
    assert "deployments/" in cleaned.stdout
    assert tenant.left() == ["configmap/theirs"]
