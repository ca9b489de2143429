"""What is found out before a run, with one line each; and the commands around it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from harness import preflight
from harness.cli import main
from harness.cluster.existing import Options
from harness.cluster.owned import OWNED
from harness.cluster.targets import parse
from harness.config import Config
from tests.conftest import Programs
from tests.fake_kube import CONFIG, config_in
from tests.fake_server import NS, Server, cluster, shop_manifests
from tests.test_kube import FakeApi, hang, kubeconfig, server

__all__ = ["cluster", "server"]

OURS = dict([OWNED])


@pytest.fixture
def config(tmp_path: Path, programs: Programs) -> Config:
    (tmp_path / "rendered.yaml").write_text(shop_manifests())
    programs.add("kubectl", f"while IFS= read -r one; do echo \"$one\"; done < '{tmp_path / 'rendered.yaml'}'")
    return config_in(tmp_path)


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made.getsockname()[1]


@pytest.fixture
def options(cluster: Server, tmp_path: Path, listening: int) -> Options:
    file = kubeconfig(tmp_path, f"http://127.0.0.1:{cluster.api.server_address[1]}")
    targets = (parse("service=127.0.0.1"), parse(f"ingress=127.0.0.1:{listening}"))
    return Options(file, "c", "shop", targets, smoke_image="registry.test/smoke:1")


def said(lines: list[preflight.Line]) -> str:
    return "\n".join(str(line) for line in lines)


def test_where_nothing_is_wrong_each_thing_has_its_line(config: Config, options: Options, cluster: Server) -> None:
    image = {"names": ["localhost/shop:v1", "localhost/shop:v2"]}
    cluster.put("/api/v1/nodes/n", status={"images": [image]})
    lines = preflight.look(config, options)
    assert preflight.exit_code(lines) == 0, said(lines)
    assert all(str(line).startswith("ok    ") for line in lines)
    for part in ("renders, 6 objects", "shop-blue and shop-green", "answers TCP", "v1.36.3", "namespace shop",
                 "permissions: all", "takes all 6 objects", "Ingress class", "registry.test/smoke:1"):  # fmt: skip
        assert part in said(lines)
    assert len([call for call in cluster.changes if call.endswith("(dry run)")]) == 6
    assert cluster.objects.keys() == {NS, "/api/v1/nodes/n"}


def test_without_a_context_no_cluster_is_asked(config: Config, cluster: Server) -> None:
    lines = preflight.look(config, None)
    assert preflight.exit_code(lines) == 0
    assert "--bg-context" in said(lines)
    assert cluster.api.seen == []


def test_each_missing_right_is_named_with_the_command(config: Config, options: Options, cluster: Server) -> None:
    cluster.forbidden = {"patch services", "create jobs", "list nodes", "list ingressclasses"}
    lines = preflight.look(config, options)
    assert preflight.exit_code(lines) == 11
    assert "fail  may not patch services in shop: the switch" in said(lines)
    assert "fail  may not create jobs.batch in shop: the smoke check" in said(lines)
    assert "bluegreen rbac" in said(lines)
    assert len([line for line in lines if line.code]) == 2  # nodes and classes are done without


@pytest.mark.parametrize(
    ("change", "code", "part"),
    [
        ({"context": "cc"}, 4, "did you mean c?"),
        ({"namespace": "gone"}, 4, "kubectl create namespace gone"),
        ({"targets": ()}, 4, "pass --bg-target"),
        ({"targets": (parse("ingress=127.0.0.1:1"),)}, 0, "is reached, nobody listens there yet"),
        ({"targets": (parse("ingress=no-such-host.invalid:80"),)}, 11, "may this machine reach it?"),
        ({"targets": (parse("service=no-such-host.invalid"),)}, 11, "no-such-host.invalid"),
        ({"smoke_image": "localhost/bluegreen/smoke:1"}, 4, "localhost/bluegreen/smoke:1 is on no node"),
        ({"kubectl": "/nowhere/kubectl"}, 11, "/nowhere/kubectl"),
    ],
)
def test_what_would_fail_has_the_code_of_a_run_and_a_mend(
    config: Config, options: Options, cluster: Server, change: dict[str, object], code: int, part: str
) -> None:
    cluster.put("/api/v1/nodes/n", status={"images": [{"names": ["localhost/shop:v1", "localhost/shop:v2"]}]})
    lines = preflight.look(config, replace(options, **change))  # type: ignore[arg-type]
    assert preflight.exit_code(lines) == code, said(lines)
    assert part in said(lines)
    assert all(line.mend for line in lines if line.code)


def test_a_class_and_a_side_that_do_not_exist(
    config: Config, options: Options, cluster: Server, tmp_path: Path
) -> None:
    file, objects = tmp_path / "rendered.yaml", list(yaml.safe_load_all(shop_manifests()))
    objects[-1]["spec"]["ingressClassName"] = "nginx"
    file.write_text(yaml.safe_dump_all(objects))
    cluster.put("/apis/networking.k8s.io/v1/ingressclasses/contour")
    lines = preflight.look(config, options)
    assert "no Ingress class nginx\n      mend: the cluster has contour" in said(lines)
    file.write_text(yaml.safe_dump_all(objects[1:]))
    lines = preflight.look(config, options)
    assert preflight.exit_code(lines) == 4
    assert "no Deployment 'shop-blue'" in said(lines)


def test_a_name_that_is_taken_is_found_by_the_dry_run(config: Config, options: Options, cluster: Server) -> None:
    cluster.put(NS, {"bluegreen.dev/allow": "pytest-bluegreen"})
    cluster.put(f"{NS}/services/shop")
    lines = preflight.look(config, options)
    (line,) = (line for line in lines if "Service/shop can't be made" in line.what)
    assert line.code == 4  # as in a run
    assert "name another namespace" in line.mend


@pytest.mark.processes
def test_a_server_that_hangs_does_not_hold_it_up(
    config: Config, options: Options, server: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.routes.insert(0, ("GET /version", hang))
    before = time.monotonic()
    lines = preflight.look(config, options, seconds=0.6)
    assert time.monotonic() - before < 2
    assert "not looked at within 0.6 s" in said(lines)
    monkeypatch.setattr(preflight, "CALL_SECONDS", 0.2)
    lines = preflight.look(config, options)
    assert "no answer from the API server" in said(lines)
    assert preflight.exit_code(lines) == 11


@pytest.mark.processes
def test_rights_that_are_not_answered_do_not_hold_the_process_up(
    config: Config, options: Options, server: FakeApi
) -> None:
    server.routes.insert(0, ("POST .*/selfsubjectaccessreviews", hang))
    before = set(threading.enumerate())
    lines = preflight.look(config, options, seconds=2)
    assert "not looked at within 2 s" in said(lines)
    left = [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("at-once")]
    assert left and all(thread.daemon for thread in threading.enumerate() if thread not in before)


def test_old_kubernetes_is_refused(config: Config, options: Options, server: FakeApi) -> None:
    server.routes.insert(0, ("GET /version", lambda wire: wire.reply(200, {"gitVersion": "v1.21.0"})))
    lines = preflight.look(config, options)
    assert "it is Kubernetes v1.21.0\n      mend: 1.25 or newer" in said(lines)


# -- the commands -----------------------------------------------------------------------------------------------------


def test_the_commands_exit_code_is_the_worst_line(
    config: Config, options: Options, cluster: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.forbidden = {"list nodes"}
    words = ["--config", str(config.file), "--bg-kubeconfig", str(options.kubeconfig), "--bg-context", "c"]
    assert main(["preflight", *words, "--namespace", "shop", "--bg-target", "service=127.0.0.1"]) == 0
    assert main(["preflight", *words, "--namespace", "gone", "--bg-target", "service=127.0.0.1"]) == 4
    assert main(["preflight", *words, "--bg-target", "http://a"]) == 4
    out, err = capsys.readouterr()
    assert "ok    " in out and "fail  " in out
    assert "is no host" in err


def test_the_role_is_yaml_and_the_wide_one_comes_only_without_a_namespace(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rbac", "--config", str(config.file), "--namespace", "shop"]) == 0
    (role,) = yaml.safe_load_all(capsys.readouterr().out)
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "shop")
    assert main(["rbac", "--config", str(config.file)]) == 0
    narrow, wide = yaml.safe_load_all(capsys.readouterr().out)
    assert (narrow["kind"], wide["kind"]) == ("Role", "ClusterRole")
    assert narrow["rules"] == role["rules"]
    assert {"apiGroups": [""], "resources": ["nodes", "resourcequotas"], "verbs": ["create"]} not in wide["rules"]
    assert any("namespaces" in rule["resources"] and "delete" in rule["verbs"] for rule in wide["rules"])
    assert not any("namespaces" in rule["resources"] and "delete" in rule["verbs"] for rule in narrow["rules"])


def test_clean_takes_what_is_ours_and_nothing_else(
    config: Config, options: Options, cluster: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.put(f"{NS}/services/shop", OURS)
    cluster.put(f"{NS}/services/theirs")
    cluster.put(f"{NS}/pods/smoke", OURS)
    cluster.put("/api/v1/namespaces/bg-0a1b2c3d", OURS)
    cluster.put("/api/v1/namespaces/bg-0a1b2c3d/pods/p")
    cluster.put("/api/v1/namespaces/bg-9a1b2c3d")
    cluster.put("/api/v1/namespaces/labelled", OURS)
    words = ["clean", "--bg-context", "c", "--bg-kubeconfig", str(options.kubeconfig)]
    given = [*words, "--namespace", "shop", "--config", str(config.file)]
    assert main(given) == 0
    assert sorted(cluster.objects) == [
        *("/api/v1/namespaces/bg-9a1b2c3d", "/api/v1/namespaces/labelled", NS, f"{NS}/services/theirs"),
    ]
    said = capsys.readouterr().out
    assert "shop: services/shop removed" in said and "namespace bg-0a1b2c3d: removed" in said
    cluster.changes.clear()
    assert main(words) == 0
    cluster.forbidden = {"list namespaces"}
    assert main(given) == 0  # a Role of one namespace is enough for what is in it
    assert cluster.changes == []
    assert main(words) == 11
    assert "bluegreen rbac" in capsys.readouterr().err


TOKEN = '[request]\nheaders = { Authorization = "Bearer ${SHOP_TOKEN}" }\n'


def test_a_secret_that_a_crash_left_is_found_and_removed_without_its_value(
    config: Config,
    options: Options,
    cluster: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config.file.write_text(CONFIG + TOKEN)
    monkeypatch.delenv("SHOP_TOKEN", raising=False)
    cluster.put(f"{NS}/secrets/bluegreen-smoke", OURS)
    given = ["--config", str(config.file), "--namespace", "shop"]
    there = [*given, "--bg-context", "c", "--bg-kubeconfig", str(options.kubeconfig), "--bg-target", "127.0.0.1"]
    assert main(["preflight", *there]) == 4
    assert "export SHOP_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("SHOP_TOKEN", "s3cret")
    assert main(["preflight", *there]) == 4
    assert "a harness made: secrets/bluegreen-smoke" in capsys.readouterr().out
    monkeypatch.delenv("SHOP_TOKEN")
    assert main(["rbac", *given]) == 0
    assert "secrets" in capsys.readouterr().out
    assert main(["clean", *there[:-2]]) == 0
    assert "shop: secrets/bluegreen-smoke removed" in capsys.readouterr().out
    assert list(cluster.objects) == [NS]


def test_clean_leaves_a_namespace_of_the_manifests_out(
    config: Config, options: Options, cluster: Server, tmp_path: Path
) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    (tmp_path / "rendered.yaml").write_text(f"{shop_manifests()}---\n{yaml.safe_dump(namespace)}")
    cluster.put("/api/v1/namespaces/labelled", OURS)
    cluster.put(f"{NS}/services/shop", OURS)
    cluster.forbidden = {"list namespaces"}
    words = ["clean", "--bg-context", "c", "--bg-kubeconfig", str(options.kubeconfig), "--config", str(config.file)]
    assert main([*words, "--namespace", "shop"]) == 0
    assert list(cluster.objects) == [NS, "/api/v1/namespaces/labelled"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["clean", "--all", "--bg-context", "c"], "--all"),
        (["clean", "--namespace", "shop"], "--bg-context"),
        (["clean", "--bg-context", "cc", "--bg-kubeconfig", "FILE"], "did you mean c?"),
    ],
)
def test_clean_refuses_what_is_unclear(
    options: Options, cluster: Server, capsys: pytest.CaptureFixture[str], words: list[str], part: str
) -> None:
    assert main([str(options.kubeconfig) if word == "FILE" else word for word in words]) == 4
    assert part in capsys.readouterr().err
    assert cluster.changes == []
