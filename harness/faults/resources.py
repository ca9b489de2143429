"""What a pod has too little of: processor time and memory, taken within its own limits, so that nobody else pays."""

from __future__ import annotations

from harness.faults.block import Fault, Plan
from harness.faults.ground import Ground
from harness.faults.left_over import Cure
from harness.faults.placed import disarm, in_node
from harness.faults.process import PIDS_OF_POD

# cgroup v1 mounts each controller by itself, v2 all together
_GROUP = """{pids}
p=${{pids%%[[:space:]]*}}
group=$(awk -F: '$2 ~ /(^|,){controller}(,|$)/ {{print "/sys/fs/cgroup/" $2 $3}}' /proc/$p/cgroup)
[ -n "$group" ] || group=/sys/fs/cgroup$(awk -F: '$1 == 0 {{print $3}}' /proc/$p/cgroup)
[ -w "$group/cgroup.procs" ] || {{ echo "no control group of {pod}: $group" >&2; exit 1; }}
"""


def starve_pod(side: str) -> Plan:
    """Busy loops in one of the side's pods take the processor time that its limit leaves it."""

    def make(ground: Ground, ident: str) -> Fault:
        pod = ground.pod(side)
        hog = f"exec -a bluegreen-hog-{ident} bash -c 'while :; do :; done'"
        go = "\n".join([f"(echo $BASHPID >$group/cgroup.procs; {hog}) </dev/null >/dev/null 2>&1 &"] * 4)
        # throttled periods: in v1 beside the processes, in v2 in the file of the same name
        look = _prepared("cpu", pod.name) + "awk '/^nr_throttled/ {print $2}' $group/cpu.stat"
        before = ground.run(pod.node, look).strip() or "0"

        def seen() -> str:
            more = int(ground.run(pod.node, look).strip() or 0) - int(before)
            return f"{pod.name} was throttled {more} times" if more > 5 else ""

        strike = in_node(ground.engine, pod.node, ident, go, _prepared("cpu", pod.name))
        cures = (disarm(pod.node, ident), _end(pod.node, ident))
        return Fault(pod.name, strike, seen, cures, None, lambda: ground.whole(side))

    return Plan("pod-starved", make)


def fill_memory(side: str) -> Plan:
    """A process in one of the side's pods takes memory until the kernel kills the pod's own one at the limit."""

    def make(ground: Ground, ident: str) -> Fault:
        pod = ground.pod(side)
        hog = f"exec -a bluegreen-hog-{ident} tail /dev/zero"
        go = "for q in $pids; do echo 1000 >/proc/$q/oom_score_adj; done\n"  # it is the one to be killed
        go += f"(echo $BASHPID >$group/cgroup.procs; {hog}) </dev/null >/dev/null 2>&1 &"

        def seen() -> str:
            now = {one.name: one for one in ground.kube.pods(ground.namespace)}.get(pod.name)
            return f"{pod.name} was started again" if now is None or now.restarts > pod.restarts else ""

        strike = in_node(ground.engine, pod.node, ident, go, _prepared("memory", pod.name))
        cures = (disarm(pod.node, ident), _end(pod.node, ident))
        return Fault(pod.name, strike, seen, cures, None, lambda: ground.whole(side), 20)

    return Plan("pod-out-of-memory", make)


def _prepared(controller: str, pod: str) -> str:
    return _GROUP.format(pids=PIDS_OF_POD.format(pod=pod), controller=controller, pod=pod)


def _end(node: str, ident: str) -> Cure:
    return Cure(node, f"pkill -KILL -f '^bluegreen-hog-{ident}'; true")
