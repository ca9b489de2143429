"""The steps of a release's procedure, right and wrong ones, as data: words separated by commas."""

from __future__ import annotations

import difflib
from typing import Final

from harness.errors import ConfigurationError

RELEASE: Final = "deploy, smoke, load, cutover, watch 4"
"""The right one."""

STEPS: Final = {
    "deploy": "bring the new version up on the idle side",
    "smoke": "check it by its internal name",
    "try-smoke": "check it, and go on whatever it says",
    "load": "users are there from here to the end",
    "cutover": "point users at the idle side",
    "rollback": "point users back",
    "watch": "watch users for so many seconds",
    "start": "by hand: put the new version on the idle side, and wait for nothing",
    "overwrite": "by hand: put the new version on the side that users are on",
    "select-idle": "by hand: point users at the side that they aren't on",
    "select-both": "by hand: take the side out of the selector",
    "select-wrong": "by hand: select a side that doesn't exist",
    "select-nothing": "by hand: take the whole selector away",
    "scale-idle": "by hand: give the side that users aren't on so many pods",
    "delete-idle": "by hand: delete the Deployment of the side that users aren't on",
    "delete-pod": "by hand: delete a pod of the side that users are on",
    "restart": "by hand: roll the side that users are on out anew, until the new pods are ready",
    "evict": "evict every pod of the side that users are on, as drains of all nodes would",
    "drain-pod": "drain a pod of the side that users are on where it is, for so many seconds",
    "local-traffic": "by hand: set externalTrafficPolicy Local",
    "stall-controller": "stop the controller manager until the end",
}
"""What each step does."""
NUMBERED: Final = ("watch", "scale-idle", "drain-pod")
"""Steps that need a number."""


def parse(text: str, where: str) -> tuple[tuple[str, ...], ...]:
    """The steps of a procedure: each a word, perhaps with a number.

    Args:
        text: such as "deploy, smoke, load, cutover, watch 4".
        where: begins the error.

    Raises:
        ConfigurationError: a step that doesn't exist, or a number that is missing or too much.

    """
    steps = tuple(tuple(part.split()) for part in text.split(","))
    for step in steps:
        name, *rest = step or ("",)
        if name not in STEPS:
            near = difflib.get_close_matches(name, STEPS, n=1)
            raise ConfigurationError(
                f"{where}: there is no step {name!r}",
                f"did you mean {near[0]}?" if near else f"one of {', '.join(STEPS)}",
            )
        if len(rest) != (name in NUMBERED) or not all(one.isdigit() for one in rest):
            raise ConfigurationError(
                f"{where}: {' '.join(step)}", f"{name} takes {'a whole number' if name in NUMBERED else 'no number'}"
            )
    return steps
