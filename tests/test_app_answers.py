"""The demo application as its users, its kubelet and its administrator see it, without a network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.app.bluegreen_app import admin, app
from images.app.bluegreen_app.arrivals import PROBES, Ledger
from images.app.bluegreen_app.drain import Drain
from images.app.bluegreen_app.faults import Fault
from images.app.bluegreen_app.settings import Settings
from images.app.bluegreen_app.sockets import Sockets
from images.app.bluegreen_app.state import ORDERS_KEPT, State

USERS = (("GET", "/"), ("GET", "/slow?ms=0"), ("POST", "/orders"))


class Pod:
    """Both faces of one pod; ``open_connections`` is what its server would tell."""

    def __init__(self, **settings: Any) -> None:
        self.state = State(Settings(revision="v7", color="green", pod="app-green-x", **settings))
        self.open_connections = 0
        ledger = Ledger("", "app-green-x", "v7")
        sockets = Sockets(self.state, ledger)
        self.drain = Drain(
            self.state,
            lambda: self.open_connections,
            sockets.leave,
            lambda: None,
            socket_seconds=0,
            idle_seconds=0,
            quiet_seconds=0,
            every=0.001,
        )
        self.users = self._client(app.build(self.state, ledger, sockets))
        self.admin = self._client(admin.build(self.state, ledger, self.drain))

    def _client(self, asgi: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(asgi), base_url="http://pod")


def ask(what: Callable[[Pod], Awaitable[None]], **settings: Any) -> None:
    """Run one test's coroutine against a fresh pod."""

    async def run() -> None:
        pod = Pod(**settings)
        async with pod.users, pod.admin:
            await what(pod)

    asyncio.run(run())


def test_every_answer_tells_revision_color_pod_and_request_id() -> None:
    async def check(pod: Pod) -> None:
        for method, path in (*USERS, ("GET", "/nowhere"), ("GET", "/readyz")):
            answer = await pod.users.request(method, path, headers={"X-Request-Id": "run-fresh-17"})
            told = {name: answer.headers[f"x-{name}"] for name in ("revision", "color", "pod", "request-id")}
            assert told == {"revision": "v7", "color": "green", "pod": "app-green-x", "request-id": "run-fresh-17"}
            assert answer.headers.get_list("x-revision") == ["v7"]
        body = (await pod.users.get("/", headers={"X-Request-Id": "a-1"})).json()
        assert body == {"revision": "v7", "color": "green", "pod": "app-green-x", "request_id": "a-1"}

    ask(check)


def test_a_request_without_an_id_gets_a_fresh_one() -> None:
    async def check(pod: Pod) -> None:
        ids = {(await pod.users.get("/")).headers["x-request-id"] for _ in range(3)}
        assert len(ids) == 3
        assert all(i.startswith("app-") for i in ids)

    ask(check)


@pytest.mark.parametrize("path", sorted(PROBES))
def test_probes_answer_and_are_no_arrivals(path: str) -> None:
    async def check(pod: Pod) -> None:
        assert (await pod.users.get(path)).status_code == 200
        assert (pod.state.arrivals, pod.state.probes) == (0, 1)

    ask(check)


def test_slow_waits_as_long_as_asked_and_refuses_nonsense() -> None:
    async def check(pod: Pod) -> None:
        began = time.monotonic()
        assert (await pod.users.get("/slow?ms=60")).status_code == 200
        assert time.monotonic() - began >= 0.06
        for nonsense in ("-1", "abc", "nan", "inf", "1e9"):
            answer = await pod.users.get(f"/slow?ms={nonsense}")
            assert answer.status_code == 400
            assert "from 0 to 120000" in answer.json()["error"]

    ask(check)


def test_an_order_sent_twice_is_applied_twice_and_counted() -> None:
    async def check(pod: Pod) -> None:
        for times in (1, 2):
            answer = await pod.users.post("/orders", content=b"{}", headers={"X-Request-Id": "o-1"})
            assert (answer.status_code, answer.json()["applied"]) == (201, times)
        await pod.users.post("/orders", headers={"X-Request-Id": "o-2"})
        seen = (await pod.admin.get("/state")).json()
        assert (seen["applied"], seen["applied_again"], seen["arrivals"]) == (3, 1, 3)
        assert (await pod.users.get("/orders")).status_code == 405

    ask(check)


def test_an_order_that_is_too_large_is_refused_and_not_applied() -> None:
    async def check(pod: Pod) -> None:
        assert (await pod.users.post("/orders", content=b"x" * 65_536)).status_code == 201
        assert (await pod.users.post("/orders", content=b"x" * 65_537)).status_code == 413
        assert pod.state.applied == 1

    ask(check)


