"""Where images come from: does a registry answer, what is pulled under which name, what is built once."""

from __future__ import annotations

import http.client
import platform
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cluster import images
from harness.cluster.engine import Engine
from harness.cluster.host import Host
from harness.cluster.images import Bases, Images, qualified, registry_answers
from harness.cluster.mirror import Mirror, parse
from harness.cluster.session import _default_node_image
from harness.cluster.store import Store
from harness.errors import ConfigurationError, SetupError
from tests.conftest import ORDINARY, RESTRICTED, Answering, Programs, closed_port

# an engine that remembers its images; a registry has all of them but those called "missing"
ENGINE = """
LIST="$STATE/images"; : >> "$LIST"
for last; do :; done
case "$1 $2" in
"image inspect")
    while read -r name; do [ "$name" = "$last" ] && echo "sha256:$last" && exit 0; done < "$LIST"; exit 1 ;;
"pull "*) case "$last" in *missing*) echo "manifest unknown: $last" >&2; exit 125 ;; esac; echo "$last" >> "$LIST" ;;
"tag "*) echo "$last" >> "$LIST" ;;
"build "*) echo "$3" >> "$LIST"
    while read -r line; do echo "$line"; done < "$5" > "$STATE/recipe" ;;
"save "*) for word; do [ "$before" = --output ] && : > "$word"; before="$word"; done ;;
esac
exit 0
"""


# -- does a registry answer? ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "answers"),
    [(200, True), (401, True), (403, False), (404, False), (407, False), (429, False), (500, False), (503, False)],
)
def test_only_who_serves_the_registry_api_counts(answering: Answering, status: int, answers: bool) -> None:
    assert registry_answers(parse(f"127.0.0.1:{answering(status)}"), 5.0) is answers


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_registry_that_hangs_is_no_answer_within_the_bound(silent: int) -> None:
    started = time.monotonic()
    assert not registry_answers(parse(f"127.0.0.1:{silent}"), 0.4)
    assert time.monotonic() - started < 10


def test_a_closed_port_is_no_answer() -> None:
    assert not registry_answers(parse(f"127.0.0.1:{closed_port()}"), 5.0)


def test_one_of_several_is_enough_and_the_slow_ones_are_not_waited_for(
    answering: Answering, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http.client, "HTTPSConnection", http.client.HTTPConnection)
    monkeypatch.setattr(images, "PROBED", tuple(f"127.0.0.1:{port}" for port in (silent, answering(401))))
    started = time.monotonic()
    assert registry_answers(None, 40.0)
    assert time.monotonic() - started < 15
    monkeypatch.setattr(images, "PROBED", tuple(f"127.0.0.1:{port}" for port in (silent, answering(503))))
    assert not registry_answers(None, 0.4)


# -- names and pulls --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("nginx:1", "docker.io/library/nginx:1"),
        ("kindest/node:v1", "docker.io/kindest/node:v1"),
        ("docker.io/library/nginx:1", "docker.io/library/nginx:1"),
        ("ghcr.io/a/b:1@sha256:0", "ghcr.io/a/b:1@sha256:0"),
        ("localhost/a:1", "localhost/a:1"),
        ("localhost:5000/a:1", "localhost:5000/a:1"),
    ],
)
def test_the_registry_of_a_name_is_spelt_out(image: str, full: str) -> None:
    assert qualified(image) == full


@pytest.fixture(params=["docker", "podman", "nerdctl"])
def engine(request: pytest.FixtureRequest, programs: Programs) -> Engine:
    programs.add(request.param, ENGINE)
    return Engine(request.param)


@pytest.fixture
def podman(programs: Programs) -> Engine:
    programs.add("podman", ENGINE)
    return Engine("podman")


def _images(engine: Engine, store: Store, mode: str = "pull", mirror: str = "", host: Host = ORDINARY) -> Images:
    return Images(engine, store, host, store.root, mode, mirror, store.say)


def test_an_image_is_pulled_once(engine: Engine, store: Store, programs: Programs) -> None:
    source = _images(engine, store)
    assert source.pull("ghcr.io/a/b:1") == source.pull("ghcr.io/a/b:1") == "ghcr.io/a/b:1"
    assert programs.calls(engine.name, "pull") == [[engine.name, "pull", "--quiet", "ghcr.io/a/b:1"]]
    assert programs.calls(engine.name, "tag") == []


@pytest.mark.parametrize(
    ("image", "there", "here"),
    [
        ("ghcr.io/a/b:1", "a/b:1", "ghcr.io/a/b:1"),
        ("kindest/node:v1@sha256:0", "kindest/node:v1", "docker.io/kindest/node:v1"),
        ("nginx:1", "library/nginx:1", "docker.io/library/nginx:1"),
    ],
)
def test_a_mirrored_image_gets_the_name_that_its_users_know(
    engine: Engine, store: Store, programs: Programs, image: str, there: str, here: str
) -> None:
    source = _images(engine, store, mirror="127.0.0.1:5000")
    assert source.pull(image) == source.pull(image) == here
    plain = {"podman": ["--tls-verify=false"], "nerdctl": ["--insecure-registry"]}.get(engine.name, [])
    assert programs.calls(engine.name, "pull") == [[engine.name, "pull", "--quiet", *plain, f"127.0.0.1:5000/{there}"]]
    assert programs.calls(engine.name, "tag") == [[engine.name, "tag", f"127.0.0.1:5000/{there}", here]]


