"""Which cluster is meant: kubeconfig files and the contexts in them."""

from __future__ import annotations

import difflib
import ipaddress
import os
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from kubernetes import client, config

from harness.cluster.api import CALL_SECONDS, Api
from harness.errors import ConfigurationError

POOL_SIZE = 16


def connect(kubeconfig: Path, context: str | None, call_seconds: float = CALL_SECONDS) -> Api:
    """The API of the cluster that a kubeconfig file names; nothing is sent yet.

    Args:
        kubeconfig: the file, or several with a colon between.
        context: the context in it; None is the file's current one.
        call_seconds: without a byte until a call is given up.

    Raises:
        ConfigurationError: the file or the context can't be used.

    """
    settings = client.Configuration()
    try:
        config.load_kube_config(
            config_file=str(kubeconfig), context=context, client_configuration=settings, persist_config=False
        )
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"{kubeconfig}: can't be used{f' with context {context!r}' if context else ''}: {error}",
            "name a kubeconfig file (and context) of the cluster to test",
        ) from error
    settings.retries = False  # None means urllib3's default, three
    settings.connection_pool_maxsize = POOL_SIZE
    if _is_loopback(settings.host):
        settings.proxy = None  # a proxy of the environment can't reach this machine's loopback
    pool = client.ApiClient(settings).rest_client.pool_manager

    def headers() -> dict[str, str]:
        token = settings.auth_settings().get("BearerToken")
        return {token["key"]: token["value"]} if token else {}

    return Api(pool, settings.host, headers, call_seconds)


def users_own(given: str | None) -> Path:
    """The kubeconfig that the user named, else that of ``KUBECONFIG``, else ``~/.kube/config``."""
    return Path(given or os.environ.get("KUBECONFIG") or "~/.kube/config").expanduser()


def require_context(kubeconfig: Path, name: str) -> None:
    """Refuse a context that the file doesn't have, with the nearest one.

    Raises:
        ConfigurationError: no such context, or no such file.

    """
    try:
        contexts, _ = config.list_kube_config_contexts(str(kubeconfig))
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"{kubeconfig}: can't be used: {error}", "name the file with --bg-kubeconfig, or set KUBECONFIG"
        ) from error
    names = [str(one["name"]) for one in contexts]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        known = ", ".join(sorted(names)) or "none"
        raise ConfigurationError(
            f"{kubeconfig} has no context {name!r}", f"did you mean {near[0]}?" if near else f"it has {known}"
        )


def _is_loopback(host: str) -> bool:
    name = urlsplit(host).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
