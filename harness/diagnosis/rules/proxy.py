"""Why requests were lost between the ingress proxy and pods that were well."""

from __future__ import annotations

import numpy as np

from harness.diagnosis.rule import Case, rule
from harness.diagnosis.rules.shutdown import near, stopped
from harness.diagnosis.scene import Scene
from harness.evidence.samples import ERRORS

CLOSED = "UC"
"""Envoy's response flag where the upstream closed the connection of a request that had been sent."""


@rule(
    "idle-close-behind-proxy", "", symptom="now and then the proxy itself answers with a 503, while all pods are well",
    cause="pods close kept connections that were idle, and the proxy sends a request on one in the same moment",
    mend="a keep-alive time-out of the server that is longer than the proxy keeps a connection unused (Envoy: 1 h)",
)  # fmt: skip
def idle_close_behind_proxy(scene: Scene, case: Case) -> None:
    closed = sum(event.fields["flags"].get(CLOSED, 0) for event in scene.timeline.named("proxy.told"))
    case.needs(
        closed,
        f"the proxy's log says of {closed} requests that the pod had closed their connection ({CLOSED})",
        f"the proxy's log says of no request that a pod had closed its connection ({CLOSED})",
        3,
    )
    answered = scene.lost[scene.lost["error"] == ERRORS.index("proxy_5xx")]
    calm = int(np.count_nonzero(~near(answered, stopped(scene), scene)))
    case.needs(calm, f"{calm} of its 503s came while no pod was ending", "all of its 503s came while pods ended")
    died = [pod.pod for pod in scene.lives if pod.restarts or any(pod.exits)]
    case.contradicts(died, f"containers ended by themselves: {', '.join(died[:3])}", 4)
