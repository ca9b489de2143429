"""Rate, errors and duration of users' requests, in Prometheus' text format: GET /metrics on the admin port.

https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4. One request costs two additions.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CLASSES = 20
"""Classes told apart; whoever makes up names must not make up series."""
OTHER = "other"
_CLASS = re.compile(r"[^-]+-([a-z][a-z0-9_]{0,31})-[0-9]{1,12}")


class Metrics:
    """Counts requests by class, status and revision, and their durations by class.

    Args:
        labels: told with every series: revision, color, pod.

    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = dict(labels)
        self._requests: dict[tuple[str, int], int] = {}
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, request_id: str, status: int, seconds: float) -> None:
        """Count one request; status 0 is one whose client left before the answer began."""
        name = self._class(request_id)
        key = (name, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        counts = self._counts[name]
        counts[bisect_left(BUCKETS_S, seconds)] += 1
        self._sums[name] += seconds

    def _class(self, request_id: str) -> str:
        """The load's class, which its request ids tell: ``<run tag>-<class>-<seq>``."""
        found = _CLASS.fullmatch(request_id)
        name = found[1] if found else OTHER
        if name not in self._counts:
            if len(self._counts) >= CLASSES:
                name = OTHER
            self._counts.setdefault(name, [0] * (len(BUCKETS_S) + 1))
            self._sums.setdefault(name, 0.0)
        return name

    def text(self, gauges: Mapping[str, float]) -> str:
        """The exposition.

        Args:
            gauges: further numbers by name, told as they are now.

        """
        return "".join(f"{line}\n" for line in self._lines(gauges))

    def _lines(self, gauges: Mapping[str, float]) -> Iterator[str]:
        yield "# HELP app_requests_total Users' requests by class and status; 0: the client left first."
        yield "# TYPE app_requests_total counter"
        for (name, status), count in sorted(self._requests.items()):
            yield f"app_requests_total{self._of(name, status=str(status))} {count}"
        yield "# HELP app_request_duration_seconds From the arrival to the answer's end, by class."
        yield "# TYPE app_request_duration_seconds histogram"
        for name, counts in sorted(self._counts.items()):
            total = 0
            for bound, count in zip((*(f"{one:g}" for one in BUCKETS_S), "+Inf"), counts, strict=True):
                total += count
                yield f"app_request_duration_seconds_bucket{self._of(name, le=bound)} {total}"
            yield f"app_request_duration_seconds_sum{self._of(name)} {self._sums[name]!r}"
            yield f"app_request_duration_seconds_count{self._of(name)} {total}"
        for name, value in gauges.items():
            yield f"# TYPE app_{name} gauge"
            yield f"app_{name}{self._text(self._labels)} {value:g}"

    def _of(self, name: str, **more: str) -> str:
        return self._text({**self._labels, "class": name, **more})

    @staticmethod
    def _text(labels: Mapping[str, str]) -> str:
        return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
