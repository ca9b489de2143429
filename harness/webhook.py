"""Where notifications go: a URL whose secrets are never written or printed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from harness.errors import ConfigurationError

VARIABLE: Final = "BLUEGREEN_NOTIFY"


class Webhook:
    """Where a notification goes.

    Args:
        url: http or https, with whatever secrets it holds.

    Raises:
        ConfigurationError: no such URL; the message doesn't repeat it.

    """

    __slots__ = ("_url", "host")

    def __init__(self, url: str) -> None:
        mend = f"such as https://chat.example.com/hooks/..., by --bg-notify or {VARIABLE}"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigurationError("the address for notifications is no URL", mend) from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("the address for notifications is no http or https URL", mend)
        self._url = url
        self.host = f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")

    def reveal(self) -> str:
        """The whole URL, for the request alone."""
        return self._url

    def __repr__(self) -> str:
        return f"Webhook({self.host})"

    __str__ = __repr__


def redacted(arguments: Sequence[str]) -> list[str]:
    """A command line without the secret part of a --bg-notify."""
    out: list[str] = []
    for position, argument in enumerate(arguments):
        if position and arguments[position - 1] == "--bg-notify":
            out.append(_hidden(argument))
        elif argument.startswith("--bg-notify="):
            out.append("--bg-notify=" + _hidden(argument.partition("=")[2]))
        else:
            out.append(argument)
    return out


def _hidden(url: str) -> str:
    try:
        return f"{Webhook(url).host}/..."
    except ConfigurationError:
        return "..."


def webhook_of(option: Webhook | None, environment: Mapping[str, str] = os.environ) -> Webhook | None:
    """The option's, or the environment's; None where neither is given.

    Raises:
        ConfigurationError: the environment's is no URL.

    """
    if option is not None:
        return option
    given = environment.get(VARIABLE, "")
    return Webhook(given) if given else None