def test_the_memory_of_orders_is_bounded() -> None:
    state = State(Settings())
    for number in range(ORDERS_KEPT + 1):
        state.apply(str(number))
    assert state.apply(str(ORDERS_KEPT)) == 2
    assert state.apply("0") == 1  # forgotten, as the oldest


def test_the_bad_version_fails_every_user_from_the_start_yet_is_ready() -> None:
    async def check(pod: Pod) -> None:
        for method, path in USERS:
            answer = await pod.users.request(method, path)
            assert (answer.status_code, answer.headers["x-revision"]) == (500, "v7")
        assert (await pod.users.get("/readyz")).status_code == 200
        assert pod.state.applied == 0

    ask(check, fault=Fault.parse("500"))


def test_the_latent_version_fails_after_exactly_n_requests() -> None:
    async def check(pod: Pod) -> None:
        statuses = []
        for _ in range(5):
            await pod.users.get("/readyz")  # probes don't count
            statuses.append((await pod.users.get("/")).status_code)
        assert statuses == [200, 200, 200, 500, 500]

    ask(check, fault=Fault.parse("later:3"))


def test_the_unready_version_is_alive_but_never_ready() -> None:
    async def check(pod: Pod) -> None:
        assert [(await pod.users.get(p)).status_code for p in ("/readyz", "/healthz")] == [503, 503]
        assert [(await pod.users.get(p)).status_code for p in ("/livez", "/startupz", "/")] == [200, 200, 200]

    ask(check, fault=Fault.parse("unready"))


@pytest.mark.parametrize("text", ["501", "later", "later:", "later:-1", "later:x", "later:²", "unready:1", " 500"])
def test_an_unknown_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="FAULT="):
        Fault.parse(text)


def test_the_failing_share_is_met_exactly_and_set_only_by_the_administrator() -> None:
    async def check(pod: Pod) -> None:
        assert (await pod.users.post("/fail?rate=1")).status_code == 404
        assert (await pod.admin.post("/fail?rate=0.25")).json()["fail_rate"] == 0.25
        statuses = [(await pod.users.get("/")).status_code for _ in range(40)]
        assert statuses.count(500) == 10
        for nonsense in ("2", "-0.1", "nan", ""):
            assert (await pod.admin.post(f"/fail?rate={nonsense}")).status_code == 400

    ask(check)


@given(st.floats(min_value=0, max_value=1), st.integers(min_value=0, max_value=300))
def test_failures_never_stray_from_their_share_by_more_than_one(rate: float, requests: int) -> None:
    state = State(Settings())
    state.fail_rate = rate
    failures = sum(state.must_fail() for _ in range(requests))
    assert abs(failures - rate * requests) < 1 + 1e-6


def test_each_request_costs_the_cpu_time_that_was_set() -> None:
    async def check(pod: Pod) -> None:
        assert (await pod.admin.post("/cpu?ms=20")).json()["cpu_ms"] == 20
        began = time.thread_time()
        for method, path in USERS:
            await pod.users.request(method, path)
        assert time.thread_time() - began >= 0.06

    ask(check)


def test_the_first_order_of_a_cold_pod_waits_and_those_that_come_meanwhile_too() -> None:
    async def check(pod: Pod) -> None:
        began = time.monotonic()
        await pod.users.get("/")
        assert time.monotonic() - began < 0.2
        took = []

        async def order() -> None:
            assert (await pod.users.post("/orders")).status_code == 201
            took.append(time.monotonic() - began)

        await asyncio.gather(order(), order())
        assert min(took) >= 0.3
        began = time.monotonic()
        await order()
        assert took[-1] < 0.2

    ask(check, cold_seconds=0.3)


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_env(
        {"REVISION": "v2", "COLOR": "blue", "POD_NAME": "p", "FAULT": "later:9", "CPU_MS": "2.5", "DRAIN_SECONDS": "40"}
    )
    assert settings.identity == {"revision": "v2", "color": "blue", "pod": "p"}
    assert (settings.fault, settings.cpu_ms, settings.drain_seconds) == (Fault("later", 9), 2.5, 40.0)
    assert (settings.port, settings.admin_port, settings.keep_alive_seconds) == (8080, 8081, 5)


@pytest.mark.parametrize(
    "wrong",
    [{"PORT": "x"}, {"CPU_MS": "-1"}, {"DRAIN_SECONDS": "nan"}, {"FAULT": "?"}, {"DRAIN_KEEP_ALIVE_SECONDS": "30"}],
)
def test_a_wrong_setting_is_named(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings.from_env(wrong)
