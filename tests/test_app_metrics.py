"""The demo application's own metrics: rate, errors, duration, in a valid exposition."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from images.app.bluegreen_app.metrics import BUCKETS_S, CLASSES, Metrics
from tests.test_app_answers import Pod, ask

LABELS = {"revision": "v7", "color": "green", "pod": 'odd"\\\npod'}
observations = st.lists(
    st.tuples(st.sampled_from(["run-fresh-1", "run-slow-22", "by hand", "-x-", ""]), st.sampled_from([0, 200, 500]),
              st.floats(0, 100)),
    max_size=50,
)  # fmt: skip


def series(text: str) -> dict[str, list[Any]]:
    return {family.name: list(family.samples) for family in text_string_to_metric_families(text)}


@given(observations)
def test_whatever_comes_is_counted_once_by_class_and_status(seen: list[tuple[str, int, float]]) -> None:
    metrics = Metrics(LABELS)
    for one in seen:
        metrics.observe(*one)
    found = series(metrics.text({"ready": True}))
    requests, durations = found["app_requests"], found["app_request_duration_seconds"]
    assert sum(one.value for one in requests) == len(seen)
    assert all({name: one.labels[name] for name in LABELS} == LABELS for one in (*requests, *durations))
    for name in {one.labels["class"] for one in durations}:
        mine = [one for one in durations if one.labels["class"] == name]
        buckets = [one.value for one in mine if one.name.endswith("_bucket")]
        assert len(buckets) == len(BUCKETS_S) + 1 and buckets == sorted(buckets)
        (count,) = (one.value for one in mine if one.name.endswith("_count"))
        assert buckets[-1] == count == sum(one.value for one in requests if one.labels["class"] == name)
    total = sum(one.value for one in durations if one.name.endswith("_sum"))
    assert total == pytest.approx(sum(seconds for _, _, seconds in seen))
    assert found["app_ready"][0].value == 1


def test_who_makes_up_classes_makes_up_no_series() -> None:
    metrics = Metrics({})
    for number in range(1000):
        metrics.observe(f"run-made{number}-1", 200, 0.1)
    found = series(metrics.text({}))["app_requests"]
    assert len({one.labels["class"] for one in found}) <= CLASSES + 1
    assert sum(one.value for one in found) == 1000


def test_one_request_costs_microseconds() -> None:
    metrics = Metrics(LABELS)
    best = min(_cost(metrics) for _ in range(5))
    assert best < 50e-6  # of the 5,000 that one request at 200/s may take


def _cost(metrics: Metrics) -> float:
    began = time.thread_time()
    for number in range(1000):
        metrics.observe(f"run-fresh-{number}", 200, 0.004)
    return (time.thread_time() - began) / 1000


def test_the_admin_port_tells_what_users_asked() -> None:
    async def check(pod: Pod) -> None:
        for number in range(3):
            await pod.users.get("/", headers={"X-Request-Id": f"run-fresh-{number}"})
        await pod.users.get("/nowhere", headers={"X-Request-Id": "run-fresh-9"})
        await pod.users.get("/readyz")  # no user's request
        pod.open_connections = 4
        answer = await pod.admin.get("/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        found = series(answer.text)
        told = {one.labels["status"]: (one.value, one.labels["class"]) for one in found["app_requests"]}
        assert told == {"200": (3, "fresh"), "404": (1, "fresh")}
        assert {one.labels["revision"] for one in found["app_requests"]} == {"v7"}
        assert found["app_connections_open"][0].value == 4
        assert (await pod.users.get("/metrics")).status_code == 404

    ask(check)
