"""The demo application's probes: recorded, and answered as the switches on the admin port say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Scope

from harness.evidence.probes import parse, unready
from images.app.bluegreen_app import admin, app
from images.app.bluegreen_app.arrivals import Ledger
from images.app.bluegreen_app.drain import Drain
from images.app.bluegreen_app.probes import Hits
from images.app.bluegreen_app.settings import Settings
from images.app.bluegreen_app.sockets import Sockets
from images.app.bluegreen_app.state import State
from images.app.bluegreen_app.switches import Flap


class Pod:
    """One pod with both records below a folder."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.file = folder / "p.probes"
        self.state = State(Settings(revision="v7", pod="p", **settings))
        self.ledger = Ledger(str(folder), "p", "v7")
        self.hits = Hits(str(folder), "p", "v7")
        self.public = app.build(self.state, self.ledger, Sockets(self.state, self.ledger), self.hits)
        drain = Drain(
            self.state,
            lambda: 0,
            lambda _seconds: None,
            lambda: None,
            socket_seconds=0,
            idle_seconds=0,
            quiet_seconds=0,
            every=0.001,
        )
        self.users = self._client(self.public)
        self.admin = self._client(admin.build(self.state, self.ledger, drain))

    def _client(self, asgi: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(asgi), base_url="http://pod")

    def recorded(self) -> list[tuple[str, int]]:
        """(path, status) of each probe in the record, read by the harness' own parser."""
        read = parse(self.file.name, self.file.read_bytes())
        assert read.faults == ()
        return [(read.paths[one["path"]], int(one["status"])) for one in read.hits]


