"""Argo Rollouts on a cluster of ours: built, loaded and installed once, and only where it is asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from harness.cluster import rollouts
from harness.cluster.kube_rollouts import state
from harness.cluster.offline.components import Builder, Component
from harness.cluster.offline.golang import MODULES
from harness.cluster.owned import OWNED
from harness.cluster.store import Store
from harness.errors import SetupError

MODULES_FOLDER = Path(__file__).parents[1] / "images" / "offline" / "modules"


class World:
    """A cluster and a builder that write down what they are asked."""

    def __init__(self, folder: Path, *, builds: bool = True) -> None:
        self.asked: list[str] = []
        self.installed = ""
        self.overlay: dict[str, Any] = {}
        (folder / "manifests").mkdir()
        (folder / "manifests" / "install.yaml").write_text("kind: Deployment\n")
        go = SimpleNamespace(binaries=lambda name: folder / name, source=lambda name, path: folder)
        self.builder = SimpleNamespace(go=go, component=self.component)
        self.source: Any = SimpleNamespace(builds=builds, builder=lambda: self.builder, pull=self.pull)
        self.store = Store(folder / "cache", lambda _: None)

    def component(self, one: Component) -> None:
        self.asked.append(f"build {one.image} user {one.user} {one.path}")

    def pull(self, image: str) -> None:
        self.asked.append(f"pull {image}")

    def load(self, images: list[str]) -> None:
        self.asked.append(f"load {' '.join(images)}")

    def kubectl(self, *words: str, timeout: float = 60) -> str:
        if words[0] == "get":
            return self.installed
        assert words[:-1] == ("apply", "--server-side", "--force-conflicts", "-k") and timeout > 60
        folder = Path(words[-1])
        self.overlay = {file.stem: yaml.safe_load(file.read_text()) for file in folder.glob("*.yaml")}
        self.asked.append("apply")
        self.installed = f"{rollouts.IMAGE} 1"
        return ""

    def provide(self) -> Path:
        cluster: Any = self
        return rollouts.provide(cluster, self.source, self.store, self.load)


@pytest.mark.parametrize(
    ("builds", "had"),
    [(True, f"build {rollouts.IMAGE} user 999 /bin/"), (False, f"pull {rollouts.IMAGE}")],
)
def test_it_is_installed_once_by_its_own_manifests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, builds: bool, had: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    world = World(tmp_path, builds=builds)
    folder = tmp_path / "argo-rollouts" if builds else Path("/usr/bin")
    assert world.provide() == world.provide() == folder / "kubectl-argo-rollouts"
    assert world.asked == [had, f"load {rollouts.IMAGE}", "apply"]
    assert world.overlay["namespace"]["metadata"] == {"name": "argo-rollouts", "labels": dict([OWNED])}
    assert world.overlay["kustomization"]["images"] == [{"name": rollouts.REPOSITORY, "newTag": "v1.10.0"}]
    assert world.overlay["install"] == {"kind": "Deployment"}


def test_another_version_there_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    world = World(tmp_path)
    world.installed = f"{rollouts.REPOSITORY}:v1.8.0 1"
    world.provide()
    assert world.asked[-1] == "apply"


def test_without_go_it_is_not_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SetupError, match="Go is not installed"):
        World(tmp_path).provide()


def test_the_module_pins_what_the_image_is_called_after() -> None:
    text = (MODULES_FOLDER / "argo-rollouts" / "go.mod").read_text()
    assert "github.com/argoproj/argo-rollouts v1.10.0 // indirect" in text
    assert set(MODULES["argo-rollouts"].packages) == {"rollouts-controller", "kubectl-argo-rollouts"}
    assert MODULES["argo-rollouts"].ldflags.endswith("version.version=1.10.0")


def test_an_image_says_who_runs_it_only_where_that_matters(tmp_path: Path) -> None:
    """So that images without it are found again by the content that they had."""
    told: list[str] = []
    go: Any = SimpleNamespace(binaries=lambda name: tmp_path)
    store: Any = None
    engine: Any = None
    builder = Builder(engine, go, store, tmp_path)
    builder._tagged = lambda image, files, recipe: told.append(recipe) or image  # type: ignore[method-assign,func-returns-value]
    builder.component(Component("one:1", "m", "b"))
    builder.component(Component("one:1", "m", "b", user="999"))
    assert told[1] == told[0] + "USER 999\n" and "USER" not in told[0]


def test_a_rollout_s_state_is_read_as_its_controller_writes_it() -> None:
    assert not state({"metadata": {"generation": 1}}).observed
    status = {
        "observedGeneration": "7",
        "currentPodHash": "new",
        "stableRS": "old",
        "phase": "Paused",
        "message": "BlueGreenPause",
        "pauseConditions": [{"reason": "BlueGreenPause", "startTime": "now"}],
        "blueGreen": {"activeSelector": "old", "previewSelector": "new"},
    }
    read = state({"metadata": {"generation": 7}, "status": status})
    assert (read.observed, read.current, read.stable, read.active, read.preview) == (True, "new", "old", "old", "new")
    assert (read.paused, read.aborted, read.said) == (True, False, "Paused BlueGreenPause")
    assert not state({"metadata": {"generation": 8}, "status": status}).observed
    inconclusive = {**status, "pauseConditions": [{"reason": "InconclusiveAnalysisRun"}], "abort": True}
    read = state({"metadata": {"generation": 7}, "status": inconclusive})
    assert (read.paused, read.aborted) == (False, True)
