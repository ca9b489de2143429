"""Limits written on a command line: a check's parameter, a promise. What is misspelt is refused, the nearest named."""

from __future__ import annotations

import ast
import difflib
import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from harness.checks import promises
from harness.checks.promise import Promise
from harness.checks.registry import bind, checks
from harness.errors import ConfigurationError

_WORDS = {"CUTOVER": promises.CUTOVER, "ROLLBACK": promises.ROLLBACK, "START": promises.START}


@dataclass(frozen=True)
class Limit:
    """One parameter of one check, and what it is to be.

    Attributes:
        check: the check's name.
        param: the parameter's.
        value: of the parameter's type.

    """

    check: str
    param: str
    value: Any


def limit(text: str) -> Limit:
    """Read ``CHECK.PARAM=VALUE``: a number, a text, names separated by commas, or ``none``.

    Raises:
        ConfigurationError: another form, a check or parameter that doesn't exist, a value of another type.

    """
    place, equals, value = text.partition("=")
    check, dot, param = place.strip().partition(".")
    if not (equals and dot):
        raise ConfigurationError(f"the limit {text!r} has another form", "write CHECK.PARAM=VALUE: only.within=1.5")
    known = checks()
    if check not in known:
        _unknown(f"there is no check called {check}", check, known)
    types = _types(known[check].rule)
    if param not in types:
        if not types:
            raise ConfigurationError(f"{check} has no limit called {param}", "it has none at all")
        _unknown(f"{check} has no limit called {param}", param, types)
    return Limit(check, param, _value(f"{check}.{param}", value.strip(), types[param]))


def promise(text: str) -> Promise:
    """Read a promise as a scenario writes it: ``only("v2", within=1.5)``. Nothing of it is executed but the promise.

    Raises:
        ConfigurationError: no such promise, or one that no check can judge.

    """
    try:
        made = _read(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError):
        raise ConfigurationError(f"{text!r} is no promise", "write it as in a scenario: nothing_lost()") from None
    if not isinstance(made, Promise):
        raise ConfigurationError(f"{text!r} is no promise", "write it as in a scenario: nothing_lost()")
    bind(made)
    return made


def _read(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        if node.id not in _WORDS:
            mend = "a stored run knows versions, not words for them: write the version in quotes"
            raise ConfigurationError(f"{node.id} isn't known here", mend)
        return _WORDS[node.id]
    if not isinstance(node, ast.Call):
        return ast.literal_eval(node)
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    known = _promises()
    if name not in known:
        _unknown(f"there is no promise called {name}", name, known)
    parameters = inspect.signature(known[name]).parameters
    given = {str(keyword.arg): _read(keyword.value) for keyword in node.keywords}
    for key in given:
        if key not in parameters:
            _unknown(f"{name} takes no {key}", key, parameters)
    arguments = [_read(argument) for argument in node.args]
    try:
        return known[name](*arguments, **given)
    except (TypeError, ValueError, AttributeError) as error:
        mend = f"it takes {inspect.signature(known[name])}"
        raise ConfigurationError(f"{ast.unparse(node)} can't be promised: {error}", mend) from None


def _promises() -> dict[str, Callable[..., Promise]]:
    functions = inspect.getmembers(promises, inspect.isfunction)
    return {name: one for name, one in functions if one.__module__ == promises.__name__ and not name.startswith("_")}


def _types(rule: Callable[..., object]) -> dict[str, str]:
    """The parameters of a check that are limits, with their annotations. Booleans are set by the harness alone."""
    return {
        name: str(parameter.annotation)
        for name, parameter in inspect.signature(rule).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.annotation != "bool"
    }


def _value(name: str, text: str, annotation: str) -> Any:
    kind = annotation.removesuffix(" | None")
    if text.lower() == "none" and kind != annotation:
        return None
    if kind.startswith("Sequence"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind == "str":
        return text
    try:
        value = int(text) if kind == "int" else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        what = "a whole number" if kind == "int" else "a number"
        raise ConfigurationError(f"{name} can't be {text!r}", f"write {what} of 0 or more")
    return value


def _unknown(what: str, name: str, known: Iterable[str]) -> NoReturn:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    raise ConfigurationError(what, f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}")
