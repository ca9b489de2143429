"""What an ingress proxy's access log says of requests that were lost behind it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from harness.cluster.kube import Kube
from harness.cluster.proxy_log import TOLD, failed, keep
from harness.errors import ClusterError

RUN = "0123456789ab"


def line(ident: str, code: int = 200, flags: str = "-", upstream: str = "10.244.1.7:8080") -> str:
    return (
        f'[2026-01-02T03:04:05.678Z] "GET /slow?ms=3000 HTTP/1.1" {code} {flags} 0 95 3001 - "10.244.0.1" "ua" '
        f'"{ident}" "api.example.com" "{upstream}"'
    )


def test_of_a_log_only_this_runs_failures_are_kept() -> None:
    log = "\n".join(
        [
            "[info] initializing epoch 0",
            line(f"{RUN}-fresh-1"),
            line(f"{RUN}-fresh-2", 503, "UC"),
            line("fedcba987654-fresh-3", 503, "UC"),
            line(f"{RUN}-busy-4", 0, "DC,UPE"),
            line(f"{RUN}-busy-5", 503, "UH", "-"),
            line(f"{RUN}-busy-6", 404),
            line(f"{RUN}-websocket-7", 101, "UC"),
        ]
    )
    assert [(one["id"][13:], one["code"], one["flags"], one["upstream"]) for one in failed(log, RUN)] == [
        ("fresh-2", 503, "UC", "10.244.1.7:8080"),
        ("busy-4", 0, "DC,UPE", "10.244.1.7:8080"),
        ("busy-5", 503, "UH", "-"),
    ]


def told(logs: dict[str, str | ClusterError]) -> dict[str, Any]:
    def log_tail(_namespace: str, pod: str, _container: str, _lines: int) -> str:
        log = logs[pod]
        if isinstance(log, ClusterError):
            raise log
        return log

    kube = SimpleNamespace(
        pods=lambda _namespace, _labels: [SimpleNamespace(name=name) for name in logs], log_tail=log_tail
    )
    events: list[dict[str, Any]] = []
    journal = SimpleNamespace(event=lambda name, **fields: events.append({"name": name, **fields}))
    keep(cast(Kube, kube), RUN, journal)
    (event,) = events
    assert event.pop("name") == "proxy.told"
    return event


def test_the_logs_of_all_proxies_become_one_event() -> None:
    many = "\n".join(line(f"{RUN}-fresh-{number}", 503, "UC,UPE") for number in range(TOLD + 1))
    event = told({"envoy-1": many, "envoy-2": line(f"{RUN}-busy-1", 503, "UF")})
    assert (event["proxies"], event["flags"], event["unread"]) == (2, {"UC": TOLD + 1, "UPE": TOLD + 1, "UF": 1}, [])
    assert len(event["requests"]) == TOLD


def test_a_log_that_can_not_be_had_is_told_and_breaks_nothing() -> None:
    good = line(f"{RUN}-fresh-1", 503, "UC")
    for log, why in ((ClusterError("no answer", "wait"), "no answer"), ("(no log: 404)", "(no log: 404)")):
        event = told({"envoy-1": good, "envoy-2": log})
        assert (event["proxies"], event["flags"], event["unread"]) == (1, {"UC": 1}, [why])
