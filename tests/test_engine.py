"""The container engine: which one answers, what it is told, and podman's own configuration."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cluster import engine
from harness.cluster.engine import Engine, find, podman_env
from harness.cluster.host import boot_id
from harness.cluster.shell import tail
from harness.errors import SetupError
from tests.conftest import ORDINARY, RESTRICTED, Programs

ROOT_USER = replace(ORDINARY, root=True)
NO_DAEMON = 'echo "Cannot connect to the Docker daemon" >&2; exit 1'


# -- podman's configuration -------------------------------------------------------------------------------------------


def test_a_restricted_host_gets_limits_that_it_can_keep(tmp_path: Path) -> None:
    env = podman_env(tmp_path, RESTRICTED)
    assert set(env) == {"CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF"}
    conf = tomllib.loads(Path(env["CONTAINERS_CONF"]).read_text())
    assert conf["containers"]["default_ulimits"] == ["nofile=4096:4096", "nproc=15000:15000"]
    assert (conf["engine"]["cgroup_manager"], conf["engine"]["runtime"]) == ("cgroupfs", "runc")


def test_limits_never_exceed_what_podman_itself_would_set(tmp_path: Path) -> None:
    host = replace(RESTRICTED, nofile=-1, nproc=99999999)
    conf = tomllib.loads(Path(podman_env(tmp_path, host)["CONTAINERS_CONF"]).read_text())
    assert conf["containers"]["default_ulimits"] == ["nofile=1048576:1048576", "nproc=32768:32768"]


def test_an_ordinary_host_keeps_podmans_defaults(tmp_path: Path) -> None:
    conf = tomllib.loads(Path(podman_env(tmp_path, ROOT_USER)["CONTAINERS_CONF"]).read_text())
    assert conf["containers"] == {}
    assert not {"cgroup_manager", "runtime"} & set(conf["engine"])


def test_everything_podman_keeps_is_below_the_cache(tmp_path: Path) -> None:
    env = podman_env(tmp_path, ROOT_USER)
    conf = tomllib.loads(Path(env["CONTAINERS_CONF"]).read_text())
    storage = tomllib.loads(Path(env["CONTAINERS_STORAGE_CONF"]).read_text())["storage"]
    places = [conf["engine"]["static_dir"], conf["engine"]["tmp_dir"], conf["network"]["network_config_dir"]]
    for place in [*env.values(), *places, storage["runroot"], storage["graphroot"]]:
        assert Path(place).is_relative_to(tmp_path / "engine")


def test_a_reboot_forgets_the_runtime_state_but_not_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Path(podman_env(tmp_path, ROOT_USER)["CONTAINERS_CONF"]).parent
    (before / "storage").mkdir()
    (before / f"run-{boot_id()}" / "locks").touch()
    podman_env(tmp_path, ROOT_USER)
    assert (before / f"run-{boot_id()}" / "locks").exists()
    monkeypatch.setattr(engine, "boot_id", lambda: "another0")
    podman_env(tmp_path, ROOT_USER)
    assert [path.name for path in before.glob("run-*")] == ["run-another0"]
    assert (before / "storage").is_dir()


def test_a_rootless_users_podman_is_left_alone(tmp_path: Path) -> None:
    assert podman_env(tmp_path, ORDINARY) == {}
    assert list(tmp_path.iterdir()) == []


# -- which engine -----------------------------------------------------------------------------------------------------


def test_the_first_engine_that_answers_is_taken(programs: Programs, tmp_path: Path) -> None:
    for name in ("nerdctl", "podman", "docker"):
        programs.add(name)
        assert find(tmp_path, ORDINARY) == Engine(name)
    assert programs.calls() == [["nerdctl", "info"], ["podman", "info"], ["docker", "info"]]


def test_a_docker_client_without_its_daemon_gives_way_to_podman(programs: Programs, tmp_path: Path) -> None:
    programs.add("docker", NO_DAEMON)
    programs.add("podman", 'echo "$CONTAINERS_CONF" > "$STATE/conf"')
    found = find(tmp_path, RESTRICTED)
    assert found is not None
    assert found.name == "podman"
    assert (programs.state / "conf").read_text().strip() == found.env["CONTAINERS_CONF"]


def test_the_wanted_engine_is_the_only_one_asked(programs: Programs, tmp_path: Path) -> None:
    for name in engine.ENGINES:
        programs.add(name)
    assert find(tmp_path, ORDINARY, "nerdctl") == Engine("nerdctl")
    assert programs.calls() == [["nerdctl", "info"]]


def test_a_wanted_engine_that_is_silent_is_an_error_with_its_own_words(programs: Programs, tmp_path: Path) -> None:
    programs.add("docker", NO_DAEMON)
    with pytest.raises(SetupError, match=r"no container engine answers\n.*docker:\n.*Docker daemon\n  mend: start"):
        find(tmp_path, ORDINARY, "docker")


def test_an_engine_that_hangs_is_given_up(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs.add("docker", "while :; do :; done")
    monkeypatch.setattr(engine, "ANSWER_SECONDS", 0.3)
    with pytest.raises(SetupError, match=r"docker did not finish within 0\.3 s\n  mend: start docker"):
        find(tmp_path, ORDINARY, "docker")


def test_where_every_engine_is_silent_each_is_named(programs: Programs, tmp_path: Path) -> None:
    programs.add("docker", NO_DAEMON)
    programs.add("podman", "echo 'no subuid ranges' >&2; exit 125")
    with pytest.raises(SetupError, match=r"(?s)Docker daemon.*no subuid ranges"):
        find(tmp_path, ORDINARY)


def test_where_there_is_none_it_can_be_installed(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find(tmp_path, ORDINARY) is None
    programs.add("docker", NO_DAEMON)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert find(tmp_path, ORDINARY) is None
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SetupError, match="no container engine answers"):
        find(tmp_path, ORDINARY)


# -- what each engine is told -----------------------------------------------------------------------------------------

BUILD_ONLY_PODMAN = ["--isolation=chroot", "--format=docker", "--pull=never"]


@pytest.mark.parametrize("name", engine.ENGINES)
def test_command_lines(programs: Programs, tmp_path: Path, name: str) -> None:
    programs.add(name, 'case "$1" in ps) printf "one\\ntwo\\n" ;; image) echo sha256:1 ;; esac')
    podman = name == "podman"
    runs = Engine(name)
    archive = tmp_path / "all.tar"
    archive.write_text("an older one")
    runs.build(tmp_path, "localhost/a:1", {"BASE": "b"})
    runs.save(["localhost/a:1", "localhost/b:1"], archive)
    assert runs.containers("owner=us") == ["one", "two"]
    assert runs.has_image("localhost/a:1")
    assert runs.image_id("localhost/a:1") == "sha256:1"
    assert programs.calls() == [
        [
            *(name, "build", "--tag", "localhost/a:1", "--file", str(tmp_path / "Containerfile")),
            *(BUILD_ONLY_PODMAN if podman else []),
            *("--build-arg", "BASE=b", str(tmp_path)),
        ],
        [
            *(name, "save", *(["--multi-image-archive"] if podman else [])),
            *("--output", str(archive), "localhost/a:1", "localhost/b:1"),
        ],
        [name, "ps", "--all", "--filter", "label=owner=us", "--format", "{{.Names}}"],
        [name, "image", "inspect", "localhost/a:1"],
        [name, "image", "inspect", "--format", "{{.Id}}", "localhost/a:1"],
    ]
    assert not archive.exists()  # podman refuses to write over a file
    assert runs.kind_env["KIND_EXPERIMENTAL_PROVIDER"] == name
    assert runs.published_ports == ("dnat" if podman else "proxy")


def test_an_image_that_is_not_there(programs: Programs) -> None:
    programs.add("docker", "echo 'no such image' >&2; exit 1")
    assert not Engine("docker").has_image("a")
    with pytest.raises(SetupError, match="could not read image a: docker exited with 1\n    no such image"):
        Engine("docker").image_id("a")


def test_a_file_is_piped_into_a_container(programs: Programs, tmp_path: Path) -> None:
    programs.add("docker", 'read -r line; echo "$line" > "$STATE/got"')
    (tmp_path / "source").write_text("the archive\n")
    Engine("docker").pipe_in("node", ["ctr", "import", "-"], tmp_path / "source", "load it")
    assert programs.calls() == [["docker", "exec", "-i", "node", "ctr", "import", "-"]]
    assert (programs.state / "got").read_text() == "the archive\n"


def test_the_address_of_a_container(programs: Programs) -> None:
    told = json.dumps([{"NetworkSettings": {"Networks": {"kind": {"IPAddress": "10.1.2.3"}}}}])
    programs.add("docker", f"echo '{told}'")
    assert Engine("docker").address("node") == "10.1.2.3"


def test_the_line_that_tells_the_reason_is_shown_however_much_follows_it() -> None:
    stack = "\n".join(f"frame {number}" for number in range(40))
    shown = tail(f"Creating cluster\nERROR: failed to create cluster: no room\n{stack}\n", 3).splitlines()
    assert shown == ["    ERROR: failed to create cluster: no room", "    frame 37", "    frame 38", "    frame 39"]
    assert tail("one\nerror: two\n", 3) == "    one\n    error: two"
