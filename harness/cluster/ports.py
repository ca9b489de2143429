"""Ports: free ones on 127.0.0.1, proven by a round trip, and NodePorts leased to namespaces."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
from collections.abc import Iterator

from harness.errors import SetupError

INGRESS_NODE_PORT = 30900
LEASED_NODE_PORTS = tuple(range(30901, 30908))
INGRESS_TLS_NODE_PORT = 30908
NODE_PORTS = (INGRESS_NODE_PORT, *LEASED_NODE_PORTS, INGRESS_TLS_NODE_PORT)
_RANGE = range(20000, 32000)  # below the ephemeral range (net.ipv4.ip_local_port_range starts at 32768)


def round_trip(port: int, bound: float = 0.5) -> bool:
    """True if a listener on 127.0.0.1:``port`` can be reached.

    ``bind()`` alone proves nothing: address translation rules that a killed engine left behind swallow every
    connection to a port that binds without complaint.
    """
    with socket.socket() as server, socket.socket() as client:
        try:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", port))
            server.listen(1)
            server.settimeout(bound)
            client.settimeout(bound)
            client.connect(("127.0.0.1", port))
            server.accept()[0].close()
        except OSError:
            return False
    return True


def choose(count: int, seed: str) -> list[int]:
    """``count`` usable ports; the same ``seed`` prefers the same ones, so that two checkouts differ.

    Raises:
        SetupError: too few ports are free.

    """
    order = list(_RANGE)
    random.Random(hashlib.sha256(seed.encode()).digest()).shuffle(order)  # noqa: S311 - not a secret
    found: list[int] = []
    for port in order[: count * 20]:
        if round_trip(port):
            found.append(port)
            if len(found) == count:
                return found
    raise SetupError(
        f"only {len(found)} of {count} ports on 127.0.0.1 between {_RANGE.start} and {_RANGE.stop} could be used",
        "end what occupies them; a `bluegreen clean` removes clusters that earlier runs left",
    )


class Leases:
    """The NodePorts of one cluster, each lent to one namespace at a time."""

    def __init__(self) -> None:
        self._free = list(LEASED_NODE_PORTS)

    @contextlib.contextmanager
    def lease(self) -> Iterator[int]:
        """Lend one NodePort for the duration of the block.

        Raises:
            SetupError: all are lent.

        """
        if not self._free:
            raise SetupError("all NodePorts are leased", "fewer namespaces at a time")
        port = self._free.pop(0)
        try:
            yield port
        finally:
            self._free.append(port)
