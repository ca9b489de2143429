"""What happens beside a release to the way that users come in: another Ingress edited, a proxy started anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.cluster.ingress import NAMESPACE
from harness.errors import ConfigurationError
from harness.faults.block import Fault, Plan
from harness.faults.ground import KUBECTL, Ground
from harness.faults.placed import call, disarm, in_node

if TYPE_CHECKING:
    from harness.cluster.answers import Json

CONFIRM_S = 120.0
HEAL_S = 180.0
ENVOY: Mapping[str, str] = {"app": "envoy"}


def restart_ingress_controller() -> Plan:
    """The pods that tell the proxies where to lead whom are replaced."""
    return _restarted("ingress-controller-restarted", NAMESPACE, "deployment/contour", {"app": "contour"})


def restart_ingress_proxies() -> Plan:
    """The ingress' proxies are replaced one after the other, each told to leave first, as by an update of theirs."""
    return _restarted("ingress-proxies-restarted", NAMESPACE, "daemonset/envoy", ENVOY)


def restart_kube_proxy() -> Plan:
    """kube-proxy's pods are replaced one after the other; its rules are the kernel's and stay."""
    return _restarted("kube-proxy-restarted", "kube-system", "daemonset/kube-proxy", {"k8s-app": "kube-proxy"})


def kill_ingress_proxies() -> Plan:
    """The ingress' proxies end all at once, without a word to whoever waits for an answer."""
    chosen = ",".join(f"{key}={value}" for key, value in ENVOY.items())
    act = f"delete pods --selector {chosen} --grace-period=0 --force --wait=false"
    return _replaced("ingress-proxies-killed", NAMESPACE, "daemonset/envoy", ENVOY, act)


def edit_another_ingress(times: int = 5) -> Plan:
    """An Ingress for another host comes, and its path is changed ``times`` times; it is removed at the end.

    Raises:
        ConfigurationError: once it is made: the application has no Ingress.

    """
    name = "other"

    def make(ground: Ground, ident: str) -> Fault:
        del ident
        kube, namespace, config = ground.kube, ground.namespace, ground.config
        if config.ingress is None:
            raise ConfigurationError(f"{config.file} has no [ingress]", "run this on an application that has")
        backend = {"name": config.service.name, "port": {"number": config.service.port}}

        def edit() -> None:
            for number in range(times):
                kube.apply([_ingress(name, f"{namespace}.other.example.com", f"/{number}", backend)], namespace)

        def path() -> str:
            for item in kube.objects(namespace, "ingresses", "networking.k8s.io/v1"):
                if item["metadata"]["name"] == name:
                    return str(item["spec"]["rules"][0]["http"]["paths"][0]["path"])
            return ""

        def seen() -> str:
            return f"Ingress {name} leads {path()}" if path() == f"/{times - 1}" else ""

        away = ground.by_kubectl(f"delete ingress {name} --namespace {namespace} --ignore-not-found")
        return Fault(name, call(edit), seen, (away,), None, lambda: not path(), CONFIRM_S, HEAL_S)

    return Plan("other-ingress-edited", make)


def _restarted(kind: str, namespace: str, workload: str, labels: Mapping[str, str]) -> Plan:
    return _replaced(kind, namespace, workload, labels, f"rollout restart {workload}")


def _replaced(kind: str, namespace: str, workload: str, labels: Mapping[str, str], act: str) -> Plan:
    """By kubectl, as a person would; seen by pods that weren't there, and over once all are new and ready."""

    def make(ground: Ground, ident: str) -> Fault:
        control = ground.control_plane

        def pods() -> set[str]:
            return {pod.name for pod in ground.kube.pods(namespace, dict(labels))}

        before = pods()

        def seen() -> str:
            new = sorted(pods() - before)
            return f"{new[0]} wasn't there before" if new else ""

        def recovered() -> bool:
            status = ground.run(control, f"{KUBECTL} --namespace {namespace} rollout status {workload} --watch=false")
            return "successfully rolled out" in status and not pods() & before

        strike = in_node(ground.engine, control, ident, f"{KUBECTL} --namespace {namespace} {act}")
        return Fault(workload, strike, seen, (disarm(control, ident),), None, recovered, CONFIRM_S, HEAL_S)

    return Plan(kind, make)


def _ingress(name: str, host: str, path: str, service: Json) -> Json:
    paths = [{"path": path, "pathType": "Prefix", "backend": {"service": service}}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name},
        "spec": {"rules": [{"host": host, "http": {"paths": paths}}]},
    }
