"""The load child for real, with TLS and HTTP/2 on gevent: each injected loss in its class, and every ledger closed."""

import time
from pathlib import Path

import numpy as np
import pytest

from harness.client.follower import Follower
from harness.client.identity import Identity
from harness.client.misbehave_tls import HOST, ToyTlsProcess
from harness.client.plan import ClassPlan, Entry, LoadPlan
from harness.evidence.samples import CLOSING, ERRORS, FLAG_RETRIABLE, KIND_CLOSING, OK
from harness.load import steady

pytestmark = pytest.mark.processes

CLASSES = {
    "tls": ClassPlan(rate=20, path="/cut/tls?every=10"),
    "h2": ClassPlan(rate=60, path="/refused_stream/h2?every=10"),
    "h2_slow": ClassPlan(rate=20, path="/stream_reset/slow?every=5"),
}
WANTED = {"tls": "truncated", "h2": "refused_stream", "h2_slow": "stream_reset"}


def plan(folder: Path, server: ToyTlsProcess, classes: dict[str, ClassPlan], port: str = "good") -> LoadPlan:
    (folder / "ca.pem").write_text(server.ca)
    return LoadPlan(
        entries=tuple(Entry("127.0.0.1", 1, f"n{i}", server.ports[port]) for i in range(3)),
        hosts=("127.0.0.1",),
        host_header=HOST,
        classes=classes,
        run_tag=f"t{time.monotonic_ns()}",
        folder=str(folder),
        identity=Identity(revision_header="X-Toy-Version", pod_header="X-Toy-Pod"),
        timeout_s=2.0,
        max_seconds=30.0,
        ca=str(folder / "ca.pem"),
    )


def test_every_injected_loss_is_told_in_its_class_and_streams_share_connections(tmp_path: Path) -> None:
    with ToyTlsProcess() as server:
        with steady(plan(tmp_path, server, CLASSES)) as load:
            end = time.monotonic() + 3
            while time.monotonic() < end:
                load.tail()
                time.sleep(0.05)
        report = server.report()
    path = tmp_path / f"samples-{load.pid}.bin"
    follower = Follower(path)
    samples = follower.read()
    for code, name in follower.classes.items():
        of_class = samples[samples["cls"] == code]
        seen = report[CLASSES[name].path.partition("?")[0]]
        bad = of_class[of_class["outcome"] != OK]
        assert [ERRORS[row] for row in bad["error"]] == [WANTED[name]] * seen["injected"], name
        assert seen["arrivals"] == seen["distinct"] == len(of_class), name
        assert seen["injected"] > 0
        assert set(of_class["entry"].tolist()) == {0, 1, 2}
        assert np.all((bad["flags"] & FLAG_RETRIABLE) == (FLAG_RETRIABLE if name == "h2" else 0))
    codes = {name: code for code, name in follower.classes.items()}
    multiplexed = samples[np.isin(samples["cls"], [codes["h2"], codes["h2_slow"]])]
    assert len(np.unique(multiplexed["conn"])) == 3  # one to each entry, both classes on it
    tls = samples[samples["cls"] == codes["tls"]]
    assert len(np.unique(tls["conn"])) == len(tls)
    rows = np.frombuffer(path.read_bytes(), CLOSING)
    rows = rows[rows["kind"] == KIND_CLOSING]
    assert len(rows) == 3
    for row in rows:
        assert row["scheduled"] == row["issued"] == np.count_nonzero(samples["cls"] == row["cls"])
        assert row["unsent"] == row["open"] == 0


@pytest.mark.parametrize(
    ("port", "error"), [("stranger", "tls_certificate"), ("expired", "tls_certificate"), ("stall", "tls_timeout")]
)
def test_a_handshake_that_goes_wrong_is_told_and_never_outlives_its_time(tmp_path: Path, port: str, error: str) -> None:
    classes = {name: ClassPlan(rate=10, timeout_s=0.5) for name in ("tls", "h2")}
    with ToyTlsProcess() as server, steady(plan(tmp_path, server, classes, port)) as load:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            load.tail()
            time.sleep(0.05)
    follower = Follower(tmp_path / f"samples-{load.pid}.bin")
    samples = follower.read()
    assert set(follower.classes.values()) == {"tls", "h2"}
    told = {ERRORS[row] for row in samples["error"]}
    # who comes while another opens the connection may find his own time over first
    assert error in told and told <= {error, "connect_timeout"}
    assert not np.any(samples["outcome"] == OK)
    assert (samples["end"] - samples["sent"]).max() < 1.5e9
