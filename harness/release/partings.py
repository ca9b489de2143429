"""The logs of pods that end: once a pod is gone nobody can read them, and a lost request may be in them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.cluster.dump import LOG_LINES
from harness.cluster.kube import NO_LOG
from harness.errors import ClusterError

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

FOLLOW_SECONDS: Final = 120.0
"""Without a line: longer than a drain keeps silent."""
MOST: Final = 16
"""Logs that are read at most: where a hundred pods go at once, reading all would weigh on what is being measured."""
WRITE_SECONDS: Final = 2.0
"""What is still being read then belongs to pods that are still there: the dump reads those."""


class Partings:
    """Follows the logs of pods from the order to stop to their containers' end, each in a thread that nobody waits for.

    Nothing is asked as long as no pod ends, and a log that can't be had is left out: it is evidence, and no move
    depends on it. A pod that is gone as soon as it is told to stop (no grace) has none, and of very many pods that end
    only the first ones' are read.

    Args:
        kube: the cluster.
        namespace: the pods'.

    """

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._threads: dict[str, threading.Thread] = {}
        self._logs: dict[str, str] = {}

    def follow(self, pod: Mapping[str, Any]) -> None:
        """Begin, for a pod as the API server holds it, once; returns at once."""
        name = str(pod["metadata"]["name"])
        for container in (str(one["name"]) for one in pod.get("spec", {}).get("containers", ())):
            file = f"{name}.{container}.log"
            if file not in self._threads and len(self._threads) < MOST:
                thread = threading.Thread(target=self._read, args=(file, name, container), name=file, daemon=True)
                self._threads[file] = thread
                thread.start()

    def write(self, folder: Path) -> None:
        """Write what was read, ``<pod>.<container>.log`` each, into ``folder``, made if there is anything.

        Raises:
            OSError: the disk refused.

        """
        deadline = time.monotonic() + WRITE_SECONDS
        for thread in list(self._threads.values()):
            thread.join(max(0.0, deadline - time.monotonic()))
        for file, text in sorted(self._logs.copy().items()):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text, encoding="utf-8")

    def _read(self, file: str, pod: str, container: str) -> None:
        with contextlib.suppress(ClusterError):
            text = self._kube.log_tail(self._namespace, pod, container, LOG_LINES, follow_s=FOLLOW_SECONDS)
            if text and not text.startswith(NO_LOG):
                self._logs[file] = text
