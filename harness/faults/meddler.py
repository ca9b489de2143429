"""A second writer: somebody who changes the cluster behind the release's back."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.config import Config
from harness.errors import ConfigurationError
from harness.faults.proxy import KILLED, REPLACED, proxies
from harness.faults.reach import why_not
from harness.journal import Journal
from harness.waiting import until

if TYPE_CHECKING:
    from harness.cluster.engine import Engine
    from harness.cluster.kube import Kube
    from harness.cluster.running import Cluster
    from harness.load import Load
    from harness.release.verbs import Release


CONFIRM_S = 5.0
HEAL_S = 60.0
RETRIES = {"projectcontour.io/retry-on": "5xx", "projectcontour.io/num-retries": "2"}
"""Contour's annotations of an Ingress: https://projectcontour.io/docs/main/config/annotations/"""
PROCESS = "kube-controller"
"""The controller manager's name as far as the kernel keeps it (15 characters)."""


class Meddler:
    """Breaks one promise at a time; every act is an event.

    Args:
        kube, namespace, config: where.
        release: tells which side is which.
        cluster: its nodes, for what no API call can do.
        journal: the scenario's record.

    """

    def __init__(
        self, kube: Kube, namespace: str, config: Config, release: Release, cluster: Cluster, journal: Journal
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._config = config
        self._release = release
        self._cluster = cluster
        self._journal = journal

    def misspelt_selector(self) -> AbstractContextManager[None]:
        """Point the Service at a side that doesn't exist."""
        return self._selecting("misspelt-selector", f"{self._release.active}x")

    def selector_put_back(self) -> AbstractContextManager[None]:
        """Point the Service at the side that was active before."""
        return self._selecting("selector-put-back", self._release.idle)

    def selector_at_idle_side(self) -> AbstractContextManager[None]:
        """Point the Service at the side that the release has not put before users."""
        return self._selecting("selector-at-idle-side", self._release.idle)

    def widened_selector(self) -> AbstractContextManager[None]:
        """Take the side out of the selector, so that both serve."""
        return self._selecting("selector-widened", None)

    @contextlib.contextmanager
    def retrying_proxy(self) -> Iterator[None]:
        """Have the proxy send what was answered by a 5xx again; seen by the arrivals, once there are such answers.

        Raises:
            ConfigurationError: the application has no Ingress.

        """
        if self._config.ingress is None:
            raise ConfigurationError(f"{self._config.file} has no [ingress]", "run this on an application that has")
        self._annotate(self._config.ingress.name, *(f"{key}={value}" for key, value in RETRIES.items()))
        try:
            yield
        finally:
            self._annotate(self._config.ingress.name, *(f"{key}-" for key in RETRIES))

    def _annotate(self, ingress: str, *annotations: str) -> None:
        """By kubectl, as a person would, on the control plane."""
        words = ["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "--namespace", self._namespace]
        words += ["annotate", "ingress", ingress, *annotations]
        self._engine("exec", self._control_plane(), *words, what=f"annotate Ingress {ingress}")

    def _control_plane(self) -> str:
        return next(node.name for node in self._cluster.nodes if node.name.endswith("control-plane"))

    def replaced_proxies(self) -> AbstractContextManager[None]:
        """Replace the Ingress controller's proxies, one after the other."""
        return proxies(REPLACED, self._cluster, self._journal)

    def killed_proxies(self) -> AbstractContextManager[None]:
        """Kill the Ingress controller's proxies, all at once."""
        return proxies(KILLED, self._cluster, self._journal)

    @contextlib.contextmanager
    def idle_side_scaled_to_zero(self) -> Iterator[None]:
        """Remove the pods that a rollback would need."""
        name = self._config.sides.deployments[self._release.idle]
        wanted = self._kube.rollout_status(self._namespace, name).wanted
        with self._fault("idle-side-scaled-down", name):
            self._kube.scale(self._namespace, name, 0)
            try:
                self._confirm("idle-side-scaled-down", name, lambda: not self._ready(name))
                yield
            finally:
                self._kube.scale(self._namespace, name, wanted)
                until(lambda: self._ready(name) == wanted, f"{name} to be ready again", timeout=HEAL_S)

    @contextlib.contextmanager
    def stalled_controller_manager(self) -> Iterator[None]:
        """Stop the controller manager's process for the block: selectors change, endpoints don't."""
        if reason := why_not("controller-manager-stalled", self._cluster):
            raise ConfigurationError(reason, "run this scenario on a cluster of its own")
        control_plane = self._control_plane()
        with self._fault("controller-manager-stalled", control_plane):
            self._signal(control_plane, "STOP")
            try:
                self._confirm("controller-manager-stalled", control_plane, lambda: self._state(control_plane) == "T")
                yield
            finally:
                self._signal(control_plane, "CONT")
                until(lambda: self._state(control_plane) != "T", "the controller manager to go on", timeout=HEAL_S)

    @contextlib.contextmanager
    def stalled_generator(self, load: Load) -> Iterator[None]:
        """Stop the load's own process for the block: what it then sends is late, and the record has to say so."""
        kind, target = "generator-stalled", str(load.pid)
        with self._fault(kind, target):
            os.kill(load.pid, signal.SIGSTOP)
            try:
                self._confirm(kind, target, lambda: _process_state(load.pid) == "T")
                yield
            finally:
                os.kill(load.pid, signal.SIGCONT)
                until(lambda: _process_state(load.pid) != "T", "the load to go on", timeout=HEAL_S)

    def _state(self, node: str) -> str:
        """The process' state in one letter (proc(5)): T is stopped by a signal."""
        words = ["ps", "-C", PROCESS, "-o", "stat="]
        return self._engine("exec", node, *words, what="read the controller manager's state").stdout[:1]

    def _signal(self, node: str, name: str) -> None:
        words = ["pkill", f"-{name}", "-x", PROCESS]
        self._engine("exec", node, *words, what=f"send SIG{name} to the controller manager")

    @property
    def _engine(self) -> Engine:
        assert self._cluster.engine is not None, "asked beforehand"  # noqa: S101
        return self._cluster.engine

    @contextlib.contextmanager
    def _selecting(self, kind: str, value: str | None) -> Iterator[None]:
        """Another value in the selector; confirmed by the endpoints, which another writer makes of it."""
        service = self._config.service
        right = self._release.active
        with self._fault(kind, service.name):
            before = self._endpoints()
            self._select(value)
            try:
                self._confirm(kind, service.name, lambda: self._endpoints() != before)
                yield
            finally:
                self._select(right)
                until(
                    lambda: self._endpoints() == before, f"the endpoints of {service.name} to come back", timeout=HEAL_S
                )

    @contextlib.contextmanager
    def _fault(self, kind: str, target: str) -> Iterator[None]:
        self._journal.event("fault.injected", kind=kind, target=target)
        yield
        self._journal.event("fault.healed", kind=kind, target=target)

    def _confirm(self, kind: str, target: str, seen: Callable[[], bool]) -> None:
        until(seen, f"an effect of {kind}", timeout=CONFIRM_S, every=0.05)
        self._journal.event("fault.confirmed", kind=kind, target=target)

    def _ready(self, deployment: str) -> int:
        return self._kube.rollout_status(self._namespace, deployment).ready

    def _endpoints(self) -> frozenset[str]:
        return frozenset(one.pod for one in self._kube.service_endpoints(self._namespace, self._config.service.name))

    def _select(self, value: str | None) -> None:
        self._kube.patch_service_selector(
            self._namespace, self._config.service.name, {self._config.service.selector_key: value}
        )


def _process_state(pid: int) -> str:
    """One letter (proc(5)); the name before it may hold anything, a bracket too."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
