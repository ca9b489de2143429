"""Where images come from: pulled from a registry, or built from package registries where none answers."""

from __future__ import annotations

import compileall
import concurrent.futures
import http.client
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.engine import Engine
from harness.cluster.host import Host
from harness.cluster.mirror import Mirror, parse
from harness.cluster.offline import node as node_image
from harness.cluster.offline.components import CONTOUR_IMAGE, Builder
from harness.cluster.offline.golang import Go
from harness.cluster.shell import run
from harness.cluster.store import Say, Store, content_key
from harness.errors import SetupError

PROBED = ("registry-1.docker.io", "registry.k8s.io", "ghcr.io")
CONTOUR = f"{CONTOUR_IMAGE}:v1.33.8"
ENVOY_PULLED = "docker.io/envoyproxy/envoy:distroless-v1.38.9"
PULL_SECONDS = 900.0
BUILT_FOR = "x86_64"  # the pinned packages and Envoy's wheel; a registry has images for every machine
ENVOY_BUILT = "localhost/bluegreen/envoy:v1.40.0"  # the newest one that comes as a wheel


@dataclass(frozen=True)
class Bases:
    """What images of applications stand on: a root file system by name, or a published image."""

    rootfs: str
    published: str


PYTHON = Bases("python", "docker.io/library/python:3.11-slim-bookworm")


