"""The command ``bluegreen``: judge a stored run again, and put everything away."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import __version__
from harness.errors import EXIT_CONFIGURATION, EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS, ConfigurationError, HarnessError

EXITS = {"pass": EXIT_PASS, "fail": EXIT_FAIL, "inconclusive": EXIT_INCONCLUSIVE}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 pass, 1 fail, 4 configuration, 10 inconclusive, 11 harness error."""
    parser = argparse.ArgumentParser(prog="bluegreen", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    recheck = commands.add_parser("recheck", help="judge a stored run again, without a cluster")
    recheck.add_argument("run", type=Path, help="a run's or a scenario's folder below artifacts/")
    clean = commands.add_parser("clean", help="remove this checkout's cluster")
    clean.add_argument("--all", action="store_true", help="remove every cluster of ours, and the cache folder")
    try:
        chosen = parser.parse_args(arguments)
    except SystemExit as end:
        return EXIT_CONFIGURATION if end.code else EXIT_PASS
    try:
        return _recheck(chosen.run) if chosen.command == "recheck" else _clean(all_of_it=chosen.all)
    except HarnessError as error:
        print(f"bluegreen: {error}", file=sys.stderr)
        return error.exit_code


def _recheck(folder: Path) -> int:
    """Print every finding of the scenarios below ``folder``, judged now from what is on disk."""
    from harness.checks.finding import Verdict
    from harness.checks.promise import promises_of
    from harness.checks.registry import judge
    from harness.checks.verdict import overall
    from harness.evidence.store import read
    from harness.report.artifacts import worst
    from harness.report.terminal import finding_line

    records = sorted(path.parent for path in folder.rglob("events.jsonl"))
    if not records:
        raise ConfigurationError(f"no stored scenario in {folder}", "give a folder below artifacts/")
    verdicts: dict[str, Verdict] = {}
    for record in records:
        timeline = read(record)
        findings = judge(timeline, promises_of(timeline))
        verdict = overall(findings)
        verdicts[re.sub(r"\.attempt\d+$", "", str(record))] = verdict  # a repetition, sorted behind, is what counts
        print(f"{verdict:<12} {record.name}")
        for finding in findings:
            print(f"  {finding_line(finding.to_dict())}")
    whole = worst(list(verdicts.values()))
    print(f"verdict: {whole}")
    return EXITS[whole]


def _clean(*, all_of_it: bool) -> int:
    from harness.clean import clean

    stayed = clean(everything=all_of_it, say=lambda text: print(text, flush=True))
    for error in stayed:
        print(f"bluegreen: {error}", file=sys.stderr)
    return stayed[0].exit_code if stayed else EXIT_PASS


if __name__ == "__main__":
    sys.exit(main())
