"""The kind node image: Debian, kind's own files, Kubernetes' binaries and every image that the cluster starts with."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from harness import waiting
from harness.cluster.host import Host
from harness.cluster.offline.components import CONTROL_PLANE, Builder
from harness.cluster.offline.golang import KUBERNETES
from harness.cluster.store import content_key

_ENTRYPOINT = 'ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]'


def node_image(builder: Builder, host: Host, extra: Sequence[str]) -> str:
    """Build the node image, or find it by content.

    Args:
        builder: builds what goes into it.
        host: a restricted host's containerd may not lower its own OOM score.
        extra: further images, already in the engine, that every node shall carry.

    Returns:
        its tag, which names its content.

    """
    engine, store = builder.engine, builder.store
    images = [*(builder.component(component) for component in CONTROL_PLANE), *builder.pause(), *extra]
    base = _base(builder, host)
    key = content_key({"base": engine.image_id(base), "images": {image: engine.image_id(image) for image in images}})
    tag = f"localhost/bluegreen/node:{KUBERNETES}-{key}"
    if engine.has_image(tag):
        return tag
    name = f"bluegreen-building-{key}"
    with store.step("node image", "about 1 min"), store.context() as folder:
        archive = folder / "images.tar"
        engine.save(images, archive)
        engine("rm", "--force", name, what="remove an earlier build container", check=False)
        engine("run", "--detach", "--privileged", "--name", name, "--entrypoint", "/bin/sleep", base, "3600",
               what="start the build container")  # fmt: skip
        try:
            engine("exec", "--detach", name, "containerd", what="start containerd in the build container")
            waiting.until(
                lambda: engine("exec", name, "ctr", "version", what="ask containerd", check=False).returncode == 0,
                "containerd in the build container",
                timeout=60,
            )
            load = ["ctr", "-n", "k8s.io", "images", "import", "--all-platforms", "--no-unpack", "--digests", "-"]
            engine.pipe_in(name, load, archive, "import the component images")
            engine("exec", name, "pkill", "-x", "containerd", what="stop containerd in the build container")
            waiting.until(
                lambda: (
                    engine("exec", name, "pgrep", "-x", "containerd", what="look for containerd", check=False).stdout
                    == ""
                ),
                "containerd in the build container to stop",
                timeout=30,
            )
            engine("exec", name, "rm", "-rf", "/run/containerd", what="clean the build container")
            engine("commit", "--change", _ENTRYPOINT, name, tag, what="commit the node image", timeout=600)
        finally:
            engine("rm", "--force", name, what="remove the build container", check=False)
    return tag


def _base(builder: Builder, host: Host) -> str:
    """The node image before any component image is in it."""
    kind_files = builder.go.source("kind", "sigs.k8s.io/kind") / "images" / "base" / "files"
    kubernetes = builder.go.binaries("kubernetes")
    containerd = builder.go.binaries("containerd")
    recipe = builder.offline / "node"
    args = {
        "BASE": builder.base("node"),
        "RESTRICTED": "yes" if host.restricted else "no",
        "VERSION": KUBERNETES,
    }
    key = content_key(
        {"args": args, "kind": str(kind_files), "recipe": recipe, "bin": [str(kubernetes), str(containerd)]}
    )
    tag = f"localhost/bluegreen/node-base:{key}"
    if not builder.engine.has_image(tag):
        with builder.store.context() as context:
            shutil.copytree(recipe, context, dirs_exist_ok=True)
            shutil.copytree(kind_files, context / "kind-files", copy_function=shutil.copyfile)
            _make_writable(context / "kind-files")
            (context / "bin").mkdir()
            for binary in ("kubeadm", "kubelet", "kubectl"):
                shutil.copy2(kubernetes / binary, context / "bin" / binary)
            shutil.copytree(containerd, context / "containerd-bin")
            builder.engine.build(context, tag, args)
    return tag


def _make_writable(folder: Path) -> None:
    """The module cache is read-only, and copies keep its folders' mode."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.suffix == ".sh" else 0o644)
