"""Root file systems from Debian packages, as tar files for ``FROM scratch`` images."""

from __future__ import annotations

from pathlib import Path

from harness.cluster.shell import run
from harness.cluster.store import Store

SUITE = "bookworm"

# what each image's processes call; names are Debian's
PACKAGES = {
    "node": (
        "systemd systemd-sysv dbus kmod iproute2 iptables nftables ipset conntrack ethtool socat procps jq util-linux "
        "mount libseccomp2 pigz e2fsprogs ca-certificates curl runc containernetworking-plugins"
    ),
    "network": "iptables nftables conntrack ipset iproute2 kmod ca-certificates",
    "python": "python3-minimal libpython3.11-stdlib ca-certificates media-types",
    "nginx": "nginx-light",
}

# documentation and translations are half of a minimal Debian
_TRIM = [
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--aptopt=Acquire::Retries 3",
]


def rootfs(store: Store, name: str) -> Path:
    """The folder holding ``rootfs.tar`` with the packages of ``PACKAGES[name]``.

    The content key is the list of names and the suite, not the packages' versions: a stable suite changes only by
    security updates, and an image that changed by itself would defeat the cache.
    """

    def make(folder: Path) -> None:
        run(
            [
                "mmdebstrap",
                "--variant=minbase",
                "--mode=root",
                *_TRIM,
                f"--include={','.join(PACKAGES[name].split())}",
                SUITE,
                folder / "rootfs.tar",
            ],
            f"make the root file system '{name}' from Debian packages",
            timeout=900,
        )

    return store.folder(
        f"rootfs-{name}", {"packages": PACKAGES[name], "suite": SUITE, "trim": _TRIM}, make, "about 40 s"
    )
