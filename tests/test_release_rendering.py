"""Manifests as YAML files and as a Helm chart; kustomizations are tested beside what is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.config import Config, load
from harness.errors import ConfigurationError, SetupError
from harness.release.rendering import render
from harness.release.sources import file_of
from tests.conftest import Programs
from tests.fake_kube import CONFIG
from tests.test_config import line_of
from tests.test_release_manifests import shop

KUBECTL = Path("/nonexistent/kubectl")


def configured(folder: Path, files: dict[str, str], text: str = CONFIG) -> Config:
    for name, content in files.items():
        (folder / "manifests" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "manifests" / name).write_text(content)
    (folder / "bluegreen.toml").write_text(text)
    return load(folder)


def test_yaml_files_are_taken_by_name_and_lists_apart(tmp_path: Path) -> None:
    first, *others = shop()
    files = {
        "b.yml": yaml.safe_dump_all(others[:2]),
        "c.yaml": yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": others[2:]}),
        "a.yaml": yaml.safe_dump(first),
        "notes.txt": "not: [yaml",
        "deeper/d.yaml": "kind: Elsewhere",
    }
    config = configured(tmp_path, files)
    assert render(config, KUBECTL, "ns") == [first, *others]
    assert file_of(config.app.manifests, "Deployment", "shop-blue") == tmp_path / "manifests" / "b.yml"


@pytest.mark.parametrize(
    ("content", "said"),
    [("a: [b", "not YAML"), ("", "hold no object"), ("- 1", "no object"), ("kind: Service", "without kind or name")],
)
def test_yaml_that_holds_no_objects(tmp_path: Path, content: str, said: str) -> None:
    config = configured(tmp_path, {"a.yaml": content})
    with pytest.raises(ConfigurationError, match=said):
        render(config, KUBECTL, "ns")


CHART = (
    CONFIG
    + """[helm]
values = ["values/test.yaml"]
set = { "blue.image.tag" = "a,b", green.replicas = 4, green.warm = true }
"""
)


def test_a_chart_is_rendered_by_helm_with_values(tmp_path: Path, programs: Programs) -> None:
    programs.add("helm", f"while read -r line; do echo \"$line\"; done < '{tmp_path / 'out'}'")
    (tmp_path / "out").write_text(
        "\n---\n".join(yaml.safe_dump(one, default_flow_style=True, width=9**9).strip() for one in shop()) + "\n"
    )
    (tmp_path / "values").mkdir()
    (tmp_path / "values" / "test.yaml").touch()
    config = configured(tmp_path, {"Chart.yaml": "name: shop\n"}, CHART)
    assert render(config, KUBECTL, "bg-1") == shop()
    (call,) = programs.calls("helm")
    assert call[1:5] == ["template", "shop", str(tmp_path / "manifests"), "--namespace"]
    assert call[5:] == [
        *("bg-1", "--no-hooks", "--values", str(tmp_path / "values" / "test.yaml")),
        *("--set-json", 'blue.image.tag="a,b"', "--set-json", "green.replicas=4", "--set-json", "green.warm=true"),
    ]


def test_without_helm_or_with_its_refusal_that_is_said(tmp_path: Path, programs: Programs) -> None:
    config = configured(tmp_path, {"Chart.yaml": "name: shop\n"})
    with pytest.raises(SetupError, match="is a Helm chart, and helm is not on PATH") as error:
        render(config, KUBECTL, "bg-1")
    assert "install Helm" in error.value.mend
    programs.add("helm", "echo 'values don'\"'\"'t meet the schema' >&2; exit 1")
    with pytest.raises(ConfigurationError, match=r"helm template refuses it\n +values don't meet"):
        render(config, KUBECTL, "bg-1")


@pytest.mark.parametrize(
    ("files", "more", "said"),
    [
        ({"kustomization.yaml": ""}, "[helm]\nvalues = []\n", "helm is given, but"),
        ({"Chart.yaml": ""}, '[helm]\nvalues = ["no.yaml"]\n', "helm.values names .*no.yaml, which is no file"),
        ({"Chart.yaml": ""}, '[helm]\nvalues = "x"\n', "helm.values must be an array"),
        ({"Chart.yaml": ""}, "[helm]\nset = { a = [1] }\n", "helm.set.a can't be a list"),
        ({"Chart.yaml": ""}, "[helm]\nset = { a.b = 1979-05-27 }\n", "helm.set.a.b can't be a date"),
        ({"notes.txt": ""}, "", "which has no kustomization.yaml, no Chart.yaml and no YAML file"),
    ],
)
def test_wrong_tables(tmp_path: Path, files: dict[str, str], more: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as error:
        configured(tmp_path, files, CONFIG + more)
    start = more.splitlines()[-1].split("=")[0] if more else "manifests"
    lines = {f":{line_of(CONFIG + more, one)}:" for one in (start, "[helm]") if one in CONFIG + more}
    assert any(line in error.value.what for line in lines)
