"""What lies between: a policy that isolates a side, nodes that are cut off from each other, a line that is too thin."""

from __future__ import annotations

from typing import Literal

from harness.cluster import kube_break
from harness.cluster.owned import OWNED
from harness.faults.block import Fault, Plan
from harness.faults.ground import Ground
from harness.faults.left_over import Cure
from harness.faults.placed import call, disarm, in_node
from harness.faults.process import PIDS_OF_POD

How = Literal["drop", "reset"]
Which = Literal["new", "established", "all"]
STATES = {"new": "NEW", "established": "ESTABLISHED,RELATED", "all": "NEW,ESTABLISHED,RELATED"}
POLICY = "bluegreen-isolated"


def isolate(side: str) -> Plan:
    """A NetworkPolicy lets nobody in to the side's pods; the kubelet's own probes still get there."""

    def make(ground: Ground, ident: str) -> Fault:
        del ident
        deployment = ground.kube.get_deployment(ground.namespace, ground.deployment(side))
        policy = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": POLICY, "labels": dict([OWNED])},
            "spec": {
                "podSelector": {"matchLabels": deployment["spec"]["selector"]["matchLabels"]},
                "policyTypes": ["Ingress"],
                "ingress": [],
            },
        }
        pod = ground.pod(side)
        port = ground.container_port(side)

        def reached() -> bool:
            return ground.asks(ground.other_than(pod.node), f"http://{pod.ip}:{port}/")

        return Fault(
            f"the pods of {ground.deployment(side)}",
            call(lambda: kube_break.create_network_policy(ground.kube, ground.namespace, policy)),
            lambda: "" if reached() else f"{pod.name} can't be reached from another node",
            undo=lambda: kube_break.delete_network_policy(ground.kube, ground.namespace, POLICY),
            recovered=reached,
            confirm_s=10,
        )

    return Plan("side-isolated", make)


def cut_nodes(node: str, other: str, how: How = "drop", which: Which = "new") -> Plan:
    """Nothing gets from a node, or through it, to another one and its pods.

    Args:
        node: where the packets end, inside that node's own network namespace.
        other: where they were to go.
        how: they are dropped without a word, or answered with a reset.
        which: those of new connections, of established ones, or all.

    """

    def make(ground: Ground, ident: str) -> Fault:
        here, there = ground.node(node), ground.node(other)
        address = ground.address(there)
        pods = ground.run(
            ground.control_plane,
            f"kubectl --kubeconfig /etc/kubernetes/admin.conf get node {there} -o jsonpath={{.spec.podCIDR}}",
        ).strip()
        verdict = "DROP" if how == "drop" else "REJECT --reject-with tcp-reset"
        rules = [
            f"{chain} -p tcp -d {target} -m conntrack --ctstate {STATES[which]} "
            f"-m comment --comment bluegreen-{ident} -j {verdict}"
            for chain, target in (("FORWARD", pods), ("OUTPUT", pods), ("OUTPUT", address))
        ]
        # all of them by one program, at once: one after the other they take an eighth of a second
        lines = "\n".join(["*filter", *(f"-I {rule}" for rule in rules), "COMMIT"])
        go = f"iptables-restore --noflush --wait=5 <<'RULES'\n{lines}\nRULES"
        heal = "\n".join(f"while iptables -w 5 -D {rule} 2>/dev/null; do :; done" for rule in rules)

        def hit() -> int:
            """Packets that the rules have met."""
            shown = ground.run(here, f"iptables -w 5 -nvxL | grep bluegreen-{ident} || true")
            return sum(int(line.split()[0]) for line in shown.splitlines())

        def seen() -> str:
            if which == "established":  # no new connection can show that
                return f"{hit()} packets on {here} had nowhere to go" if hit() else ""
            return "" if ground.asks(here, f"https://{address}:10250/healthz") else f"{here} doesn't reach {there}"

        return Fault(
            f"{here} to {there}",
            in_node(ground.engine, here, ident, go),
            seen,
            (disarm(here, ident), Cure(here, f"{heal}\ntrue")),
            None,
            lambda: ground.asks(here, f"https://{address}:10250/healthz"),
            10,
        )

    return Plan("nodes-cut", make)


def slow_line(side: str, kbit: int = 100) -> Plan:
    """What one of the side's pods is sent passes a line of so many kbit/s (tbf on the node's end of it)."""

    def make(ground: Ground, ident: str) -> Fault:
        pod = ground.pod(side)
        file = f"/run/bluegreen-device-{ident}"
        prepare = (
            f"{PIDS_OF_POD.format(pod=pod.name)}\n"
            "index=$(nsenter -t ${pids%%[[:space:]]*} -n ip -o link show eth0 | sed 's/.*@if\\([0-9]*\\):.*/\\1/')\n"
            'device=$(ip -o link | sed -n "s/^$index: \\([^@:]*\\).*/\\1/p")\n'
            f'[ -n "$device" ] || {{ echo "no line to {pod.name}" >&2; exit 1; }}; echo $device >{file}'
        )
        go = f"tc qdisc add dev $device root tbf rate {kbit}kbit burst 16kb latency 400ms"
        heal = f"if read -r d <{file}; then tc qdisc del dev $d root; rm -f {file}; fi 2>/dev/null; true"

        def seen() -> str:
            shown = ground.run(pod.node, f"tc -s qdisc show dev $(cat {file})")
            held = "overlimits" in shown and " overlimits 0 " not in shown
            return f"the line to {pod.name} is held to {kbit} kbit/s" if held else ""

        strike = in_node(ground.engine, pod.node, ident, go, prepare)
        cures = (disarm(pod.node, ident), Cure(pod.node, heal))
        return Fault(pod.name, strike, seen, cures, None, lambda: ground.whole(side))

    return Plan("pod-slowed", make)
