"""The plan: what is written is what is read, and nothing that was never meant gets through."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.client.identity import Identity
from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.errors import ConfigurationError


def plan(**changes: Any) -> LoadPlan:
    values: dict[str, Any] = {
        "entries": (Entry("127.0.0.1", 30_000, "a"), Entry("::1", 30_001, "b"), Entry("127.0.0.1", 30_002, "c")),
        "hosts": ("127.0.0.1", "::1"),
        "host_header": "api.example.com",
        "classes": {
            "fresh": ClassPlan(rate=200),
            "busy": ClassPlan(rate=50),
            "idle": ClassPlan(rate=2),
            "slow": ClassPlan(rate=4, path="/slow?seconds=3", timeout_s=10),
            "post": ClassPlan(rate=10, path="/orders", body='{"id": "{id}"}'),
        },
        "run_tag": "r-1",
        "folder": "/tmp/x",
        "headers": {"Accept": "application/json"},
        "identity": Identity(revision_header="X-Revision", pod_json="pod"),
        "expected_status": (200, 201),
    }
    return LoadPlan(**{**values, **changes})


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(plan().to_json())
    assert LoadPlan.read(tmp_path / "plan.json") == plan()


def test_what_each_class_sends() -> None:
    made = plan()
    fresh, post, slow = made.request("fresh"), made.request("post"), made.request("slow")
    assert (fresh.method, fresh.path, fresh.timeout_s, fresh.retriable) == ("GET", "/", 5.0, True)
    assert (post.method, post.path, post.retriable) == ("POST", "/orders", False)
    assert post.encode("r-1-post-0").endswith(b'{"id": "r-1-post-0"}')
    assert (slow.path, slow.timeout_s) == ("/slow?seconds=3", 10)
    assert slow.expected == frozenset({200, 201})
    assert fresh.encode("i").startswith(b"GET / HTTP/1.1\r\nHost: api.example.com\r\nAccept: application/json\r\n")


def test_a_class_with_a_request_of_its_own_takes_only_what_it_does_not_say(tmp_path: Path) -> None:
    post = ClassPlan(rate=1, path="/o", body="b", headers={"Content-Type": "text/plain"}, expected_status=(201,))
    made = plan(classes={"post": post, "slow": ClassPlan(rate=1, path="/s")}, method="PUT", body="all", path="/all")
    assert LoadPlan.from_json(made.to_json()) == made
    sent = made.request("post")
    assert sent.expected == frozenset({201})
    assert b"Content-Type: text/plain" in sent.encode("i") and b"Accept" not in sent.encode("i")
    assert made.request("slow").encode("i").endswith(b"Content-Length: 0\r\n\r\n")
    assert b"Accept" in made.request("slow").encode("i")


def test_connections_and_bounds_per_class() -> None:
    made = plan()
    assert [made.connections_of(name) for name in made.classes] == [0, 3, 10, 0, 0]
    wide = plan(classes={"idle": ClassPlan(rate=2, gap_s=30), "busy": ClassPlan(rate=50, in_flight=5)})
    assert wide.connections_of("idle") == 60
    assert wide.in_flight_of("busy") == 5
    assert made.in_flight_of("fresh") > 200 * 5


FRESH = {"fresh": ClassPlan(rate=1)}
WRONG: dict[str, dict[str, Any]] = {
    "no entry": {"entries": ()},
    "too many entries": {"entries": (Entry("127.0.0.1", 1, "a"),) * 256},
    "a host that was not named": {"entries": (Entry("10.0.0.1", 80, "a"),)},
    "a host with a line feed": {"entries": (Entry("a\nb", 80, "a"),), "hosts": ("a\nb",)},
    "port 0": {"entries": (Entry("127.0.0.1", 0, "a"),)},
    "port 65536": {"entries": (Entry("127.0.0.1", 65_536, "a"),)},
    "port as text": {"entries": (Entry("127.0.0.1", "80", "a"),)},  # type: ignore[arg-type]
    "host header with CR": {"host_header": "a\r\nX: y"},
    "header with LF": {"headers": {"X": "a\nY: b"}},
    "header name": {"headers": {"X Y": "a"}},
    "our own header": {"headers": {"content-length": "3"}},
    "connection header": {"headers": {"Connection": "close"}},
    "path with a space": {"path": "/a b"},
    "path with CR": {"path": "/a\r\nX: y"},
    "relative path": {"path": "a"},
    "full url": {"path": "http://x/"},
    "method": {"method": "get"},
    "websocket": {"method": "WEBSOCKET"},
    "no class": {"classes": {}},
    "unknown class": {"classes": {"frehs": ClassPlan(rate=1)}},
    "rate 0": {"classes": {"fresh": ClassPlan(rate=0)}},
    "rate nan": {"classes": {"fresh": ClassPlan(rate=float("nan"))}},
    "rate infinite": {"classes": {"fresh": ClassPlan(rate=float("inf"))}},
    "rate true": {"classes": {"fresh": ClassPlan(rate=True)}},
    "more than max_rate": {"classes": {"fresh": ClassPlan(rate=600), "busy": ClassPlan(rate=500)}},
    "max_rate": {"classes": FRESH, "max_rate": 1e9},
    "negative class timeout": {"classes": {"fresh": ClassPlan(rate=1, timeout_s=-1)}},
    "negative gap": {"classes": {"idle": ClassPlan(rate=1, gap_s=-1)}},
    "negative in_flight": {"classes": {"idle": ClassPlan(rate=1, in_flight=-1)}},
    "timeout 0": {"timeout_s": 0},
    "timeout too long": {"timeout_s": 1000},
    "class header": {"classes": {"post": ClassPlan(rate=1, headers={"X": "a\nY: b"})}},
    "class status": {"classes": {"post": ClassPlan(rate=1, expected_status=(100,))}},
    "no status": {"expected_status": ()},
    "interim status": {"expected_status": (100,)},
    "no end": {"max_seconds": float("inf")},
    "a week": {"max_seconds": 7 * 86_400},
    "negative t0": {"t0_ns": -1},
    "run tag": {"run_tag": "a b"},
    "empty run tag": {"run_tag": ""},
    "relative folder": {"folder": "x"},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_plan_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError):
        plan(**WRONG[name])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"entries": 3}',
        plan().to_json()[:-5],
        plan().to_json().replace('"run_tag"', '"run_tga"'),
    ],
)
def test_a_file_that_is_no_plan_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        LoadPlan.from_json(text)
    with pytest.raises(ConfigurationError):
        LoadPlan.read(tmp_path / "not there")


def test_a_changed_entry_in_the_file_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not named"):
        LoadPlan.from_json(plan().to_json().replace('"::1",\n   "port"', '"192.0.2.1",\n   "port"'))
    with pytest.raises(ConfigurationError):
        replace(plan(), hosts=())
