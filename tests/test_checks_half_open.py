"""Silent peers: noticed in time, too late, or not there at all."""

from __future__ import annotations

from harness.checks.promises import half_open_noticed
from harness.checks.registry import judge
from harness.evidence.socket_record import SILENT
from tests.simulated import World, play
from tests.simulated_sockets import Close, Story, with_sockets

CALM = play(World())


def verdict(story: Story, within: float) -> str:
    (finding, *_) = judge(with_sockets(CALM, story), [half_open_noticed(within)])
    return finding.verdict


def test_a_silent_peer_is_noticed_in_time_or_too_late() -> None:
    story = Story(closes=[Close(2, 3.5, end=SILENT, code=1006)])
    timeline = with_sockets(CALM, story)
    assert timeline.sockets is not None
    took = timeline.sockets.detect_ns()
    assert took is not None
    assert verdict(story, took / 1e9) == "pass"
    assert verdict(story, took / 1e9 - 0.001) == "fail"


def test_without_a_silent_peer_nothing_is_shown() -> None:
    assert verdict(Story(closes=[Close(2, 3.5)]), 3) == "inconclusive"
    (finding, *_) = judge(CALM, [half_open_noticed()])
    assert finding.verdict == "inconclusive"
