"""Records of probes: what is read of them, and when a pod wasn't ready by them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.probe_specs import differences, missing, probes_of, readiness_paths
from harness.evidence.probes import ProbeRecord, Span, parse, unready

READY = {"/readyz"}


def record(*lines: str, pod: str = "blue-0") -> ProbeRecord:
    return parse(f"{pod}.probes", "".join(f"{line}\n" for line in lines).encode())


def spans(*lines: str) -> list[tuple[int, int | None, bool]]:
    return [(one.since, one.back, one.starting) for one in unready(record(*lines), READY)]


def test_lines_become_arrays_in_order_of_time() -> None:
    read = record("S 10 blue-0 v1", "H 30 /livez 200", "H 20 /readyz 503", "E 40", "S 50 blue-0 v1", "H 60 /livez 0")
    assert read.starts.tolist() == [10, 50]
    assert read.ends.tolist() == [40]
    assert [(int(h["t"]), read.paths[h["path"]], int(h["status"])) for h in read.hits] == [
        (20, "/readyz", 503),
        (30, "/livez", 200),
        (60, "/livez", 0),
    ]
    assert read.of(READY)["t"].tolist() == [20]
    assert read.faults == ()


def test_what_is_wrong_with_a_record_is_said() -> None:
    assert record().faults == ("the record of blue-0's probes lacks its beginning",)
    assert record("S 1 blue-1 v1").faults == ("the record of blue-0's probes is by blue-1",)
    torn = parse("blue-0.probes.broken", b"S 1 blue-0 v1\nnonsense\nH 2 /rea")
    assert torn.pod == "blue-0"
    assert torn.faults == (
        "the application gave the record of blue-0's probes up",
        "1 lines of blue-0's probes are no facts",
        "the last line of blue-0's probes is torn",
    )


def test_a_pod_is_unready_from_its_last_good_probe_to_the_next() -> None:
    start = "S 5 blue-0 v1"
    assert spans(start) == [(5, None, True)]
    assert spans(start, "H 7 /readyz 503", "H 9 /readyz 200") == [(5, 9, True)]
    up = (start, "H 9 /readyz 200", "H 10 /readyz 204")
    assert spans(*up, "H 11 /readyz 503", "H 12 /readyz 0", "H 13 /readyz 399")[1:] == [(10, 13, False)]
    assert spans(*up, "H 11 /livez 0", "H 12 /readyz 200") == [(5, 9, True)], "of other probes it is no matter"
    assert spans(*up, "E 11", "S 14 blue-0 v1", "H 15 /readyz 200")[1:] == [(10, 15, False)], "ended and begun anew"
    assert spans(*up, "S 14 blue-0 v1")[1:] == [(10, None, False)], "killed without a word"


@given(st.lists(st.tuples(st.integers(1, 10**6), st.sampled_from(["good", "bad", "start"])), max_size=40))
def test_spans_hold_every_bad_probe_no_good_one_and_never_meet(told: list[tuple[int, str]]) -> None:
    codes = {"good": "H {} /readyz 200", "bad": "H {} /readyz 503", "start": "S {} blue-0 v1"}
    unique = sorted(dict(told).items())
    found = unready(record("S 0 blue-0 v1", *(codes[kind].format(t) for t, kind in unique)), READY)
    for t, kind in unique:
        inside = [one for one in found if one.since < t and (one.back is None or t < one.back)]
        assert len(inside) == (1 if kind != "good" else 0)
    for before, after in pairwise(found):
        assert before.back is not None
        assert before.back <= after.since
    assert sum(one.starting for one in found) == 1
    assert all(isinstance(one, Span) for one in found)


@given(st.binary(max_size=300))
def test_any_bytes_are_read(raw: bytes) -> None:
    read = parse("blue-0.probes", raw)
    assert bool(np.all(np.diff(read.hits["t"]) >= 0))
    assert all(one.back is None or one.since <= one.back for one in unready(read, READY))


PROBES = {"readinessProbe": {"httpGet": {"path": "/readyz", "port": 1}, "periodSeconds": 1}, "livenessProbe": None}


def test_what_the_applied_objects_say_is_compared_key_by_key() -> None:
    deployment = {"spec": {"template": {"spec": {"containers": [{"name": "api", **PROBES}, {"name": "side"}]}}}}
    specs = probes_of(deployment)
    assert specs == {
        "api": {"readinessProbe": PROBES["readinessProbe"]},
    }
    assert missing(specs, "api") == ""
    assert missing(specs, "side").startswith("container side has no readinessProbe")
    assert readiness_paths(specs) == {"/readyz"}
    assert readiness_paths({"api": {"readinessProbe": {"tcpSocket": {}}}}) == set()
    assert differences(specs, specs) == ()
    other = {"api": {"readinessProbe": {"httpGet": {"path": "/", "port": 1}}}}
    assert differences(specs, other) == (
        "api.readinessProbe.httpGet.path: /readyz and /",
        "api.readinessProbe.periodSeconds: 1 and none",
    )
