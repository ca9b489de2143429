"""The drain, against a clock that only moves when the drain sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from images.app.bluegreen_app.drain import Drain, Drained
from images.app.bluegreen_app.settings import Settings
from images.app.bluegreen_app.state import State
from tests.test_app_answers import Pod, ask


class World:
    """One pod's surroundings: what is open and in flight at which second."""

    def __init__(self, during: Callable[[World], None] = lambda world: None) -> None:
        self.seconds = 0.0
        self.open = 0
        self.left: list[float] = []
        self.idle_closed: list[float] = []
        self.state = State(Settings())
        self.drain = Drain(
            self.state,
            lambda: self.open,
            self.left.append,
            lambda: self.idle_closed.append(self.seconds),
            socket_seconds=5,
            idle_seconds=6,
            quiet_seconds=3,
            every=0.5,
            clock=lambda: int(self.seconds * 1e9),
            sleep=self._sleep,
        )
        self._during = during

    async def _sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self._during(self)
        await asyncio.sleep(0)

    def run(self, seconds: float = 30) -> Drained:
        async def main() -> Drained:
            self.drain.begin(seconds)
            return await self.drain.finished()

        return asyncio.run(main())


def test_an_empty_pod_stays_for_the_quiet_time_as_newcomers_may_be_on_their_way() -> None:
    world = World()
    assert world.run() == Drained(emptied=True, open=0, in_flight=0, seconds=3.0)
    assert world.state.draining
    assert not world.state.ready


def test_a_request_that_still_comes_begins_the_quiet_time_again() -> None:
    def during(world: World) -> None:
        if world.seconds == 2:
            world.state.arrive(int(world.seconds * 1e9))

    assert World(during).run().seconds == 5.0


@pytest.mark.parametrize("what", ["open", "in_flight"])
def test_it_waits_for_connections_and_for_answers(what: str) -> None:
    def during(world: World) -> None:
        busy = int(world.seconds < 10)
        world.open = busy if what == "open" else 0
        world.state.in_flight = busy if what == "in_flight" else 0

    world = World(during)
    world.open = 1
    assert world.run() == Drained(emptied=True, open=0, in_flight=0, seconds=10.0)


def test_idle_connections_are_closed_once_after_a_while_of_the_drain() -> None:
    world = World()
    world.open = 1
    world.run(10)
    assert world.idle_closed == [6.0]


def test_a_drain_that_ends_before_closes_none() -> None:
    world = World()
    assert world.run(10).seconds == 3.0
    assert world.idle_closed == []


def test_the_time_is_up_with_users_left_and_that_is_said() -> None:
    world = World()
    world.open, world.state.in_flight = 2, 1
    assert world.run(8) == Drained(emptied=False, open=2, in_flight=1, seconds=8.0)


def test_a_second_call_shortens_a_drain_and_never_lengthens_it() -> None:
    def during(world: World) -> None:
        if world.seconds == 1:
            world.drain.begin(4)
        if world.seconds == 2:
            world.drain.begin(100)

    world = World(during)
    world.open = 1
    assert world.run(30).seconds == 5.0


def test_a_draining_pod_answers_rightly_asks_clients_to_leave_and_is_not_ready() -> None:
    async def check(pod: Pod) -> None:
        assert "connection" not in (await pod.users.get("/")).headers
        pod.open_connections = 1
        begun = await pod.admin.post("/drain?seconds=60")
        assert (begun.status_code, begun.json()["draining"], begun.json()["open"]) == (202, True, 1)
        for path, status in (("/", 200), ("/orders", 405), ("/readyz", 503), ("/healthz", 503), ("/livez", 200)):
            answer = await pod.users.get(path)
            assert (answer.status_code, answer.headers["connection"]) == (status, "close")
        pod.open_connections = 0
        assert (await pod.drain.finished()).emptied

    ask(check)


def test_the_hook_is_answered_only_when_the_drain_has_ended() -> None:
    async def check(pod: Pod) -> None:
        pod.open_connections = 1
        hook = asyncio.create_task(pod.admin.get("/drain?seconds=60"))
        done, _ = await asyncio.wait({hook}, timeout=0.1)
        assert not done
        pod.open_connections = 0
        answer = await hook
        assert (answer.status_code, answer.json()["emptied"]) == (200, True)

    ask(check)


def test_a_hook_that_gives_up_does_not_stop_the_drain() -> None:
    async def check(pod: Pod) -> None:
        pod.open_connections = 1
        hook = asyncio.create_task(pod.admin.get("/drain?seconds=60"))
        await asyncio.sleep(0.02)
        hook.cancel()
        await asyncio.wait({hook})
        pod.open_connections = 0
        assert (await pod.drain.finished()).emptied

    ask(check)


def test_nonsense_is_refused_before_anything_is_drained() -> None:
    async def check(pod: Pod) -> None:
        for nonsense in ("-1", "x", "nan"):
            assert (await pod.admin.get(f"/drain?seconds={nonsense}")).status_code == 400
        assert not pod.state.draining

    ask(check)
