from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.config import find, load
from harness.errors import EXIT_CONFIGURATION, ConfigurationError
from tests.fake_kube import CONFIG, config_in


def refusal(folder: Path, text: str) -> tuple[str, str]:
    with pytest.raises(ConfigurationError) as error:
        config_in(folder, text)
    assert error.value.exit_code == EXIT_CONFIGURATION
    assert error.value.mend
    return error.value.what, error.value.mend


def line_of(text: str, start: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith(start))


def test_the_projects_own_files_are_read() -> None:
    root = Path(__file__).parent.parent
    assert load(root).app.manifests == root / "manifests" / "demo"
    assert load(root / "manifests" / "nginx" / "bluegreen.toml").ledger is None


def test_defaults_and_relative_paths(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    assert config.file == tmp_path / "bluegreen.toml"
    assert config.app.manifests == tmp_path / "manifests"
    assert config.app.image_of("v9") == "localhost/shop:v9"
    assert config.service.internal_of("green") == "shop-green"
    assert config.sides.deployments == {"blue": "shop-blue", "green": "shop-green"}
    assert (config.request.method, config.request.path, config.request.expect_status) == ("GET", "/", 200)
    load_ = config.load
    assert (load_.fresh, load_.busy, load_.idle, load_.slow, load_.post) == (200.0, 50.0, 2.0, 4.0, 10.0)
    assert load_.idle_gap_seconds == 5.0
    assert (config.request.slow, config.request.post, config.request.timeout_seconds) == (None, None, 5.0)
    assert config.admin is not None
    assert config.admin.state == "/state"
    assert config.bad.refused_by_smoke is None
    assert config.limits.cutover_seconds == 2.0
    assert hash(config) == hash(load(config.file))


SPECIAL = """[request.slow]
path = "/slow?ms=3000"
[request.post]
path = "/orders"
body = '{"id": "{id}"}'
expect_status = 201
[limits]"""


def sided(text: str) -> str:
    return CONFIG.replace('blue = "shop-blue"\ngreen = "shop-green"', text)


@pytest.mark.parametrize(
    ("text", "blue", "green"),
    [
        ('template = "shop"', "shop-blue", "shop-green"),
        ('template = "shop"\ngreen = "canary"', "shop-blue", "canary"),
        ('blue = "b"\ngreen = "g"', "b", "g"),
    ],
)
def test_sides_are_named_after_their_template(tmp_path: Path, text: str, blue: str, green: str) -> None:
    assert config_in(tmp_path, sided(text)).sides.deployments == {"blue": blue, "green": green}


@pytest.mark.parametrize(
    ("text", "what", "mend"),
    [
        ("", "sides.blue is missing", "add blue = ... under [sides], or template = ..."),
        ('blue = "b"', "sides.green is missing", "add green = ... under [sides], or template = ..."),
        ('templat = "shop"', "unknown key 'sides.templat'", "did you mean 'template'?"),
        ('template = "shop"\ngreen = ""', "sides.green can't be ''", "write it like 'shop-green'"),
        ('template = "shop"\ngreen = "shop-blue"', "sides.green is 'shop-blue', as sides.blue is", "two Deployments"),
    ],
)
def test_sides_without_either_are_refused(tmp_path: Path, text: str, what: str, mend: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        config_in(tmp_path, sided(text))
    assert what in error.value.what
    assert mend in error.value.mend


def test_what_slow_and_post_requests_are(tmp_path: Path) -> None:
    config = config_in(tmp_path, CONFIG.replace("[limits]", SPECIAL))
    slow, post = config.request.slow, config.request.post
    assert slow is not None and post is not None
    assert (slow.method, slow.path, slow.expect_status, slow.timeout_seconds) == ("GET", "/slow?ms=3000", 200, 10.0)
    assert (post.method, post.path, post.expect_status, post.timeout_seconds) == ("POST", "/orders", 201, 5.0)
    assert post.body == '{"id": "{id}"}'
    assert hash(config) == hash(load(config.file))


@pytest.mark.parametrize(
    ("right", "wrong", "said", "mended"),
    [
        ("[request.slow]", "[request.slwo]", "unknown key 'request.slwo'", "did you mean 'slow'?"),
        ("[request.post]", "[request.posts]", "unknown key 'request.posts'", "did you mean 'post'?"),
        ("expect_status", "expected_status", "unknown key 'request.post.expected_status'", "'expect_status'"),
        ('path = "/orders"', "", "request.post.path is missing", "add path = ... under [request.post]"),
        ('path = "/orders"', 'path = "/orders"\nmethod = "GET"', "request.post.method can't be 'GET'", "'POST'"),
        ("[request.post]", "timeout_seconds = 121\n[request.post]", "request.slow.timeout_seconds is 121", "up to 120"),
        ("[request.post]", "slow = {}\n[request.post]", "unknown key 'request.slow.slow'", "the keys here are"),
        ("expect_status = 201", "expect_status = 100", "request.post.expect_status is 100", "200 to 599"),
        ("[limits]", "[load]\nidle = 0\n[limits]", "load.idle is 0", "above 0"),
        ("[limits]", "[load]\nidle_gap = 3\n[limits]", "unknown key 'load.idle_gap'", "'idle_gap_seconds'"),
        ("[limits]", "[load]\nfresh = 999\nbusy = 999\n[limits]", "load.fresh and the others are 2014/s", "2000"),
    ],
)
def test_wrong_requests_and_rates_are_refused_with_the_nearest_right_one(
    tmp_path: Path, right: str, wrong: str, said: str, mended: str
) -> None:
    what, mend = refusal(tmp_path, CONFIG.replace("[limits]", SPECIAL).replace(right, wrong))
    assert said in what
    assert mended in mend


@pytest.mark.parametrize("name", ["slow", "post"])
def test_a_rate_for_requests_that_nothing_describes_is_refused(tmp_path: Path, name: str) -> None:
    text = CONFIG.replace("[limits]", f"[load]\n{name} = 3\n[limits]")
    what, mend = refusal(tmp_path, text)
    assert f"bluegreen.toml:{line_of(text, name + ' =')}: load.{name} is given" in what
    assert mend == f"add [request.{name}]"


def test_found_upwards_and_in_pyproject(tmp_path: Path) -> None:
    config_in(tmp_path)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.other]\n")
    assert find(deep) == tmp_path / "bluegreen.toml"
    inside = CONFIG.replace("[", "[tool.bluegreen.").replace("schema = 1", "[tool.bluegreen]\nschema = 1")
    (tmp_path / "a" / "pyproject.toml").write_text(inside.replace('"manifests"', '"../manifests"'))
    assert load(deep).file == tmp_path / "a" / "pyproject.toml"
    assert load(deep).app == load(tmp_path).app


def test_error_in_pyproject_has_its_line(tmp_path: Path) -> None:
    config_in(tmp_path)
    text = CONFIG.replace("[", "[tool.bluegreen.").replace("schema = 1", "[tool.bluegreen]\nschema = 1")
    text = text.replace("port = 80", "port = 0")
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path / "pyproject.toml")
    assert f"pyproject.toml:{line_of(text, 'port = 0')}: tool.bluegreen.service.port is 0" in error.value.what


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no bluegreen\.toml"):
        find(tmp_path)
    with pytest.raises(ConfigurationError, match="can't be read"):
        load(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("right", "wrong", "near"),
    [
        ("container =", "contaner =", "'container'"),
        ("selector_key =", "selctor_key =", "'selector_key'"),
        ("[limits]", "[limit]", "'limits'"),
        ("smoke_seconds =", "smoke_secs =", "'smoke_seconds'"),
    ],
)
def test_unknown_key_names_the_nearest_and_its_line(tmp_path: Path, right: str, wrong: str, near: str) -> None:
    text = CONFIG.replace(right, wrong)
    what, mend = refusal(tmp_path, text)
    assert f"bluegreen.toml:{line_of(text, wrong)}: unknown key" in what
    assert mend == f"did you mean {near}?"


