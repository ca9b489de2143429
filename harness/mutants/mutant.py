"""What a mutant.toml says, read and checked."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.config import Config
from harness.errors import ConfigurationError
from harness.mutants.procedure import RELEASE, parse

FILE = "mutant.toml"
GATES = ("static", "refusal", "smoke", "traffic")
_TEXTS = ("source", "breaks", "expected", "gate")
_ALL = (*_TEXTS, "procedure", "ready_seconds", "version", "static", "canary", "slow_path")


@dataclass(frozen=True)
class Mutant:
    """One broken release; without an `expected` a sound one, the twin by which false alarms are counted.

    Attributes:
        id: the folder's name.
        folder: a kustomization on the demo's manifests.
        source: where the tutorial tells of it: M1 to M7, T1 to T6, P1 to P8, S1 to S5, F1 to F10.
        breaks: what is wrong, in a sentence.
        expected: the id of the right diagnosis.
        gate: the part of the gate that must turn red.
        steps: the release's procedure.
        ready_seconds: limits.ready_seconds instead of the configuration's; 0 leaves it.
        version: the version that is released instead of the configuration's; "" leaves it.
        static: the static checks find it too, with the same id.
        canary: runs in the fast tier.
        slow_path: the slow class' target instead of the configuration's; "" leaves it.

    """

    id: str
    folder: Path
    source: str
    breaks: str
    expected: str
    gate: str
    steps: tuple[tuple[str, ...], ...]
    ready_seconds: float = 0.0
    version: str = ""
    static: bool = False
    canary: bool = False
    slow_path: str = ""

    def applied_to(self, config: Config) -> Config:
        """The configuration with this mutant's manifests and limits."""
        app = replace(config.app, manifests=self.folder, new=self.version or config.app.new)
        limits = replace(config.limits, ready_seconds=self.ready_seconds or config.limits.ready_seconds)
        refuse = self.gate == "static" or not self.expected
        probes = replace(config.probes, gate="refuse" if refuse else "tell")  # what objects show, others have to catch
        request = config.request
        if self.slow_path and request.slow is not None:
            request = replace(request, slow=replace(request.slow, path=self.slow_path))
        return replace(config, app=app, limits=limits, probes=probes, request=request)


def mutants(folder: Path) -> list[Mutant]:
    """All mutants and twins below a folder, by id.

    Raises:
        ConfigurationError: a mutant.toml that can't be read, or says something unknown.

    """
    return [read(file.parent) for file in sorted(folder.glob(f"*/{FILE}"))]


def read(folder: Path) -> Mutant:
    """The mutant in a folder.

    Raises:
        ConfigurationError: as ``mutants``.

    """
    file = folder / FILE
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(
            f"{file}: can't be read: {error}", "mend it; docs/mutants.md tells its keys"
        ) from error
    for key in data:
        if key not in _ALL:
            near = difflib.get_close_matches(key, _ALL, n=1)
            raise ConfigurationError(
                f"{file}: there is no key {key}", f"did you mean {near[0]}?" if near else f"one of {', '.join(_ALL)}"
            )
    for key in _TEXTS:
        if not isinstance(data.get(key), str):
            raise ConfigurationError(f"{file}: {key} must be a string", f'write {key} = "..."')
    if data["gate"] not in GATES:
        raise ConfigurationError(f"{file}: gate can't be {data['gate']!r}", f"one of {', '.join(GATES)}")
    _require(file, data, "procedure", str)
    _require(file, data, "version", str)
    _require(file, data, "slow_path", str)
    _require(file, data, "static", bool)
    _require(file, data, "canary", bool)
    seconds = data.get("ready_seconds", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 3600:
        raise ConfigurationError(f"{file}: ready_seconds must be a number up to 3600", "write seconds, such as 15")
    texts = {key: data[key] for key in _TEXTS}
    return Mutant(
        id=folder.name,
        folder=folder,
        **texts,
        steps=parse(data.get("procedure", RELEASE), str(file)),
        ready_seconds=float(seconds),
        version=data.get("version", ""),
        static=data.get("static", False),
        canary=data.get("canary", False),
        slow_path=data.get("slow_path", ""),
    )


def _require(file: Path, data: dict[str, Any], key: str, kind: type) -> None:
    if key in data and not isinstance(data[key], kind):
        raise ConfigurationError(f"{file}: {key} must be a {kind.__name__}", "mend it; docs/mutants.md tells its keys")
