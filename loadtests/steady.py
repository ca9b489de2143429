"""Steady load by Locust: one user per connection class, each the open-model pacer of harness.client.

Run by the harness, or by hand: BG_LOAD_PLAN=plan.json locust -f loadtests/steady.py --headless --stop-timeout 10
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gevent
from locust import User, events, task
from locust.exception import StopUser

from harness.client.exchange import Answer, Request
from harness.client.generator import Generator
from harness.client.plan import ENVIRONMENT, PARENT, LoadPlan


def _tell_locust(name: str, request: Request, intended: int, answer: Answer) -> None:
    """Locust's own statistics see the same samples; response time counts from the intended time."""
    lost = None if answer.outcome == 0 else ConnectionError(answer.error)
    events.request.fire(
        request_type=request.method,
        name=f"{name} {request.path}",
        response_time=(answer.end - intended) / 1e6,
        response_length=0,
        exception=lost,
        context={},
    )


generator = Generator(
    LoadPlan.read(Path(os.environ[ENVIRONMENT])),
    gevent.spawn,
    on_sample=_tell_locust,
    sleep=gevent.sleep,
    parent=int(os.environ.get(PARENT, "0")),
)


class ClassUser(User):  # type: ignore[misc]
    """One connection class of the plan."""

    abstract = True
    fixed_count = 1
    connection_class = ""

    @task  # type: ignore[untyped-decorator]
    def run_class(self) -> None:
        """Run the whole class; it ends by itself."""
        generator.run(self.connection_class)
        if generator.finished:
            gevent.spawn(self.environment.runner.quit)
        raise StopUser


for _name in generator.plan.classes:
    globals()[_name] = type(_name, (ClassUser,), {"connection_class": _name, "abstract": False})


@events.test_stopping.add_listener  # type: ignore[untyped-decorator]
def _stop(**_: Any) -> None:
    generator.stop()


@events.quit.add_listener  # type: ignore[untyped-decorator]
def _close(**_: Any) -> None:
    generator.close()
