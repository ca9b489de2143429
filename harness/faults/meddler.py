"""A second writer in other words: ``meddler.misspelt_selector()`` is ``faults.during(misspelt_selector())``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from harness.faults import control_plane, process, second_writer
from harness.faults.block import Faults

if TYPE_CHECKING:
    from harness.load import Sending


class Meddler:
    """Breaks one promise at a time; each method is one block.

    Args:
        faults: injects and heals.

    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def misspelt_selector(self) -> AbstractContextManager[None]:
        """Point the Service at a side that doesn't exist."""
        return self._faults.during(second_writer.misspelt_selector())

    def selector_put_back(self) -> AbstractContextManager[None]:
        """Point the Service at the side that was active before."""
        return self._faults.during(second_writer.selector_put_back())

    def selector_at_idle_side(self) -> AbstractContextManager[None]:
        """Point the Service at the side that the release has not put before users."""
        return self._faults.during(second_writer.selector_at_idle_side())

    def widened_selector(self) -> AbstractContextManager[None]:
        """Take the side out of the selector, so that both serve."""
        return self._faults.during(second_writer.widened_selector())

    def retrying_proxy(self) -> AbstractContextManager[None]:
        """Have the proxy send what was answered by a 5xx again."""
        return self._faults.during(second_writer.retrying_proxy())

    def idle_side_scaled_to_zero(self) -> AbstractContextManager[None]:
        """Remove the pods that a rollback would need."""
        return self._faults.during(second_writer.idle_side_scaled_to_zero())

    def stalled_controller_manager(self) -> AbstractContextManager[None]:
        """Stop the controller manager for the block: selectors change, endpoints don't."""
        return self._faults.during(control_plane.pause_controller_manager())

    def stalled_generator(self, load: Sending) -> AbstractContextManager[None]:
        """Stop the load's own process for the block."""
        return self._faults.during(process.stalled_generator(load))
