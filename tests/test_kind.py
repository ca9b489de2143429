"""Our own kind cluster, with a kind that only writes down what it is told."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cluster import binaries, host, images, kind, owned, ports, session
from harness.cluster.engine import Engine
from harness.cluster.host import Host, inotify_left
from harness.cluster.kind import BlueGreenKind, name_of
from harness.cluster.owned import healthy, listed, read_owner, sweep
from harness.cluster.store import Store
from harness.errors import SetupError, WaitTimeout
from tests.conftest import ORDINARY, RESTRICTED, Answering, Programs, closed_port

NAME = "bluegreen-test"
KIND = """
LIST="$STATE/clusters"; : >> "$LIST"
verb="$1 $2"
while [ $# -gt 0 ]; do case "$1" in --name) name="$2" ;; --kubeconfig) file="$2" ;; esac; shift; done
case "$verb" in
"get clusters") while read -r line; do echo "$line"; done < "$LIST" ;;
"create cluster")
    echo "$KIND_EXPERIMENTAL_PROVIDER" > "$STATE/provider"
    echo "$name" >> "$LIST"
    [ -e "$STATE/hangs" ] && while :; do :; done
    [ -e "$STATE/refuses" ] && { echo "ERROR: failed to create cluster" >&2; exit 1; }
    umask 0
    while read -r line; do echo "$line"; done < "$STATE/kubeconfig" > "$file" ;;
"delete cluster")
    left=""
    while read -r line; do [ "$line" = "$name" ] || left="$left$line
"; done < "$LIST"
    printf '%s' "$left" > "$LIST" ;;
