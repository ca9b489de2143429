"""What manifests tell of a blue-green application, and what they don't: pure, from objects to guesses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.labels import matches

Json = dict[str, Any]
SIDES = ("blue", "green")
KEYS = ("color", "side", "bluegreen", "bluegreen-side", "bluegreen-color")
"""Labels that may tell the sides of one Deployment apart; more than a Deployment has of its own."""
NAMED = ("app.kubernetes.io/name", "app")
"""Labels that hold an application's name."""


@dataclass(frozen=True)
class Guess:
    """One key's value, or what to choose from.

    Attributes:
        value: a string or number; None where it is the user's to say.
        why: how it was found, or what is missing.
        candidates: what to choose from, where there are several.

    """

    value: str | int | None
    why: str
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """Two Deployments that differ by one label: the sides."""

    key: str
    names: dict[str, str]
    deployments: dict[str, Json]

    def __str__(self) -> str:
        return ", ".join(f"{self.key}={value}: {name}" for value, name in self.names.items())


def pairs(objects: Sequence[Json]) -> list[Pair]:
    """Every two Deployments whose selectors differ by the value of one key."""
    found = []
    for one, other in itertools.combinations([item for item in objects if item.get("kind") == "Deployment"], 2):
        mine, its = _labels(one), _labels(other)
        differing = [key for key in mine if mine[key] != its.get(key)]
        if mine.keys() == its.keys() and len(differing) == 1:
            (key,) = differing
            both = {str(mine[key]): one, str(its[key]): other}
            found.append(Pair(key, {value: _name(item) for value, item in sorted(both.items())}, both))
    return found


def guesses(objects: Sequence[Json]) -> dict[str, Guess]:
    """The guesses by dotted key; of the optional [ingress] and [smoke] only what the manifests hold."""
    every = pairs(objects)
    fitting = [pair for pair in every if set(pair.names) == set(SIDES)]
    if len(fitting) != 1:
        one = only(objects)
        return _of_one(objects, one) if one and not every else _unknown(every, fitting)
    (pair,) = fitting
    why = f"these two Deployments differ by the label {pair.key} alone"
    found = {f"sides.{side}": Guess(pair.names[side], why) for side in SIDES}
    service = _services(objects, pair, found)
    _ingress(objects, service, found)
    active = str(_selector(service).get(pair.key)) if service else ""
    _container(pair.deployments, service, active, found)
    labels = _labels(pair.deployments["blue"])
    own = next((labels[key] for key in NAMED if key in labels), None)
    found["app.name"] = Guess(own or pair.names["blue"].removesuffix("-blue"), "only a name, for messages")
    return found


def only(objects: Sequence[Json]) -> Json | None:
    """The Deployment that both sides can be made of: the only one, or of several the one behind the only Ingress."""
    deployments = [item for item in objects if item.get("kind") == "Deployment"]
    if len(deployments) > 1:
        behind = {backend for _, _, backend, _ in _routes(objects)}
        services = [item for item in objects if item.get("kind") == "Service" and _name(item) in behind]
        deployments = [one for one in deployments if any(_selects(service, one) for service in services)]
    return deployments[0] if len(deployments) == 1 else None


def _of_one(objects: Sequence[Json], one: Json) -> dict[str, Guess]:
    """The guesses where one Deployment is there: both sides are made of it."""
    name, labels = _name(one), _pod_labels(one)
    why = "the only Deployment" + ("" if _alone(objects) else " behind the Ingress") + ": both sides are made of it"
    key = next(key for key in KEYS if key not in labels)
    found = {"sides.template": Guess(name, why), "service.selector_key": Guess(key, "a label that it doesn't have yet")}
    entered = {_name(item): item for item in objects if item.get("kind") == "Service" and _selects(item, one)}
    behind = [each for each in entered if any(each == backend for _, _, backend, _ in _routes(objects))]
    chosen = behind if len(behind) == 1 else list(entered)
    leads = ", and the Ingress leads to it" if behind == chosen else ""
    service = _entered(objects, entered, chosen, f"it selects that Deployment's pods{leads}", found)
    found["service.internal"] = Guess(f"{name}-{{side}}", "made for the check before the cutover, where there is none")
    _ingress(objects, service, found)
    _container(dict.fromkeys(SIDES, one), service, SIDES[0], found)
    tag = found["app.old"].value
    if found["app.image"].value is not None:
        found["app.old"] = Guess(tag, "its tag in the manifests" if tag else "the tag of the version that is live")
    found["app.new"] = Guess(None, "the tag of the version to release")
    own = next((labels[key] for key in NAMED if key in labels), None)
    found["app.name"] = Guess(own or name, "only a name, for messages")
    return found


