"""What decides and remembers stops, while what carries users goes on."""

from __future__ import annotations

from harness.cluster.answers import PodInfo
from harness.faults.block import Fault, Plan
from harness.faults.ground import Ground
from harness.faults.process import killed, stopped

INGRESS = "projectcontour"


def pause_apiserver(lasts_s: float | None = None) -> Plan:
    """The API server is stopped; it goes on after ``lasts_s`` seconds, or when the block ends."""
    return Plan("apiserver-paused", lambda ground, ident: _unready(ground, ident, "kube-apiserver", lasts_s))


def pause_etcd(lasts_s: float | None = None) -> Plan:
    """The cluster's memory is stopped; it goes on after ``lasts_s`` seconds, or when the block ends."""
    return Plan("etcd-paused", lambda ground, ident: _unready(ground, ident, "etcd", lasts_s))


def restart_apiserver() -> Plan:
    """The API server dies, and the kubelet starts it again."""

    def make(ground: Ground, ident: str) -> Fault:
        return killed(ground, ident, ground.control_plane, "kube-apiserver", lambda: ground.kube.ready(2))

    return Plan("apiserver-restarted", make)


def pause_controller_manager() -> Plan:
    """Selectors and Deployments change, endpoints and pods don't follow, until the block ends."""

    def make(ground: Ground, ident: str) -> Fault:
        node = ground.control_plane

        def state() -> str:
            return ground.run(node, "ps -C kube-controller -o stat=")[:1]  # the name as far as the kernel keeps it

        def seen() -> str:
            return "the kernel says that it is stopped" if state() == "T" else ""

        return stopped(ground, ident, node, "kube-controller-manager", seen, lambda: state() not in ("T", ""))

    return Plan("controller-manager-stalled", make)


def kill_dns() -> Plan:
    """The cluster's DNS dies on one node, and is started again."""

    def make(ground: Ground, ident: str) -> Fault:
        pods = ground.kube.pods("kube-system", {"k8s-app": "kube-dns"})
        node = next(pod.node for pod in pods if pod.ready)

        def whole() -> bool:
            return all(pod.ready for pod in ground.kube.pods("kube-system", {"k8s-app": "kube-dns"}))

        return killed(ground, ident, node, "coredns", whole)

    return Plan("dns-killed", make)


def kill_ingress_controller() -> Plan:
    """What programs the ingress' proxy dies, and is started again; the proxy goes on by itself."""
    return _of_ingress("ingress-controller-killed", {"app": "contour"}, "contour")


def kill_ingress_proxy() -> Plan:
    """The proxy that all users of the ingress path come by dies on one node, and is started again."""
    return _of_ingress("ingress-proxy-killed", {"app": "envoy"}, "envoy")


def _of_ingress(kind: str, labels: dict[str, str], process: str) -> Plan:
    def make(ground: Ground, ident: str) -> Fault:
        def pods() -> list[PodInfo]:
            return [pod for pod in ground.kube.pods(INGRESS, labels) if pod.phase == "Running"]

        node = next(pod.node for pod in pods() if pod.ready)
        return killed(ground, ident, node, process, lambda: all(pod.ready for pod in pods()))

    return Plan(kind, make)


def _unready(ground: Ground, ident: str, process: str, lasts_s: float | None) -> Fault:
    """Seen by who asks the API server whether it is ready."""

    def seen() -> str:
        return "" if ground.kube.ready(0.5) else "the API server doesn't say that it is ready"

    return stopped(ground, ident, ground.control_plane, process, seen, lambda: ground.kube.ready(2), lasts_s)