def ask(folder: Path, what: Callable[[Pod], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        pod = Pod(folder, **settings)
        async with pod.users, pod.admin:
            await what(pod)

    asyncio.run(run())


def test_each_probe_is_recorded_with_its_status_and_no_arrival(tmp_path: Path) -> None:
    async def check(pod: Pod) -> None:
        before = time.monotonic_ns()
        for path in ("/readyz", "/livez", "/", "/startupz"):
            await pod.users.get(path)
        await pod.admin.post("/ready?on=0")
        await pod.users.get("/readyz")
        assert pod.recorded() == [("/readyz", 200), ("/livez", 200), ("/startupz", 200), ("/readyz", 503)]
        read = parse(pod.file.name, pod.file.read_bytes())
        assert before <= read.hits["t"].min() <= read.hits["t"].max() <= time.monotonic_ns()
        assert (tmp_path / "p.arrivals").read_text().count("\nA ") == 1
        pod.hits.ended()
        assert len(parse(pod.file.name, pod.file.read_bytes()).ends) == 1

    ask(tmp_path, check)


def test_readiness_is_switched_off_and_on_while_users_are_served(tmp_path: Path) -> None:
    async def check(pod: Pod) -> None:
        assert (await pod.users.get("/readyz")).status_code == 200
        assert (await pod.admin.post("/ready?on=0")).json()["ready"] is False
        assert [(await pod.users.get(path)).status_code for path in ("/readyz", "/", "/livez")] == [503, 200, 200]
        assert (await pod.admin.post("/ready?on=1")).json()["ready"] is True
        assert (await pod.users.get("/readyz")).status_code == 200
        (start, span) = unready(parse(pod.file.name, pod.file.read_bytes()), {"/readyz"})
        assert start.starting
        assert (span.starting, span.back is not None) == (False, True)

    ask(tmp_path, check)


def test_readiness_goes_and_comes_by_itself_for_a_bounded_time(tmp_path: Path) -> None:
    async def check(pod: Pod) -> None:
        began = now = time.monotonic_ns()
        pod.state.switches.clock = lambda: now
        assert (await pod.admin.post("/flap?off_ms=2000&on_ms=3000&seconds=11")).json()["flapping"] is True
        seen = []
        for second in range(14):
            now = began + second * 10**9
            seen.append((await pod.users.get("/readyz")).status_code == 200)
            assert (await pod.users.get("/")).status_code == 200
        off, on = [False] * 2, [True] * 3
        assert seen == off + on + off + on + [False] + on, "after 11 s it is ready for good, whatever the turn"
        assert (await pod.admin.get("/state")).json()["flapping"] is False

    ask(tmp_path, check)


def test_flapping_is_ended_and_the_switch_by_hand_holds_beside_it(tmp_path: Path) -> None:
    async def check(pod: Pod) -> None:
        assert (await pod.admin.post("/flap?seconds=600")).json()["ready"] is False
        assert (await pod.admin.post("/flap?seconds=0")).json()["ready"] is True
        await pod.admin.post("/ready?on=0")
        assert (await pod.admin.post("/flap?seconds=0")).json()["ready"] is False

    ask(tmp_path, check)


@given(
    st.integers(0, 10**6), st.integers(1, 10**4), st.integers(1, 10**4), st.integers(0, 10**5), st.integers(0, 10**6)
)
def test_a_flap_is_off_at_first_and_never_outside_its_time(since: int, off: int, on: int, lasts: int, now: int) -> None:
    flap = Flap(since, since + lasts, off, on)
    assert flap.off(since) == (lasts > 0)
    if not since <= now < since + lasts:
        assert not flap.off(now)
    elif now + off + on < since + lasts:
        assert flap.off(now) == flap.off(now + off + on)


def test_a_pod_that_hangs_answers_its_liveness_nothing_and_all_others_still(tmp_path: Path) -> None:
    async def check(pod: Pod) -> None:
        assert (await pod.admin.post("/hang?on=1")).json()["hung"] is True
        sent: list[Message] = []
        gone = asyncio.Event()

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope: Scope = {"type": "http", "path": "/livez", "method": "GET", "headers": [], "query_string": b""}
        asked = asyncio.ensure_future(pod.public(scope, receive, send))
        await asyncio.sleep(0.05)
        assert not asked.done()
        assert [(await pod.users.get(path)).status_code for path in ("/readyz", "/")] == [200, 200]
        gone.set()  # the kubelet's patience
        await asked
        assert sent == []
        assert ("/livez", 0) in pod.recorded()
        await pod.admin.post("/hang?on=0")
        assert (await pod.users.get("/livez")).status_code == 200

    ask(tmp_path, check)


def test_every_answer_is_later_by_the_delay(tmp_path: Path) -> None:
    async def check(pod: Pod) -> None:
        assert (await pod.admin.post("/delay?ms=60")).json()["delay_ms"] == 60
        for path in ("/", "/livez", "/readyz"):
            began = time.monotonic()
            assert (await pod.users.get(path)).status_code == 200
            assert time.monotonic() - began >= 0.06
        await pod.admin.post("/delay?ms=0")

    ask(tmp_path, check)


def test_a_slow_starter_answers_nobody_well_until_it_is_up(tmp_path: Path) -> None:
    async def check(pod: Pod) -> None:
        paths = ("/", "/readyz", "/startupz", "/livez")
        assert [(await pod.users.get(path)).status_code for path in paths] == [503] * 4
        assert (await pod.admin.get("/state")).json()["started"] is False
        assert (await pod.users.get("/")).headers["x-revision"] == "v7", "it tells who it is all the same"
        pod.state.switches.clock = lambda: time.monotonic_ns() + 61 * 10**9
        assert [(await pod.users.get(path)).status_code for path in paths] == [200] * 4
        assert (await pod.admin.get("/state")).json()["started"] is True

    ask(tmp_path, check, startup_seconds=60.0)


@pytest.mark.parametrize(
    "what",
    [
        "ready",
        "ready?on=2",
        "hang?on=x",
        "delay",
        "delay?ms=-1",
        "delay?ms=60001",
        "flap",
        "flap?seconds=601",
        "flap?seconds=9&off_ms=99",
        "flap?seconds=9&on_ms=x",
    ],
)
def test_a_wrong_switch_is_refused(tmp_path: Path, what: str) -> None:
    async def check(pod: Pod) -> None:
        assert (await pod.admin.post(f"/{what}")).status_code == 400
        assert pod.state.ready
        assert not pod.state.switches.hung

    ask(tmp_path, check)


def test_the_start_is_as_long_as_the_environment_says() -> None:
    assert Settings.from_env({"STARTUP_SECONDS": "6"}).startup_seconds == 6.0
    with pytest.raises(ValueError, match="STARTUP_SECONDS='-1'"):
        Settings.from_env({"STARTUP_SECONDS": "-1"})
