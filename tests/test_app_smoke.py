"""The smoke runner's judgment, over a transport that plays the idle side."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from images.smoke import smoke

URL = "http://api-green/"


def run(
    capsys: pytest.CaptureFixture[str], side: Callable[[httpx.Request], httpx.Response], *extra: str
) -> tuple[int, dict[str, Any]]:
    argv = ["--url", URL, "--requests", "5", "--identity", "header:X-Revision", "--expect-revision", "v2", *extra]
    code = smoke.main(argv, httpx.MockTransport(side))
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return code, json.loads(out)


def v2(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, headers={"X-Revision": "v2"}, json={"app": {"revision": "v2"}})


def test_a_good_side_passes_with_one_new_connection_and_one_id_per_request(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[httpx.Request] = []

    def side(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return v2(request)

    code, told = run(capsys, side)
    assert (code, told["result"], told["ok"], told["failed"], told["revisions"]) == (0, "pass", 5, 0, {"v2": 5})
    assert len({r.headers["x-request-id"] for r in seen}) == len(seen) == 5
    assert {r.headers["connection"] for r in seen} == {"close"}


def test_a_revision_inside_the_body_is_found_by_its_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, v2, "--identity", "json:app.revision")[0] == 0
    code, told = run(capsys, v2, "--identity", "json:app.nothing")
    assert (code, told["revisions"]) == (1, {"unknown": 5})


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (httpx.Response(500, headers={"X-Revision": "v2"}), "status 500, expected 200"),
        (httpx.Response(200, headers={"X-Revision": "v1"}), "revision v1, expected v2"),
        (httpx.Response(200), "revision unknown, expected v2"),
    ],
)
def test_one_bad_answer_of_five_fails(reply: httpx.Response, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    sent = 0

    def side(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        sent += 1
        return reply if sent == 3 else v2(request)

    code, told = run(capsys, side)
    assert (code, told["result"], told["ok"], told["failed"]) == (1, "fail", 4, 1)
    assert f"request 2: {word}" in told["detail"]


def test_an_unreachable_side_fails_after_one_try_each(capsys: pytest.CaptureFixture[str]) -> None:
    tries = 0

    def side(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        raise httpx.ConnectError("refused", request=request)

    code, told = run(capsys, side)
    assert (code, tries, told["failed"]) == (1, 5, 5)
    assert "ConnectError: refused" in told["detail"]


def test_method_headers_and_body_are_sent_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    def side(request: httpx.Request) -> httpx.Response:
        right = (request.method, request.headers["x-tenant"], request.read()) == ("POST", "a:b", b"{}")
        return httpx.Response(201 if right else 400, headers={"X-Revision": "v2"})

    extra = ("--method", "POST", "--header", "X-Tenant: a:b", "--body", "{}", "--expect-status", "201")
    assert run(capsys, side, *extra)[0] == 0


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--url", URL, "--requests", "0"],
        ["--url", URL, "--expect-revision", "v2"],
        ["--url", URL, "--identity", "cookie:x"],
        ["--url", URL, "--header", "X-Tenant"],
    ],
)
def test_wrong_arguments_are_no_verdict(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        smoke.main(argv, httpx.MockTransport(v2))
    assert stopped.value.code == 2
    assert capsys.readouterr().out == ""


def test_an_answer_of_somebody_else_is_waited_out_but_a_bad_one_of_the_right_version_is_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("X-Request-Id", "settling"))
        if len(seen) < 3:
            return httpx.Response(404)
        return httpx.Response(500, headers={"X-Revision": "v2"})

    argv = ["--url", "http://side/", "--requests", "2", "--identity", "header:X-Revision", "--expect-revision", "v2"]
    code = smoke.main([*argv, "--settle", "5"], httpx.MockTransport(answer))
    result = json.loads(capsys.readouterr().out)
    assert code == 1
    assert result["failed"] == 2
    assert result["settled_ms"] >= 200
    assert [name == "settling" for name in seen] == [True] * 3 + [False] * 2


def test_a_side_that_is_never_reachable_still_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    assert smoke.main(["--url", "http://side/", "--requests", "2", "--settle", "0.2"], httpx.MockTransport(refuse)) == 1
    assert json.loads(capsys.readouterr().out)["failed"] == 2