def _alone(objects: Sequence[Json]) -> bool:
    return [item.get("kind") for item in objects].count("Deployment") == 1


def _unknown(every: Sequence[Pair], fitting: Sequence[Pair]) -> dict[str, Guess]:
    keys = (*(f"sides.{side}" for side in SIDES), "service.name", "service.port", "service.selector_key")
    keys = (*keys, "service.internal", "app.name", "app.container", "app.image", "app.old", "app.new")
    if fitting:
        why = f"{len(fitting)} pairs of Deployments differ by one label; which of them is tested?"
    elif every:
        why = "the label that tells the sides apart must have the values blue and green"
    else:
        why = "no two Deployments differ by one label of their selectors, nor is one alone there"
    return {key: Guess(None, why, tuple(str(pair) for pair in every) if key == "sides.blue" else ()) for key in keys}


def _services(objects: Sequence[Json], pair: Pair, found: dict[str, Guess]) -> Json | None:
    """The Service that users enter by: it selects a side and is no side's own."""
    labels = _labels(pair.deployments["blue"])
    ours = {
        _name(item): item
        for item in objects
        if item.get("kind") == "Service"
        and _selector(item).get(pair.key) in SIDES
        and all(labels.get(key) == value for key, value in _selector(item).items() if key != pair.key)
    }
    patterns = [
        name.replace("blue", "{side}")
        for name, item in ours.items()
        if _selector(item)[pair.key] == "blue"
        and "blue" in name
        and _selector(ours.get(name.replace("blue", "green"), {})).get(pair.key) == "green"
    ]
    own = {pattern.replace("{side}", side) for pattern in patterns for side in SIDES}
    entered = {name: item for name, item in ours.items() if name not in own}
    behind = [name for name in entered if any(name == backend for _, _, backend, _ in _routes(objects))]
    chosen = behind if len(behind) == 1 else list(entered)
    key, internal = "service.selector_key", "service.internal"
    found[key] = Guess(pair.key, "the label by which the Deployments differ")
    found[internal] = _one(patterns, "a Service per side, for the check before the cutover")
    why = "its selector holds that label" + (", and the Ingress leads to it" if behind == chosen else "")
    return _entered(objects, entered, chosen, why, found)


def _entered(
    objects: Sequence[Json], entered: Mapping[str, Json], chosen: Sequence[str], why: str, found: dict[str, Guess]
) -> Json | None:
    """The Service of users, if it is one, and its port."""
    found["service.name"] = _one(chosen, why)
    service = entered[chosen[0]] if len(chosen) == 1 else None
    ports = [port.get("port") for port in (service or {}).get("spec", {}).get("ports") or []]
    routed = [port for _, _, backend, port in _routes(objects) if list(chosen) == [backend] and port in ports]
    found["service.port"] = _one(list(dict.fromkeys(routed)) or ports, "the Service's port")
    return service


def _ingress(objects: Sequence[Json], service: Json | None, found: dict[str, Guess]) -> None:
    routes = [route for route in _routes(objects) if service is not None and route[2] == _name(service)]
    named = list(dict.fromkeys((_name(ingress), host, path) for ingress, (host, path), _, _ in routes if host))
    # a path below another one that leads to the same Service is a special case of it, such as that of WebSockets
    named = [one for one in named if not any(one[:2] == other[:2] and _below(one[2], other[2]) for other in named)]
    if not named:
        return
    several = tuple(f"{name}: {host}{path}" for name, host, path in named)
    for at, key in enumerate(("name", "host", "path")):
        values = list(dict.fromkeys(route[at] for route in named))
        found[f"ingress.{key}"] = (
            Guess(values[0], "it leads to that Service") if len(values) == 1 else Guess(None, "which one?", several)
        )


