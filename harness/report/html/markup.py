"""HTML by functions: whatever isn't `Html` already is escaped, so that nothing from a run becomes markup."""

from __future__ import annotations

import html
from collections.abc import Iterable

VOID = frozenset({"br", "col", "meta", "link", "wbr"})


class Html(str):
    """Text that is markup already; only this module and the page's own assets make it."""

    __slots__ = ()


def esc(value: object) -> Html:
    """``value`` as markup: `Html` as it is, everything else escaped, for text and for quoted attributes."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


def join(parts: Iterable[object], between: str = "") -> Html:
    """The parts in a row, each escaped unless it is `Html`."""
    return Html(esc(between).join(esc(part) for part in parts))


def el(name: str, /, *children: object, **attributes: object) -> Html:
    """One element.

    Args:
        name: of the element.
        children: `Html`, or text to be escaped; None is left out.
        attributes: ``cls`` is ``class``, a trailing underscore is dropped, other ones become hyphens; None and False
            leave the attribute out, True gives it without a value.

    """
    told = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = "class" if key == "cls" else key.rstrip("_").replace("_", "-")
        told += f" {label}" if value is True else f' {label}="{esc(value)}"'
    if name in VOID:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{join(child for child in children if child is not None)}</{name}>")
