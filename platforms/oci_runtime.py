#!/usr/bin/env python3
"""An OCI runtime in front of runc, for tests on hosts without CAP_SYS_RESOURCE: asks for no more than may be had.

Docker gives a privileged container every capability there is and low OOM scores, and runc refuses where the host can't
grant them. No user needs this: an ordinary host can.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

FORBIDDEN = "CAP_SYS_RESOURCE"


def main() -> None:
    """Lower what the container's or the process' file asks for, then become runc."""
    words = sys.argv[1:]
    for file, key in ((_value(words, "--bundle", "-b"), "config.json"), (_value(words, "--process", "-p"), "")):
        if file:
            path = Path(file) / key if key else Path(file)
            config = json.loads(path.read_text())
            lower(config.get("process", config))
            path.write_text(json.dumps(config))
    os.execvp("runc", ["runc", *words])


def lower(process: dict[str, Any]) -> None:
    """Take the capability, limits over the host's own, and a negative OOM score out of a process' description."""
    for names in (process.get("capabilities") or {}).values():
        if FORBIDDEN in names:
            names.remove(FORBIDDEN)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in process.get("rlimits") or []:
        if limit["type"] == "RLIMIT_NOFILE":
            limit["hard"], limit["soft"] = min(limit["hard"], hard), min(limit["soft"], hard)
    if process.get("oomScoreAdj", 0) < 0:
        process["oomScoreAdj"] = 0


def _value(words: list[str], *names: str) -> str:
    for index, word in enumerate(words):
        name, _, value = word.partition("=")
        if name in names:
            return value or words[index + 1]
    return ""


if __name__ == "__main__":
    main()
