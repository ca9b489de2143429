"""Where the load may go on a cluster that the harness didn't make: only to hosts that the user has named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.errors import ConfigurationError

PATHS = ("service", "ingress")
TLS = "tls"
"""Not a path of its own: the ingress path's port for TLS."""
INGRESS_PORT = 80
INGRESS_TLS_PORT = 443
_FORM = re.compile(
    r"((?P<path>service|ingress|tls)=)?(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(:(?P<port>\d{1,5}))?"
)


@dataclass(frozen=True)
class Target:
    """One way in, as the user named it.

    Attributes:
        host: name or address.
        port: 0 where none was named.
        path: "service", "ingress", "" for both, or `TLS`.

    """

    host: str
    port: int
    path: str

    def serves(self, path: str) -> bool:
        """Whether it was named for a path."""
        return self.path in ("", path)


def parse(text: str) -> Target:
    """Read ``[service=|ingress=|tls=]HOST[:PORT]``.

    Raises:
        ConfigurationError: it is nothing of the kind.

    """
    found = _FORM.fullmatch(text)
    port = int(found["port"] or 0) if found else 0
    if found is None or port > 65535 or (found["port"] and port == 0):
        raise ConfigurationError(
            f"--bg-target {text!r} is no host",
            "write [service=|ingress=|tls=]HOST[:PORT], e.g. ingress=lb.example.org:8080",
        )
    return Target(found["host"], port, found["path"] or "")


def entries(targets: Iterable[Target], path: str, node_port: int) -> list[tuple[str, int, str]]:
    """(host, port, name) of each entry of a path.

    On the service path that is a node's NodePort. A port counts there only where the target was named for this path
    alone: then something in between (a mapping, a load balancer) leads from it to the NodePort. On the ingress path it
    is the controller's port, 80 unless named.
    """
    found = []
    for target in targets:
        if target.serves(path):
            own = target.port if target.path == path or path == "ingress" else 0
            port = own or (INGRESS_PORT if path == "ingress" else node_port)
            found.append((target.host, port, f"{target.host}:{own}" if own else target.host))
    return found


def tls_ports(targets: Sequence[Target]) -> list[int]:
    """The port for TLS of each entry of the ingress path: its host's own where one was named, else 443."""
    named = {target.host: target.port for target in targets if target.path == TLS and target.port}
    return [named.get(host, INGRESS_TLS_PORT) for host, _, _ in entries(targets, "ingress", 0)]
