"""The page's first part: the verdict, what to look at, all scenarios, and what the run doesn't say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.evidence.socket_summary import lost_sockets, lost_text
from harness.report.html import numbers
from harness.report.html.details import lost_of, retriable_of
from harness.report.html.markup import Html, el
from harness.report.html.scenario import EXPECTS, Record, anchor, name, reasons
from harness.report.html.tables import SHAPES, bullets, chip, facts, table

Document = Mapping[str, Any]
WORST_FIRST = ("fail", "inconclusive", "pass")
ATTENTION = 12


def banner(document: Document) -> Html:
    """The verdict of the run, big, and one sentence on it."""
    verdict = str(document.get("verdict"))
    sign = el("svg", el("path", d=SHAPES.get(verdict, "")), viewBox="0 0 16 16", aria_hidden="true")
    return el(
        "header",
        el("p", f"Blue-green rehearsal {document.get('run', '')}", cls="over"),
        el("h1", sign, el("span", verdict.capitalize())),
        el("p", said(document), cls="said"),
        _key_figures(document),
        cls=f"banner {verdict}",
    )


def said(document: Document) -> str:
    """The verdict as a sentence."""
    records = _records(document)
    total = len(records)
    bad = sum(1 for one in records if one.get("verdict") == "fail")
    thin = sum(1 for one in records if one.get("verdict") == "inconclusive")
    broken = len(document.get("harness_errors") or ())
    scenarios = "scenario" if total == 1 else "scenarios"
    rest = [f"{thin} inconclusive"] if thin and bad else []
    rest += [f"{broken} not judged because the harness broke"] if broken else []
    tail = f"; {', '.join(rest)}" if rest else ""
    if document.get("verdict") == "pass":
        return f"Every promise was kept: {total} of {total} {scenarios}."
    if document.get("verdict") == "fail":
        return f"A promise was broken: {bad} of {total} {scenarios} failed{tail}."
    if thin:
        return f"No verdict: in {thin} of {total} {scenarios} the evidence does not suffice{tail}."
    return f"No verdict: nothing was proven{tail}."


def _records(document: Document) -> Sequence[Record]:
    return list(document.get("scenarios") or ())


def _key_figures(document: Document) -> Html:
    records = _records(document)
    strict = [one for one in records if one.get("expect") == "no_loss"]
    issued = sum(int((one.get("samples") or {}).get("issued", 0)) for one in strict)
    lost = sum(lost_of(one) - _allowed(one) for one in strict)
    allowed = sum(_allowed(one) for one in strict)
    beside = f"; {numbers.count(allowed)} more may be sent again by any client" if allowed else ""
    cut = sum(lost_sockets(one) for one in strict)
    beside += f"; and {numbers.count(cut)} WebSockets" if cut else ""
    firsts = [_first(one) for one in records]
    slowest = max((first for first in firsts if first is not None), default=None)
    moves = sum(int(one.get("cutovers") or 0) for one in records)
    instrument = document.get("instrument") or {}
    items = [
        (f"{numbers.count(lost)}", f"lost of {numbers.count(issued)} requests where nothing may be lost{beside}"),
        (numbers.count(moves), "cutovers and rollbacks under load"),
        (numbers.NONE if slowest is None else f"{numbers.ms(slowest)} ms", "slowest switch to reach a user"),
        (
            f"{instrument.get('reported', 0)} of {instrument.get('injected', 0)}",
            f"injected losses reported by the load client's self-test: {instrument.get('self_test', 'not run')}",
        ),
    ]
    return el("ul", *(el("li", el("b", value), " ", el("span", words)) for value, words in items), cls="figures")


def _allowed(record: Record) -> int:
    """Lost requests that the level of users lets pass."""
    return 0 if record.get("level") == "strict" else retriable_of(record)


def _first(record: Record) -> float | None:
    found = [(record.get(key) or {}).get("first_new_ms") for key in ("cutover", "rollback")]
    return max((value for value in found if value is not None), default=None)


def attention(document: Document) -> Html | None:
    """What didn't pass, each with its reason and, if known, its cause."""
    items: list[Html] = [
        el("li", chip("error"), " ", text, cls="error") for text in document.get("harness_errors") or ()
    ]
    for verdict in WORST_FIRST[:2]:
        for number, one in enumerate(_records(document), 1):
            if one.get("verdict") != verdict:
                continue
            why = next(iter(reasons(one)), "").split("; ")[0]
            cause = next((str(d.get("cause")) for d in one.get("diagnosis") or () if d.get("cause")), "")
            link = el("a", name(one), href=f"#{anchor(number)}")
            body = [el("p", why), el("p", el("b", "Cause: "), cause) if cause else None]
            items.append(el("li", chip(verdict), " ", link, *body))
    if not items:
        return None
    more = len(items) - ATTENTION
    note = el("p", f"{more} more in the table below.", cls="note") if more > 0 else None
    return el("section", el("h2", "Look at this first"), el("ul", *items[:ATTENTION], cls="attention"), note)


