"""The command ``bluegreen``: begin a configuration, ready your cluster, judge a run again, put everything away."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import __version__, cli_cluster, cli_results, cli_show
from harness.errors import EXIT_CONFIGURATION, EXIT_PASS, HarnessError
from harness.exits import OF_VERDICT
from harness.objective import objective


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 pass, 1 fail, 4 configuration, 10 inconclusive, 11 harness error."""
    parser = _parser()
    try:
        chosen, unknown = parser.parse_known_args(arguments)
        if unknown:
            _refuse(parser, chosen.options, unknown[0])
    except SystemExit as end:
        return EXIT_CONFIGURATION if end.code else EXIT_PASS
    try:
        return COMMANDS[chosen.command](chosen)
    except HarnessError as error:
        print(f"bluegreen: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bluegreen", description=__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    recheck = commands.add_parser(
        "recheck",
        help="judge a stored run again, without a cluster, by its own limits or by others",
        allow_abbrev=False,
    )
    recheck.add_argument("run", type=Path, help="a run's or a scenario's folder below artifacts/")
    level = recheck.add_mutually_exclusive_group()
    level.add_argument("--strict", dest="level", action="store_const", const="strict", help="judge every attempt")
    level.add_argument("--user", dest="level", action="store_const", const="user", help="let pass what is retriable")
    recheck.add_argument("--slo", type=objective, metavar="PERCENT", help="another objective, such as 99.95")
    recheck.add_argument(
        "--limit", action="append", default=[], metavar="CHECK.PARAM=VALUE", help="such as only.within=1.5"
    )
    recheck.add_argument(
        "--promise", action="append", default=[], metavar="PROMISE", help="instead of all that were declared"
    )
    recheck.add_argument(
        "--checks", action="append", default=[], type=Path, metavar="FILE", help="with checks of your own, to be known"
    )
    clean = commands.add_parser(
        "clean", help="remove this checkout's cluster, or what is ours on yours", allow_abbrev=False
    )
    clean.add_argument("--all", action="store_true", help="remove every cluster of ours, and the cache folder")
    cli_cluster.add_to_clean(clean)
    begin = commands.add_parser(
        "init", help="write a first bluegreen.toml by looking at the manifests", allow_abbrev=False
    )
    begin.add_argument("folder", nargs="?", type=Path, default=Path(), help="of the manifests, or above them")
    begin.add_argument(
        "--write", metavar="FILE", default="bluegreen.toml", help="the file (default bluegreen.toml; - prints it)"
    )
    begin.add_argument("--force", action="store_true", help="replace the file if it exists")
    editors = commands.add_parser("schema", help="print the JSON schema of bluegreen.toml", allow_abbrev=False)
    showing = cli_show.add(commands)
    further = (*cli_cluster.add(commands), *cli_results.add(commands))
    for command in (recheck, clean, begin, editors, showing, *further):
        command.set_defaults(options=[name for action in command._actions for name in action.option_strings])
    return parser


def _refuse(parser: argparse.ArgumentParser, known: Sequence[str], given: str) -> None:
    near = difflib.get_close_matches(given.split("=", 1)[0], known, n=1, cutoff=0.4)
    parser.error(f"unrecognized: {given}" + (f" (did you mean {near[0]}?)" if near else ""))


def _recheck(chosen: argparse.Namespace) -> int:
    from harness.limits import limit, promise
    from harness.recheck import Limits, load_checks, recheck
    from harness.rechecked import Rechecked

    for file in chosen.checks:
        load_checks(file)
    limits = Limits(
        level=chosen.level or "",
        slo=chosen.slo,
        limits=tuple(limit(text) for text in chosen.limit),
        promises=tuple(promise(text) for text in chosen.promise),
    )
    kept = Rechecked(chosen.run, limits)
    verdict, lines = recheck(chosen.run, limits, kept.see)
    report = kept.write(verdict)
    print("\n".join([*lines[:-1], *([f"report: {report}"] if report else []), lines[-1]]))
    return OF_VERDICT[verdict]


def _init(chosen: argparse.Namespace) -> int:
    from harness.starter import init

    print("\n".join(init(chosen.folder, chosen.write, force=chosen.force)))
    return EXIT_PASS


def _clean(chosen: argparse.Namespace) -> int:
    if cli_cluster.cleans_existing(chosen):
        return _on_yours(chosen)
    from harness.clean import clean

    stayed = clean(everything=chosen.all, say=lambda text: print(text, flush=True))
    for error in stayed:
        print(f"bluegreen: {error}", file=sys.stderr)
    return stayed[0].exit_code if stayed else EXIT_PASS


def _schema(chosen: argparse.Namespace) -> int:
    from harness.config_schema import schema

    del chosen  # it takes no options
    print(json.dumps(schema(), indent=1, ensure_ascii=False))
    return EXIT_PASS


def _on_yours(chosen: argparse.Namespace) -> int:
    return cli_cluster.run(chosen, lambda text: print(text, flush=True))


COMMANDS = {
    "init": _init,
    "schema": _schema,
    "recheck": _recheck,
    "clean": _clean,
    "show": cli_show.run,
    "compare": cli_results.run,
    "trace": cli_results.run,
    **dict.fromkeys(cli_cluster.COMMANDS, _on_yours),
}


if __name__ == "__main__":
    sys.exit(main())
