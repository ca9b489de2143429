"""Load by Locust's master and workers: one user per worker, who sends that worker's share of every connection class.

Run by `harness.client.agent`, one per pod. The master, which has no plan, only counts, starts and stops.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
from locust import User, events, task
from locust.exception import StopUser

from harness.client.agent import GO, READY
from harness.client.exchange import Answer, Request
from harness.client.generator import Generator, collect_only_young
from harness.client.http import Connection
from harness.client.plan import ENVIRONMENT, PARENT, LoadPlan
from harness.evidence.samples import OK

STEADY_ANSWERS = 3
"""Before a worker is ready: what isn't there yet is set-up, not an outage. Nothing of it is counted."""


def _tell_locust(name: str, request: Request, intended: int, answer: Answer) -> None:
    """The master's statistics see the same samples; response time counts from the intended time."""
    events.request.fire(
        request_type=request.method,
        name=f"{name} {request.path}",
        response_time=(answer.end - intended) / 1e6,
        response_length=0,
        exception=None if answer.outcome == OK else ConnectionError(answer.error),
        context={},
    )


def _generator() -> Generator | None:
    """A worker has one, by its plan; the master has none."""
    if ENVIRONMENT not in os.environ:
        return None
    collect_only_young()
    plan = LoadPlan.read(Path(os.environ[ENVIRONMENT]))
    parent = int(os.environ.get(PARENT, "0"))
    return Generator(plan, gevent.spawn, on_sample=_tell_locust, sleep=gevent.sleep, parent=parent)


generator = _generator()
stopping: list[bool] = []


class Worker(User):  # type: ignore[misc]
    """All classes of this worker's plan."""

    @task  # type: ignore[untyped-decorator]
    def send(self) -> None:
        """Say that it could send, wait for the common start, run every class to its end."""
        if generator is None or stopping:
            raise StopUser
        folder = Path(generator.plan.folder)
        _reach(generator.plan)
        (folder / READY).touch()
        while not (folder / GO).exists() and not stopping:
            gevent.sleep(0.01)
        if stopping:
            raise StopUser
        generator.plan = replace(generator.plan, t0_ns=int((folder / GO).read_text()))
        stopping.append(True)  # a second user here would send everything twice
        gevent.joinall([gevent.spawn(generator.run, name) for name in generator.names], raise_error=True)
        raise StopUser


def _reach(plan: LoadPlan) -> None:
    """Wait until the live version answers through every entry, as this node leads there."""
    request = plan.request(next(iter(plan.classes)))
    for number, entry in enumerate(plan.entries):
        answered = 0
        while answered < STEADY_ANSWERS and not stopping:
            connection = Connection(entry.host, entry.port, number)
            answered += connection.attempt(request, "reach").outcome == OK
            connection.close()
            gevent.sleep(0.05)


@events.test_stopping.add_listener  # type: ignore[untyped-decorator]
def _stop(**_: Any) -> None:
    stopping.append(True)
    if generator is not None:
        generator.stop()


@events.quit.add_listener  # type: ignore[untyped-decorator]
def _close(**_: Any) -> None:
    if generator is not None:
        generator.close()
