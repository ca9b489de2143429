"""What kind of machine this is, and what kind needs from it."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
from dataclasses import dataclass
from pathlib import Path

from harness.errors import SetupError

CAP_SYS_RESOURCE = 24  # bit number, linux/capability.h


@dataclass(frozen=True)
class Host:
    """Facts that decide which settings the engine and kind get.

    Attributes:
        cgroup_v2: the unified hierarchy is mounted at /sys/fs/cgroup.
        sys_resource: CAP_SYS_RESOURCE is in the bounding set (limits can be raised, OOM scores lowered).
        nofile, nproc: hard limits; -1 where unlimited.
        root: effective user id is 0.

    """

    cgroup_v2: bool
    sys_resource: bool
    nofile: int
    nproc: int
    root: bool

    @property
    def restricted(self) -> bool:
        """True where kind needs any of the settings for restricted hosts."""
        return not (self.cgroup_v2 and self.sys_resource)


def detect() -> Host:
    """Read this machine's facts.

    Raises:
        SetupError: not Linux.

    """
    if platform.system() != "Linux":
        raise SetupError(
            f"{platform.system()} is not supported yet: the counted load must reach the nodes without a userland proxy",
            "run it on Linux, e.g. in a Linux virtual machine or a CI runner",
        )
    status = Path("/proc/self/status").read_text()
    bounding = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:")), 16)
    return Host(
        cgroup_v2=Path("/sys/fs/cgroup/cgroup.controllers").exists(),
        sys_resource=bool(bounding >> CAP_SYS_RESOURCE & 1),
        nofile=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        nproc=resource.getrlimit(resource.RLIMIT_NPROC)[1],
        root=os.geteuid() == 0,
    )


def inotify_left(proc: Path = Path("/proc")) -> int:
    """How many inotify instances this user may still make; kubelet dies where none is left.

    Only what this process may read is counted, so the true number may be smaller. Source: inotify(7),
    /proc/sys/fs/inotify/max_user_instances; kind's known issue "pod errors due to too many open files".
    """
    most = int((proc / "sys/fs/inotify/max_user_instances").read_text())
    used = 0
    for folder in proc.glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            used += sum(1 for one in folder.iterdir() if _target(one) == "anon_inode:inotify")
    return most - used


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""  # closed in the meantime


def boot_id() -> str:
    """Eight hex digits that change with every boot: runtime state named after it can't outlive one."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "")[:8]
