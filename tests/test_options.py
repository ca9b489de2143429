"""The options: their values, their defaults, and what is said about wrong ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness import options
from harness.config import load
from harness.setup import applications_of, options_of

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[1]
KNOWN = ["--bg-images", "--bg-cutovers", "--bg-config", "--bg-keep-runs", "-k"]


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("--bg-image", "--bg-images"),
        ("--bg-cutover=3", "--bg-cutovers"),
        ("--bg-keepruns", "--bg-keep-runs"),
        ("--bgconfig", "--bg-config"),
        ("--bg-zzz", ""),
    ],
)
def test_a_misspelt_option_names_a_right_one(given: str, near: str) -> None:
    with pytest.raises(pytest.UsageError) as caught:
        options.refuse_misspelt(["scenarios/", given], KNOWN)
    what, mend = str(caught.value).splitlines()
    assert what == f"there is no option {given.split('=')[0]}"
    assert mend.startswith("  mend: did you mean --bg-")
    assert near in mend


def test_right_options_and_those_of_others_pass() -> None:
    options.refuse_misspelt(["--bg-cutovers=3", "--bg-config", "x.toml", "--begin", "-k", "bg"], KNOWN)


def parsed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, *args: str) -> pytest.Config:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    quiet = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
    return pytester.parseconfig("-p", "harness.plugin", "-p", "pytest_kind.plugin", *quiet, *args)


def test_defaults_reach_the_session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    config = parsed(pytester, monkeypatch)
    made = options_of(config, Path("images"), Path("manifests"))
    assert (made.image_mode, made.engine, made.kube_proxy, made.mirror) == ("auto", "auto", "iptables", "")
    assert (made.install_packages, made.keep) == (False, False)
    assert made.cluster_name is None  # pytest-kind's default name would be shared by all projects
    assert (made.kind, made.kubectl, made.node_image) == (None, None, None)
    assert made.checkout == pytester.path
    assert config.getoption("--bg-cutovers") == 10
    assert config.getoption("--bg-keep-runs") == 10
    assert config.getoption("--bg-slo") is None
    assert parsed(pytester, monkeypatch, "--bg-slo", "99.95%").getoption("--bg-slo") == 0.9995


def test_choices_reach_the_session_and_pytest_kinds_options_are_used(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = (
        *("--bg-images=pull", "--bg-engine=nerdctl", "--bg-kube-proxy=nftables", "--bg-registry-mirror=localhost:5"),
        *("--bg-install-packages", "--keep-cluster", "--cluster-name=mine", "--kind-image=node:1"),
        *("--kind-bin=/k", "--kind-kubectl-bin=/l"),
    )
    made = options_of(parsed(pytester, monkeypatch, *args), Path("images"), Path("manifests"))
    assert (made.image_mode, made.engine, made.kube_proxy, made.mirror) == (
        *("pull", "nerdctl", "nftables", "localhost:5"),
    )
    assert (made.install_packages, made.keep, made.cluster_name) == (True, True, "mine")
    assert (made.node_image, made.kind, made.kubectl) == ("node:1", "/k", "/l")


@pytest.mark.parametrize(
    ("arg", "text"),
    [
        ("--bg-engine=dockr", "invalid choice: 'dockr'"),
        ("--bg-images=never", "invalid choice"),
        ("--bg-tier=weekly", "invalid choice"),
        ("--bg-cutovers=0", "--bg-cutovers"),
        ("--bg-keep-runs=some", "--bg-keep-runs"),
        ("--bg-time-limit=-1", "--bg-time-limit"),
        ("--bg-registry-mirror=ftp://mirror", r"HOST\[:PORT\]\[/PATH\], e.g. mirror"),
        ("--bg-slo=0.999", r"did you mean 99\.9\?"),
        ("--bg-slo=100", "no error budget"),
        ("--bg-slo=-3", "no error budget"),
        ("--bg-slo=nan", "no error budget"),
        ("--bg-slo=three", "no percentage"),
        ("--bg-load-workers=9", "--bg-load-workers"),
        ("--bg-load-workers=-1", "--bg-load-workers"),
    ],
)
def test_wrong_values_are_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arg: str, text: str
) -> None:
    with pytest.raises(pytest.UsageError, match=text):
        parsed(pytester, monkeypatch, arg)


def _config(**known: Any) -> pytest.Config:
    return cast(
        "pytest.Config",
        SimpleNamespace(option=SimpleNamespace(**known), getoption=lambda name, default=None: known.get(name, default)),
    )


def test_what_spoils_a_verdict_is_refused_in_two_lines() -> None:
    options.refuse(_config())
    options.refuse(_config(kubeconfig=None))
    with pytest.raises(pytest.UsageError) as caught:
        options.refuse(_config(kubeconfig="/mine"))
    what, mend = str(caught.value).splitlines()
    assert "/mine" in what
    assert mend.startswith("  mend: ")


def test_every_configured_version_is_an_image_to_build() -> None:
    both = [load(ROOT / "manifests" / "nginx" / "bluegreen.toml"), load(ROOT / "bluegreen.toml")]
    made = applications_of(both)
    assert made == applications_of(reversed(both))
    assert len(made) == 2
    for config, application in zip(sorted(both, key=lambda one: str(one.file)), made, strict=True):
        assert config.build is not None
        assert application.context is not None
        assert application.context.is_dir()
        assert list(application.tags) == [config.app.image_of(version) for version in config.build.versions]
        assert {config.app.image_of(config.app.old), config.app.image_of(config.app.new)} <= set(application.tags)


def test_images_that_nobody_builds_here_are_to_be_had_elsewhere() -> None:
    config = replace(load(ROOT / "bluegreen.toml"), build=None)
    (application,) = applications_of([config])
    assert application.context is None
    assert {config.app.image_of(config.app.old), config.app.image_of(config.app.new)} <= set(application.tags)
