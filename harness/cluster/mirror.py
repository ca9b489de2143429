"""A registry that mirrors all others, as --bg-registry-mirror names it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import ConfigurationError

_FORM = re.compile(
    r"(?:(?P<scheme>https?)://)?"
    r"(?P<host>[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)/?"  # as the distribution specification has image names
)
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Mirror:
    """One mirror.

    Attributes:
        address: host[:port], where the registry API is served.
        path: what comes before an image's own name, "" or "/..." without a slash at its end.
        plain: unencrypted: said by http://, and without a scheme so on this machine itself, as engines have it.

    """

    address: str
    path: str
    plain: bool

    def source(self, name: str) -> str:
        """Where the image ``name``, which begins with its own registry, is pulled from."""
        return f"{self.address}{self.path}/{name.split('/', 1)[1]}"

    def pull_flags(self, engine: str) -> list[str]:
        """What ``engine`` must be told to pull unencrypted; docker's daemon decides that by its own configuration."""
        flags = {"podman": ["--tls-verify=false"], "nerdctl": ["--insecure-registry"]}
        return flags.get(engine, []) if self.plain else []


def parse(text: str) -> Mirror | None:
    """The mirror that ``text`` names, or None for "".

    Raises:
        ConfigurationError: it has another form.

    """
    if not text:
        return None
    match = _FORM.fullmatch(text)
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        raise ConfigurationError(
            f"--bg-registry-mirror {text}: no name of a registry",
            "write HOST[:PORT][/PATH], e.g. mirror.example.com:5000, with http:// before it where it is unencrypted",
        )
    address = match["host"] + (f":{match['port']}" if match["port"] else "")
    plain = match["scheme"] == "http" or (match["scheme"] is None and match["host"] in _LOOPBACK)
    return Mirror(address, match["path"], plain)
