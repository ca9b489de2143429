"""Processes that die or stop: those of a pod, and those of Kubernetes in a node."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cluster.answers import PodInfo
from harness.errors import ClusterError
from harness.faults.block import CONFIRM_S, HEAL_S, Fault, Plan
from harness.faults.ground import Ground
from harness.faults.left_over import Cure
from harness.faults.placed import call, disarm, in_node

if TYPE_CHECKING:
    from harness.load import Sending

# Kubernetes gives each container its pod's name as HOSTNAME; the pause container has none.
PIDS_OF_POD = (
    "pids=$(grep -lzx HOSTNAME={pod} /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3)\n"
    '[ -n "$pids" ] || {{ echo "no process of {pod}" >&2; exit 1; }}'
)
_PIDS_OF_COMMAND = 'pids=$(pgrep -x {name})\n[ -n "$pids" ] || {{ echo "no process {name}" >&2; exit 1; }}'
COMM = 15
"""A process' name as far as the kernel keeps it."""


def kill_pod(side: str) -> Plan:
    """The process of one of the side's pods dies by SIGKILL; the kubelet starts it again."""

    def make(ground: Ground, ident: str) -> Fault:
        pod = ground.pod(side)

        def seen() -> str:
            now = {one.name: one for one in ground.kube.pods(ground.namespace)}.get(pod.name)
            if now is None or now.restarts > pod.restarts:
                return f"{pod.name} was started again"
            return "" if now.ready else f"{pod.name} isn't ready"

        strike = in_node(ground.engine, pod.node, ident, "kill -KILL $pids", PIDS_OF_POD.format(pod=pod.name))
        return Fault(
            pod.name, strike, seen, (disarm(pod.node, ident),), recovered=lambda: ground.whole(side), confirm_s=15
        )

    return Plan("pod-killed", make)


def stop_pod(side: str) -> Plan:
    """The process of one of the side's pods stops (SIGSTOP) until the block ends: it is reached, and nothing comes."""

    def make(ground: Ground, ident: str) -> Fault:
        pod = ground.pod(side)
        prepare = PIDS_OF_POD.format(pod=pod.name)
        cure = Cure(pod.node, f"{prepare.replace('exit 1', 'exit 0')}\nkill -CONT $pids")
        strike = in_node(ground.engine, pod.node, ident, "kill -STOP $pids", prepare)
        return Fault(
            pod.name,
            strike,
            lambda: _silent(ground, pod),
            (disarm(pod.node, ident), cure),
            recovered=lambda: ground.whole(side) and not _silent(ground, pod),
        )

    return Plan("pod-stopped", make)


def stalled_generator(load: Sending) -> Plan:
    """The load's own process stops: what it then sends is late, and the record has to say so."""

    def make(ground: Ground, ident: str) -> Fault:
        del ground, ident
        return Fault(
            str(load.pid),
            call(lambda: os.kill(load.pid, signal.SIGSTOP)),
            lambda: "the load's process is stopped" if _state(load.pid) == "T" else "",
            undo=lambda: os.kill(load.pid, signal.SIGCONT),
            recovered=lambda: _state(load.pid) != "T",
        )

    return Plan("generator-stalled", make)


def stopped(
    ground: Ground,
    ident: str,
    node: str,
    process: str,
    seen: Callable[[], str],
    recovered: Callable[[], bool],
    lasts_s: float | None = None,
    confirm_s: float = CONFIRM_S,
    heal_s: float = HEAL_S,
) -> Fault:
    """A process of Kubernetes itself is stopped (SIGSTOP) in a node.

    Args:
        ground: where.
        ident: the fault's id.
        node: the node.
        process: its command's name.
        seen: an effect in words.
        recovered: whether all is well again.
        lasts_s: goes on by itself after so many seconds; None: only when the block ends.
        confirm_s: bound of the wait for an effect.
        heal_s: bound of the wait for recovery.

    """
    name = shlex.quote(process[:COMM])
    after = f"sleep {lasts_s:g}; pkill -CONT -x {name}" if lasts_s is not None else ""
    strike = in_node(ground.engine, node, ident, "kill -STOP $pids", _PIDS_OF_COMMAND.format(name=name), after)
    cure = Cure(node, f"pkill -CONT -x {name}; true")
    target = f"{process} on {node}"
    return Fault(target, strike, seen, (disarm(node, ident), cure), None, recovered, confirm_s, heal_s)


def killed(ground: Ground, ident: str, node: str, process: str, recovered: Callable[[], bool]) -> Fault:
    """A process of Kubernetes itself is killed in a node, and started again by whoever keeps it.

    Seen by the numbers of the processes, which others are now.
    """
    name = shlex.quote(process[:COMM])
    before = ground.run(node, f"pgrep -x {name}").split()
    strike = in_node(ground.engine, node, ident, "kill -KILL $pids", _PIDS_OF_COMMAND.format(name=name))

    def seen() -> str:
        now = ground.run(node, f"pgrep -x {name}").split()
        return "" if set(before) & set(now) else f"{process} of before is gone"

    def back() -> bool:
        return bool(ground.run(node, f"pgrep -x {name}").split()) and recovered()

    return Fault(f"{process} on {node}", strike, seen, (disarm(node, ident),), None, back)


def _silent(ground: Ground, pod: PodInfo) -> str:
    """Asked through the API server, which knows nothing of signals."""
    admin = ground.config.admin
    port, path = (admin.port, admin.state) if admin else (ground.config.service.port, ground.config.request.path)
    try:
        ground.kube.get_raw(ground.namespace, pod.name, port, path, timeout=0.7)
    except ClusterError:
        return f"{pod.name} doesn't answer"
    return ""


def _state(pid: int) -> str:
    """One letter (proc(5)); the name before it may hold anything, a bracket too."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
