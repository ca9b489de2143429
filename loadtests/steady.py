"""Steady load by Locust: one user per connection class, each the open-model pacer of harness.client.

Run by the harness, or by hand: BG_LOAD_PLAN=plan.json locust -f loadtests/steady.py --headless --stop-timeout 10
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import gevent
from locust import User, events, task
from locust.exception import StopUser

from harness.client.exchange import Answer, Request
from harness.client.generator import Generator, collect_only_young
from harness.client.plan import ENVIRONMENT, PARENT, LoadPlan
from harness.client.tasks import Record
from harness.errors import EXIT_CONFIGURATION, ConfigurationError


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


collect_only_young()

generator = Generator(
    LoadPlan.read(Path(os.environ[ENVIRONMENT])),
    gevent.spawn,
    on_sample=_tell_locust,
    sleep=gevent.sleep,
    parent=int(os.environ.get(PARENT, "0")),
)


own = Record.current = Record(
    generator.plan,
    generator.recorder,
    on_sample=_tell_locust,
    to_its_end=lambda function: gevent.spawn(function).get(),
    ended=StopUser,
    sleep=gevent.sleep,
)
"""For the user's own locustfile, which Locust reads after this one."""


refused: list[ConfigurationError] = []


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


for _name in generator.names:
    globals()[_name] = type(_name, (ClassUser,), {"connection_class": _name, "abstract": False})


@events.user_error.add_listener  # type: ignore[untyped-decorator]
def _refused(user_instance: User, exception: Exception, **_: Any) -> None:
    """A request that can't be sent ends the load, or its class would be missing without a word.

    Whatever else a task raises is its own affair, and in the log: it may well have asserted that nothing is lost.
    """
    if isinstance(exception, ConfigurationError):
        refused.append(exception)
        environment = getattr(user_instance, "user", user_instance).environment  # a task set has its user
        environment.process_exit_code = EXIT_CONFIGURATION
        gevent.spawn(environment.runner.quit)


@events.test_stopping.add_listener  # type: ignore[untyped-decorator]
def _stop(**_: Any) -> None:
    generator.stop()
    own.stop()


@events.quit.add_listener  # type: ignore[untyped-decorator]
def _close(**_: Any) -> None:
    own.close()
    generator.close()
    for error in refused[:1]:  # behind Locust's statistics, where the log's last lines are read
        sys.stderr.write(f"{error}\n")
