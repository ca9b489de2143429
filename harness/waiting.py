"""One bounded wait for everything: poll a condition until it holds or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from harness.errors import WaitTimeout

T = TypeVar("T")


def until(
    condition: Callable[[], T | None],
    what: str,
    *,
    timeout: float,
    every: float = 0.2,
    status: Callable[[], str] | None = None,
    mend: str = "",
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Poll ``condition`` until it returns something true, and return that.

    Args:
        condition: called at least once; a falsy value means "not yet". Its exceptions pass through.
        what: completes the sentence "waited 30 s for ...".
        timeout: bound in seconds.
        every: pause between two polls in seconds.
        status: called once after the time is up; its text ends the error message.
        mend: the error's second line.
        clock: monotonic seconds; tests pass a fake one.
        sleep: pauses for seconds; tests pass a fake one.

    Raises:
        WaitTimeout: the condition didn't hold in time.

    """
    deadline = clock() + timeout
    while True:
        value = condition()
        if value:
            return value
        if clock() >= deadline:
            last = f": {status()}" if status else ""
            raise WaitTimeout(f"waited {timeout:g} s for {what}{last}", mend)
        sleep(every)
