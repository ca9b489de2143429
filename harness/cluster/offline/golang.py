"""Binaries from pinned Go modules: images/offline/modules/<name>/{go.mod,go.sum}."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from harness.cluster.shell import run
from harness.cluster.store import Store
from harness.errors import SetupError

GO_MINIMUM = (1, 26)


@dataclass(frozen=True)
class Module:
    """One pinned module and what is built of it.

    Attributes:
        name: folder below images/offline/modules.
        packages: binary name -> Go package.
        about: expected duration, for the progress line.
        tags: build tags.
        ldflags: linker flags.

    """

    name: str
    packages: dict[str, str]
    about: str
    tags: str = ""
    ldflags: str = "-s -w"


KUBERNETES = "v1.36.3"
KIND = "v0.33.0"
ARGO = "github.com/argoproj/argo-rollouts"
ARGO_VERSION = "v1.10.0"
_K8S = "k8s.io/kubernetes/cmd/"
_VERSION = {
    "gitVersion": KUBERNETES,
    "gitMajor": "1",
    "gitMinor": "36",
    "gitTreeState": "clean",
    "gitCommit": "none",
    "buildDate": "1970-01-01T00:00:00Z",
}
# kubeadm refuses to work with components whose version it can't read
_STAMPS = [f"-X k8s.io/component-base/version.{key}={value}" for key, value in _VERSION.items()]

MODULES = {
    module.name: module
    for module in (
        Module("kind", {"kind": "sigs.k8s.io/kind"}, "about 20 s"),
        Module(
            "kubernetes",
            {
                name: _K8S + name
                for name in (
                    "kube-apiserver",
                    "kube-controller-manager",
                    "kube-scheduler",
                    "kube-proxy",
                    "kubelet",
                    "kubeadm",
                    "kubectl",
                )
            },
            "5 to 11 min on 2 cores",
            ldflags="-s -w " + " ".join(_STAMPS),
        ),
        Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, "about 1 min"),
        Module(
            "containerd",
            {
                name: f"github.com/containerd/containerd/v2/cmd/{name}"
                for name in ("containerd", "ctr", "containerd-shim-runc-v2")
            },
            "about 1 min",
            tags="no_aufs no_zfs no_btrfs no_devmapper",
        ),
        Module("coredns", {"coredns": "."}, "about 1 min"),
        Module(
            "kube-router", {"kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"}, "1 to 3 min"
        ),
        Module("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}, "about 3 min"),
        Module("contour", {"contour": "github.com/projectcontour/contour/cmd/contour"}, "1 to 5 min"),
        Module(
            "argo-rollouts",
            {name: f"{ARGO}/cmd/{name}" for name in ("rollouts-controller", "kubectl-argo-rollouts")},
            "10 to 20 min on 2 cores",
            ldflags=f"-s -w -X {ARGO}/utils/version.version={ARGO_VERSION[1:]}",
        ),
    )
}


@dataclass
class Go:
    """The Go toolchain with its caches below the cache folder.

    Args:
        modules: the folder images/offline/modules.
        store: where binaries go.

    Raises:
        SetupError: Go is missing or too old.

    """

    modules: Path
    store: Store
    version: str = field(init=False)

    def __post_init__(self) -> None:
        mend = f"install Go {GO_MINIMUM[0]}.{GO_MINIMUM[1]} or newer (https://go.dev/doc/install)"
        if shutil.which("go") is None:
            raise SetupError("Go is not installed, and the binaries must be built: no registry answers", mend)
        text = run(["go", "env", "GOVERSION"], "ask Go for its version", timeout=60, env=self._env).stdout.strip()
        found = re.match(r"go(\d+)\.(\d+)", text)
        if not found or (int(found[1]), int(found[2])) < GO_MINIMUM:
            raise SetupError(f"Go is too old: {text}", mend)
        self.version = text

    @property
    def _env(self) -> dict[str, str]:
        return {
            "GOCACHE": str(self.store.root / "go" / "build"),
            "GOMODCACHE": str(self.store.root / "go" / "mod"),
            "GOTOOLCHAIN": "local",  # never fetch another toolchain on the quiet
            "GOFLAGS": "",
            "GOWORK": "off",
            "CGO_ENABLED": "0",
        }

    def binaries(self, name: str) -> Path:
        """The folder with the binaries of module ``name``, built now if they aren't there."""
        module = MODULES[name]

        def make(folder: Path) -> None:
            self._build(module, folder)

        inputs = {
            "source": self.modules / name,
            "packages": module.packages,
            "ldflags": module.ldflags,
            "tags": module.tags,
            "go": self.version,
        }
        return self.store.folder(f"go-{name}", inputs, make, module.about)

    def _build(self, module: Module, folder: Path) -> None:
        packages = module.packages
        # a single package may have another name than its binary; several can only go into a folder
        target = folder / next(iter(packages)) if len(packages) == 1 else f"{folder}/"
        words: list[str | Path] = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", module.ldflags]
        if module.tags:
            words += ["-tags", module.tags]
        run(
            [*words, "-o", target, *packages.values()],
            f"build {module.name} from its Go module",
            timeout=3600,
            env=self._env,
            cwd=self.modules / module.name,
            mend="the module proxy must be reachable; the same build by hand: "
            f"cd {self.modules / module.name} && go build {' '.join(packages.values())}",
        )

    def source(self, name: str, module_path: str) -> Path:
        """The folder of the sources of ``module_path`` as pinned by module ``name``'s go.mod."""
        where = self.modules / name
        run(["go", "mod", "download", module_path], f"get {module_path}", timeout=600, env=self._env, cwd=where)
        listed = run(
            ["go", "list", "-m", "-f", "{{.Dir}}", module_path],
            f"find {module_path}",
            timeout=120,
            env=self._env,
            cwd=where,
        )
        return Path(listed.stdout.strip())
