"""One plan's work shared out among workers: the same schedule, each request sent by exactly one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from harness.client import secrets
from harness.client.plan import ClassPlan, LoadPlan
from harness.errors import ConfigurationError


def divided(plan: LoadPlan, workers: int) -> Sequence[LoadPlan]:
    """A plan for each worker. Together they send what the plan alone would have sent, at the same instants.

    Request k of a class is worker k mod n's, so that the schedule of all stays uniform: n schedules that begin
    together would send n requests at a time, and see only outages n times as long. WebSockets are all the first
    worker's, since they cost next to nothing.

    Args:
        plan: of a single process.
        workers: how many, at most `harness.client.plan_check.MAX_WORKERS`.

    Raises:
        ConfigurationError: so many workers are not allowed, or the plan has what only one process can run.

    """
    if plan.locustfile:
        raise ConfigurationError(
            "tasks of your own ([load] locustfile) run in one process, not in workers",
            "leave --bg-load-workers or the locustfile out",
        )
    return [
        replace(
            plan,
            classes={name: _share(spec, workers) for name, spec in plan.classes.items()},
            sockets=plan.sockets if worker == 0 else None,
            worker=worker,
            workers=workers,
        )
        for worker in range(workers)
    ]


def names_taken(plan: LoadPlan) -> Sequence[str]:
    """What the plan's headers and bodies take from the environment, which a worker elsewhere must be given.

    Raises:
        ConfigurationError: a ``${`` that begins no name.

    """
    parts = [(plan.headers, plan.body)]
    parts += [(turn.headers, turn.body) for turn in plan.turns]
    parts += [(spec.headers, spec.body) for spec in plan.classes.values()]
    texts = [text for headers, body in parts for text in (*headers.values(), body)]
    return sorted({name for text in texts for name in secrets.names(text)})


def _share(spec: ClassPlan, workers: int) -> ClassPlan:
    return replace(spec, rate=spec.rate / max(workers, 1), in_flight=math.ceil(spec.in_flight / max(workers, 1)))