def scenarios(document: Document) -> Html:
    """All scenarios, the worst first."""
    numbered = list(enumerate(_records(document), 1))
    order = {verdict: rank for rank, verdict in enumerate(WORST_FIRST)}
    numbered.sort(key=lambda item: (order.get(str(item[1].get("verdict")), 0), item[0]))
    rows = [
        (
            el("a", name(one), href=f"#{anchor(number)}"),
            chip(str(one.get("verdict"))),
            EXPECTS.get(str(one.get("expect")), ""),
            numbers.seconds(one.get("seconds")),
            numbers.count(lost_of(one)) + lost_text(one),
            numbers.count((one.get("samples") or {}).get("issued")),
            numbers.ms(_first(one)),
            numbers.ms((one.get("gaps") or {}).get("all")),
        )
        for number, one in numbered
    ]
    heads = ("scenario", "verdict", "promise", "took", "lost", "of", "slowest switch ms", "longest gap ms")
    made = table("Scenarios", heads, rows, figures=(3, 4, 5, 6, 7), cls="scenarios")
    return el("section", el("h2", "Scenarios", id="scenarios"), made)


def limits_of_proof(document: Document) -> Html:
    """What nobody should read into the verdict."""
    records = _records(document)
    unproven = sorted({str(name) for one in records for name in one.get("unproven") or ()})
    skipped = sorted({str(name) for one in records for name in one.get("skipped") or ()})
    skipped += [f"{one.get('id')} ({one.get('reason')})" for one in document.get("skipped") or ()]
    parts = [
        ("Not covered", document.get("not_covered") or (), "nothing named"),
        ("Unproven", unproven, "nothing: what was promised could be measured"),
        ("Skipped", skipped, "nothing"),
    ]
    return el(
        "section",
        el("h2", "What this run does not say", id="limits"),
        el("div", *(el("div", el("h3", name), bullets(items or [none])) for name, items, none in parts), cls="thirds"),
    )


def circumstances(document: Document) -> Html:
    """Environment, instrument, and the run itself."""
    instrument = document.get("instrument") or {}
    environment = dict(document.get("environment") or {})
    setup = environment.pop("setup_seconds", None) or {}
    run = [("run", document.get("run", "")), ("tier", document.get("tier") or "default")]
    run.append(("took", numbers.seconds(document.get("seconds"))))
    told = [(key.replace("_", " "), _plain(value)) for key, value in environment.items()]
    test = [(key.replace("_", " "), _plain(value)) for key, value in instrument.items()]
    steps = [(name, numbers.seconds(value)) for name, value in setup.items()]
    return el(
        "section",
        el("h2", "Circumstances", id="circumstances"),
        el(
            "div",
            el("div", el("h3", "Run"), facts(run)),
            el("div", el("h3", "Environment"), facts(told)),
            el("div", el("h3", "Self-test of the instrument"), facts(test)),
            cls="thirds",
        ),
        el(
            "details",
            el("summary", f"Set-up, {numbers.seconds(sum(setup.values()))}"),
            table("Set-up", ("step", "took"), steps, figures=(1,)),
            cls="more",
        )
        if setup
        else None,
    )


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(one) for one in value)
    return "–" if value is None or value == "" else str(value)