def registry_answers(mirror: Mirror | None, bound: float = 10.0) -> bool:
    """Ask the registries at once, within ``bound`` seconds in all, whether one of them serves the registry API.

    Only 200 and 401 count: 403 and 407 come from a proxy that refuses, and who answers 429 or 5xx won't serve now.
    """
    hosts = (mirror,) if mirror else tuple(Mirror(host, "", plain=False) for host in PROBED)
    pool = concurrent.futures.ThreadPoolExecutor(len(hosts))
    futures = [pool.submit(_speaks, host, bound) for host in hosts]
    try:
        return any(done.result() for done in concurrent.futures.as_completed(futures, timeout=bound))
    except TimeoutError:
        return False
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _speaks(registry: Mirror, bound: float) -> bool:
    kind = http.client.HTTPConnection if registry.plain else http.client.HTTPSConnection
    connection = kind(registry.address, timeout=bound / 2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status in (200, 401)
    except OSError:
        return False
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


def qualified(image: str) -> str:
    """The name with its registry spelt out: kind leaves it out, podman has no default one."""
    first, slash, _ = image.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"


class Images:
    """Decides once between pull and build, then provides images by name in the engine's store.

    Args:
        engine, store, host: the machine.
        folder: the folder images/ of the distribution.
        mode: "auto", "pull" or "build".
        mirror: a registry that mirrors all others, as `harness.cluster.mirror.parse` reads it, or "".
        say: prints one progress line.

    Raises:
        ConfigurationError: the mirror's name is none.
        SetupError: images would have to be built on a machine for which that isn't made.

    """

    def __init__(
        self, engine: Engine, store: Store, host: Host, folder: Path, mode: str, mirror: str, say: Say
    ) -> None:
        self.engine, self.store, self.host, self.folder = engine, store, host, folder
        self.mirror = parse(mirror)
        asked = mode == "auto"
        if asked:
            mode = "pull" if registry_answers(self.mirror) else "build"
        self.builds = mode == "build"
        silent = f"the mirror {mirror} does not answer" if mirror else "no image registry answers"
        if self.builds and platform.machine() != BUILT_FOR:
            why = f"{silent}, and images" if asked else "images"
            raise SetupError(
                f"{why} are built on {BUILT_FOR} only: this is {platform.machine()}",
                "have them pulled: --bg-images pull, or --bg-registry-mirror HOST for a registry that answers",
            )
        if asked:
            built = f"{silent}: images are built here (10 to 30 min the first time on 2 cores)"
            say(built if self.builds else "a registry answers: images are pulled")

    @property
    def envoy(self) -> str:
        """The proxy's image, by the name its pods use."""
        return ENVOY_BUILT if self.builds else ENVOY_PULLED

    def builder(self) -> Builder:
        """The offline builder; needs Go."""
        return Builder(
            self.engine, Go(self.folder / "offline" / "modules", self.store), self.store, self.folder / "offline"
        )

    def node(self, default: str) -> str:
        """The node image: built, or ``default`` (kind's own) pulled."""
        if self.builds:
            builder = self.builder()
            return node_image.node_image(builder, self.host, builder.ingress(self.envoy, CONTOUR))
        default = self.pull(default)
        if not self.host.restricted:
            return default
        with self.store.context() as context:
            (context / "Containerfile").write_text(
                f"FROM {default}\nRUN sed -i '/^OOMScoreAdjust=/d' /etc/systemd/system/containerd.service\n"
            )
            tag = f"localhost/bluegreen/node:{content_key({'from': default})}"
            self.engine.build(context, tag)
        return tag

    def to_load(self) -> list[str]:
        """Images of the ingress path that a pulled node image lacks; a built one carries them."""
        if self.builds:
            return []
        for image in (CONTOUR, ENVOY_PULLED):
            self.pull(image)
        return [CONTOUR, ENVOY_PULLED]

    def pull(self, image: str) -> str:
        """Have ``image`` in the engine's store, through the mirror if there is one.

        Returns:
            the name by which the engine knows it: with its registry, and from a mirror without its digest.

        Raises:
            SetupError: the registry hangs, refuses, limits the rate or has no such image.

        """
        name = qualified(image)
        if self.mirror:
            name = name.split("@")[0]
        if self.engine.has_image(name):
            return name
        source = self.mirror.source(name) if self.mirror else name
        flags = self.mirror.pull_flags(self.engine.name) if self.mirror else []
        with self.store.step(f"pull {name}"):
            self.engine("pull", "--quiet", *flags, source, what=f"pull {source}", timeout=PULL_SECONDS)
        if source != name:
            self.engine("tag", source, name, what=f"tag {name}")
        return name

    def provide(self, image: str) -> str:
        """Have an image of somebody else's in the engine's store; one that is there already is never pulled anew.

        Returns:
            the name by which the engine knows it.

        Raises:
            SetupError: it is not there, and no registry answers or has it.

        """
        if self.engine.has_image(image):
            return image
        if self.builds:
            raise SetupError(
                f"image {image} is not in {self.engine.name}'s store, and no registry answers",
                "load it there, or say in [build] how it is made",
            )
        return self.pull(image)

    def application(self, context: Path, tags: Mapping[str, Mapping[str, str]], bases: Bases) -> list[str]:
        """Build one image per tag from ``context``/Containerfile, with its hashed requirements if it has any.

        Args:
            context: a folder with a Containerfile and perhaps a requirements.txt.
            tags: image name -> build arguments.
            bases: what ``BASE`` is.

        """
        base = self.builder_base(bases)
        for tag, args in tags.items():
            key = content_key({"context": context, "args": dict(args), "base": base})
            marked = f"localhost/bluegreen/by-content:{key}"
            if not self.engine.has_image(marked):
                with self.store.step(f"image {tag}"), self.store.context() as folder:
                    shutil.copytree(context, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
                    if (context / "requirements.txt").exists():
                        site = self._site_packages(context / "requirements.txt") / "site"
                        shutil.copytree(site, folder / "site-packages")
                    # images run with a read-only root: what isn't compiled now is compiled at every start
                    compileall.compile_dir(folder, quiet=2)
                    self.engine.build(folder, marked, {"BASE": base, **args})
            self.engine("tag", marked, tag, what=f"tag {tag}")
        return list(tags)

    def builder_base(self, bases: Bases) -> str:
        """The tag that ``BASE`` gets in this mode."""
        if self.builds:
            return self.builder().base(bases.rootfs)
        return self.pull(bases.published)

    def archive(self, images: list[str]) -> Path:
        """One file with ``images``, found again by their content."""
        ids = {image: self.engine.image_id(image) for image in sorted(images)}
        folder = self.store.folder(
            "archive", {"images": ids}, lambda made: self.engine.save(sorted(images), made / "images.tar")
        )
        return folder / "images.tar"

    def _site_packages(self, requirements: Path) -> Path:
        # wheels for the images' Python, whatever runs the harness; hashes are checked by pip
        wanted = ["--python-version", "3.11", "--implementation", "cp", "--only-binary", ":all:", "--require-hashes"]
        platforms = [word for tag in ("_2_34", "_2_28", "_2_17", "2014") for word in ("--platform", _manylinux(tag))]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", *wanted, *platforms]

        def make(folder: Path) -> None:
            if not requirements.read_text().strip():
                raise SetupError(f"{requirements} is empty", "list the image's dependencies with hashes")
            run([*command, "--target", folder / "site", "-r", requirements], f"install {requirements}", timeout=600)

        return self.store.folder("site-packages", {"requirements": requirements, "how": wanted}, make)


def _manylinux(tag: str) -> str:
    return f"manylinux{tag}_{platform.machine()}"
