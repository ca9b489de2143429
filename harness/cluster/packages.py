"""System packages: named in one place, installed only when asked to."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from harness.cluster.host import Host
from harness.cluster.shell import run
from harness.cluster.store import Say
from harness.errors import SetupError

# program looked for on PATH -> Debian package that brings it
ENGINE = {"podman": "podman", "runc": "runc", "iptables": "iptables"}
BUILD = {**ENGINE, "mmdebstrap": "mmdebstrap", "gcc": "gcc libc6-dev"}
# podman's network stack has no program on PATH
COMPANIONS = {"podman": ["netavark", "aardvark-dns"], "mmdebstrap": ["arch-test"]}


def ensure(programs: dict[str, str], host: Host, *, install: bool, say: Say) -> None:
    """Make sure that ``programs`` (program -> Debian packages) are on PATH.

    Args:
        programs: what is needed.
        host: to know whether apt may be used.
        install: install what is missing; otherwise the error names the one command to run.
        say: prints one progress line.

    Raises:
        SetupError: something is missing and may not, or can't, be installed.

    """
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    wanted = _packages(missing, programs)
    debian = shutil.which("apt-get") is not None
    command = f"apt-get update && apt-get install --yes --no-install-recommends {' '.join(wanted)}"
    if not install and debian:
        raise SetupError(
            f"missing: {', '.join(missing)}", f"run `{command}` as root, or pass --bg-install-packages to have it done"
        )
    if not debian or not host.root:
        why = "this user is not root" if debian else "this is no Debian system"
        raise SetupError(f"missing: {', '.join(missing)}, and {why}", "install them by this system's own means")
    say(f"packages: installing {' '.join(wanted)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-q"], "refresh the package lists", timeout=300, env=quiet)
    run(
        ["apt-get", "install", "--yes", "-q", "--no-install-recommends", *wanted],
        f"install {' '.join(wanted)}",
        timeout=900,
        env=quiet,
    )


def _packages(missing: Sequence[str], programs: dict[str, str]) -> list[str]:
    found: list[str] = []
    for program in missing:
        found += [*programs[program].split(), *COMPANIONS.get(program, [])]
    return found
