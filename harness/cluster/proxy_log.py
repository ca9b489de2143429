"""Why the ingress proxy lost requests: its access log, read once the load has ended, made part of the record."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from harness.cluster.ingress import NAMESPACE
from harness.cluster.kube import NO_LOG
from harness.errors import ClusterError

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

LINES: Final = 30_000
"""The newest of each proxy's log: some minutes of the default load. Of a longer one the beginning isn't seen."""
SWITCHED: Final = 101
"""A WebSocket's: how it ended its own record tells."""
TOLD: Final = 200
"""So many requests are told one by one; all are counted."""
# Envoy's default format, which the access log's line has to the end.
LINE = re.compile(
    r'^\[(?P<start>[^\]]+)\] "\S+ \S+ \S+" (?P<code>\d+) (?P<flags>\S+) \d+ \d+ \d+ \S+ "[^"]*" "[^"]*" '
    r'"(?P<id>[^"]*)" "[^"]*" "(?P<upstream>[^"]*)"'
)


class Journal(Protocol):
    """Where events go: `harness.journal.Journal`."""

    def event(self, name: str, /, **fields: Any) -> object:
        """Write one event."""


def keep(kube: Kube, run_tag: str, journal: Journal) -> None:
    """Journal ``proxy.told``: the scenario's requests that Envoy didn't pass on well, with its own words for why.

    Args:
        kube: of a cluster whose ingress is ours.
        run_tag: what the ids of the scenario's requests begin with.
        journal: gets ``proxies`` (logs read), ``flags`` (how often each response flag occurred), ``requests`` (id,
            code, flags, upstream of each, the first `TOLD`), ``unread`` (what kept a log from being read).

    """
    logs, unread = logs_of(kube, LINES)  # they explain a verdict and make none: without one the cause is less sure
    told = [one for log in logs.values() for one in failed(log, run_tag)]
    flags = Counter(flag for one in told for flag in str(one["flags"]).split(","))
    journal.event("proxy.told", proxies=len(logs), flags=dict(flags), requests=told[:TOLD], unread=unread)


def logs_of(kube: Kube, lines: int) -> tuple[dict[str, str], list[str]]:
    """The newest lines of each proxy's log by its pod, and what kept others from being read."""
    logs: dict[str, str] = {}
    unread: list[str] = []
    try:
        for pod in kube.pods(NAMESPACE, {"app": "envoy"}):
            log = kube.log_tail(NAMESPACE, pod.name, "envoy", lines)
            if log.startswith(NO_LOG):
                unread.append(log)
            else:
                logs[pod.name] = log
    except ClusterError as error:
        unread.append(error.what)
    return logs, unread


def failed(log: str, run_tag: str) -> list[dict[str, Any]]:
    """The requests of a run in an access log of Envoy's default format that have a response flag or no good answer.

    Flags: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage (UC: the upstream
    closed the connection; UF: it couldn't be connected; UH: none is healthy; DC: the client closed).

    Args:
        log: its text.
        run_tag: what the ids begin with.

    Returns:
        For each ``id``, ``code`` (0 where the client was gone), ``flags`` ("-" for none), ``upstream`` (host:port).

    """
    found = []
    for line in log.splitlines():
        match = LINE.match(line)
        if match is None or not match["id"].startswith(run_tag):
            continue
        code = int(match["code"])
        if code != SWITCHED and (match["flags"] != "-" or code >= 500 or code == 0):
            found.append({"id": match["id"], "code": code, "flags": match["flags"], "upstream": match["upstream"]})
    return found
