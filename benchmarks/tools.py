"""One small adapter per tool: its command line, and which parser reads what it says."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from benchmarks import parsers
from benchmarks.parsers import Told
from benchmarks.running import Broken, Done, execute

CONNECTIONS = 10
SLACK_S = 30.0
"""How much longer than its work a tool may take."""
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Work:
    """What a tool is to do, with CONNECTIONS kept connections.

    Args:
        urls: where to, in turn; most tools take one.
        folder: for files.
        count: so many requests as fast as it can (or at 500/s in an open model); 0: by time.
        rate: requests a second of all connections; 0: as fast as it can.
        seconds: how long, where it isn't by count.
        timeout_s: bound of one request.
        detail: single requests are wanted, too.
        prefix: put before the command: priority, network namespace.

    """

    urls: tuple[str, ...]
    folder: Path
    count: int = 0
    rate: float = 0.0
    seconds: float = 0.0
    timeout_s: float = 5.0
    detail: bool = False
    prefix: tuple[str, ...] = ()


class Tool(ABC):
    """A load tool.

    Attributes:
        name: key in the results.
        version: as told by its registry.
        bounded: it can send an exact number of requests; else up to CONNECTIONS may be under way at the end.
        targets: how many URLs it can take at once.
        closed: why it has no open model; "" where it has one.
        blind: outage -> why it can't tell that one's bounds.

    """

    name: ClassVar[str]
    bounded: ClassVar[bool] = True
    targets: ClassVar[int] = 1
    closed: ClassVar[str] = "closed model: a connection that waits sends nothing"
    blind: ClassVar[Mapping[str, str]] = {}

    def __init__(self, program: Path | str = "", version: str = "") -> None:
        self.program = program
        self.version = version

    @abstractmethod
    def _words(self, work: Work) -> list[str | Path]:
        """The command."""

    @abstractmethod
    def _told(self, work: Work, done: Done) -> Told:
        """What it says about the run."""

    def _env(self, work: Work) -> dict[str, str]:  # noqa: ARG002
        """Further environment."""
        return {}

    def run(self, work: Work) -> tuple[Told, Done]:
        """Do the work.

        Raises:
            Broken: it couldn't be run, hung, or said nothing readable.

        """
        words = [*work.prefix, *self._words(work)]
        done = execute(words, timeout=work.seconds + work.count / 500 + SLACK_S, env=self._env(work), cwd=work.folder)
        try:
            return self._told(work, done), done
        except (parsers.Unreadable, OSError, ValueError, KeyError) as error:
            raise Broken(f"{self.name} exited with {done.code}: {error!r} {done.error[-300:]}") from error


def _same(why: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, why)


TOTALS = "totals only: no record of single requests"
ANSWERS = "its record leaves out requests that failed"


class Vegeta(Tool):
    """Open model: a schedule, and a worker for each request that is due."""

    name = "vegeta"
    targets = 4
    closed = ""

    def _words(self, work: Work) -> list[str | Path]:
        targets = work.folder / "targets"
        targets.write_text("".join(f"GET {url}\n" for url in work.urls))
        rate = f"{work.rate or (500 if work.count else 0):g}"
        seconds = work.count / 500 if work.count else work.seconds
        words = [self.program, "attack", f"-targets={targets}", f"-rate={rate}", f"-duration={seconds:g}s"]
        words += [f"-timeout={work.timeout_s:g}s", f"-connections={CONNECTIONS}", f"-output={work.folder / 'out'}"]
        return words + ([f"-max-workers={CONNECTIONS}"] if rate == "0" else [])

    def _told(self, work: Work, done: Done) -> Told:  # noqa: ARG002
        read = execute([self.program, "encode", "-to", "csv", work.folder / "out"], timeout=60)
        return parsers.vegeta_csv(read.out, work.rate, work.urls)


class Bombardier(Tool):
    """On fasthttp, its default client."""

    name = "bombardier"
    blind = _same(TOTALS, "refused", "stopped", "black_hole", "one_backend")

    def _words(self, work: Work) -> list[str | Path]:
        words = [self.program, "-c", str(CONNECTIONS), "-t", f"{work.timeout_s:g}s", "-l", "-o", "json", "-p", "r"]
        words += ["-n", str(work.count)] if work.count else ["-d", f"{work.seconds:g}s"]
        return [*words, *(["-r", f"{work.rate:g}"] if work.rate else []), work.urls[0]]

    def _told(self, work: Work, done: Done) -> Told:  # noqa: ARG002
        return parsers.bombardier(done.out)


class Hey(Tool):
    """On Go's net/http; ``-o csv`` instead of the summary where single requests are wanted."""

    name = "hey"
    blind = _same(ANSWERS, "refused", "one_backend")

    def _words(self, work: Work) -> list[str | Path]:
        words = [self.program, "-c", str(CONNECTIONS), "-t", f"{work.timeout_s:.0f}"]
        words += ["-n", str(work.count)] if work.count else ["-z", f"{work.seconds:g}s"]
        words += ["-q", f"{work.rate / CONNECTIONS:g}"] if work.rate else []
        return [*words, *(["-o", "csv"] if work.detail else []), work.urls[0]]

    def _told(self, work: Work, done: Done) -> Told:
        return parsers.hey_csv(done.out) if work.detail else parsers.hey(done.out)


