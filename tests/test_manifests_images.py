"""The images' recipes: buildable without a network or privileges, locked, run as the user that the manifests name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

IMAGES = Path(__file__).parent.parent / "images"
BUILT = ("app", "datasette", "nginx", "smoke")


def instructions(image: str) -> list[tuple[str, str]]:
    text = (IMAGES / image / "Containerfile").read_text().replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("image", BUILT)
def test_the_base_is_chosen_by_the_builder_and_nothing_is_run(image: str) -> None:
    steps = instructions(image)
    assert steps[:2] == [("ARG", "BASE"), ("FROM", "${BASE}")]
    assert {"RUN", "ADD"}.isdisjoint(word for word, _ in steps)
    assert ("USER", "65532:65532") in steps


@pytest.mark.parametrize("image", BUILT)
def test_what_is_copied_is_there_or_made_by_the_builder(image: str) -> None:
    for word, rest in instructions(image):
        if word == "COPY":
            source = rest.split()[0]
            for revision in ("v1", "v2"):
                path = IMAGES / image / source.replace("${REVISION}", revision)
                assert path.exists() or source == "site-packages/"


def test_a_version_is_baked_in() -> None:
    steps = instructions("app")
    assert ("ARG", "REVISION=v1") in steps
    assert ("ARG", "FAULT=") in steps
    (env,) = (rest for word, rest in steps if word == "ENV")
    assert {"REVISION=${REVISION}", "FAULT=${FAULT}", "PYTHONDONTWRITEBYTECODE=1"} <= set(env.split())


def test_the_two_pages_differ_by_their_revision() -> None:
    pages = {f.stem: json.loads(f.read_text()) for f in (IMAGES / "nginx" / "pages").iterdir()}
    assert pages == {"v1": {"revision": "v1"}, "v2": {"revision": "v2"}}


def test_nginx_writes_only_where_a_read_only_root_lets_it() -> None:
    conf = (IMAGES / "nginx" / "nginx.conf").read_text()
    assert "listen 8080" in conf
    written = re.findall(r"^\s*(?:pid|\w+_temp_path)\s+(\S+);", conf, re.MULTILINE)
    assert len(written) == 6
    assert all(path.startswith("/tmp/") for path in written)
    assert not re.search(r"^\s*user\s", conf, re.MULTILINE)


@pytest.mark.parametrize("image", ["app", "load", "smoke"])
def test_requirements_are_pinned_hashed_and_name_no_index(image: str) -> None:
    text = (IMAGES / image / "requirements.txt").read_text()
    assert "://" not in text
    pinned = re.split(r"\n(?=\S)", text.replace("\\\n", " ").strip())
    assert all(re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", block) for block in pinned)
    wanted = set((IMAGES / image / "requirements.in").read_text().split())
    assert wanted <= {block.partition("==")[0] for block in pinned}


def test_the_many_pods_are_more_than_one_slice_holds() -> None:
    text = (IMAGES.parent / "manifests" / "nginx-many" / "kustomization.yaml").read_text()
    patches = [op for one in yaml.safe_load(text)["patches"] for op in yaml.safe_load(one["patch"])]
    (replicas,) = [op["value"] for op in patches if op["path"] == "/spec/replicas"]
    assert (
        100 < replicas <= 105
    )  # a slice holds 100 endpoints; a node of kind 110 pods, so that two workers hold both sides
