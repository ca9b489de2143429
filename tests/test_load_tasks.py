"""A user's own Locust tasks, for real: each request one attempt on the wire, in the record of the load child."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.client.plan import ClassPlan, LoadPlan
from harness.client.recorder import Recorder
from harness.client.tasks import Record, Recorded
from harness.client.toy_process import ToyProcess
from harness.config import load as load_config
from harness.errors import ConfigurationError, LoadError
from harness.evidence.ledger import ledger
from harness.evidence.samples import ERRORS, OK
from harness.evidence.store import read
from harness.journal import Journal
from harness.load import Load, steady
from harness.loading import plan_of
from harness.waiting import until
from tests.fake_kube import CONFIG, config_in
from tests.test_config import refusal
from tests.test_load_steady import plan

pytestmark = pytest.mark.processes

MINE = """
from locust import User, constant, task
from harness.client.tasks import Recorded

class Shopper(Recorded, User):
    connection_class = "browse"
    wait_time = constant(0.02)

    @task
    def look(self):
        answer = self.attempt("GET", "/ok/browse")
        assert answer.status == 200
        self.attempt("GET", "/rst/browse?every=5", connection_class="cart")

class Buyer(Recorded, User):
    connection_class = "buy"
    keep_alive = False
    wait_time = constant(0.05)

    @task
    def buy(self):
        self.attempt("POST", "/ok/buy", headers={"X-Any": "1"}, body='{"id": "{id}"}')
"""


def test_each_of_a_users_requests_is_one_attempt_and_one_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "s3cret-token")
    mine = tmp_path / "mine.py"
    mine.write_text(MINE)
    folder = tmp_path / "record"
    folder.mkdir()
    with ToyProcess() as toy:
        classes = {"fresh": ClassPlan(rate=50, path="/ok/fresh")}
        secret = {"Authorization": "Bearer ${SHOP_TOKEN}"}  # which the child would refuse to start without
        made = plan(folder, toy.port, classes, headers=secret, locustfile=str(mine), users=4)
        assert LoadPlan.from_json(made.to_json()) == made
        with Journal(folder) as journal, steady(made, journal):
            time.sleep(2)
        report = toy.report()
    timeline = read(folder)
    assert {spec.name for spec in timeline.classes} == {"fresh", "browse", "cart", "buy"}
    for entry in ledger(timeline):
        assert entry.faults == (), entry
        assert entry.scheduled == entry.issued > 10
    for name, path in (("browse", "/ok/browse"), ("cart", "/rst/browse"), ("buy", "/ok/buy")):
        samples = timeline.of_class(name)
        assert report[path]["arrivals"] == report[path]["distinct"] == len(samples), name  # nothing was sent twice
        assert len(set(samples["entry"].tolist())) > 1 or name == "buy"
    cart = timeline.of_class("cart")
    lost = Counter(ERRORS[row] for row in cart["error"][cart["outcome"] != OK])
    assert lost == {"idle_reset": report["/rst/browse"]["injected"]} and report["/rst/browse"]["injected"] > 0
    assert np.all(timeline.of_class("buy")["nth"] == 1)
    assert timeline.of_class("browse")["nth"].max() > 3
    assert "${SHOP_TOKEN}" in (folder / "plan.json").read_text()
    assert not [file for file in folder.iterdir() if b"s3cret" in file.read_bytes()]
    log = (folder / "load.log").read_text()
    assert "browse /ok/browse" in log


def test_a_locustfile_that_is_wrong_ends_the_load_with_its_words(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(textwrap.dedent("raise RuntimeError('no such shop')"))
    with ToyProcess() as toy:
        made = plan(tmp_path / "record", toy.port, {"fresh": ClassPlan(rate=50)}, locustfile=str(mine), users=1)
        with pytest.raises(LoadError, match="no such shop"):
            Load(made).start()


WRONG = MINE.replace('"GET", "/ok/browse"', '"get", "/ok/browse"')


def test_a_task_that_asks_for_what_cannot_be_sent_ends_the_load(tmp_path: Path) -> None:
    """Else its class would be missing from the verdict without a word."""
    mine = tmp_path / "mine.py"
    mine.write_text(WRONG)
    with ToyProcess() as toy:
        made = plan(tmp_path / "record", toy.port, {"fresh": ClassPlan(50, "/ok/f")}, locustfile=str(mine), users=2)
        with pytest.raises(LoadError, match=r"(?s)exit code 4.*can't be sent"), steady(made) as running:
            until(lambda: running.check(), "its end", timeout=5, every=0.05)


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    made = Record(plan(tmp_path, 1, {"fresh": ClassPlan(rate=1)}), Recorder(tmp_path))
    monkeypatch.setattr(Record, "current", made)
    return made


@pytest.mark.parametrize("name", ["fresh", "post", "Cart", "a-b", "", "x" * 40])
def test_names_that_no_class_can_have(record: Record, name: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be called"):
        record.ledger(name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "get", "path": "/"},
        {"method": "GET", "path": "no"},
        {"method": "GET", "path": "/ä"},
        {"method": "GET", "path": "/", "headers": {"Host": "x"}},
    ],
)
@pytest.mark.usefixtures("record")
def test_what_cannot_be_sent_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Recorded().attempt(**wrong)


def test_outside_the_load_there_is_no_record() -> None:
    with pytest.raises(ConfigurationError, match="no load of the harness"):
        Recorded().attempt("GET", "/")


def test_the_configuration_names_the_file(tmp_path: Path) -> None:
    text = CONFIG.replace("[limits]", '[load]\nlocustfile = "mine.py"\nusers = 3\n[limits]')
    what, mend = refusal(tmp_path, text)
    assert "load.locustfile names" in what and "Locust users" in mend
    what, _ = refusal(tmp_path, text.replace('locustfile = "mine.py"\n', ""))
    assert "load.users is given" in what
    (tmp_path / "mine.py").write_text(MINE)
    config = config_in(tmp_path, text)
    assert load_config(tmp_path) == config
    scenario: Any = type("S", (), {"run_tag": "t", "folder": tmp_path})
    made = plan_of(config, [("127.0.0.1", 1, "a")], "service", scenario)
    assert (made.locustfile, made.users) == (str(tmp_path / "mine.py"), 3)