def test_a_mirror_elsewhere_keeps_its_encryption(podman: Engine, store: Store, programs: Programs) -> None:
    _images(podman, store, mirror="mirror.test").pull("ghcr.io/a/b:1")
    assert programs.calls("podman", "pull") == [["podman", "pull", "--quiet", "mirror.test/a/b:1"]]


@pytest.mark.parametrize(
    ("text", "mirror"),
    [
        ("", None),
        ("mirror.test", Mirror("mirror.test", "", plain=False)),
        ("mirror.test:5000", Mirror("mirror.test:5000", "", plain=False)),
        ("https://mirror.test/", Mirror("mirror.test", "", plain=False)),
        ("http://mirror.test:80/proxy/hub/", Mirror("mirror.test:80", "/proxy/hub", plain=True)),
        ("localhost:5000", Mirror("localhost:5000", "", plain=True)),
        ("https://localhost:5000", Mirror("localhost:5000", "", plain=False)),
        ("[::1]:5000", Mirror("[::1]:5000", "", plain=True)),
    ],
)
def test_forms_of_a_mirror(text: str, mirror: Mirror | None) -> None:
    assert parse(text) == mirror


@pytest.mark.parametrize(
    "text",
    ["ftp://mirror.test", "http://", "me:secret@mirror.test", "mirror.test:99999", "a b", "mirror.test?x=1",
     "http:/mirror.test", "-mirror.test", "mirror.test:port", "mirror.test//a"],
)  # fmt: skip
def test_what_is_no_mirror_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    what, mend = str(caught.value).splitlines()
    assert text in what
    assert mend.startswith("  mend: write HOST[:PORT][/PATH], e.g. mirror.example.com:5000")


def test_a_mirror_with_a_path_and_without_encryption(engine: Engine, store: Store, programs: Programs) -> None:
    _images(engine, store, mirror="http://mirror.test/hub").pull("ghcr.io/a/b:1")
    (words,) = programs.calls(engine.name, "pull")
    assert words[-1] == "mirror.test/hub/a/b:1"
    assert (len(words) == 5) is (engine.name != "docker")


