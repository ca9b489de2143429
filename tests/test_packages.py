"""System packages and the two binaries: found, named, or installed where that is allowed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.cluster import binaries, packages
from harness.cluster.images import Images
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
