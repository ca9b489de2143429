"""What a run would make, change and read on a cluster that somebody else owns: told, not done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.cluster.existing import Options, prefix_of, where
from harness.cluster.permissions import kinds, needed, plural
from harness.config import Config
from harness.release.ingress_tls import own_secrets
from harness.release.isolate import isolate
from harness.release.manifests import Placement, prepare
from harness.release.switches.route import own_routes

Json = dict[str, Any]
READING = ("get", "list", "watch")


def would_make(config: Config, rendered: Sequence[Json], options: Options) -> list[Json]:
    """The objects of one scenario as they would be created, the Ingress among them if there is one.

    Raises:
        ConfigurationError: the manifests don't fit the configuration.

    """
    name = options.namespace or "bg-00000000"
    placement = Placement(name, config.app.old, options.node_port, ingress=config.ingress is not None)
    return isolate(config, prepare(config, rendered, placement), prefix_of(name))


def lines(config: Config, rendered: Sequence[Json], options: Options, moved_by: Sequence[str] = ()) -> list[str]:
    """One line per verb and object.

    Args:
        config: the application.
        rendered: its manifests.
        options: the cluster and what of it may be used.
        moved_by: names of the switches that move users, beside the selector.

    Raises:
        ConfigurationError: the manifests don't fit the configuration.

    """
    name = options.namespace or "bg-(8 hex digits)"
    objects = would_make(config, rendered, options)
    told = [f"{config.file}: context {options.context}, {where(options)}; nothing was sent"]
    if not options.namespace:
        told += [f"  create           namespaces/{name}", "  create           resourcequotas/bluegreen"]
    for item in objects:
        only = " (ingress path only)" if item["kind"] == "Ingress" else ""
        told.append(f"  create           {plural(item['kind'])}/{item['metadata']['name']}{only}")
    told += [f"  create           secrets/{item['metadata']['name']}" for item in own_secrets(config)]
    for deployment in config.sides.deployments.values():
        told.append(f"  patch            deployments/{deployment} (image) and its scale (replicas)")
    told.append(f"  patch            services/{config.service.name} (selector)")
    if "ingress" in moved_by and config.ingress is not None:
        told.append(f"  patch            ingresses/{config.ingress.name} (backends)")
        told.append(f"  create           ingresses/{config.ingress.name}-both (ingress path only)")
    for route in _routes(config, moved_by):
        name = f"{plural(route['kind'])}/{route['metadata']['name']}"
        told.append(f"  create           {name} (ingress path only, in the Ingress' place)")
        told.append(f"  patch            {name} (weights)")
    told.append("  create           jobs/smoke-(side)-(number)")
    if options.workers:
        told.append(
            f"  create           jobs/bluegreen-load-(6 hex digits), {options.workers} pods (clusterip path only)"
        )
    if options.namespace:
        made = [*objects, *own_secrets(config), *_routes(config, moved_by)]
        gone = sorted({plural(kind) for _, kind in kinds(made)} | {"jobs", "pods"})
        told.append(f"  deletecollection {', '.join(gone)} with the harness' label")
    else:
        told.append("  deletecollection ingresses, pods")
        told.append(f"  delete           namespaces/{name}")
    rights = needed(
        [*rendered, *own_secrets(config)],
        admin=config.admin is not None,
        made=not options.namespace,
        drain=config.drains,
        switches=config.switches is not None,
        moved_by=moved_by,
        workers=options.workers,
    )
    if options.workers:
        told.append("  create           pods/proxy: POST to the load's workers")
    if config.drains:
        told.append("  create           pods/proxy: POST to the admin port's drain")
    for verb in READING:
        told.append(f"  {verb:<16} {', '.join(sorted(right.resource for right in rights if right.verb == verb))}")
    return told


def _routes(config: Config, moved_by: Sequence[str]) -> list[Json]:
    """The HTTPRoute that some switches put in the Ingress' place."""
    return own_routes(config) if {"route-weight", "route-ramp"} & set(moved_by) else []
