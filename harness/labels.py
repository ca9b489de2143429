"""Which labels a selector selects, by the rules of Kubernetes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """Whether a label selector with ``matchLabels`` and ``matchExpressions`` selects; an empty one selects all."""
    return matches(selector.get("matchLabels") or {}, labels) and all(
        _holds(one, labels) for one in selector.get("matchExpressions") or []
    )


def matches(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether the labels have all the wanted ones, as a Service's selector wants them."""
    return all(labels.get(name) == value for name, value in wanted.items())


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(str(expression["key"])), expression.get("values") or []
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(str(expression["operator"]), False)
