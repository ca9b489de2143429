"""Drift: somebody else has touched what the switch's tool writes, and the next move shows what the tool makes of it."""

import pytest

from harness.errors import ClusterError
from harness.faults import second_writer
from harness.words import (
    CUTOVER,
    NEW,
    Faults,
    Load,
    Release,
    moved_by_tool,
    ms,
    never_served,
    nobody,
    nothing_lost,
    only,
    red,
    refused,
)

pytestmark = [pytest.mark.nightly, pytest.mark.paths("service")]
LEAD_S = 3.0
"""Time for the second writer to come between the announcement and the flip, also on a busy machine."""


def _released(release: Release) -> None:
    release.deploy(NEW)
    release.smoke()


@pytest.mark.parametrize("switch", ["selector", "argo-rollouts"], indirect=True)
@pytest.mark.promises(nothing_lost(), red(moved_by_tool()))
def test_a_move_that_somebody_else_made_first_turns_moved_by_tool_red(
    release: Release, load: Load, faults: Faults
) -> None:
    """The flip changes nothing any more, since the selector says so already; who wrote it is told all the same."""
    _released(release)
    with load.steady(), faults.at(CUTOVER - ms(1000), second_writer.cut_over_too()):
        release.cutover(LEAD_S)
        release.watch(seconds=5, breached=nobody)


@pytest.mark.parametrize("switch", ["helm"], indirect=True)
@pytest.mark.promises(nothing_lost(), never_served(NEW), refused("conflict", stage="cutover"))
def test_helm_is_refused_where_somebody_else_has_applied_the_selector(
    release: Release, load: Load, faults: Faults
) -> None:
    """Helm applies server-side and doesn't force: the conflict is named, and users stay where they are."""
    _released(release)
    with load.steady(), faults.at(CUTOVER - ms(1000), second_writer.selector_applied_too()):
        with pytest.raises(ClusterError, match=second_writer.BY_HAND):
            release.cutover(LEAD_S)
        release.watch(seconds=5, breached=nobody)


@pytest.mark.parametrize("switch", ["selector", "selector-apply", "kustomize"], indirect=True)
@pytest.mark.promises(nothing_lost(), moved_by_tool(), only(NEW, after=CUTOVER))
def test_others_overrule_who_has_applied_the_selector(release: Release, load: Load, faults: Faults) -> None:
    """A patch, a forced apply and kubectl's client-side apply take the selector over: users are moved."""
    _released(release)
    with load.steady(), faults.at(CUTOVER - ms(1000), second_writer.selector_applied_too()):
        release.cutover(LEAD_S)
        release.watch(seconds=5, breached=nobody)
