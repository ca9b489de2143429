"""While scenarios run: SIGTERM ends the run as Ctrl-C does, and a wall-clock limit dumps all stacks and ends it."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType


class Guard:
    """Watches over one run from ``start`` to ``stop``; both leave the process as they found it.

    Args:
        limit: wall-clock seconds.
        expired: called in another thread, once, when they are over.

    """

    def __init__(self, limit: float, expired: Callable[[], None]) -> None:
        self._limit = limit
        self._expired = expired
        self._handler: signal._HANDLER = None
        self._stderr = -1
        self._timer = threading.Timer(limit, self._out_of_time)
        self._timer.daemon = True

    def start(self) -> None:
        """Begin to watch."""
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGTERM, _interrupt)
        self._stderr = os.dup(2)  # while a test runs, pytest keeps what goes to 2 for itself
        self._timer.start()

    def stop(self) -> None:
        """The run is over."""
        self._timer.cancel()
        self._timer.join()  # it may be writing just now
        os.close(self._stderr)
        if self._handler is not None:
            signal.signal(signal.SIGTERM, self._handler)

    def _out_of_time(self) -> None:
        self._expired()
        told = f"\nthe run did not end within {self._limit:.0f} s (--bg-time-limit); all stacks follow\n"
        os.write(self._stderr, told.encode())
        faulthandler.dump_traceback(self._stderr, all_threads=True)
        os.kill(os.getpid(), signal.SIGTERM)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"signal {number}")
