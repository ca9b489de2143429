"""One bounded wait for everything: poll a condition until it holds or the time is up; and several calls at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from harness.errors import WaitTimeout

S = TypeVar("S")
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


def at_once(step: Callable[[S], T], items: Sequence[S], threads: int) -> list[T]:
    """What ``step`` gives for each item, in their order.

    The threads are daemons: whoever gives up waiting for this can end the process at once, whereas the threads of a
    ``ThreadPoolExecutor`` are joined at its exit.

    Args:
        step: may be called from several threads.
        items: one call each.
        threads: how many calls at a time.

    Raises:
        Exception: the first one that ``step`` raised.

    """
    found: dict[int, T] = {}
    broken: list[Exception] = []
    numbers = iter(range(len(items)))

    def work() -> None:
        try:
            for number in numbers:
                if broken:
                    return
                found[number] = step(items[number])
        except Exception as error:
            broken.append(error)

    started = [threading.Thread(target=work, daemon=True, name="at-once") for _ in range(min(threads, len(items)))]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    if broken:
        raise broken[0]
    return [found[number] for number in range(len(items))]
