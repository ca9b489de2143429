"""The page in a real browser: nothing is asked of a network, marks stand where the data says, nobody is shut out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.report import files
from tests.browser import browser
from tests.reports import DIAGNOSIS, EVIL, MUTANTS, faulty, many, run, there_and_back
from tests.simulated import World, event, having, play

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.processes]
WIDTHS = {"phone": 360, "desktop": 1280}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for all tests here, with no sandbox where there can be none."""
    path = browser()
    if path is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    with playwright.sync_playwright() as runner:
        started = runner.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it."""
    root = tmp_path_factory.mktemp("artifacts")
    hurt = having(faulty(), event(5, f"odd.{EVIL}", pod=EVIL))
    folder, document = run(
        root,
        [
            ("test_faulty", hurt, {"diagnosis": [{**DIAGNOSIS, "symptom": EVIL}]}),
            ("test_many", many(), {}),
            ("test_late", play(World(lag_ms=60)), {}),
            ("test_back", there_and_back(), {"sockets": {"opened": 100}}),
            ("test_retiring_the_old_side_at_once_loses_nothing_where_its_pods_drain", many(), {}),
        ],
    )
    (root / "latest").mkdir()
    (root / "latest" / "mutants.json").write_text(json.dumps(MUTANTS))
    path = files.write_report(folder, document, latest=True)
    assert path is not None
    return path


class Opened:
    """A page, and what it said and asked while it was opened."""

    def __init__(self, chromium: Any, path: Path, width: int, scheme: str = "light", script: bool = True) -> None:
        self.context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script
        )
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", self._dialog)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def _dialog(self, dialog: Any) -> None:
        self.said.append(dialog.message)
        dialog.dismiss()


@pytest.fixture
def opened(chromium: Any, report: Path) -> Iterator[Any]:
    pages: list[Opened] = []

    def start(**how: Any) -> Opened:
        pages.append(Opened(chromium, report, how.pop("width", WIDTHS["desktop"]), **how))
        return pages[-1]

    yield start
    for one in pages:
        one.context.close()


UNFOLD = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_error_without_request_and_without_scrolling_sideways(
    opened: Any, report: Path, width: int, scheme: str
) -> None:
    one = opened(width=width, scheme=scheme)
    for unfold in (False, True):
        if unfold:
            one.page.evaluate(UNFOLD)
        assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    one.page.emulate_media(media="print")
    assert one.said == []
    assert one.asked == [report.as_uri()]
    assert one.page.locator("h1").inner_text() == "Fail"


def test_on_a_phone_nothing_of_scenarios_and_findings_is_cut_off(opened: Any) -> None:
    page = opened(width=WIDTHS["phone"]).page
    page.evaluate(UNFOLD)
    wide = page.locator(".wide:has(table.scenarios, table.findings)")
    assert wide.count() == 6
    assert max(wide.evaluate_all("all => all.map((one) => one.scrollWidth - one.clientWidth)")) <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(opened: Any, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    # The page's own policy forbids foreign scripts, and axe is one: it comes in by the debugger, which may.
    one = opened(scheme=scheme)
    one.page.evaluate(UNFOLD)
    found = Axe().run(one.page).response
    serious = [
        (rule["id"], node["target"], node.get("failureSummary"))
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
    assert serious == []
    assert len(found["passes"]) > 20


def test_marks_stand_where_the_data_says(opened: Any) -> None:
    one = opened()
    one.page.evaluate(UNFOLD)
    wrong = one.page.evaluate(
        """() => [...document.querySelectorAll('.chart')].flatMap((chart) => {
             const plot = chart.querySelector('.plot').getBoundingClientRect();
             const from = Number(chart.dataset.from), to = Number(chart.dataset.to);
             const x = (t) => plot.left + plot.width * (t - from) / (to - from);
             const off = (box, t) => Math.abs((box.left + box.right) / 2 - x(t)) > 1.5;
             const paths = [...chart.querySelectorAll('path.guide')].map((path) => {
               const box = path.getBoundingClientRect();
               return off(box, Number(path.getAttribute('d').match(/^M(-?[\\d.]+)/)[1])) ? path.outerHTML : null;
             });
             const labels = [...chart.querySelectorAll('[data-t]')].map((label) =>
               Math.abs(parseFloat(label.style.left) / 100 * plot.width + plot.left - x(Number(label.dataset.t))) > 1
                 ? label.outerHTML : null);
             return [...paths, ...labels];
           }).filter((one) => one !== null)"""
    )
    assert wrong == []
    texts = one.page.locator("#scenario-1-whole .t").all_inner_texts()
    assert "cutover" in texts and "fault: evict pod" in texts and "SIGTERM 2 blue pods" in texts
    fault = one.page.locator("#scenario-1-whole .t", has_text="fault: evict pod").get_attribute("data-t")
    assert float(fault) == pytest.approx(100, abs=0.1)  # 4.1 s, and the patch was sent at 4.0 s


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_no_label_of_what_happened_lies_on_another(opened: Any, width: int) -> None:
    one = opened(width=width)
    one.page.evaluate(UNFOLD)
    touching = one.page.evaluate(
        """() => [...document.querySelectorAll('.chart')].flatMap((chart) => {
             const all = [...chart.querySelectorAll('[data-t]')].map((label) => [label, label.getBoundingClientRect()]);
             const lie = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
               && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
             return all.flatMap(([one, a], n) => all.slice(n + 1).filter(([, b]) => lie(a, b))
               .map(([other]) => `${chart.id}: ${one.textContent} / ${other.textContent}`));
           })"""
    )
    assert touching == []


def test_hover_and_keys_read_out_the_numbers(opened: Any) -> None:
    one = opened()
    plot = one.page.locator("#scenario-1-whole .plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    one.page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 60)
    readout = one.page.locator("#scenario-1-whole .readout")
    before = readout.inner_text()
    assert "answers in" in before and "lost" in before and "p99" in before
    one.page.locator("#scenario-1-whole .scroll").focus()
    one.page.keyboard.press("End")
    assert readout.inner_text() != before
    assert "v2 · green 100 %" in readout.inner_text() or "0 answers" in readout.inner_text()


def test_zoom_to_the_flip_and_back(opened: Any) -> None:
    one = opened()
    chart = one.page.locator("#scenario-1-whole")
    label = chart.locator(".t", has_text="cutover")
    svg = chart.locator("svg")
    whole = svg.get_attribute("viewBox")
    chart.get_by_role("button", name="±1 s of cutover").click()
    low, _, span, _ = (float(part) for part in svg.get_attribute("viewBox").split())
    assert (low, span) == (-1000, 2000)
    assert float(label.evaluate("(one) => parseFloat(one.style.left)")) == pytest.approx(50, abs=0.1)
    assert "−0.5 s" in chart.locator(".x").all_inner_texts()
    chart.get_by_role("button", name="whole run").click()
    assert [float(part) for part in svg.get_attribute("viewBox").split()] == pytest.approx(
        [float(part) for part in whole.split()]
    )
    chart.get_by_role("button", name="first loss").click()
    assert svg.get_attribute("viewBox") != whole
    chart.locator(".scroll").press("Escape")
    assert float(svg.get_attribute("viewBox").split()[2]) == pytest.approx(float(whole.split()[2]))


def test_a_link_unfolds_its_scenario(opened: Any) -> None:
    one = opened()
    folded = one.page.locator("details.scenario", has=one.page.locator("#scenario-4"))
    assert folded.get_attribute("open") is None
    one.page.get_by_role("link", name="test_back[service]").first.click()
    one.page.wait_for_function("document.querySelector('#scenario-4').closest('details').open", timeout=5000)


def test_it_reads_without_its_script(opened: Any) -> None:
    one = opened(script=False)
    assert one.page.locator("h1").inner_text() == "Fail"
    assert one.page.locator("#scenario-1-whole svg").bounding_box()["width"] > 300
    assert one.page.locator(".zoom").first.is_visible() is False
    assert one.page.get_by_text(DIAGNOSIS["cause"]).first.is_visible()


def test_the_link_in_latest_is_the_same_page_and_leads_to_the_evidence(chromium: Any, report: Path) -> None:
    one = Opened(chromium, report.parents[1] / "latest" / "report.html", WIDTHS["desktop"])
    links = one.page.evaluate("[...document.querySelectorAll('a[href^=\"../\"]')].map((link) => link.href)")
    one.context.close()
    assert len(links) == 5
    assert all(Path(link.removeprefix("file://")).is_dir() for link in links)


def test_the_browser_that_is_looked_for_is_what_the_system_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == "google-chrome" else None)
    assert browser() == "/bin/google-chrome"