class Wrk(Tool):
    """Bounded by time only, and without a rate."""

    name = "wrk"
    bounded = False
    closed = "closed model, and no rate at all"
    blind = _same(TOTALS, "refused", "stopped", "black_hole", "one_backend")

    def _words(self, work: Work) -> list[str | Path]:
        seconds = max(1, round(work.seconds))  # by count, too: it has no such bound
        words = [self.program, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
        return [*words, "--timeout", f"{work.timeout_s:.0f}s", work.urls[0]]

    def _told(self, work: Work, done: Done) -> Told:  # noqa: ARG002
        return parsers.wrk(done.out)


class H2load(Tool):
    """HTTP/1.1; the p99 is that of its log, since its summary has none."""

    name = "h2load"
    blind = _same("it opens no lost connection again; bound by time it then reports no failure at all", "refused")

    def _words(self, work: Work) -> list[str | Path]:
        words = [self.program, "--h1", "-c", str(CONNECTIONS), "-N", f"{work.timeout_s:g}s"]
        words += ["-n", str(work.count)] if work.count else ["-D", f"{work.seconds:g}s"]
        words += [f"--rps={work.rate / CONNECTIONS:g}"] if work.rate else []
        return [*words, *([f"--log-file={work.folder / 'log'}"] if work.detail else []), work.urls[0]]

    def _told(self, work: Work, done: Done) -> Told:
        told = parsers.h2load(done.out)
        if not work.detail:
            return told
        log = parsers.h2load_log((work.folder / "log").read_text())
        return replace(told, p99_ms=parsers.percentile_ms(log), log=log)


class Oha(Tool):
    """On hyper; with a rate, with its own correction for coordinated omission."""

    name = "oha"
    blind = _same(ANSWERS, "refused", "one_backend")
    closed = "closed model with corrected latencies: it tells no time of the send against the schedule"

    def _words(self, work: Work) -> list[str | Path]:
        words: list[str | Path] = [self.program, "--no-tui", "--output-format", "json", "-c", str(CONNECTIONS), "-t"]
        words += [f"{work.timeout_s:g}s", *(["-n", str(work.count)] if work.count else ["-z", f"{work.seconds:g}s"])]
        words += ["-q", f"{work.rate:g}", "--latency-correction"] if work.rate else []
        words += ["--db-url", work.folder / "db"] if work.detail else []
        return [*words, work.urls[0]]

    def _told(self, work: Work, done: Done) -> Told:
        told = parsers.oha(done.out)
        return replace(told, log=parsers.oha_database(work.folder / "db")) if work.detail else told


class Locust(Tool):
    """Locust with one of its own clients: ten users, one request per task (benchmarks/locust_users.py)."""

    targets = 4
    kind: ClassVar[str]

    def _words(self, work: Work) -> list[str | Path]:
        words: list[str | Path] = [
            sys.executable,
            "-m",
            "locust",
            "-f",
            HERE / "locust_users.py",
            "--headless",
            "--json",
            "--users",
        ]
        words += [str(CONNECTIONS), "--spawn-rate", str(CONNECTIONS), "--exit-code-on-error", "0"]
        words += ["--stop-timeout", f"{work.timeout_s + 1:.0f}", "--loglevel", "ERROR"]
        return words + ([] if work.count else ["--run-time", f"{work.seconds:g}s"])

    def _env(self, work: Work) -> dict[str, str]:
        return {
            "PYTHONPATH": str(HERE.parent),
            "BENCH_KIND": self.kind,
            "BENCH_URLS": " ".join(work.urls),
            "BENCH_USERS": str(CONNECTIONS),
            "BENCH_COUNT": str(work.count // CONNECTIONS),
            "BENCH_RATE": f"{work.rate / CONNECTIONS:g}",
            "BENCH_TIMEOUT": f"{work.timeout_s:g}",
            "BENCH_LOG": str(work.folder / "log") if work.detail else "",
            "BENCH_FOLDER": str(work.folder),
        }

    def _told(self, work: Work, done: Done) -> Told:
        told = parsers.locust(done.out)
        return replace(told, log=parsers.locust_log((work.folder / "log").read_text())) if work.detail else told


class LocustHttp(Locust):
    """HttpUser."""

    name = "locust-httpuser"
    kind = "httpuser"


class LocustFast(Locust):
    """FastHttpUser."""

    name = "locust-fasthttpuser"
    kind = "fasthttpuser"


class OurClient(Locust):
    """The harness' client in a closed loop, recorded and told to Locust: for the requests per CPU-second only."""

    name = "this"
    targets = 1
    kind = "bare"


class OurClientInTasks(OurClient):
    """The same with Locust's task loop around each request, as Locust's two have it: only the client differs."""

    kind = "ours"


OTHERS: tuple[type[Tool], ...] = (LocustHttp, LocustFast, Vegeta, Bombardier, Hey, Wrk, H2load, Oha)
