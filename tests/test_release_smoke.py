from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cluster.answers import JobResult
from harness.errors import ClusterError, SmokeFailed
from harness.release import smoke
from images.smoke import smoke as runner
from tests.fake_kube import CONFIG, FakeClock, FakeKube, config_in


def manifest(folder: Path, text: str = CONFIG) -> dict[str, object]:
    return smoke.job(config_in(folder, text), "green", "v2", "localhost/smoke:1", 1)


def arguments(job: dict[str, object]) -> list[str]:
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]  # type: ignore[index]
    return list(args)


def test_the_runner_understands_the_jobs_arguments(tmp_path: Path) -> None:
    more = '[request]\nheaders = { Accept = "text/plain" }\n[smoke]\npath = "/deep"\n[limits]'
    text = CONFIG.replace("[limits]", more)
    options = runner.arguments(arguments(manifest(tmp_path, text)))
    assert options.url == "http://shop-green:80/deep"
    assert (options.requests, options.expect_status, options.timeout) == (20, 200, 5.0)
    assert (options.identity, options.expect_revision) == ("header:X-Revision", "v2")
    assert options.header == [("Accept", "text/plain")]


def test_one_attempt_only_and_no_privilege(tmp_path: Path) -> None:
    spec: dict[str, object] = manifest(tmp_path)["spec"]  # type: ignore[assignment]
    pod = spec["template"]["spec"]  # type: ignore[index]
    assert spec["backoffLimit"] == 0
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["securityContext"]["runAsNonRoot"] is True


def run(fake: FakeKube) -> str:
    clock = FakeClock()
    try:
        return smoke.run(fake.kube, "ns", {"metadata": {"name": "smoke-1"}}, 20.0, clock.clock)
    finally:
        assert sum(clock.slept) <= 21


@pytest.mark.parametrize(
    ("result", "error", "said"),
    [
        (JobResult(True, False, "", json.dumps({"result": "fail", "detail": "3 of 20"})), SmokeFailed, "3 of 20"),
        (JobResult(True, False, "", json.dumps({"result": "pass", "detail": "but exit 1"})), SmokeFailed, "exit 1"),
        (JobResult(True, True, "", json.dumps({"detail": "no result"})), ClusterError, "without a result"),
        (JobResult(True, False, "", "Traceback: boom"), ClusterError, "boom"),
        (JobResult(False, False, "", ""), SmokeFailed, "no result in time"),
        (JobResult(False, False, "ErrImageNeverPull", ""), ClusterError, "ErrImageNeverPull"),
    ],
)
def test_what_is_no_pass(result: JobResult, error: type[Exception], said: str) -> None:
    fake = FakeKube()
    fake.job = result
    with pytest.raises(error, match=said):
        run(fake)


def test_pass() -> None:
    assert run(FakeKube()) == "20 of 20"
