"""Several requests, secrets by environment, and an identity that isn't told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.client import secrets
from harness.client.pacer import Pacer
from harness.client.plan import LoadPlan
from harness.config_model import NEEDS_REVISION
from harness.errors import ConfigurationError
from harness.loading import identity_of, plan_of
from harness.release import smoke
from tests.fake_kube import CONFIG, config_in
from tests.test_config import line_of, refusal

SEVERAL = """
[[requests]]
path = "/"
weight = 3
[[requests]]
path = "/search"
method = "POST"
headers = { Authorization = "Bearer ${SHOP_TOKEN}" }
body = '{"q": "${SHOP_QUERY}", "id": "{id}", "price": "$${x}"}'
expect_status = 201
timeout_seconds = 7
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "s3cret-token")
    monkeypatch.setenv("SHOP_QUERY", "s3cret-query")


def plan(folder: Path, text: str) -> LoadPlan:
    scenario: Any = SimpleNamespace(run_tag="tag", folder=folder)
    return plan_of(config_in(folder, text), [("127.0.0.1", 1, "a"), ("127.0.0.1", 2, "b")], "service", scenario)


def test_requests_take_turns_by_weight_on_every_entry(tmp_path: Path) -> None:
    made = plan(tmp_path, CONFIG + SEVERAL)
    assert LoadPlan.from_json(made.to_json()) == made
    assert [request.path for request in made.requests("fresh")] == ["/", "/", "/search", "/"]
    assert (made.timeout_of("fresh"), made.path) == (7, "/")
    recorder: Any = None
    pacer = Pacer(made, "fresh", 0, recorder, lambda *_: None)
    met = Counter((k % 2, pacer.request(k).path) for k in range(160))
    assert met == {(0, "/"): 60, (1, "/"): 60, (0, "/search"): 20, (1, "/search"): 20}
    search = made.requests("fresh")[2]
    assert (search.method, search.expected, search.timeout_s) == ("POST", frozenset({201}), 7)


def test_a_secret_is_in_what_is_sent_and_nowhere_else(tmp_path: Path) -> None:
    made = plan(tmp_path, CONFIG + SEVERAL)
    assert "s3cret" not in made.to_json() + repr(made) + repr(config_in(tmp_path, CONFIG + SEVERAL))
    sent = made.requests("fresh")[2].encode("i-1").decode()
    assert "\r\nAuthorization: Bearer s3cret-token\r\n" in sent
    assert sent.endswith('{"q": "s3cret-query", "id": "i-1", "price": "${x}"}')


def test_the_smoke_job_names_a_secret_and_never_holds_it(tmp_path: Path) -> None:
    text = CONFIG + '[request]\nheaders = { Authorization = "Bearer ${SHOP_TOKEN}", X-Price = "$5" }\n'
    config = config_in(tmp_path, text)
    job = smoke.job(config, "green", "v2", "smoke:1", 1)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"][-4:] == ["--header", "Authorization:Bearer $(BG_SHOP_TOKEN)", "--header", "X-Price:$$5"]
    reference = {"name": "bluegreen-smoke", "key": "SHOP_TOKEN"}
    assert container["env"] == [{"name": "BG_SHOP_TOKEN", "valueFrom": {"secretKeyRef": reference}}]
    assert "s3cret" not in str(job)
    (made,) = smoke.secret(config, {"SHOP_TOKEN": "s3cret"})
    assert (made["kind"], made["stringData"]) == ("Secret", {"SHOP_TOKEN": "s3cret"})
    assert smoke.secret(config_in(tmp_path), {}) == []


def test_what_the_environment_lacks_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_TOKEN")
    text = CONFIG + SEVERAL
    what, mend = refusal(tmp_path, text)
    assert f":{line_of(text, 'headers')}: requests[1].headers can't be filled in: ${{SHOP_TOKEN}} is not" in what
    assert mend == "set it: export SHOP_TOKEN=..."
    monkeypatch.setenv("SHOP_TOKEN", "two\nlines-s3cret")
    what, mend = refusal(tmp_path, text)
    assert "requests[1].headers would hold a value that can't be sent: Bearer ${SHOP_TOKEN}" in what
    assert "s3cret" not in what + mend


