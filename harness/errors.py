"""The error tree: what the harness raises on purpose.

    HarnessError            the instrument or its cluster is broken           exit 11
    ├── ConfigurationError  a file, key or option is wrong                    exit 4
    ├── SetupError          engine, packages, images, cluster can't be had    exit 11
    ├── ClusterError        the API server refused or didn't answer           exit 11
    ├── WaitTimeout         a bounded wait ran out                            exit 11
    ├── FaultNotConfirmed   a fault was injected and never seen               exit 11
    ├── LoadError           the load generator died or never started          exit 11
    └── ReleaseError        the release under test is at fault                a FAILED test
        ├── IllegalMove     the verb isn't legal in the present state
        │   └── UnsafeProbes  the sides' probes wouldn't keep users from pods that can't serve
        ├── RolloutFailed   a side never became ready
        ├── SmokeFailed     the internal check of the idle side failed
        └── StillInUse      retire refused: users are still on that side

Every error has one line on what happened (``str(error)``'s first line) and one on the mend (``error.mend``).
A ReleaseError is the release's fault and makes a scenario FAILED; all others make it an ERROR.
"""

from __future__ import annotations

EXIT_PASS = 0
EXIT_FAIL = 1
EXIT_CONFIGURATION = 4
EXIT_INCONCLUSIVE = 10
EXIT_HARNESS = 11


class HarnessError(Exception):
    """Base of all errors raised on purpose.

    Args:
        what: one line on what happened; further lines are detail (a server's message, log lines).
        mend: one line on what to do about it.

    """

    exit_code = EXIT_HARNESS

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.what}\n  mend: {self.mend}" if self.mend else self.what


class ConfigurationError(HarnessError):
    """A file, key or option is wrong."""

    exit_code = EXIT_CONFIGURATION


class SetupError(HarnessError):
    """Engine, packages, binaries, images or the cluster can't be had."""


class ClusterError(HarnessError):
    """The API server refused a call or didn't answer it."""


class WaitTimeout(HarnessError):
    """A bounded wait ran out; the message ends with the last status seen."""


class FaultNotConfirmed(HarnessError):
    """A fault was injected and no effect of it was seen, or it never came to be injected."""


class LoadError(HarnessError):
    """The load generator died, never started or left no evidence."""


class ReleaseError(HarnessError):
    """The release under test is at fault, not the harness."""

    exit_code = EXIT_FAIL


class IllegalMove(ReleaseError):
    """A release verb that isn't legal in the present state."""


class UnsafeProbes(IllegalMove):
    """The new side asks for no readiness, or its probes differ from the old side's."""


class RolloutFailed(ReleaseError):
    """A side never became ready; carries its events and last log lines."""


class SmokeFailed(ReleaseError):
    """The internal check of the idle side failed."""


class StillInUse(ReleaseError):
    """Retire was refused: users are still on that side."""
