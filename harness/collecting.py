"""Which of pytest's items are scenarios, and what is refused about them before anything starts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.errors import ConfigurationError

FIXTURE = "scenario"
FIXTURES_MODULE = "harness.fixtures"
EVERY_SWITCH = "every_switch"
TIERS_OF_THEIR_OWN = ("nightly", "mutants")


def is_scenario(item: pytest.Item) -> bool:
    """True if ``item`` takes this harness' fixture ``scenario``, however indirectly.

    Names prove nothing: other projects have fixtures called ``release`` or ``scenario`` too. Who overrides ours and
    asks for it in the override still has a scenario.
    """
    info = getattr(item, "_fixtureinfo", None)
    definitions = info.name2fixturedefs.get(FIXTURE, ()) if info is not None else ()
    for definition in reversed(definitions):  # the nearest to the item comes last
        if definition.func.__module__ == FIXTURES_MODULE:
            return True
        if FIXTURE not in definition.argnames:
            return False
    return False


def scenarios(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The scenarios among ``items``, in their order."""
    return [item for item in items if is_scenario(item)]


def parametrize(metafunc: pytest.Metafunc, switches: Sequence[str], workers: int = 0) -> None:
    """Give a scenario its paths; one that is for every switch, and was asked for some, each path that they have.

    Args:
        metafunc: of a scenario.
        switches: names, as --bg-switch told them; empty where it wasn't given.
        workers: as --bg-load-workers told: where there are some, users of the Service are inside the cluster.

    """
    from harness.cluster.running import CLUSTERIP

    inside = {"service": CLUSTERIP} if workers else {}
    marker = metafunc.definition.get_closest_marker("paths")
    paths = (marker and marker.args) or ("service", "ingress")
    if switches and metafunc.definition.get_closest_marker(EVERY_SWITCH):
        from harness.release.switches.known import KNOWN

        both = [(name, [path for path in paths if path in KNOWN[name].paths] or KNOWN[name].paths) for name in switches]
        pairs = [(inside.get(path, path), name) for name, ways in both for path in ways]
        metafunc.parametrize(("path", "switch"), pairs, indirect=True)
        return
    tiers = {path: tier for tier, path in (marker.kwargs if marker else {}).items()}
    marks = {path: getattr(pytest.mark, tier) for path, tier in tiers.items()}
    metafunc.parametrize(
        "path", [pytest.param(inside.get(path, path), marks=marks.get(path, ())) for path in paths], indirect=True
    )


def mutants(items: Sequence[pytest.Item]) -> dict[str, str]:
    """The scenarios that have to catch a broken release, by node id, with its id; its sound twin's isn't one."""
    found = {}
    for item in scenarios(items):
        marker = item.get_closest_marker("promises")
        if marker is not None and any(promise.check == "caught" for promise in marker.args):
            mutant = item.callspec.params.get("mutant") if hasattr(item, "callspec") else None
            found[item.nodeid] = str(getattr(mutant, "id", item.name))
    return found


def switch_of(item: pytest.Item) -> str:
    """The switch that a scenario was given by name; "" where it has its own, or the usual one."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("switch", "")) if callspec is not None else ""


def of_no_switch(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The scenarios that --bg-switch leaves out."""
    return [item for item in scenarios(items) if not item.get_closest_marker(EVERY_SWITCH)]


def refuse_unjudgeable(items: Sequence[pytest.Item]) -> None:
    """Refuse a scenario that could never fail, and a test whose promises nobody would look at.

    Raises:
        pytest.UsageError: with what and mend.

    """
    for item in items:
        marker = item.get_closest_marker("promises")
        if is_scenario(item):
            if marker is None:
                raise pytest.UsageError(
                    f"{item.nodeid} promises nothing, so it could never fail\n  mend: add @pytest.mark.promises(...)"
                )
            _refuse_misspelt(item, marker)
        elif marker is not None:
            raise pytest.UsageError(
                f"{item.nodeid} has promises, but nothing that they could be judged by\n"
                "  mend: take the fixture release in it, or leave the promises out"
            )


def refuse_misconfigured(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Say once, before anything starts, what is wrong with a configuration, not once for each scenario.

    Raises:
        pytest.UsageError: with what and mend.

    """
    from harness.fixtures import configuration_of

    for item in items:
        try:
            configuration_of(config, item)
        except ConfigurationError as error:
            raise pytest.UsageError(str(error)) from error


def later(items: Sequence[pytest.Item], tier: str, expression: str) -> list[pytest.Item]:
    """The scenarios that don't run now, because only another tier has them.

    Args:
        items: whatever was collected; tests of other projects may have markers of the same names.
        tier: "default" or "nightly".
        expression: what -m says; who names a marker there wants it ("not fast" names neither).

    """
    if tier == "nightly":
        return []
    kept = [marker for marker in TIERS_OF_THEIR_OWN if marker not in expression]
    return [
        item
        for item in scenarios(items)
        if any(item.get_closest_marker(marker) for marker in kept) and not item.get_closest_marker("fast")
    ]


def _refuse_misspelt(item: pytest.Item, marker: pytest.Mark) -> None:
    """A misspelt promise is said before the cluster starts, not after the scenario has run."""
    from harness.checks.registry import bind

    for promise in marker.args:
        try:
            bind(promise)
        except ConfigurationError as error:
            raise pytest.UsageError(f"{item.nodeid}: {error}") from error