def _below(path: str, other: str) -> bool:
    return path != other and path.startswith(f"{other.rstrip('/')}/")


def _routes(objects: Sequence[Json]) -> Iterator[tuple[Json, tuple[str, str], str, int | None]]:
    """Each Ingress with (host, path), the Service behind it, and its port where that is a number."""
    for ingress in (item for item in objects if item.get("kind") == "Ingress"):
        for rule in ingress.get("spec", {}).get("rules") or []:
            for path in (rule.get("http") or {}).get("paths") or []:
                backend = (path.get("backend") or {}).get("service") or {}
                where = str(rule.get("host") or ""), str(path.get("path") or "/")
                yield ingress, where, str(backend.get("name")), (backend.get("port") or {}).get("number")


def _container(deployments: Mapping[str, Json], service: Json | None, active: str, found: dict[str, Guess]) -> None:
    """The container, its image and the two versions; the side that users are on has the old one."""
    sides = {side: {one["name"]: one for one in _containers(deployments[side])} for side in SIDES}
    names = [name for name in sides["blue"] if name in sides["green"]]
    targets = [port.get("targetPort", port.get("port")) for port in (service or {}).get("spec", {}).get("ports") or []]
    listening = [name for name in names if set(targets) & set(_ports(sides["blue"][name]))]
    chosen = listening if len(listening) == 1 else names
    found["app.container"] = _one(chosen, "the container that the Service leads to" if listening else "the only one")
    if len(chosen) != 1:
        for key in ("image", "old", "new"):
            found[f"app.{key}"] = Guess(None, "that container's")
        return
    tagged = {side: _tag(str(sides[side][chosen[0]].get("image", ""))) for side in SIDES}
    repositories = list(dict.fromkeys(name for name, _ in tagged.values()))
    found["app.image"] = _one([f"{name}:{{version}}" for name in repositories if name], "the container's image")
    old = active if active in SIDES else "blue"
    new = next(side for side in SIDES if side != old)
    for key, side, other in (("old", old, new), ("new", new, old)):
        tag, same = tagged[side][1], tagged[side][1] == tagged[other][1]
        where = f"the tag on {side}" + (", where the Service points" if side == active else "")
        if tag and not (same and key == "new"):
            found[f"app.{key}"] = Guess(tag, where)
        else:
            found[f"app.{key}"] = Guess(None, "both sides have the same tag" if tag else f"no tag on {side}")
    probe = sides["blue"][chosen[0]].get("readinessProbe") or {}
    path = (probe.get("httpGet") or {}).get("path")
    if path:
        found["smoke.path"] = Guess(str(path), "the readiness probe's path; if answers there tell their version")
    elif not probe:
        found["smoke.path"] = Guess(None, "there is no readiness probe: pods get users before they can answer")


def _one(values: Sequence[str | int | None], why: str) -> Guess:
    if len(values) == 1:
        return Guess(values[0], why)
    return Guess(None, "which one?" if values else "none found", tuple(str(value) for value in values))


def _tag(image: str) -> tuple[str, str]:
    """Name and tag of an image; no tag where it is named by digest or not at all."""
    name, colon, tag = image.rpartition(":")
    if "@" in image:
        return image.partition("@")[0], ""
    return (name, tag) if colon and "/" not in tag else (image, "")


def _labels(deployment: Json) -> Json:
    return ((deployment.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}


def _pod_labels(deployment: Json) -> Json:
    template = (deployment.get("spec") or {}).get("template") or {}
    return (template.get("metadata") or {}).get("labels") or _labels(deployment)


def _selects(service: Json, deployment: Json) -> bool:
    """Whether the Service leads to the Deployment's pods; one without a selector leads to none of the manifests'."""
    wanted = _selector(service)
    return bool(wanted) and matches(wanted, _pod_labels(deployment))


def _selector(service: Json) -> Json:
    return (service.get("spec") or {}).get("selector") or {}


def _containers(deployment: Json) -> list[Json]:
    return ((deployment["spec"].get("template") or {}).get("spec") or {}).get("containers") or []


def _ports(container: Json) -> Iterator[Any]:
    for port in container.get("ports") or []:
        yield port.get("containerPort")
        yield port.get("name")


def _name(item: Json) -> str:
    return str((item.get("metadata") or {}).get("name"))
