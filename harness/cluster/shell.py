"""Run one external command with a bound, and turn its failure into two readable lines."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import SetupError


def tail(text: str, lines: int = 12) -> str:
    """The last ``lines`` non-empty lines of ``text``, indented for an error message.

    An earlier line that calls itself an error comes first: kind prints its reason, and then a page of kubeadm's stack.
    """
    told = [line.rstrip() for line in text.splitlines() if line.strip()]
    errors = [line for line in told[:-lines] if line.lower().startswith("error")][:2]
    return "\n".join(f"    {line}" for line in [*errors, *told[-lines:]])


def run(
    command: Sequence[str | Path],
    what: str,
    *,
    timeout: float,
    mend: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | None = subprocess.DEVNULL,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` and return its result with text output.

    Args:
        command: program and arguments; never through a shell.
        what: completes "could not ..." in the error.
        timeout: bound in seconds; on expiry the child is killed.
        mend: the error's second line.
        env: variables added to (and overriding) the process' own.
        cwd: working folder.
        stdin: a file descriptor; the default gives the child no input.
        check: raise on a non-zero exit.

    Raises:
        SetupError: program missing or no program, time out, or (with ``check``) a non-zero exit.

    """
    words = [str(word) for word in command]
    by_hand = mend or f"run it by hand: {' '.join(words)}"
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=stdin,
            check=False,
        )
    except FileNotFoundError as error:
        raise SetupError(f"could not {what}: {words[0]} is not installed", mend or f"install {words[0]}") from error
    except OSError as error:
        raise SetupError(f"could not {what}: {words[0]} can't be run: {error.strerror}", by_hand) from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"could not {what}: {words[0]} did not finish within {timeout:g} s", by_hand) from error
    if check and done.returncode != 0:
        said = tail(done.stderr or done.stdout)
        raise SetupError(
            f"could not {what}: {Path(words[0]).name} exited with {done.returncode}\n{said}",
            by_hand,
        )
    return done