def test_unknown_key_like_none_lists_all(tmp_path: Path) -> None:
    what, mend = refusal(tmp_path, CONFIG + "[zzz]\n")
    assert "unknown key 'zzz'" in what
    assert "identity" in mend


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("schema = 1", "schema = 2", "schema is 2"),
        ("schema = 1", "schema = true", "must be a whole number, not a boolean"),
        ("port = 80", 'port = "80"', "service.port must be a whole number, not a string"),
        ("port = 80", "port = 70000", "service.port is 70000"),
        ("[limits]", "[load]\nfresh = 0\n[limits]", "load.fresh is 0"),
        ("[limits]", "[load]\nbusy = 1001\n[limits]", "load.busy is 1001"),
        ("[limits]", "[load]\nbusy = nan\n[limits]", "load.busy is nan"),
        ("[limits]", "[load]\nbusy = inf\n[limits]", "load.busy is inf"),
        ('shop:{version}"', 'shop:latest"', "app.image can't be"),
        ('internal = "shop-{side}"', 'internal = "shop-green"', "service.internal can't be"),
        ('new = "v2"', 'new = "v1"', "app.new is 'v1', as app.old is"),
        ('green = "shop-green"', 'green = "shop-blue"', "sides.green is 'shop-blue', as sides.blue is"),
        ('manifests = "manifests"', 'manifests = "elsewhere"', "has no kustomization.yaml"),
        ('revision = "header:X-Revision"', 'revision = "cookie:x"', "identity.revision can't be"),
        ('revision = "header:X-Revision"', "", "identity.revision is missing"),
        ('host_path = "/var/lib/shop"', 'host_path = "/"', "ledger.host_path can't be"),
        ("[limits]", "[request]\nmethod = 'get'\n[limits]", "request.method can't be"),
        ("[limits]", "[request]\nheaders = { A = 1 }\n[limits]", "request.headers.A must be a string, not a number"),
        ("[limits]", '[request]\nheaders = { A = "x\\ny" }\n[limits]', "header A has a value that can't be sent"),
        ("[limits]", "[request]\npath = 'x'\n[limits]", "request.path can't be"),
        ("[limits]", "ingress = 5\n[limits]", "unknown key"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    text = CONFIG.replace(right, wrong)
    assert text != CONFIG
    what, _ = refusal(tmp_path, text)
    assert said in what
    assert "bluegreen.toml:" in what


def test_table_that_is_none(tmp_path: Path) -> None:
    what, _ = refusal(tmp_path, "load = 3\n" + CONFIG)
    assert "bluegreen.toml:1: load must be a table, not a number" in what


def test_line_numbers_survive_odd_spellings(tmp_path: Path) -> None:
    text = 'schema = 1\nload."fresh" = 5\n' + CONFIG.replace("schema = 1\n", "")
    text = text.replace("[limits]", '[request]\nbody = """\n[load]\nfresh = 1\n"""\npath = "no"\n[limits]')
    what, _ = refusal(tmp_path, text)
    assert f":{line_of(text, 'path = ')}: request.path" in what
    what, _ = refusal(tmp_path, text.replace('"fresh" = 5', '"fresh" = 0').replace('path = "no"', 'path = "/"'))
    assert ":2: load.fresh is 0" in what


def test_not_toml(tmp_path: Path) -> None:
    what, _ = refusal(tmp_path, "schema = 1\n[app\n")
    assert "bluegreen.toml:2: not TOML" in what
    (tmp_path / "bluegreen.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load(tmp_path)


def test_another_policy_is_other_manifests_and_nothing_else() -> None:
    config = load(Path(__file__).parent.parent / "bluegreen.toml")
    assert config.under("drain") == config
    for policy in ("naive", "sleep"):
        other = config.under(policy)
        assert other.app.manifests.name == policy
        assert replace(other, app=config.app) == config
    with pytest.raises(ConfigurationError, match="no manifests for the policy kill"):
        config.under("kill")
