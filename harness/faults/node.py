"""Nodes that stop, start again, or lose their kubelet or kube-proxy."""

from __future__ import annotations

from harness.cluster import kube_break
from harness.faults.block import Fault, Plan
from harness.faults.ground import KUBECTL, Ground
from harness.faults.left_over import Cure
from harness.faults.placed import by_engine, call, disarm, in_node
from harness.faults.process import stopped

KUBELET, KUBE_PROXY = "https://{}:10250/healthz", "http://{}:10256/healthz"


def pause_node(node: str = "worker2") -> Plan:
    """Everything in the node stops, its pods too; its kernel goes on opening connections."""

    def make(ground: Ground, ident: str) -> Fault:
        del ident
        name = ground.node(node)
        strike = by_engine(ground.engine, "pause", name)
        return _watched(ground, name, KUBELET, Fault(name, strike, str, (Cure(engine=("unpause", name)),)))

    return Plan("node-paused", make)


def restart_node(node: str = "worker2") -> Plan:
    """The node loses its power and has it back at once: everything in it dies, and starts again."""

    def make(ground: Ground, ident: str) -> Fault:
        del ident
        name = ground.node(node)
        before = ground.run(name, "cut -d' ' -f22 /proc/1/stat")

        def seen() -> str:
            now = ground.run(name, "cut -d' ' -f22 /proc/1/stat")
            return f"{name} has another first process" if now != before else ""

        def strike(at_ns: int | None) -> int:
            reached = by_engine(ground.engine, "kill", name)(at_ns)
            ground.engine("start", name, what=f"start {name}")
            return reached

        # kube-router drops a node that isn't ready from its peers, and looks again only every 5 minutes: until then no
        # pod on it is reached from elsewhere, however ready it is. Started anew it looks at once.
        peers = [one.name for one in ground.cluster.nodes if one.name != name]
        routers = [Cure(peer, "pkill -x kube-router; true") for peer in peers]

        def well() -> bool:
            return _all_well(ground, name) and _pods_are_reached(ground, name)

        return Fault(name, strike, seen, (Cure(engine=("start", name)), *routers), None, well, 30, 180)

    return Plan("node-restarted", make)


def stop_kubelet(node: str = "worker2") -> Plan:
    """The node's kubelet ends: pods there go on, and nobody looks after them."""

    def make(ground: Ground, ident: str) -> Fault:
        name = ground.node(node)
        strike = in_node(ground.engine, name, ident, "systemctl stop kubelet", lead_ms=100)
        cures = (disarm(name, ident), Cure(name, "systemctl start kubelet"))
        return _watched(ground, name, KUBELET, Fault(name, strike, str, cures))

    return Plan("kubelet-stopped", make)


def pause_kube_proxy(node: str = "worker2") -> Plan:
    """The node's kube-proxy stops: its rules stay as they are, whatever the Service becomes."""

    def make(ground: Ground, ident: str) -> Fault:
        name = ground.node(node)
        address = ground.address(name)
        other = ground.other_than(name)

        def healthy() -> bool:
            return ground.asks(other, KUBE_PROXY.format(address))

        def seen() -> str:
            return "" if healthy() else f"kube-proxy on {name} doesn't answer {other}"

        return stopped(ground, ident, name, "kube-proxy", seen, healthy)

    return Plan("kube-proxy-paused", make)


def drain_node(node: str = "worker2") -> Plan:
    """The node is cordoned, and the application's pods are evicted as their budgets allow; uncordoned at the end."""

    def make(ground: Ground, ident: str) -> Fault:
        name, control = ground.node(node), ground.control_plane
        labels = ground.kube.get_deployment(ground.namespace, ground.deployment(ground.release.active))
        wanted = dict(labels["spec"]["selector"]["matchLabels"])
        wanted.pop(ground.config.service.selector_key, None)
        chosen = ",".join(f"{key}={value}" for key, value in wanted.items())
        drain = f"{KUBECTL} drain {name} --ignore-daemonsets --delete-emptydir-data --pod-selector={chosen}"
        begin = in_node(
            ground.engine, control, ident, "true", after=f"exec -a bluegreen-drain-{ident} {drain} --timeout=120s"
        )

        def strike(at_ns: int | None) -> int:
            # by the API, since kubectl takes half a second to begin
            reached = call(lambda: kube_break.cordon(ground.kube, name))(at_ns)
            begin(None)
            return reached

        def seen() -> str:
            pods = [pod for pod in ground.kube.pods(ground.namespace, wanted) if pod.node == name]
            going = [pod.name for pod in pods if pod.terminating]
            return f"{len(going)} of {len(pods)} pods on {name} terminate" if going else ""

        end = Cure(control, f"pkill -f '^bluegreen-drain-{ident}'; true")
        cures = (disarm(control, ident), end, ground.by_kubectl(f"uncordon {name}"))
        return Fault(name, strike, seen, cures, None, lambda: _sides_whole(ground), 10)

    return Plan("node-drained", make)


def _watched(ground: Ground, name: str, url: str, fault: Fault) -> Fault:
    """The fault, seen by another node that asks this one for its health."""
    address, other = ground.address(name), ground.other_than(name)

    def seen() -> str:
        return "" if ground.asks(other, url.format(address)) else f"{name} doesn't answer {other}"

    return Fault(fault.target, fault.strike, seen, fault.cures, None, lambda: _all_well(ground, name), 10, 180)


def _all_well(ground: Ground, name: str) -> bool:
    """The node is ready, and so are both sides."""
    return any(one.name == name and one.ready for one in ground.kube.nodes()) and _sides_whole(ground)


def _pods_are_reached(ground: Ground, name: str) -> bool:
    """Whether another node reaches the pods on this one that are ready: their own probes come from this node."""
    other, known = ground.other_than(name), ground.kube.pods(ground.namespace)
    pods = [pod for pod in known if pod.node == name and pod.ready and not pod.terminating]
    port = ground.container_port(ground.release.active)
    return bool(pods) and all(ground.asks(other, f"http://{pod.ip}:{port}/") for pod in pods)


def _sides_whole(ground: Ground) -> bool:
    return all(ground.whole(side) for side in ground.config.sides.deployments)
