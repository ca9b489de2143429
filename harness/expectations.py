"""What happens to which connection, by data plane: one table, as data. docs/connections.md says the same to people.

What nobody has seen on a real cluster yet says so; it is what the sources of the data plane let one expect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

IPTABLES: Final = "kube-proxy (iptables)"
NFTABLES: Final = "kube-proxy (nftables)"
ENVOY: Final = "Contour/Envoy"
DATA_PLANES: Final = (IPTABLES, NFTABLES, ENVOY)

CLASSES: Final = ("fresh", "busy", "idle", "slow", "post", "websocket")

FLIP: Final = "flip"
RETIRE: Final = "retire"
EDIT: Final = "edit of another Ingress"
CONTROLLER: Final = "restart of the ingress controller"
PROXY: Final = "restart of the proxy"
OCCASIONS: Final = (FLIP, RETIRE, EDIT, CONTROLLER, PROXY)

UNTOUCHED: Final = "untouched"
MOVES: Final = "moves"
STAYS: Final = "stays"
EXPIRES: Final = "expires"
FINISHES: Final = "finishes"
RECONNECTS: Final = "reconnects"
RACE: Final = "race"
CUT: Final = "cut"
EFFECTS: Final[Mapping[str, str]] = {
    UNTOUCHED: "nothing happens to it",
    MOVES: "the next request is the new side's, within the limit of a cutover; nothing is lost",
    STAYS: "on the old side until that ends it; no delay helps",
    EXPIRES: "on the old side until the server's keep-alive time-out ends it, a few seconds; then on the new one",
    FINISHES: "is answered where it began",
    RECONNECTS: "is closed with 1012 and comes back on the new side; no message is lost",
    RACE: "most lose nothing; one that is sent while its connection is being closed is lost",
    CUT: "whatever is under way is lost",
}
"""In words, by effect."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What happens to one class on one occasion.

    Attributes:
        effect: a key of EFFECTS.
        scenario: the one that shows it; "" where none can here.
        seen: it was seen on a real cluster.

    """

    effect: str
    scenario: str = ""
    seen: bool = False


Row = Mapping[str, Cell]

_DRAIN = "test_retiring_the_old_side_at_once_loses_nothing_where_its_pods_drain"
_FIRST = "test_draining_the_old_side_first_lets_it_be_retired_empty"
_EDIT = "test_editing_another_ingress_touches_no_connection"
_CONTROLLER = "test_restarting_the_ingress_controller_touches_no_connection"
_PROXY = "test_restarting_the_proxy_cuts_sockets"
_ALL = " ".join(CLASSES)
_KUBE_PROXY = "test_restarting_kube_proxy_touches_no_connection"


def _row(effects: str, scenario: str = "", seen: str = "") -> Row:
    """Six effects in the order of CLASSES, and the classes of which it was seen."""
    return {
        name: Cell(effect, scenario, name in seen.split())
        for name, effect in zip(CLASSES, effects.split(), strict=True)
    }


TABLE: Final[Mapping[str, Mapping[str, Row]]] = {
    FLIP: {
        IPTABLES: _row("moves stays expires finishes moves stays", _FIRST, _ALL),
        NFTABLES: _row("moves stays expires finishes moves stays"),
        ENVOY: _row("moves moves moves finishes moves stays", _FIRST, _ALL),
    },
    RETIRE: {
        IPTABLES: _row("untouched moves moves finishes untouched reconnects", _DRAIN, _ALL),
        NFTABLES: _row("untouched moves moves finishes untouched reconnects"),
        ENVOY: _row("untouched untouched untouched finishes untouched reconnects", _FIRST, "idle slow post websocket"),
    },
    EDIT: {
        IPTABLES: _row("untouched untouched untouched untouched untouched untouched", _EDIT),
        NFTABLES: _row("untouched untouched untouched untouched untouched untouched"),
        ENVOY: _row("untouched untouched untouched untouched untouched untouched", _EDIT),
    },
    CONTROLLER: {
        IPTABLES: _row("untouched untouched untouched untouched untouched untouched"),
        NFTABLES: _row("untouched untouched untouched untouched untouched untouched"),
        ENVOY: _row("untouched untouched untouched untouched untouched untouched", _CONTROLLER),
    },
    PROXY: {
        IPTABLES: _row("untouched untouched untouched untouched untouched untouched", _KUBE_PROXY),
        NFTABLES: _row("untouched untouched untouched untouched untouched untouched"),
        ENVOY: _row("race race race race race cut", _PROXY),
    },
}
"""By occasion and data plane. A retire is one whose pods drain; the proxy is kube-proxy or Envoy itself."""


def markdown() -> Iterator[str]:
    """The table's lines for docs/connections.md; what was never seen is in brackets."""
    yield f"| occasion | data plane | {' | '.join(CLASSES)} |"
    yield f"|---|---|{'---|' * len(CLASSES)}"
    for occasion, planes in TABLE.items():
        for plane, row in planes.items():
            cells = (row[name].effect if row[name].seen else f"({row[name].effect})" for name in CLASSES)
            yield f"| {occasion} | {plane} | {' | '.join(cells)} |"
