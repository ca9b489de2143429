"""Follows one request or socket through a stored run: its sample, what the application wrote down, pods' log lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import ConfigurationError
from harness.evidence.requests import parts, samples_of
from harness.evidence.samples import ERRORS, FLAGS, METHODS, OUTCOMES
from harness.evidence.socket_record import ENDS
from harness.evidence.store import ARRIVALS, read
from harness.evidence.timeline import Timeline

LOGS = Path("cluster") / "logs"
SOCKETS = "websocket"
"""The class of WebSockets, in their ids."""


def trace(folder: Path, ident: str) -> list[str]:
    """Everything that is stored of one request, line by line.

    Args:
        folder: a run's or a scenario's.
        ident: the request's id, as the failure text and the pods' logs tell it.

    Raises:
        ConfigurationError: no stored scenario there, no request's id, or no scenario there sent it.
        LoadError: a record that can't be read.

    """
    if parts(ident) is None:
        raise ConfigurationError(f"{ident} is no request's id", "such as 3f2a-fresh-1201; a failure's text has one")
    records = sorted(path.parent for path in folder.rglob("events.jsonl"))
    if not records:
        raise ConfigurationError(f"no stored scenario in {folder}", "give a folder below artifacts/")
    for record in records:
        timeline = read(record)
        sent = [*_samples(timeline, ident), *_sockets(timeline, ident)]
        if sent:
            return [
                f"scenario   {timeline.started.get('scenario') or record.name}",
                *sent,
                *_told(record, timeline, ident),
            ]
    raise ConfigurationError(f"no scenario in {folder} sent {ident}", "give the folder of the run that told the id")


def _told(record: Path, timeline: Timeline, ident: str) -> Iterator[str]:
    told = list(_arrivals(record / ARRIVALS, ident, timeline))
    yield from told or [_nothing_arrived(record, timeline)]
    logged = list(_logs(record / LOGS, ident))
    yield from logged or [_nothing_logged(record)]


def _samples(timeline: Timeline, ident: str) -> Iterator[str]:
    for sample in samples_of(timeline, ident):
        yield from _sample(timeline, sample)


def _sockets(timeline: Timeline, ident: str) -> Iterator[str]:
    """Each connection that one WebSocket had: its id stays the same over all of them."""
    if (sockets := timeline.sockets) is None:
        return
    for life in _lives(timeline, ident):
        end = ENDS[int(life["end"])] if int(life["end"]) < len(ENDS) else "?"
        told = "" if end in ("open", "done") else f" ({sockets.told(life)})"
        said = [end + told, *(sockets.text(int(life[key])) for key in ("revision", "pod") if life[key])]
        yield f"socket     {', '.join(said)}"
        yield f"  sent as  attempt {int(life['attempt'])} through {timeline.node(int(life['entry']))}"
        start = int(life["began"])
        times = [f"{name} {(int(life[key]) - start) / 1e6:+.1f} ms" for name, key in _LIFE if life[key]]
        yield f"  times    begun at {start} ns{''.join(f', {one}' for one in times)}"
        at = int(life["ended"]) or start
        for move in timeline.flips():
            if move.sent_ns is not None:
                yield f"           {(at - move.sent_ns) / 1e6:+.1f} ms from the {move.move} to {move.to_revision}"


def _lives(timeline: Timeline, ident: str) -> Any:
    """The lives of the socket with this id; none if it is no socket's, or of another scenario."""
    tag, name, number = parts(ident) or ("", "", 0)
    if timeline.sockets is None or name != SOCKETS or tag != timeline.started.get("run_tag"):
        return ()
    return timeline.sockets.lives[timeline.sockets.lives["socket"] == number]


def _sample(timeline: Timeline, sample: Any) -> Iterator[str]:
    outcome = OUTCOMES[int(sample["outcome"])]
    error = ERRORS[int(sample["error"])] if int(sample["error"]) < len(ERRORS) else "?"
    flags = [name for name, bit in FLAGS.items() if int(sample["flags"]) & bit]
    said = [outcome + (f" ({error})" if error != "none" else "")]
    said += [f"status {int(sample['status'])}"] if sample["status"] else []
    said += [timeline.string(int(sample["revision"]))] if sample["revision"] else []
    said += [f"pod {timeline.string(int(sample['pod']))}"] if sample["pod"] else []
    yield f"sample     {', '.join([*said, *flags])}"
    yield (
        f"  sent as  {METHODS[int(sample['method'])]} through {timeline.node(int(sample['entry']))},"
        f" connection {int(sample['conn'])}, request {int(sample['nth'])} on it"
    )
    start = int(sample["intended"])
    times = [f"{name} {(int(sample[key]) - start) / 1e6:+.1f} ms" for name, key in _TIMES if sample[key]]
    yield f"  times    due at {start} ns{''.join(f', {one}' for one in times)}"
    for move in timeline.flips():
        if move.sent_ns is not None:
            yield f"           {(start - move.sent_ns) / 1e6:+.1f} ms from the {move.move} to {move.to_revision}"


_LIFE = (("open", "opened"), ("last heard", "heard"), ("end", "ended"))
_TIMES = (("sent", "sent"), ("first byte", "first_byte"), ("end", "end"))


def _arrivals(folder: Path, ident: str, timeline: Timeline) -> Iterator[str]:
    found = samples_of(timeline, ident)
    due = int(found["intended"][0] if len(found) else _lives(timeline, ident)["began"][0])
    needle = ident.encode()
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        with path.open("rb") as file:
            for raw in file:
                words = raw.split()
                if len(words) > 2 and words[2] == needle and words[1].isdigit():
                    after = (int(words[1]) - due) / 1e6
                    yield f"arrived    {path.name}: {raw.decode(errors='replace').strip()}  ({after:+.1f} ms)"


def _nothing_arrived(record: Path, timeline: Timeline) -> str:
    if (record / ARRIVALS).is_dir():
        return "arrived    at no pod whose record was kept"
    reasons = [str(event.fields.get("reason") or "") for event in timeline.named("arrivals.unkept")]
    return f"arrived    unknown: {(reasons or ['no record was kept'])[-1]}"


def _logs(folder: Path, ident: str) -> Iterator[str]:
    for path in sorted(folder.glob("*.log")) if folder.is_dir() else ():
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                position = line.find(ident)
                # the whole id: fresh-12 isn't fresh-120
                if position >= 0 and not line[position + len(ident) : position + len(ident) + 1].isalnum():
                    yield f"log        {path.name}: {line.strip()}"


def _nothing_logged(record: Path) -> str:
    if (record / LOGS).is_dir():
        return "log        no line of it in the logs that were kept (their last lines)"
    return "log        no logs were kept: only a failed scenario's are"
