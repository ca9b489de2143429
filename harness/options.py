"""The command line options, and what is wrong with them said in two lines."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import Any

import pytest

from harness.client.plan_check import MAX_WORKERS
from harness.client.socket_plan import MAX_SOCKETS
from harness.cluster import targets
from harness.cluster.mirror import parse
from harness.cluster.targets import Target
from harness.errors import ConfigurationError
from harness.faults import reach
from harness.objective import objective
from harness.release.switches.known import KNOWN, named
from harness.webhook import Webhook, redacted, webhook_of

IMAGE_MODES = ("auto", "pull", "build")
ENGINES = ("auto", "docker", "podman", "nerdctl")
PROXY_MODES = ("iptables", "nftables")
TIERS = ("default", "nightly")
OF_A_CONTEXT = ("--bg-kubeconfig", "--bg-namespace", "--bg-target", "--bg-node-port", "--bg-smoke-image",
                "--bg-load-image", "--bg-allow-faults", "--bg-dry-run")  # fmt: skip
PARALLEL = "pytest-xdist's -n was given: two measured windows at once spoil each other\n  mend: leave -n out"


def add(parser: pytest.Parser) -> None:
    """Register every ``--bg-...`` option."""
    group = parser.getgroup("bluegreen", "blue-green rehearsal")
    add_one = group.addoption
    add_one("--bg-config", metavar="FILE", default=None, help="configuration (default: bluegreen.toml, found upwards)")
    add_one(
        "--bg-images",
        choices=IMAGE_MODES,
        default="auto",
        help="pull images, build them, or build where no registry answers",
    )
    add_one(
        "--bg-registry-mirror",
        type=_mirror,
        metavar="[http://]HOST[:PORT][/PATH]",
        default="",
        help="pull every image through this registry",
    )
    add_one("--bg-engine", choices=ENGINES, default="auto", help="container engine (default: the first that answers)")
    add_one("--bg-install-packages", action="store_true", help="install missing system packages (root, Debian)")
    add_one("--bg-kube-proxy", choices=PROXY_MODES, default="iptables", help="mode of kube-proxy")
    add_one("--bg-tier", choices=TIERS, default="default", help="which scenarios run; -m fast picks the fast ones")
    add_one(
        "--bg-cutovers",
        type=_positive,
        metavar="N",
        default=10,
        help="moves in a row, cutovers and rollbacks in turn (default 10)",
    )
    add_one(
        "--bg-sockets",
        type=_count,
        metavar="N",
        default=None,
        help="WebSockets kept open, instead of [load] sockets; 0: none",
    )
    add_one(
        "--bg-rate",
        type=_factor,
        metavar="FACTOR",
        default=1.0,
        help="send so many times the requests a second of [load], 0.1 to 5: for machines that can't carry them",
    )
    add_one(
        "--bg-load-workers",
        type=_workers,
        metavar="N",
        default=0,
        help=f"users of the Service are N pods inside the cluster, at most {MAX_WORKERS}: path clusterip for service",
    )
    add_one(
        "--bg-switch",
        type=_switches,
        metavar="NAME[,NAME]",
        default=(),
        help=f"run the scenarios of every switch with these: {', '.join(KNOWN)}, or all",
    )
    add_one("--bg-no-static", action="store_true", help="cut over whatever the cluster's objects show")
    add_one("--bg-seed", type=int, metavar="N", default=1, help="what random walks are drawn from (default 1)")
    add_one("--bg-strict", action="store_true", help="judge every attempt of every class, retriable ones too")
    add_one(
        "--bg-slo",
        type=objective,
        metavar="PERCENT",
        default=None,
        help="share of good requests that is promised, such as 99.9; a scenario that burns more than its budget fails",
    )
    add_one("--bg-artifacts", metavar="DIR", default="artifacts", help="where runs are kept (default artifacts/)")
    add_one("--bg-keep-runs", type=_positive, metavar="N", default=10, help="how many runs are kept (default 10)")
    add_one(
        "--bg-rerun-inconclusive",
        action="store_true",
        help="run an inconclusive scenario once more, whole; both are recorded",
    )
    add_one(
        "--bg-notify",
        type=_webhook,
        metavar="URL",
        default=None,
        help="tell this webhook of each change of color, as JSON; better by BLUEGREEN_NOTIFY: command lines are public",
    )
    add_one(
        "--bg-time-limit",
        type=_positive,
        metavar="SECONDS",
        default=7200,
        help="wall-clock limit of the whole run; stacks are dumped",
    )
    _add_existing(parser)


def _add_existing(parser: pytest.Parser) -> None:
    """The options of a cluster that is there already; all but the first need the first."""
    add_one = parser.getgroup("bluegreen-cluster", "blue-green rehearsal on your own cluster").addoption
    add_one("--bg-context", metavar="NAME", default="", help="run on the cluster of this context, not on one of kind")
    add_one("--bg-kubeconfig", metavar="FILE", default=None, help="where the context is (default: KUBECONFIG)")
    add_one("--bg-namespace", metavar="NAME", default="", help="use this namespace (default: make one per scenario)")
    add_one(
        "--bg-target",
        type=_target,
        action="append",
        metavar="[service=|ingress=|tls=]HOST[:PORT]",
        default=[],
        help="a host that may be loaded: a node, or the Ingress controller (repeatable)",
    )
    add_one(
        "--bg-node-port", type=_positive, metavar="PORT", default=0, help="the NodePort (default: the API's choice)"
    )
    add_one("--bg-smoke-image", metavar="NAME", default="", help="the smoke runner's image, as your nodes know it")
    add_one("--bg-load-image", metavar="NAME", default="", help="the load workers' image, as your nodes know it")
    add_one(
        "--bg-allow-faults",
        type=_fault,
        action="append",
        metavar="NAME",
        default=[],
        help="let this fault happen, which reaches beyond the namespace (repeatable)",
    )
    add_one("--bg-dry-run", action="store_true", help="list what would be made and changed there, and end")


def add_alias(parser: pytest.Parser, known: Sequence[str]) -> None:
    """``--namespace`` for ``--bg-namespace``, where no other plugin and no conftest.py has an option of that name.

    Args:
        parser: pytest's, before it parses for good.
        known: the names of all options so far.

    """
    if "--namespace" not in known:
        group = parser.getgroup("bluegreen-cluster")
        group.addoption("--namespace", dest="bg_namespace", metavar="NAME", default="", help="as --bg-namespace")


def _count(text: str) -> int:
    value = int(text)
    if not 0 <= value <= MAX_SOCKETS:
        raise ValueError(text)
    return value


def _workers(text: str) -> int:
    value = int(text)
    if not 0 <= value <= MAX_WORKERS:
        raise ValueError(text)
    return value


def _switches(text: str) -> tuple[str, ...]:
    try:
        return named(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _factor(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 5:
        raise ValueError(text)
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _mirror(text: str) -> str:
    try:
        parse(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _webhook(text: str) -> Webhook:
    try:
        return Webhook(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _target(text: str) -> Target:
    try:
        return targets.parse(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _fault(text: str) -> str:
    try:
        return reach.known(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def refuse_misspelt(args: Sequence[str], known: Sequence[str]) -> None:
    """Name the nearest right option for a ``--bg-...`` that doesn't exist.

    Raises:
        pytest.UsageError: with what and mend.

    """
    for arg in args:
        name = arg.split("=", 1)[0]
        if name.startswith("--bg") and name not in known:
            ours = [option for option in known if option.startswith("--bg-")]
            near = difflib.get_close_matches(name, ours, n=1, cutoff=0.0)
            raise pytest.UsageError(f"there is no option {name}\n  mend: did you mean {near[0]}?")


def repeating(arguments: Sequence[str], parser: Any) -> list[str]:
    """Those of a command line's words that another run of one scenario needs: where and how, but not which.

    Args:
        arguments: of pytest.
        parser: pytest's, for which options take a value.

    """
    options = [option for group in parser._groups for option in group.options]
    known = {name: option for option in options for name in option.names() if name.startswith(_REPEATED)}
    kept: list[str] = []
    words = iter(redacted(arguments))
    for word in words:
        name, given, _ = word.partition("=")
        if name not in known or name == "--bg-notify":
            continue
        kept.append(word)
        attributes = known[name].attrs()  # pytest 8 tells the action's name, pytest 9 the action's own
        flag = attributes.get("nargs") == 0 or attributes.get("action") == "store_true"
        if not given and not flag:
            kept += [value for value in (next(words, None),) if value is not None]
    return kept


_REPEATED = ("--bg-", "--namespace", "--cluster-name", "--keep-cluster", "--kind-")


def refuse(config: pytest.Config) -> None:
    """Refuse options that would make a verdict worthless.

    Raises:
        pytest.UsageError: with what and mend.

    """
    if given := config.getoption("kubeconfig", None):
        raise pytest.UsageError(
            f"a foreign kubeconfig was given: {given}\n"
            "  mend: leave --kubeconfig out: the harness makes its own cluster and keeps that kubeconfig in the cache;"
            " to run on yours, name it with --bg-context (and --bg-kubeconfig)"
        )
    try:
        webhook_of(config.getoption("--bg-notify"))
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None
    if not config.getoption("--bg-context", ""):
        useless = [name for name in OF_A_CONTEXT if config.getoption(name, None)]
        if useless:
            raise pytest.UsageError(
                f"{useless[0]} was given without a cluster\n  mend: name one with --bg-context, or leave that out"
            )
    elif not config.getoption("--bg-target") and not config.getoption("--bg-dry-run"):
        raise pytest.UsageError(
            "no host was named that may be loaded\n  mend: pass --bg-target HOST: a node's address, or"
            " ingress=HOST[:PORT] for the Ingress controller's"
        )