@pytest.mark.parametrize("wrong", ["${SHOP-TOKEN}", "${}", "a ${ b", "${1}"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, wrong: str) -> None:
    what, mend = refusal(tmp_path, CONFIG + SEVERAL.replace("${SHOP_TOKEN}", wrong))
    assert "names nothing" in what and "$${" in mend
    with pytest.raises(ConfigurationError):
        secrets.names(wrong)


@pytest.mark.parametrize(
    ("right", "wrong", "said", "mended"),
    [
        ("weight = 3", "wieght = 3", "unknown key 'requests[0].wieght'", "did you mean 'weight'?"),
        ("weight = 3", "weight = 0", "requests[0].weight is 0", "1 to 100"),
        ('path = "/search"', "", "requests[1].path is missing", "add path = ... under [requests[1]]"),
        ("\n[[requests]]", '\n[request]\npath = "/"\n[[requests]]', "request.path is given beside", "[[requests]]"),
        ("timeout_seconds = 7", "timeout_seconds = 999", "requests[1].timeout_seconds is 999", "120"),
        ("Authorization", "Host", "requests[1].headers can't be sent: header Host is written by", "RFC 9110"),
        ("${SHOP_TOKEN}", "${LOCUST_X}", "requests[1].headers can't be filled in", "LOCUST_X"),
    ],
)
def test_wrong_requests(tmp_path: Path, right: str, wrong: str, said: str, mended: str) -> None:
    what, mend = refusal(tmp_path, CONFIG + SEVERAL.replace(right, wrong, 1))
    assert said in what
    assert mended in mend


def test_one_table_where_an_array_is_wanted(tmp_path: Path) -> None:
    what, mend = refusal(tmp_path, CONFIG + '[requests]\npath = "/"\n')
    assert "requests must be an array of tables, not a table" in what
    assert mend == "write [[requests]]"


NONE = CONFIG.replace('revision = "header:X-Revision"', 'revision = "none"')


def test_an_unknown_revision_must_be_accepted_by_name(tmp_path: Path) -> None:
    what, mend = refusal(tmp_path, NONE)
    assert f':{line_of(NONE, "revision")}: identity.revision is "none", and so cutover_happened, never_served' in what
    accepted = mend.partition(": ")[2]
    config = config_in(tmp_path, NONE.replace('"none"', f'"none"\n{accepted}'))
    assert config.identity.accept_unproven == NEEDS_REVISION
    assert identity_of(config).names == ()
    args = smoke.job(config, "green", "v2", "smoke:1", 1)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert not {"--identity", "--expect-revision"} & set(args)
    what, _ = refusal(tmp_path, NONE.replace('"none"', '"none"\naccept_unproven = ["only"]'))
    assert "only" not in what.partition("and so")[2].split("can't")[0]


PROXIED = CONFIG.replace('revision = "header:X-Revision"', 'revision = "envoy"\naccept_unproven = ["smoke"]')


def test_the_proxys_log_may_tell_the_revision(tmp_path: Path) -> None:
    config = config_in(tmp_path, PROXIED.replace('["smoke"]', '["smoke"]\npod = "header:X-Pod"'))
    assert (config.identity.told_on, config.identity.anonymous) == ("ingress", False)
    assert identity_of(config).names == (b"x-pod",)
    args = smoke.job(config, "green", "v2", "smoke:1", 1)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert not {"--identity", "--expect-revision"} & set(args)


def test_or_the_nodes_tables_on_the_service_path(tmp_path: Path) -> None:
    config = config_in(tmp_path, PROXIED.replace('"envoy"', '"conntrack"'))
    assert (config.identity.told_on, identity_of(config).names) == ("service", ())


@pytest.mark.parametrize(
    ("text", "said", "mended"),
    [
        (PROXIED.replace('\naccept_unproven = ["smoke"]', ""), "and so smoke can't be proven", '= ["smoke"]'),
        (PROXIED.replace('["smoke"]', '["smoke", "only"]'), "holds only, which can be proven", "leave it out"),
        (
            PROXIED.replace('[ingress]\nname = "shop"\nhost = "shop.example.com"\n', ""),
            'identity.revision is "envoy", but there is no way by it',
            "add [ingress]",
        ),
        (PROXIED.replace('"envoy"', '"envy"'), "identity.revision can't be 'envy'", "header:X-Version"),
    ],
)
def test_where_the_proxys_log_cant_tell_it_that_is_said(tmp_path: Path, text: str, said: str, mended: str) -> None:
    what, mend = refusal(tmp_path, text)
    assert said in what
    assert mended in mend


@pytest.mark.parametrize(
    ("accept", "said", "mended"),
    [
        ('["onyl"]', "identity.accept_unproven can't hold 'onyl'", "did you mean 'only'?"),
        ('["zzz"]', "can't hold 'zzz'", "one of cutover_happened, never_served"),
        ('"only"', "identity.accept_unproven must be an array, not a string", '["cutover_happened"]'),
        ("[1]", "identity.accept_unproven holds a number", "strings"),
    ],
)
def test_wrong_consent(tmp_path: Path, accept: str, said: str, mended: str) -> None:
    what, mend = refusal(tmp_path, NONE.replace('"none"', f'"none"\naccept_unproven = {accept}'))
    assert said in what
    assert mended in mend


def test_consent_without_need_is_refused(tmp_path: Path) -> None:
    what, mend = refusal(tmp_path, CONFIG.replace("[ledger]", 'accept_unproven = ["only"]\n[ledger]'))
    assert "identity.accept_unproven is given, but answers tell their version" in what
    assert "leave it out" in mend
