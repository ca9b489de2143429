"""Smoke check of the idle side, run inside the cluster: it answers, rightly, and is the version we think it is.

Prints one JSON line and exits 0 (pass), 1 (fail) or 2 (wrong arguments). Each request has its own connection, so that
every pod gets its share, and is sent once: a check that tries again doesn't see what users will.

    smoke.py --url http://api-green/ --requests 20 --identity header:X-Revision --expect-revision v2
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence

import httpx

SETTLE_EVERY = 0.1
"""Seconds between two tries before anything is counted."""
DETAILS = 5
"""So many failures are told one by one; all are counted."""


def reader(source: str) -> Callable[[httpx.Response], str]:
    """Make the function that reads a revision (or a pod's name) out of an answer.

    Args:
        source: ``header:NAME`` or ``json:KEY``, the key being a dotted path into the body.

    Returns:
        A function that gives "" where the answer doesn't tell.

    Raises:
        ValueError: neither of the two.

    """
    kind, _, name = source.partition(":")
    if kind == "header" and name:
        return lambda answer: answer.headers.get(name, "")
    if kind == "json" and name:
        return lambda answer: _dig(answer, name.split("."))
    raise ValueError(f"{source!r}: must be header:NAME or json:KEY")


def _dig(answer: httpx.Response, keys: Sequence[str]) -> str:
    try:
        value = answer.json()
        for key in keys:
            value = value[key]
    except (ValueError, KeyError, TypeError, IndexError):
        return ""
    return str(value)


def settle(client: httpx.Client, options: argparse.Namespace) -> float:
    """Wait until the side answers as itself at all, before anything is counted; at most ``options.settle`` seconds.

    A pod that is ready is reachable only once every node has been told (kube-proxy: up to about a second), which is
    not the version's fault. A bad answer of the right version ends the wait too, and is then counted.

    Returns:
        How long it took in ms.

    """
    read = reader(options.identity) if options.identity else None
    began = time.monotonic()
    while time.monotonic() - began < options.settle:
        try:
            headers = {**dict(options.header), "Connection": "close"}
            answer = client.request(options.method, options.url, headers=headers, content=options.body)
            if read is None or read(answer) == options.expect_revision:
                break
        except httpx.HTTPError:
            pass  # not reachable yet; if it never is, every counted request says so
        time.sleep(SETTLE_EVERY)
    return (time.monotonic() - began) * 1000


def check(client: httpx.Client, options: argparse.Namespace) -> dict[str, object]:
    """Send the requests, one after the other.

    Args:
        client: reaches the side under test; keeps no connection.
        options: what ``arguments`` gives.

    Returns:
        The result, ready for JSON: ``result`` (pass or fail), counts, and the first failures in words.

    """
    read = reader(options.identity) if options.identity else None
    run = uuid.uuid4().hex[:8]
    revisions: Counter[str] = Counter()
    failures: list[str] = []
    slowest = 0.0
    for number in range(options.requests):
        headers = {**dict(options.header), "X-Request-Id": f"smoke-{run}-{number}", "Connection": "close"}
        began = time.monotonic()
        try:
            answer = client.request(options.method, options.url, headers=headers, content=options.body)
        except httpx.HTTPError as error:
            failures.append(f"request {number}: {type(error).__name__}: {error}")
            continue
        slowest = max(slowest, time.monotonic() - began)
        revision = read(answer) if read else ""
        revisions[revision or "unknown"] += 1
        if answer.status_code != options.expect_status:
            failures.append(
                f"request {number}: status {answer.status_code}, expected {options.expect_status}, {_who(answer)}"
            )
        elif options.expect_revision and revision != options.expect_revision:
            failures.append(f"request {number}: revision {revision or 'unknown'}, expected {options.expect_revision}")
    good = options.requests - len(failures)
    detail = f"{good} of {options.requests} requests to {options.url} were answered as expected"
    return {
        "result": "fail" if failures else "pass",
        "detail": "; ".join([detail, *failures[:DETAILS]]),
        "url": options.url,
        "requests": options.requests,
        "ok": good,
        "failed": len(failures),
        "revisions": dict(revisions),
        "slowest_ms": round(slowest * 1000, 1),
    }


def _who(answer: httpx.Response) -> str:
    """Who gave a wrong answer, as far as it tells: Server header and the beginning of the body."""
    return f"server {answer.headers.get('Server', 'unnamed')!r}: {answer.text[:60]!r}"


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; exits 2 with a message where it is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", required=True, help="the idle side's internal name, with the path")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--header", action="append", default=[], type=_header, metavar="NAME:VALUE")
    parser.add_argument("--body", default=None)
    parser.add_argument("--requests", type=_positive, default=20)
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds for each step of one request")
    parser.add_argument("--settle", type=float, default=0.0, help="seconds for the side to become reachable, uncounted")
    parser.add_argument("--expect-status", type=int, default=200)
    parser.add_argument("--identity", default="", help="header:NAME or json:KEY: where an answer tells its revision")
    parser.add_argument("--expect-revision", default="")
    options = parser.parse_args(argv)
    if options.expect_revision and not options.identity:
        parser.error("--expect-revision needs --identity")
    try:
        if options.identity:
            reader(options.identity)
    except ValueError as error:
        parser.error(f"--identity {error}")
    return options


def _positive(text: str) -> int:
    """No request is no evidence, hence never a pass."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (name and colon):
        raise argparse.ArgumentTypeError("must be NAME:VALUE")
    return name, value.strip()


def main(argv: Sequence[str] | None = None, transport: httpx.BaseTransport | None = None) -> int:
    """Run the check and print its result.

    Args:
        argv: the command line without the program; None means this process' own.
        transport: what carries the requests; None means the network.

    Returns:
        0 pass, 1 fail.

    """
    options = arguments(sys.argv[1:] if argv is None else argv)
    # The environment's proxies are for the way out of a cluster.
    with httpx.Client(
        transport=transport or httpx.HTTPTransport(retries=0), timeout=options.timeout, trust_env=False
    ) as client:
        settled_ms = settle(client, options) if options.settle else 0.0
        result = {**check(client, options), "settled_ms": round(settled_ms, 1)}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["result"] == "pass" else 1


if __name__ == "__main__":
    sys.exit(main())
