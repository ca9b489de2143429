"""System packages and the two binaries: found, named, or installed where that is allowed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.cluster import binaries, packages, session
from harness.cluster.engine import Engine
from harness.cluster.images import Images
from harness.cluster.offline.golang import Go
from harness.cluster.store import Store
from harness.errors import SetupError
from tests.conftest import ORDINARY, RESTRICTED, Programs


def test_nothing_is_done_where_nothing_is_missing(programs: Programs, said: list[str]) -> None:
    for name in packages.ENGINE:
        programs.add(name)
    packages.ensure(packages.ENGINE, ORDINARY, install=True, say=said.append)
    assert (programs.calls(), said) == ([], [])


def test_without_permission_the_one_command_is_named(programs: Programs, said: list[str]) -> None:
    programs.add("apt-get")
    programs.add("runc")
    with pytest.raises(SetupError) as caught:
        packages.ensure(packages.ENGINE, RESTRICTED, install=False, say=said.append)
    assert caught.value.what == "missing: podman, iptables"
    command = "apt-get update && apt-get install --yes --no-install-recommends podman netavark aardvark-dns iptables"
    assert caught.value.mend == f"run `{command}` as root, or pass --bg-install-packages to have it done"
    assert (programs.calls(), said) == ([], [])


def test_with_permission_they_are_installed(programs: Programs, said: list[str]) -> None:
    programs.add("apt-get", 'echo "$DEBIAN_FRONTEND" > "$STATE/frontend"')
    packages.ensure({"gcc": "gcc libc6-dev"}, RESTRICTED, install=True, say=said.append)
    assert programs.calls() == [
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "--yes", "-q", "--no-install-recommends", "gcc", "libc6-dev"],
    ]
    assert (programs.state / "frontend").read_text() == "noninteractive\n"
    assert said == ["packages: installing gcc libc6-dev"]


@pytest.mark.parametrize(("debian", "host", "why"), [(False, RESTRICTED, "no Debian"), (True, ORDINARY, "not root")])
def test_where_they_cant_be_installed_the_reason_is_told(
    programs: Programs, said: list[str], debian: bool, host: Any, why: str
) -> None:
    if debian:
        programs.add("apt-get")
    with pytest.raises(SetupError, match=f"missing: podman.*{why}"):
        packages.ensure(packages.ENGINE, host, install=True, say=said.append)
    assert programs.calls() == []


def test_no_debian_system_is_told_of_apt(programs: Programs, said: list[str]) -> None:
    with pytest.raises(SetupError) as caught:
        packages.ensure(packages.ENGINE, ORDINARY, install=False, say=said.append)
    assert "apt" not in str(caught.value)
    assert caught.value.mend == "install them by this system's own means"


# -- Go ---------------------------------------------------------------------------------------------------------------


def test_a_missing_go_is_told_with_where_to_get_one(programs: Programs, store: Store, tmp_path: Path) -> None:
    with pytest.raises(SetupError) as caught:
        Go(tmp_path, store)
    assert str(caught.value).splitlines() == [
        "Go is not installed, and the binaries must be built: no registry answers",
        "  mend: install Go 1.26 or newer (https://go.dev/doc/install)",
    ]


@pytest.mark.parametrize(
    ("version", "fits"), [("go1.19.8", False), ("nonsense", False), ("go1.26", True), ("go2.0", True)]
)
def test_a_go_that_is_too_old_is_told_with_its_version(
    programs: Programs, store: Store, tmp_path: Path, version: str, fits: bool
) -> None:
    programs.add("go", f"echo {version}")
    if fits:
        assert Go(tmp_path, store).version == version
        return
    with pytest.raises(SetupError) as caught:
        Go(tmp_path, store)
    assert str(caught.value).splitlines() == [
        f"Go is too old: {version}",
        "  mend: install Go 1.26 or newer (https://go.dev/doc/install)",
    ]


def test_who_must_build_and_has_no_go_is_told_of_go_not_of_kind(
    programs: Programs, store: Store, tmp_path: Path
) -> None:
    for name in ("kind", "kubectl", "podman"):
        programs.add(name)
    source = Images(Engine("podman"), store, ORDINARY, tmp_path, "build", "", store.say)
    with pytest.raises(SetupError, match="Go is not installed, and the binaries must be built"):
        binaries.find(source, None, None)


# -- the engine -------------------------------------------------------------------------------------------------------


def _options(tmp_path: Path, engine: str = "auto") -> session.Options:
    return session.Options(tmp_path, tmp_path, tmp_path, engine=engine)


def test_no_engine_and_none_to_be_installed(programs: Programs, store: Store, tmp_path: Path) -> None:
    programs.add("apt-get")
    with pytest.raises(SetupError) as caught:
        session._engine(_options(tmp_path), ORDINARY, store)
    what, mend = str(caught.value).splitlines()
    assert what == "no container engine answers. missing: podman, runc, iptables"
    assert mend.startswith("  mend: start docker, if there is one; or else run `apt-get update && apt-get install")
    assert mend.endswith("or pass --bg-install-packages to have it done")
    assert programs.calls() == []


def test_an_engine_that_was_asked_for_is_not_replaced_by_another(
    programs: Programs, store: Store, tmp_path: Path
) -> None:
    programs.add("podman")
    with pytest.raises(SetupError, match=r"^docker is not installed\n  mend: install it, or leave --bg-engine out"):
        session._engine(_options(tmp_path, "docker"), ORDINARY, store)
    assert programs.calls() == []


# -- kind and kubectl -------------------------------------------------------------------------------------------------

KUBECTL = 'echo "clientVersion:"; echo "  gitVersion: v1.36.3"'


def _images(built: Path | None = None) -> Images:
    def binaries_of(module: str) -> Path:
        assert built is not None
        return built / module

    builder = SimpleNamespace(go=SimpleNamespace(binaries=binaries_of))
    return cast("Images", SimpleNamespace(builds=built is not None, builder=lambda: builder))


def test_fitting_binaries_are_taken_from_the_path(programs: Programs) -> None:
    kind, kubectl = programs.add("kind", "echo kind v0.31.0 go1.26 linux/amd64"), programs.add("kubectl", KUBECTL)
    assert binaries.find(_images(), None, None) == binaries.Binaries(kind, kubectl)


@pytest.mark.parametrize("body", ["echo kind v0.26.0 go1.24 linux/amd64", "echo nonsense", "exit 1"])
def test_an_unfit_kind_without_go_names_where_to_get_one(programs: Programs, body: str) -> None:
    programs.add("kind", body)
    programs.add("kubectl", KUBECTL)
    with pytest.raises(SetupError, match=r"kind 0\.27 or newer is not on PATH\n  mend: install it: https://kind"):
        binaries.find(_images(), None, None)


def test_a_missing_kubectl_without_go_names_where_to_get_one(programs: Programs) -> None:
    programs.add("kind", "echo kind v0.31.0")
    with pytest.raises(SetupError, match=r"kubectl 1\.32 or newer is not on PATH"):
        binaries.find(_images(), None, None)


def test_who_builds_the_node_image_builds_its_kind(programs: Programs, tmp_path: Path) -> None:
    for name in ("kind", "go"):
        programs.add(name, "echo kind v0.99.0")
    programs.add("kubectl", KUBECTL)
    found = binaries.find(_images(tmp_path), None, None)
    assert found == binaries.Binaries(tmp_path / "kind" / "kind", tmp_path / "kubernetes" / "kubectl")


def test_explicit_paths_win_and_must_exist(programs: Programs, tmp_path: Path) -> None:
    mine = programs.add("my-kind")
    programs.add("kubectl", KUBECTL)
    assert binaries.find(_images(), str(mine), None).kind == mine
    with pytest.raises(SetupError, match="my-kubectl does not exist"):
        binaries.find(_images(), str(mine), str(tmp_path / "my-kubectl"))
