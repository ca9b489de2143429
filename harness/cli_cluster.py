"""The commands around a cluster that is there already: ``rbac``, ``preflight``, ``clean --bg-context``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import EXIT_PASS, ConfigurationError

if TYPE_CHECKING:  # `bluegreen clean` runs without any package
    from harness.cluster.existing import Options
    from harness.config import Config

COMMANDS = ("rbac", "preflight")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> tuple[argparse.ArgumentParser, ...]:
    """Add the commands; returns their parsers."""
    rbac = commands.add_parser("rbac", help="print the Role that a run on your cluster needs", allow_abbrev=False)
    look = commands.add_parser("preflight", help="say what would keep a run from its verdict", allow_abbrev=False)
    _of_the_application(rbac)
    rbac.add_argument("--bg-switch", default="selector", metavar="NAME[,NAME]", help="what moves users, or all")
    rbac.add_argument("--bg-load-workers", type=int, default=0, metavar="N", help="pods that send the load")
    _of_the_application(look)
    _of_the_cluster(look)
    look.add_argument("--bg-target", action="append", default=[], metavar="[service=|ingress=]HOST[:PORT]")
    look.add_argument("--bg-node-port", type=int, default=0, metavar="PORT")
    look.add_argument("--bg-smoke-image", default="", metavar="NAME")
    look.add_argument("--bg-load-image", default="", metavar="NAME")
    look.add_argument("--bg-load-workers", type=int, default=0, metavar="N")
    return rbac, look


def add_to_clean(clean: argparse.ArgumentParser) -> None:
    """Let ``clean`` speak of a cluster that is there already."""
    _of_the_application(clean)
    _of_the_cluster(clean)


def run(chosen: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Run one of the commands and return its exit code.

    Raises:
        HarnessError: what keeps it from its work.

    """
    from harness.cluster.existing import find_kubectl
    from harness.release.ingress_tls import own_secrets
    from harness.release.rendering import render
    from harness.release.switches.route import own_routes

    if chosen.command == "preflight":
        from harness import preflight

        lines = preflight.look(_config(chosen, os.environ), _options(chosen) if chosen.bg_context else None)
        for line in lines:
            say(str(line))
        return preflight.exit_code(lines)
    if chosen.command == "rbac":
        from harness import rbac
        from harness.release.switches.known import named

        config, moved_by = _config(chosen, None), named(chosen.bg_switch)
        rendered = render(config, find_kubectl(None), chosen.namespace or "default")
        say(rbac.manifests(config, rendered, chosen.namespace, moved_by, chosen.bg_load_workers).rstrip())
        return EXIT_PASS
    from harness.clean_existing import clean

    # only a namespace that was given needs the manifests: of one that was made everything goes
    rendered = []
    if chosen.namespace:
        config = _config(chosen, None)
        rendered = [*own_secrets(config), *own_routes(config), *render(config, find_kubectl(None), chosen.namespace)]
    clean(_options(chosen), rendered, say)
    return EXIT_PASS


def cleans_existing(chosen: argparse.Namespace) -> bool:
    """Whether ``clean`` speaks of a cluster that is there already.

    Raises:
        ConfigurationError: it says only half of what that takes.

    """
    if chosen.bg_context and chosen.all:
        raise ConfigurationError("--all is for clusters that the harness made", "leave --all or --bg-context out")
    if not chosen.bg_context and (chosen.namespace or chosen.bg_kubeconfig):
        raise ConfigurationError("no cluster was named", "name it with --bg-context")
    return bool(chosen.bg_context)


def _of_the_application(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", "--bg-config", type=Path, metavar="FILE", help="default: found upwards")
    parser.add_argument(
        "--namespace", "--bg-namespace", default="", metavar="NAME", help="the one given to the harness"
    )


def _of_the_cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bg-context", default="", metavar="NAME", help="the context of the cluster")
    parser.add_argument("--bg-kubeconfig", metavar="FILE", help="where the context is (default: KUBECONFIG)")


def _config(chosen: argparse.Namespace, environment: Mapping[str, str] | None) -> Config:
    from harness.config import load

    return load(chosen.config or Path.cwd(), environment)


def _options(chosen: argparse.Namespace) -> Options:
    from harness.cluster import existing, kubeconfig, targets

    given = vars(chosen)
    return existing.Options(
        kubeconfig=kubeconfig.users_own(chosen.bg_kubeconfig),
        context=chosen.bg_context,
        namespace=chosen.namespace,
        targets=tuple(targets.parse(text) for text in given.get("bg_target", ())),
        node_port=given.get("bg_node_port", 0),
        smoke_image=given.get("bg_smoke_image") or existing.SMOKE_IMAGE,
        load_image=given.get("bg_load_image") or existing.LOAD_IMAGE,
        workers=given.get("bg_load_workers", 0),
    )
