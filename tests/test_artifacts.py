"""The run's folder, verdict.json, and the links of artifacts/latest/."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from harness.files import write_atomically
from harness.report.artifacts import Run, link_latest, verdict_document, worst

VERDICTS = ("pass", "inconclusive", "fail")


def _run(root: Path, monkeypatch: pytest.MonkeyPatch, second: int, keep: int = 10) -> Run:
    monkeypatch.setattr("harness.report.artifacts.time.strftime", lambda form: f"20260101-0000{second:02}-")
    return Run(root, keep)


def test_scenarios_have_readable_folders_of_their_own(tmp_path: Path) -> None:
    run = Run(tmp_path, 10)
    ids = {
        "scenarios/test_cutover.py::test_loses_nothing[service]": "test_cutover.test_loses_nothing-service",
        "test_cutover.py::test_loses_nothing[ingress]": "test_cutover.test_loses_nothing-ingress",
        "a/test_x.py::TestRelease::test_both[a/b ü]": "test_x.TestRelease-test_both-a-b",
    }
    for node_id, name in ids.items():
        assert run.scenario_folder(node_id, 1) == run.folder / name
    again = run.scenario_folder("scenarios/test_cutover.py::test_loses_nothing[service]", 2)
    assert again.name == "test_cutover.test_loses_nothing-service.attempt2"


def test_files_of_the_same_name_in_two_folders_dont_share_evidence(tmp_path: Path) -> None:
    run = Run(tmp_path, 10)
    one, two = (run.scenario_folder(f"{folder}/test_x.py::test_y[service]", 1) for folder in "ab")
    assert one != two
    with pytest.raises(FileExistsError):
        run.scenario_folder("b/test_x.py::test_y[service]", 1)


def test_older_runs_go_but_never_one_that_latest_points_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "20260101-notes").mkdir()
    runs = [_run(tmp_path, monkeypatch, 0)]
    runs[0].write_verdict({}, latest=True)
    runs += [_run(tmp_path, monkeypatch, second, keep=3) for second in range(1, 6)]
    assert [run.folder.exists() for run in runs] == [True, False, False, True, True, True]
    assert (tmp_path / "mine").exists()
    assert (tmp_path / "20260101-notes").exists()
    assert json.loads((tmp_path / "latest" / "verdict.json").read_text()) == {}


def test_two_runs_in_one_second_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run(tmp_path, monkeypatch, 0).id != _run(tmp_path, monkeypatch, 0).id


def test_the_link_is_relative_and_moves_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (_run(tmp_path, monkeypatch, number) for number in (1, 2))
    link = tmp_path / "latest" / "verdict.json"
    first.write_verdict({"run": 1}, latest=True)
    second.write_verdict({"run": 2}, latest=False)
    assert str(link.readlink()) == f"../{first.id}/verdict.json"
    assert json.loads((second.folder / "verdict.json").read_text()) == {"run": 2}
    tmp_path.rename(tmp_path.parent / "moved")
    assert json.loads((tmp_path.parent / "moved" / "latest" / "verdict.json").read_text()) == {"run": 1}


def test_links_of_a_kind_have_a_folder_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "startup.json").write_text("{}")
    link_latest(tmp_path, tmp_path / "bench" / "startup.json", "bench")
    assert (tmp_path / "latest" / "bench" / "startup.json").read_text() == "{}"


def test_a_reader_sees_a_whole_file_and_a_link_at_every_moment(tmp_path: Path) -> None:
    run = Run(tmp_path, 10)
    link = tmp_path / "latest" / "verdict.json"
    run.write_verdict({"number": -1, "padding": "x" * 100_000}, latest=True)
    broken: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                assert len(json.loads(link.read_text())["padding"]) == 100_000
            except Exception as error:
                broken.append(error)
                return

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(50):
        run.write_verdict({"number": number, "padding": "x" * 100_000}, latest=True)
    done.set()
    reader.join()
    assert broken == []
    assert json.loads(link.read_text())["number"] == 49
    assert sorted(path.name for path in link.parent.iterdir()) == ["verdict.json"]
    assert sorted(path.name for path in run.folder.iterdir()) == ["verdict.json"]


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a longer text than the next one")
    write_atomically(tmp_path / "file", "short")
    assert (tmp_path / "file").read_text() == "short"


@pytest.mark.parametrize("one", VERDICTS)
@pytest.mark.parametrize("two", VERDICTS)
def test_the_worst_verdict_wins(one: str, two: str) -> None:
    assert worst([one, two]) == VERDICTS[max(VERDICTS.index(one), VERDICTS.index(two))]


def test_no_evidence_is_never_a_pass() -> None:
    assert worst([]) == "inconclusive"
    broken = verdict_document("r", "fast", 1.0, {}, {}, [{"verdict": "pass"}], ["it broke"])
    assert broken["verdict"] == "inconclusive"
    failed = verdict_document("r", "fast", 1.0, {}, {}, [{"verdict": "fail"}], ["it broke"])
    assert failed["verdict"] == "fail"


def test_the_keys_that_others_read() -> None:
    document = verdict_document("r", "fast", 1.26, {"nodes": 3}, {"self_test": "pass"}, [{"verdict": "pass"}], [])
    assert list(document) == [
        *("schema", "run", "verdict", "tier", "seconds", "not_covered", "environment", "instrument"),
        *("harness_errors", "skipped", "scenarios"),
    ]
    assert (document["schema"], document["seconds"], document["verdict"]) == (1, 1.3, "pass")
    assert json.loads(json.dumps(document)) == document
