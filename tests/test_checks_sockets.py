"""The checks of sockets: each of their promises turns red for its own reason, and for no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.checks.finding import FAIL, INCONCLUSIVE, PASS, UNPROVEN, Finding
from harness.checks.promise import Promise
from harness.checks.promises import enough, loses, never_served, nothing_lost, sockets_clean
from harness.checks.registry import judge
from harness.evidence.summary import scenario_record
from harness.evidence.timeline import Timeline
from harness.report.terminal import failure_text
from tests.simulated import Flip, World, event, having, play
from tests.simulated_sockets import CUT, SILENT, Close, Story, with_sockets, written

PLAIN = play(World(seconds=8, flips=[Flip(4.0)], classes=("fresh",)))
CLOSES = tuple(Close(number, 5 + 0.15 * number) for number in range(12))


def found(timeline: Timeline, promise: Promise) -> Finding:
    return next(one for one in judge(timeline, [promise]) if one.check == promise.check)


def standing(timeline: Timeline, name: str) -> Finding | None:
    return next((one for one in judge(timeline, []) if one.check == name), None)


def told(story: Story, **limits: Any) -> Finding:
    return found(with_sockets(PLAIN, story), sockets_clean(**limits))


def test_a_drain_by_1012_with_everybody_back_on_the_new_side_is_clean() -> None:
    finding = told(Story(closes=CLOSES), on="v2")
    assert finding.verdict == PASS and finding.measured == 0
    assert "12 were closed and came back" in finding.detail


@pytest.mark.parametrize(
    ("story", "limits", "text"),
    [
        (Story(lost={(0, 3)}), {}, "1 messages lost"),
        (Story(doubled={(0, 3)}), {}, "1 messages doubled"),
        (Story(late={(0, 3)}), {}, "1 messages out of order"),
        (Story(unacked={(0, 3)}), {}, "1 messages never acknowledged"),
        (Story(closes=[Close(1, 5, CUT, 1006)]), {}, "1 1006 fin"),
        (Story(closes=[Close(1, 5, SILENT, 1006)]), {}, "1 connections that ended badly"),
        (Story(closes=[Close(1, 5, code=1011)]), {}, "1 1011"),
        (Story(closes=[Close(1, 5, refusals=1)]), {}, "refused: 503"),
        (Story(closes=[Close(1, 5, back=None)]), {}, "1 sockets that never came back"),
        (Story(closes=[Close(1, 4, back=3.0)]), {}, "99 % came back within 3.00 s, limit 2.5 s"),
        (Story(closes=[replace(one, at=5.0) for one in CLOSES[:3]]), {}, "25% came back within 100 ms, limit 20%"),
        (Story(closes=CLOSES[:11]), {"on": "v2"}, "1 of 12 are not open on v2"),
        (Story(closes=CLOSES), {"on": "v1"}, "12 of 12 are not open on v1"),
    ],
)
def test_each_fault_turns_it_red_by_its_name(story: Story, limits: dict[str, Any], text: str) -> None:
    finding = told(story, **limits)
    assert finding.verdict == FAIL, finding
    assert text in finding.detail


def test_limits_are_the_promises() -> None:
    assert told(Story(closes=[Close(1, 4, back=3.0)]), reconnect=4.0).verdict == PASS
    assert told(Story(closes=[replace(one, at=5.0) for one in CLOSES[:3]]), peak=0.3).verdict == PASS


def test_without_sockets_nothing_is_promised_or_judged() -> None:
    assert found(PLAIN, sockets_clean()).verdict == INCONCLUSIVE
    assert standing(PLAIN, "sockets_ledger") is standing(PLAIN, "sockets_near_flip") is None


def test_who_answered_is_unproven_where_no_answer_tells_it() -> None:
    first, *others = PLAIN.events
    anonymous = replace(PLAIN, events=(replace(first, fields={**first.fields, "identity": "none"}), *others))
    story = Story(first="", closes=[replace(one, revision="") for one in CLOSES])
    assert found(with_sockets(anonymous, story), sockets_clean(on="v2")).verdict in (UNPROVEN, INCONCLUSIVE)
    timeline = with_sockets(anonymous, story)
    both = [one for one in judge(timeline, [sockets_clean(on="v2"), nothing_lost()]) if one.check == "sockets_clean"]
    assert both[0].verdict == UNPROVEN
    assert found(with_sockets(PLAIN, story), sockets_clean(on="v2")).verdict == INCONCLUSIVE


# -- the promises that all classes share ------------------------------------------------------------------------------


@pytest.mark.parametrize("closes", [(), CLOSES])
def test_sockets_that_stay_or_come_back_lose_nothing(closes: tuple[Close, ...]) -> None:
    timeline = with_sockets(PLAIN, Story(closes=closes))
    assert found(timeline, nothing_lost()).verdict == PASS
    assert found(timeline, loses("websocket")).verdict == FAIL


@pytest.mark.parametrize(
    "story", [Story(closes=[Close(1, 5, CUT, 1006)]), Story(lost={(0, 3)}), Story(closes=[Close(1, 5, code=1000)])]
)
@pytest.mark.parametrize("level", ["user", "strict"])
def test_a_cut_socket_or_a_lost_message_is_a_loss_at_every_level(story: Story, level: str) -> None:
    timeline = with_sockets(play(World(seconds=8, flips=[Flip(4.0)], classes=("fresh", "idle"), level=level)), story)
    assert found(timeline, nothing_lost()).verdict == FAIL
    assert "websocket: 1 of" in found(timeline, nothing_lost()).detail
    assert found(timeline, nothing_lost(["fresh", "idle"])).verdict == PASS
    assert found(timeline, nothing_lost(["websocket"])).verdict == FAIL
    assert found(timeline, loses("websocket")).verdict == PASS
    assert found(timeline, loses("websocket", "fresh")).verdict == FAIL
    record = scenario_record(timeline, list(judge(timeline, [nothing_lost()])), verdict="fail")
    assert "  websocket: 1 of" in failure_text({**record, "evidence": ""}, timeline, "pytest scenarios")


def test_how_long_sockets_were_away_is_bounded() -> None:
    timeline = with_sockets(PLAIN, Story(closes=[Close(1, 5, CUT, 1006, back=0.4)]))
    assert found(timeline, loses("websocket", at_most_ms=500)).verdict == PASS
    assert found(timeline, loses("websocket", at_most_ms=300)).verdict == FAIL
    gone = with_sockets(PLAIN, Story(closes=[Close(1, 5, CUT, 1006, back=None)]))
    assert found(gone, loses("websocket", at_most_ms=9000)).verdict == FAIL


def test_a_cutover_that_cut_sockets_is_a_bad_one() -> None:
    timeline = with_sockets(PLAIN, Story(closes=[Close(1, 5, CUT, 1006)]))
    assert scenario_record(timeline, [])["cutover_loss_upper_95"] == 1.0
    assert scenario_record(with_sockets(PLAIN, Story(closes=CLOSES)), [])["cutover_loss_upper_95"] == pytest.approx(
        0.95
    )


def test_a_handshake_answered_by_a_revision_counts_as_served() -> None:
    assert found(with_sockets(PLAIN, Story(closes=[Close(1, 5, revision="")])), never_served("v3")).verdict == PASS
    only_sockets = with_sockets(play(World(seconds=8, flips=[], classes=("fresh",))), Story(closes=CLOSES[:1]))
    assert found(only_sockets, never_served("v2")).verdict == FAIL


def test_enough_counts_connections_and_messages() -> None:
    timeline = with_sockets(PLAIN, Story())
    assert found(timeline, enough(12, "websocket")).verdict == PASS
    assert found(timeline, enough(1000, "websocket")).verdict == INCONCLUSIVE


# -- always judged ----------------------------------------------------------------------------------------------------


def test_the_ledger_closes_or_the_run_proves_nothing() -> None:
    closed = standing(with_sockets(PLAIN, Story(closes=CLOSES)), "sockets_ledger")
    assert closed is not None and closed.verdict == PASS
    unfinished = standing(with_sockets(PLAIN, Story(ended=False)), "sockets_ledger")
    assert unfinished is not None and unfinished.voids and "never closed" in unfinished.detail
    missing = standing(having(PLAIN, event(-0.05, "load.started", sockets=100)), "sockets_ledger")
    assert missing is not None and missing.voids and "no record" in missing.detail


@pytest.mark.parametrize(("sockets", "verdict"), [(12, PASS), (9, INCONCLUSIVE)])
def test_enough_sockets_must_be_open_at_each_flip(sockets: int, verdict: str) -> None:
    finding = standing(with_sockets(PLAIN, Story(sockets=sockets)), "sockets_near_flip")
    assert finding is not None
    assert (finding.verdict, finding.measured) == (verdict, sockets)


def test_arrivals_cover_the_messages() -> None:
    def judged(timeline: Timeline) -> Finding:
        finding = standing(timeline, "arrivals")
        assert finding is not None
        return finding

    story = Story(closes=CLOSES)
    without = judged(written(PLAIN, story))
    assert "messages too" in without.detail
    lacking = judged(written(PLAIN, story, less=["sim-websocket-5 4"]))
    assert lacking.verdict == FAIL and "(websocket-5 4)" in lacking.detail
    assert (lacking.measured or 0) == (without.measured or 0) + 1
    assert scenario_record(written(PLAIN, story), [])["sockets"]["arrivals"]["unwritten"] == 0
