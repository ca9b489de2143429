"""``${NAME}`` in headers and bodies: taken from the environment as late as possible, and never written anywhere.

A configuration, a plan and the evidence hold the name; the load child fills in the value from its own environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from harness.errors import ConfigurationError

_MARK: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")


def names(text: str) -> list[str]:
    """The names in ``text``, each once, in order.

    Raises:
        ConfigurationError: a ``${`` that begins no name.

    """
    found: list[str] = []

    def keep(name: str) -> str:
        found.append(name)
        return ""

    replaced(text, keep)
    return list(dict.fromkeys(found))


def fill(text: str, environment: Mapping[str, str]) -> str:
    """``text`` with every name's value in its place; ``$${`` stands for ``${`` itself.

    Raises:
        ConfigurationError: a name that the environment doesn't have, or a ``${`` that begins no name.

    """

    def value(name: str) -> str:
        if name not in environment:
            raise ConfigurationError(f"${{{name}}} is not in the environment", f"set it: export {name}=...")
        return environment[name]

    return replaced(text, value)


def replaced(text: str, by: Callable[[str], str], literal: Callable[[str], str] = str) -> str:
    """``text`` with each name replaced by ``by(name)``, and ``literal(part)`` for all that lies between.

    Raises:
        ConfigurationError: a ``${`` that begins no name.

    """
    parts, at = [], 0
    for match in _MARK.finditer(text):
        parts.append(literal(text[at : match.start()]))
        at = match.end()
        if match[1]:
            parts.append(by(match[1]))
        elif match[0] == "$${":
            parts.append(literal("${"))
        else:
            raise ConfigurationError(
                f"{text[match.start() : match.start() + 20]!r} names nothing",
                "write ${NAME} for a value of the environment, $${ for the characters themselves",
            )
    return "".join([*parts, literal(text[at:])])