@pytest.mark.parametrize(("mode", "beginning"), [("build", "images are built"), ("auto", "the mirror 127.0.0.1:")])
def test_another_machine_than_the_pinned_packages_are_for_is_told_at_once(
    podman: Engine, store: Store, programs: Programs, answering: Answering, monkeypatch: pytest.MonkeyPatch,
    mode: str, beginning: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(SetupError, match=f"^{beginning}.*x86_64 only: this is aarch64\n  mend: .*--bg-images pull"):
        _images(podman, store, mode, f"127.0.0.1:{answering(503)}")
    assert programs.calls() == []
    assert not _images(podman, store).builds


def test_wheels_are_for_the_machine_that_runs_the_images(
    podman: Engine, store: Store, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(sys, "executable", str(programs.add("python")))
    (tmp_path / "requirements.txt").write_text("a==1 --hash=sha256:0\n")
    _images(podman, store)._site_packages(tmp_path / "requirements.txt")
    (words,) = programs.calls("python")
    tags = [words[number + 1] for number, word in enumerate(words) if word == "--platform"]
    assert tags == [
        "manylinux_2_34_aarch64",
        "manylinux_2_28_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
    ]


def test_a_registry_that_hangs_in_a_pull_is_given_up(
    podman: Engine, store: Store, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.add("podman", '[ "$1" = pull ] && while :; do :; done; exit 1')
    monkeypatch.setattr(images, "PULL_SECONDS", 0.3)
    with pytest.raises(
        SetupError, match=r"could not pull ghcr.io/a/b:1: podman did not finish within 0\.3 s\n  mend: "
    ):
        _images(podman, store).pull("ghcr.io/a/b:1")


def test_a_registry_that_limits_the_rate_is_told_in_its_own_words(
    podman: Engine, store: Store, programs: Programs
) -> None:
    programs.add("podman", '[ "$1" = pull ] && echo "toomanyrequests: 429, you have reached your limit" >&2; exit 125')
    with pytest.raises(SetupError) as caught:
        _images(podman, store).pull("ghcr.io/a/b:1")
    assert str(caught.value).splitlines()[1:] == [
        "    toomanyrequests: 429, you have reached your limit",
        "  mend: run it by hand: podman pull --quiet ghcr.io/a/b:1",
    ]


def test_an_image_that_does_not_exist_is_told_with_the_command(podman: Engine, store: Store) -> None:
    with pytest.raises(SetupError) as caught:
        _images(podman, store).pull("ghcr.io/a/missing:1")
    assert str(caught.value).splitlines() == [
        "could not pull ghcr.io/a/missing:1: podman exited with 125",
        "    manifest unknown: ghcr.io/a/missing:1",
        "  mend: run it by hand: podman pull --quiet ghcr.io/a/missing:1",
    ]


@pytest.mark.parametrize(("status", "builds"), [(401, False), (503, True)])
def test_auto_decides_by_the_registry_and_says_so(
    podman: Engine, store: Store, said: list[str], answering: Answering, status: int, builds: bool
) -> None:
    mirror = f"http://127.0.0.1:{answering(status)}/"
    source = _images(podman, store, "auto", mirror)
    assert source.builds is builds
    assert said == [
        f"the mirror {mirror} does not answer: images are built here (10 to 30 min the first time on 2 cores)"
        if builds
        else "a registry answers: images are pulled"
    ]
    assert source.envoy == (images.ENVOY_BUILT if builds else images.ENVOY_PULLED)


# -- what is made of them ---------------------------------------------------------------------------------------------


def test_an_ordinary_host_runs_kinds_own_node_image(engine: Engine, store: Store, programs: Programs) -> None:
    assert _images(engine, store).node("kindest/node:v1") == "docker.io/kindest/node:v1"
    assert programs.calls(engine.name, "build") == []


def test_a_restricted_host_gets_a_node_image_that_starts_there(
    engine: Engine, store: Store, programs: Programs
) -> None:
    tag = _images(engine, store, host=RESTRICTED).node("kindest/node:v1")
    assert tag.startswith("localhost/bluegreen/node:")
    recipe = (programs.state / "recipe").read_text().splitlines()
    assert recipe[0] == "FROM docker.io/kindest/node:v1"
    assert "OOMScoreAdjust" in recipe[1]


def test_an_image_of_somebody_elses_is_pulled_if_it_is_not_there_and_never_built(
    engine: Engine, store: Store, programs: Programs
) -> None:
    assert _images(engine, store).provide("registry.example.com/shop:v1") == "registry.example.com/shop:v1"
    assert len(programs.calls(engine.name, "pull")) == 1
    assert _images(engine, store, "build").provide("registry.example.com/shop:v1") == "registry.example.com/shop:v1"
    with pytest.raises(SetupError, match="image shop:v9 is not in") as caught:
        _images(engine, store, "build").provide("shop:v9")
    assert "[build]" in caught.value.mend


def test_the_proxys_images_are_pulled_only_where_the_node_lacks_them(podman: Engine, store: Store) -> None:
    assert _images(podman, store).to_load() == [images.CONTOUR, images.ENVOY_PULLED]
    assert _images(podman, store, "build").to_load() == []


def test_an_application_is_built_once_per_content_and_argument(
    engine: Engine, store: Store, programs: Programs, tmp_path: Path
) -> None:
    context = tmp_path / "app"
    context.mkdir()
    (context / "Containerfile").write_text("ARG BASE\nFROM $BASE\n")
    tags = {"localhost/app:v1": {"R": "1"}, "localhost/app:v2": {"R": "2"}}
    bases = Bases("python", "docker.io/library/python:3")
    source = _images(engine, store)
    for _ in range(2):
        assert source.application(context, tags, bases) == list(tags)
    builds = programs.calls(engine.name, "build")
    assert len(builds) == 2
    assert all("BASE=docker.io/library/python:3" in words for words in builds)
    assert [[word for word in words if word.startswith("R=")] for words in builds] == [["R=1"], ["R=2"]]
    assert [words[-1] for words in programs.calls(engine.name, "tag")] == list(tags) * 2
    (context / "page").write_text("changed")
    source.application(context, {"localhost/app:v1": {"R": "1"}}, bases)
    assert len(programs.calls(engine.name, "build")) == 3


def test_empty_requirements_are_refused(podman: Engine, store: Store, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "requirements.txt").write_text("\n")
    with pytest.raises(SetupError, match=r"requirements\.txt is empty"):
        _images(podman, store).application(tmp_path / "app", {"localhost/app:v1": {}}, Bases("python", "localhost/b:1"))


def test_an_archive_is_written_once_per_set_of_images(engine: Engine, store: Store, programs: Programs) -> None:
    source = _images(engine, store)
    (programs.state / "images").write_text("localhost/a:1\nlocalhost/b:1\n")
    first = source.archive(["localhost/b:1", "localhost/a:1"])
    assert first.name == "images.tar"
    assert source.archive(["localhost/a:1", "localhost/b:1"]) == first
    assert source.archive(["localhost/a:1"]) != first
    assert programs.calls(engine.name, "save")[0][-2:] == ["localhost/a:1", "localhost/b:1"]
    assert len(programs.calls(engine.name, "save")) == 2


def test_kinds_default_node_image_is_read_from_its_binary(tmp_path: Path) -> None:
    digest = "a1" * 32
    (tmp_path / "kind").write_bytes(b"\x7fELF\0kindest/node:v1.37.0@sha256:" + digest.encode() + b"\0rest")
    assert _default_node_image(tmp_path / "kind") == f"docker.io/kindest/node:v1.37.0@sha256:{digest}"
    (tmp_path / "other").write_bytes(b"nothing of the kind")
    with pytest.raises(SetupError, match="does not tell"):
        _default_node_image(tmp_path / "other")
