"""The container engine: docker, podman or nerdctl, whichever answers first."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.cluster.host import Host, boot_id
from harness.cluster.shell import run, tail
from harness.errors import SetupError

ENGINES = ("docker", "podman", "nerdctl")
ANSWER_SECONDS = 20.0


@dataclass(frozen=True)
class Engine:
    """One container engine and the environment its commands, and kind's, run in.

    Attributes:
        name: "docker", "podman" or "nerdctl".
        env: variables that every command of it needs.

    """

    name: str
    env: dict[str, str] = field(default_factory=dict)

    @property
    def published_ports(self) -> str:
        """How a mapped port reaches a node: "dnat" (in the kernel) or "proxy" (a userland proxy accepts first)."""
        return "dnat" if self.name == "podman" else "proxy"

    @property
    def kind_env(self) -> dict[str, str]:
        """Environment that makes kind use this engine."""
        return {**self.env, "KIND_EXPERIMENTAL_PROVIDER": self.name}

    def __call__(
        self, *words: str | Path, what: str, timeout: float = 120, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run one engine command; see `harness.cluster.shell.run`."""
        return run([self.name, *words], what, timeout=timeout, env=self.env, check=check)

    def has_image(self, image: str) -> bool:
        """True if the engine's own store has ``image``."""
        return self("image", "inspect", image, what=f"look for image {image}", check=False).returncode == 0

    def image_id(self, image: str) -> str:
        """The content digest of ``image`` in the engine's store."""
        return self("image", "inspect", "--format", "{{.Id}}", image, what=f"read image {image}").stdout.strip()

    def build(self, context: Path, tag: str, args: dict[str, str] | None = None, timeout: float = 900) -> None:
        """Build the Containerfile in ``context`` and tag the image."""
        words: list[str | Path] = ["build", "--tag", tag, "--file", context / "Containerfile"]
        if self.name == "podman":
            # chroot isolation works where a nested runtime may not be started; docker format keeps tags in archives.
            words += ["--isolation=chroot", "--format=docker", "--pull=never"]
        for key, value in (args or {}).items():
            words += ["--build-arg", f"{key}={value}"]
        self(*words, context, what=f"build image {tag}", timeout=timeout)

    def save(self, images: Sequence[str], archive: Path, timeout: float = 600) -> None:
        """Write ``images`` into one archive file (replaced if it is there)."""
        archive.unlink(missing_ok=True)
        many = ["--multi-image-archive"] if self.name == "podman" else []
        self("save", *many, "--output", archive, *images, what=f"save {', '.join(images)}", timeout=timeout)

    def pipe_in(self, container: str, command: Sequence[str], source: Path, what: str, timeout: float = 300) -> None:
        """Run ``command`` in ``container`` with the file ``source`` as its input.

        Raises:
            SetupError: the command failed or took too long.

        """
        with source.open("rb") as handle:
            run(
                [self.name, "exec", "-i", container, *command],
                what,
                timeout=timeout,
                env=self.env,
                stdin=handle.fileno(),
            )

    def containers(self, label: str) -> list[str]:
        """Names of all containers, running or not, that carry ``label``."""
        listed = self("ps", "--all", "--filter", f"label={label}", "--format", "{{.Names}}", what="list containers")
        return listed.stdout.split()

    def address(self, container: str) -> str:
        """The container's IPv4 address on its first network."""
        text = self("inspect", container, what=f"inspect {container}").stdout
        networks = json.loads(text)[0]["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])


def podman_env(cache: Path, host: Host) -> dict[str, str]:
    """Write podman's configuration below ``cache`` and return the variables that point at it.

    The state is kept apart from the user's own podman. As root only: a rootless user's podman has its own rules.
    """
    if not host.root:
        return {}
    home = cache / "engine"
    runtime = home / f"run-{boot_id()}"  # after a reboot podman must not believe that containers still run
    for old in home.glob("run-*"):
        if old != runtime:
            shutil.rmtree(old, ignore_errors=True)
    (home / "networks").mkdir(parents=True, exist_ok=True)
    runtime.mkdir(parents=True, exist_ok=True)
    lines = ["[containers]"]
    if not host.sys_resource:
        # podman's default limits lie above the hard ones here, and raising those needs CAP_SYS_RESOURCE;
        # podman lowers its own nproc to 32768, which its children then can't raise again either
        caps = (("nofile", host.nofile, 1048576), ("nproc", host.nproc, 32768))
        bounds = [(name, min(most, hard) if hard > 0 else most) for name, hard, most in caps]
        limits = [f'"{name}={value}:{value}"' for name, value in bounds]
        lines.append(f"default_ulimits = [{', '.join(limits)}]")
    lines += [
        "[engine]",
        'events_logger = "file"',
        f'static_dir = "{home / "libpod"}"',
        f'tmp_dir = "{runtime / "libpod"}"',
    ]
    if not host.cgroup_v2:
        lines += ['cgroup_manager = "cgroupfs"', 'runtime = "runc"']
    lines += ["[network]", f'network_config_dir = "{home / "networks"}"']
    (home / "containers.conf").write_text("\n".join(lines) + "\n")
    (home / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\nrunroot = "{runtime / "storage"}"\ngraphroot = "{home / "storage"}"\n'
    )
    return {
        "CONTAINERS_CONF": str(home / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(home / "storage.conf"),
    }


def find(cache: Path, host: Host, wanted: str = "auto") -> Engine | None:
    """The first engine that answers within ``ANSWER_SECONDS``, or None where none is installed.

    Args:
        cache: where podman's own state goes.
        host: this machine.
        wanted: "auto" or an engine's name.

    Raises:
        SetupError: engines are installed but none answers.

    """
    names = ENGINES if wanted == "auto" else (wanted,)
    silent: list[str] = []
    for name in names:
        if shutil.which(name) is None:
            continue
        engine = Engine(name, podman_env(cache, host) if name == "podman" else {})
        try:
            answer = engine("info", what=f"ask {name} whether it is there", timeout=ANSWER_SECONDS, check=False)
        except SetupError as error:
            silent.append(f"{name}: {error.what}")
            continue
        if answer.returncode == 0:
            return engine
        silent.append(f"{name}:\n{tail(answer.stderr, 3)}")
    # a docker client without its daemon is common; it is only an error where nothing else can be had
    if silent and (wanted != "auto" or shutil.which("podman") is not None or os.geteuid() != 0):
        raise SetupError(
            "no container engine answers\n" + "\n".join(f"    {line}" for line in silent),
            "start docker (`systemctl start docker`) or install podman",
        )
    return None
