"""What will be injected is on disk before it is, with its cure as data: a run that is killed is healed by the next."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import SetupError
from harness.files import write_atomically

if TYPE_CHECKING:
    from harness.cluster.engine import Engine

FOLDER = "faults"
CURE_SECONDS = 60.0
_numbers = itertools.count()


@dataclass(frozen=True)
class Cure:
    """One step that takes a fault away, harmless where there is nothing to take away.

    Attributes:
        node: the container that ``script`` runs in.
        script: for bash, in the node.
        engine: words of an engine command instead, such as ("unpause", "worker").

    """

    node: str = ""
    script: str = ""
    engine: tuple[str, ...] = ()

    def run(self, engine: Engine) -> None:
        """Do it.

        Raises:
            SetupError: it failed or took longer than ``CURE_SECONDS``.

        """
        if self.engine[:1] == ("unpause",):  # engines refuse that where nothing is paused
            name = self.engine[-1]
            if (
                engine("inspect", "--format", "{{.State.Status}}", name, what=f"look at {name}").stdout.strip()
                != "paused"
            ):
                return
        words = self.engine or ("exec", self.node, "bash", "-c", self.script)
        engine(*words, what=f"heal {self.node or ' '.join(self.engine)}", timeout=CURE_SECONDS)


class FaultJournal:
    """The faults that are about to be injected, or are, in a cluster's state folder: one file each.

    Args:
        state: the cluster's folder; None where somebody else made the cluster: there no fault is injected that its
            namespace doesn't take with it.

    """

    def __init__(self, state: Path | None) -> None:
        self._folder = state / FOLDER if state is not None else None

    def write(self, ident: str, kind: str, target: str, cures: Iterable[Cure]) -> Path | None:
        """Put a fault on disk, before it is injected.

        Raises:
            SetupError: it needs a cure outside its namespace, and there is nowhere to write it down.
            OSError: the disk refused.

        """
        told = [asdict(cure) for cure in cures]
        if not told:
            return None
        if self._folder is None:
            raise SetupError(f"the fault {kind} can't be written down here", "run it on a cluster of its own")
        self._folder.mkdir(parents=True, exist_ok=True)
        # by time, so that another run heals last-in first-out too
        file = self._folder / f"{time.time_ns()}-{os.getpid()}-{next(_numbers):04}.json"
        write_atomically(file, json.dumps({"id": ident, "kind": kind, "target": target, "cures": told}))
        return file


def heal(state: Path, engine: Engine, say: Callable[[str], None]) -> list[str]:
    """Heal what a killed run left in a cluster, last-in first-out.

    Args:
        state: the cluster's folder.
        engine: that its nodes run in.
        say: prints one progress line.

    Returns:
        The kinds that could not be healed; their files stay. A cluster that they broke is replaced as dead.

    """
    failed = []
    for file in sorted((state / FOLDER).glob("*.json"), reverse=True):
        try:
            told = json.loads(file.read_text())
            kind, target = str(told["kind"]), str(told["target"])
            for one in told["cures"]:
                Cure(one["node"], one["script"], tuple(one["engine"])).run(engine)
        except (ValueError, KeyError, TypeError):  # written atomically: somebody else's file
            failed.append(file.name)
        except SetupError as error:
            say(f"fault {kind} on {target}: an earlier run left it, and it could not be healed: {error.what}")
            failed.append(kind)
        else:
            file.unlink()
            say(f"fault {kind} on {target}: healed, an earlier run had left it")
    return failed
