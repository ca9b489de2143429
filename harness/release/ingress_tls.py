"""TLS at the Ingress, as the configuration says: a Secret and the Ingress' tls section, made for one scenario."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import certificates
from harness.cluster.owned import OWNED
from harness.config import Config
from harness.errors import ConfigurationError
from harness.release import smoke

if TYPE_CHECKING:
    from harness.journal import Journal

Json = dict[str, Any]

CA_FILE = "ca.pem"
"""In a scenario's folder: the certificate of the run's authority. Its key is nowhere."""
RUN = "run"


def equip(config: Config, objects: Sequence[Json], folder: Path, journal: Journal) -> list[Json]:
    """The prepared objects with what TLS needs; the given ones stay as they are.

    Args:
        config: the application, with the host that the Ingress has by now.
        objects: the scenario's.
        folder: gets the authority's certificate; the server's key goes into the Secret alone.
        journal: is told of the certificate.

    Raises:
        ConfigurationError: the manifests have another certificate for the host, or, where it is theirs to give, none.

    """
    ingress = config.ingress
    if ingress is None or ingress.tls is None or not any(item["kind"] == "Ingress" for item in objects):
        return list(objects)
    if ingress.tls.certificate != RUN:
        _require_section(config, objects)
        return list(objects)
    made = certificates.make(ingress.host)
    (folder / CA_FILE).write_text(made.ca, encoding="utf-8")
    journal.event("certificate.made", host=ingress.host, secret=ingress.tls.secret, expires=made.expires.isoformat())
    changed = [copy.deepcopy(item) for item in objects]
    for item in changed:
        if item["kind"] == "Ingress" and item["metadata"]["name"] == ingress.name:
            _add_section(config, item)
        if item["kind"] == "Secret" and item["metadata"]["name"] == ingress.tls.secret:
            raise ConfigurationError(
                f"{config.app.manifests}: Secret {ingress.tls.secret} is in the manifests, and the run makes it too",
                'call another one in [ingress.tls] secret, or say certificate = "manifests"',
            )
    return [*secret(config, made), *changed]


def secret(config: Config, made: certificates.Made | None) -> list[Json]:
    """The Secret with the certificate of the run; nothing where there is none.

    Args:
        config: the application.
        made: the certificate; None for a Secret without values, which only shows that there is one.

    """
    tls = config.ingress.tls if config.ingress is not None else None
    if tls is None or tls.certificate != RUN:
        return []
    values = {"tls.crt": made.certificate if made else "", "tls.key": made.key if made else ""}
    metadata = {"name": tls.secret, "labels": dict([OWNED])}
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "stringData": values}
    ]


def own_secrets(config: Config) -> list[Json]:
    """Every Secret that the harness makes for an application, without values."""
    return [*smoke.secret(config, None), *secret(config, None)]


def authorities(config: Config, folder: Path) -> str:
    """The file with the authorities that the load trusts; "" for those of the system.

    Args:
        config: the application.
        folder: as `equip` was given it.

    """
    tls = config.ingress.tls if config.ingress is not None else None
    if tls is None:
        return ""
    return str((folder / CA_FILE).absolute()) if tls.certificate == RUN else str(tls.ca or "")


def _sections(item: Json, host: str) -> list[Json]:
    return [one for one in item["spec"].get("tls") or [] if host in (one.get("hosts") or [])]


def _add_section(config: Config, item: Json) -> None:
    assert config.ingress is not None  # noqa: S101 - asked by the caller
    assert config.ingress.tls is not None  # noqa: S101
    host, name = config.ingress.host, config.ingress.tls.secret
    known = _sections(item, host)
    if other := [one.get("secretName") for one in known if one.get("secretName") != name]:
        raise ConfigurationError(
            f"{config.app.manifests}: Ingress {item['metadata']['name']} has Secret {other[0]!r} for {host}",
            f'name it in [ingress.tls] secret, or say certificate = "manifests"; the run would give it {name!r}',
        )
    if not known:
        item["spec"]["tls"] = [*(item["spec"].get("tls") or []), {"hosts": [host], "secretName": name}]


def _require_section(config: Config, objects: Sequence[Json]) -> None:
    assert config.ingress is not None  # noqa: S101 - asked by the caller
    assert config.ingress.tls is not None  # noqa: S101
    name, wanted = config.ingress.name, config.ingress.tls.secret
    for item in objects:
        if item["kind"] == "Ingress" and item["metadata"]["name"] == name:
            found = [one.get("secretName") for one in _sections(item, config.ingress.host)]
            if wanted not in found:
                raise ConfigurationError(
                    f"{config.app.manifests}: Ingress {name} has no tls with Secret {wanted!r} for "
                    f"{config.ingress.host}: {found or 'none'}",
                    'add it to its spec.tls, or say certificate = "run" in [ingress.tls]',
                )