esac
exit 0
"""


class Machine:
    """A cluster in a cache folder, with the programs that it would call."""

    def __init__(self, programs: Programs, store: Store, answering: Answering) -> None:
        self.programs = programs
        self.store = store
        self._answering = answering
        programs.add("kind", KIND)
        self.kubectl = programs.add("kubectl")
        programs.add("docker")
        self.server(200)

    def server(self, status: int | None) -> None:
        """What the API server of the next cluster answers; None: nobody listens."""
        port = closed_port() if status is None else self._answering(status)
        (self.programs.state / "kubeconfig").write_text(kubeconfig(f"http://127.0.0.1:{port}"))

    def cluster(self, name: str = NAME, image: str = "node:1", host: Host = ORDINARY, **more: Any) -> BlueGreenKind:
        home = self.store.root / "clusters" / name
        engine = Engine(more.pop("engine", "docker"))
        binary = self.programs.folder / "kind"
        return BlueGreenKind(name, home, binary, self.kubectl, engine, host, self.store, image, **more)

    @property
    def clusters(self) -> list[str]:
        return listed(self.programs.folder / "kind", Engine("docker"))

    def verbs(self) -> list[str]:
        return [words[1] for words in self.programs.calls("kind") if words[1] != "get"]


def kubeconfig(server: str) -> str:
    return json.dumps({"clusters": [{"cluster": {"server": server}}]}) + "\n"


@pytest.fixture
def machine(programs: Programs, store: Store, answering: Answering, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(kind, "inotify_left", lambda: 1000)
    return Machine(programs, store, answering)


# -- names and configuration ------------------------------------------------------------------------------------------


def test_two_checkouts_never_share_a_name(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    (tmp_path / "link").symlink_to(one)
    assert name_of(one) == name_of(tmp_path / "link") == name_of(one / ".." / "one")
    assert name_of(one) != name_of(two)
    assert name_of(one).startswith(kind.PREFIX)


def test_an_ordinary_host_needs_no_patches(machine: Machine) -> None:
    cluster = machine.cluster(kube_proxy="nftables")
    config = cluster.config({})
    assert set(config) == {"kind", "apiVersion", "networking", "nodes"}
    assert config["networking"] == {"kubeProxyMode": "nftables"}
    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker", "worker"]
    for node in config["nodes"]:
        assert node["extraMounts"] == [{"hostPath": str(cluster.path / "ledger"), "containerPath": kind.LEDGER_IN_NODE}]
        assert "extraPortMappings" not in node


def test_a_restricted_host_gets_exactly_the_patches_it_needs(machine: Machine) -> None:
    config = machine.cluster(host=RESTRICTED).config({})
    (kubeadm,) = config["kubeadmConfigPatches"]
    assert yaml.safe_load(kubeadm)["failCgroupV1"] is False
    (containerd,) = config["containerdConfigPatches"]
    assert "restrict_oom_score_adj = true" in containerd
    assert "containerdConfigPatches" not in machine.cluster(host=replace(RESTRICTED, sys_resource=True)).config({})
    assert "kubeadmConfigPatches" not in machine.cluster(host=replace(RESTRICTED, cgroup_v2=True)).config({})


def test_mapped_ports_are_only_on_this_machine(machine: Machine) -> None:
    cluster = machine.cluster(workers=1)
    mapped = {name: {30900: 20000 + number} for number, name in enumerate(cluster.node_names())}
    entries = [node["extraPortMappings"] for node in cluster.config(mapped)["nodes"]]
    assert entries == [
        [{"containerPort": 30900, "hostPort": 20000 + number, "listenAddress": "127.0.0.1"}] for number in (0, 1)
    ]


def test_the_key_tells_what_a_cluster_was_made_of(machine: Machine) -> None:
    keys = {
        machine.cluster().key,
        machine.cluster(image="node:2").key,
        machine.cluster(kube_proxy="nftables").key,
        machine.cluster(workers=1).key,
        machine.cluster(host=RESTRICTED).key,
        machine.cluster(engine="nerdctl").key,
    }
    assert len(keys) == 6
    assert machine.cluster().key in keys


def test_a_cluster_that_lacks_a_port_is_another_one(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    now = machine.cluster().key
    monkeypatch.setattr(ports, "NODE_PORTS", ports.NODE_PORTS[:-1])
    assert machine.cluster().key != now


# -- health -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "good"), [(200, True), (500, False), (401, False)])
def test_health_is_the_api_servers_own_answer(tmp_path: Path, answering: Answering, status: int, good: bool) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig(f"http://127.0.0.1:{answering(status)}"))
    assert healthy(file) is good


def test_a_proxy_for_the_world_outside_is_not_asked(
    tmp_path: Path, answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    (tmp_path / "kubeconfig").write_text(kubeconfig(f"http://127.0.0.1:{answering(200)}"))
    assert healthy(tmp_path / "kubeconfig")


def test_a_dead_port_is_not_healthy_at_once(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig(f"https://127.0.0.1:{closed_port()}"))
    started = time.monotonic()
    assert not healthy(tmp_path / "kubeconfig")
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_hangs_is_not_healthy_within_the_bound(tmp_path: Path, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / "kubeconfig").write_text(kubeconfig(f"{scheme}://127.0.0.1:{server.getsockname()[1]}"))
        started = time.monotonic()
        assert not healthy(tmp_path / "kubeconfig", bound=0.2)
        assert time.monotonic() - started < 4


@pytest.mark.parametrize("text", [None, "", "{", "clusters: []", "[]", "clusters: [{cluster: {server: 7}}]"])
def test_a_damaged_kubeconfig_is_not_healthy(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "kubeconfig").write_text(text)
    assert not healthy(tmp_path / "kubeconfig", bound=0.5)


# -- ensure -----------------------------------------------------------------------------------------------------------


def test_a_cluster_is_created_and_then_reused(machine: Machine, said: list[str]) -> None:
    assert machine.cluster().ensure(said.append) is True
    assert machine.clusters == [NAME]
    assert (machine.programs.state / "provider").read_text() == "docker\n"
    assert machine.cluster().ensure(said.append) is False
    assert machine.verbs() == ["create"]
    assert said[-1] == f"cluster {NAME}: reused"
    owner = read_owner(machine.cluster().path)
    assert owner is not None
    assert owner["checkout"] == str(Path.cwd())
    assert owner["key"] == machine.cluster().key


def test_a_cluster_of_somebody_else_is_never_touched(machine: Machine, said: list[str]) -> None:
    (machine.programs.state / "clusters").write_text(f"{NAME}\n")
    with pytest.raises(SetupError, match=f"{NAME} exists and was not made by this harness\n  mend: .*--cluster-name"):
        machine.cluster().ensure(said.append)
    assert machine.verbs() == []
    assert machine.clusters == [NAME]


def test_a_dead_cluster_is_replaced(machine: Machine, said: list[str]) -> None:
    machine.server(None)
    machine.cluster().ensure(said.append)
    machine.server(200)
    assert machine.cluster().ensure(said.append) is True
    assert machine.verbs() == ["create", "delete", "create"]
    assert f"cluster {NAME}: replaced, because it does not answer" in said
    assert machine.clusters == [NAME]
    assert healthy(machine.cluster().kubeconfig_path)


def test_a_cluster_of_other_settings_is_replaced(machine: Machine, said: list[str]) -> None:
    machine.cluster().ensure(said.append)
    assert machine.cluster(image="node:2").ensure(said.append) is True
    assert f"cluster {NAME}: replaced, because its settings changed" in said
    assert [words[words.index("--image") + 1] for words in machine.programs.calls("kind", "create")] == [
        "node:1",
        "node:2",
    ]


def test_a_refused_creation_leaves_nothing(machine: Machine, said: list[str]) -> None:
    (machine.programs.state / "refuses").touch()
    with pytest.raises(SetupError, match="could not kind create cluster: kind exited with 1\n    ERROR: failed"):
        machine.cluster().ensure(said.append)
    assert machine.verbs() == ["create", "delete"]
    assert machine.clusters == []
    assert not machine.cluster().path.exists()


def test_no_cluster_is_begun_that_could_not_live(
    machine: Machine, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "inotify_left", lambda: 65)
    with pytest.raises(SetupError, match=r"65 inotify instances are left.*3 nodes need about 66"):
        machine.cluster().ensure(said.append)
    assert machine.verbs() == []
    monkeypatch.setattr(kind, "inotify_left", lambda: 66)
    assert machine.cluster().ensure(said.append)


def test_inotify_instances_are_counted_by_open_descriptors(tmp_path: Path) -> None:
    (tmp_path / "sys/fs/inotify").mkdir(parents=True)
    (tmp_path / "sys/fs/inotify/max_user_instances").write_text("128\n")
    for process, targets in {"1": ["anon_inode:inotify", "/dev/null"], "22": ["anon_inode:inotify"] * 2}.items():
        folder = tmp_path / process / "fd"
        folder.mkdir(parents=True)
        for number, target in enumerate(targets):
            (folder / str(number)).symlink_to(target)
    assert inotify_left(tmp_path) == 125


def test_a_hanging_creation_is_ended_and_leaves_nothing(
    machine: Machine, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine.programs.state / "hangs").touch()
    monkeypatch.setattr(kind, "CREATE_BOUND", 0.3)
    with pytest.raises(SetupError, match=r"kind did not finish within 0\.3 s"):
        machine.cluster().ensure(said.append)
    assert machine.clusters == []


def test_the_users_own_kubeconfig_is_never_touched(
    machine: Machine, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "home" / ".kube" / "config"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    os.utime(theirs, (1, 1))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "home")
    cluster = machine.cluster()
    cluster.ensure(said.append)
    assert stat.S_IMODE(cluster.kubeconfig_path.stat().st_mode) == 0o600
    cluster.kubectl("get", "nodes")
    cluster.delete()
    assert (theirs.read_text(), theirs.stat().st_mtime) == ("theirs", 1)
    assert [path.name for path in (tmp_path / "home").iterdir()] == [".kube"]  # pytest-kind's folder isn't made either
    for words in [*machine.programs.calls("kind", "create"), *machine.programs.calls("kind", "delete")]:
        assert words[words.index("--kubeconfig") + 1] == str(cluster.kubeconfig_path)
    assert machine.programs.calls("kubectl")[0][1:3] == ["--kubeconfig", str(cluster.kubeconfig_path)]


def test_nothing_falls_back_to_the_users_cluster_while_ours_is_in_use(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "x")  # so that the test's end puts it back
    monkeypatch.delenv("KUBECONFIG")
    with kind.in_use(store, NAME):
        assert os.environ["KUBECONFIG"] == os.devnull
        with pytest.raises(SetupError, match="another process has held"), store.lock(f"cluster-{NAME}", timeout=0):
            pass


def test_podman_maps_every_node_port_of_every_node_to_a_port_of_its_own(machine: Machine, said: list[str]) -> None:
    machine.programs.add(
        "podman",
        """[ "$1" = inspect ] && echo '[{"NetworkSettings": {"Networks": {"kind": {"IPAddress": "10.0.0.9"}}}}]'""",
    )
    cluster = machine.cluster(engine="podman")
    cluster.ensure(said.append)
    nodes = cluster.nodes()
    assert [node.name for node in nodes] == cluster.node_names()
    assert {node.address for node in nodes} == {"10.0.0.9"}
    assert all(tuple(node.mapped) == ports.NODE_PORTS for node in nodes)
    outer = [port for node in nodes for port in node.mapped.values()]
    assert len(set(outer)) == len(ports.NODE_PORTS) * 3
    written = yaml.safe_load((cluster.path / "kind.yaml").read_text())
    assert [one["hostPort"] for node in written["nodes"] for one in node["extraPortMappings"]] == outer


# -- images and readiness ---------------------------------------------------------------------------------------------


def test_images_go_to_every_worker(machine: Machine, tmp_path: Path) -> None:
    machine.programs.add("docker", 'read -r line; echo "$line" > "$STATE/$3"')
    (tmp_path / "images.tar").write_text("all of them\n")
    machine.cluster().load(tmp_path / "images.tar")
    for worker in (f"{NAME}-worker", f"{NAME}-worker2"):
        assert (machine.programs.state / worker).read_text() == "all of them\n"
    assert not (machine.programs.state / f"{NAME}-control-plane").exists()


def test_a_node_that_refuses_an_image_is_named(machine: Machine, tmp_path: Path) -> None:
    machine.programs.add("docker", f'[ "$3" = {NAME}-worker2 ] && {{ echo "no space left" >&2; exit 1; }}; exit 0')
    (tmp_path / "images.tar").touch()
    with pytest.raises(SetupError, match=f"could not load images on {NAME}-worker2: docker exited with 1\n.*no space"):
        machine.cluster().load(tmp_path / "images.tar")


def test_nodes_that_never_get_ready_end_the_wait_with_their_state(machine: Machine) -> None:
    machine.programs.add("kubectl", "echo 'one=True two=False three=True '")
    with pytest.raises(WaitTimeout, match="the nodes to be ready: one=True, two=False, three=True"):
        kind.wait_nodes(machine.cluster(), bound=0)
    machine.programs.add("kubectl", "echo 'one=True two=True '")
    with pytest.raises(WaitTimeout):  # a node that never registered is no ready node
        kind.wait_nodes(machine.cluster(), bound=0)
    machine.programs.add("kubectl", "echo 'one=True two=True three=True '")
    kind.wait_nodes(machine.cluster(), bound=0)


def test_a_creation_that_was_killed_leaves_a_cluster_that_is_replaced(machine: Machine, said: list[str]) -> None:
    machine.server(200)
    half = machine.cluster()
    half.create()
    owner = json.loads((half.path / "owner.json").read_text())
    assert owner.pop("complete") is True
    (half.path / "owner.json").write_text(json.dumps(owner))
    assert half.ensure(said.append) is True
    assert any("replaced" in line for line in said)
    assert half.ensure(said.append) is False


# -- what earlier runs left -------------------------------------------------------------------------------------------


def test_records_of_arrivals_that_a_killed_run_left_are_put_away(machine: Machine, said: list[str]) -> None:
    cluster = machine.cluster()
    cluster.ensure(said.append)
    (left := cluster.path / "ledger" / "bg-1").mkdir()
    (left / "blue-0.arrivals").touch()
    machine.programs.add("docker")
    machine.programs.add("kubectl")
    cluster.tidy()
    assert list((cluster.path / "ledger").iterdir()) == []
    assert cluster.path.exists()


def _leave(machine: Machine, name: str, server: int | None, checkout: Path) -> Path:
    machine.server(server)
    cluster = machine.cluster(name)
    cluster.create()
    owner = json.loads((cluster.path / "owner.json").read_text())
    (cluster.path / "owner.json").write_text(json.dumps({**owner, "checkout": str(checkout)}))
    return cluster.path


def test_sweeping_takes_dead_and_orphaned_clusters_of_ours_only(
    machine: Machine, said: list[str], tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    dead = _leave(machine, "bluegreen-dead", None, tmp_path)
    orphan = _leave(machine, "bluegreen-orphan", 200, gone)
    alive = _leave(machine, "bluegreen-alive", 200, tmp_path)
    used = _leave(machine, "bluegreen-used", None, tmp_path)
    mine = _leave(machine, "bluegreen-mine", None, tmp_path)
    with (machine.programs.state / "clusters").open("a") as lines:
        lines.write("kind\nbluegreen-foreign\n")
    with machine.store.lock("cluster-bluegreen-used"):
        sweep(machine.programs.folder / "kind", Engine("docker"), machine.store, "bluegreen-mine", said.append)
    assert machine.clusters == ["bluegreen-alive", "bluegreen-used", "bluegreen-mine", "kind", "bluegreen-foreign"]
    assert [home.exists() for home in (dead, orphan, alive, used, mine)] == [False, False, True, True, True]
    assert [line for line in said if "removed" in line] == [
        "cluster bluegreen-dead: removed, because it is dead",
        "cluster bluegreen-orphan: removed, because its checkout is gone",
    ]


def test_removing_asks_every_engine_before_the_folder_goes(machine: Machine, tmp_path: Path) -> None:
    machine.programs.add("docker")
    machine.programs.add("podman", '[ "$1" = ps ] && echo "a b"; exit 0')
    home = _leave(machine, NAME, 200, tmp_path)
    owned.remove([Engine("docker"), Engine("podman")], {}, machine.store, home)
    assert machine.programs.calls("podman", "rm") == [["podman", "rm", "--force", "--volumes", "a", "b"]]
    assert machine.programs.calls("docker", "rm") == []
    assert not home.exists()


def test_a_cluster_in_use_is_not_removed(machine: Machine, tmp_path: Path) -> None:
    home = _leave(machine, NAME, 200, tmp_path)
    with machine.store.lock(f"cluster-{NAME}"), pytest.raises(SetupError, match="another process has held"):
        owned.remove([Engine("docker")], {}, machine.store, home)
    assert (home / "owner.json").exists()


def test_the_record_tells_whose_the_cluster_is_and_who_made_it(machine: Machine, tmp_path: Path) -> None:
    cluster = machine.cluster(checkout=tmp_path)
    cluster.create()
    owner = read_owner(cluster.path)
    assert owner is not None
    assert (owner["checkout"], owner["engine"]) == (str(tmp_path), "docker")


@pytest.mark.parametrize("keep", [False, True])
def test_ctrl_c_while_the_cluster_comes_up_leaves_nothing_half_made(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KUBECONFIG", "x")  # so that the test's end puts it back
    monkeypatch.setattr(host, "detect", lambda: ORDINARY)
    monkeypatch.setattr(images, "registry_answers", lambda mirror: True)
    monkeypatch.setattr(session, "_default_node_image", lambda kind: "docker.io/kindest/node:1")
    monkeypatch.setattr(session, "_smoke", lambda source, folder: "smoke:1")
    binary = machine.programs.folder / "kind"
    monkeypatch.setattr(binaries, "find", lambda *_: binaries.Binaries(binary, machine.kubectl))

    def ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(kind, "wait_nodes", ctrl_c)
    options = session.Options(tmp_path, tmp_path, tmp_path, keep=keep)
    with pytest.raises(KeyboardInterrupt), session.cluster(options, [], lambda text: None):
        pass
    assert machine.verbs() == (["create"] if keep else ["create", "delete"])
    assert machine.clusters == ([name_of(tmp_path)] if keep else [])
