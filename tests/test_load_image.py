"""The workers' image holds all that a worker imports, of this very version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def test_what_is_copied_into_the_image_imports_by_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness.cluster.load_image", str(tmp_path / "made")]
    subprocess.run(command, check=True, cwd=ROOT)
    source = tmp_path / "made" / "src"
    names = "harness.client.agent, harness.client.generator, harness.client.http"
    code = f"import {names}; print(harness.__path__[0])"
    # isolated, and without the .pth file by which a checkout is installed: nothing of it is in reach
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    start = f"import sys; sys.path[:0] = [{str(source)!r}]; sys.path.append({packages!r}); {code}"
    done = subprocess.run([sys.executable, "-S", "-I", "-c", start], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(source / "harness"), done.stderr
    assert (source / "loadtests" / "distributed.py").is_file()
    assert {path.name for path in (tmp_path / "made").iterdir()} >= {"Containerfile", "requirements.txt", "src"}


def test_the_images_packages_are_those_that_the_client_imports(tmp_path: Path) -> None:
    """A package that the client begins to import fails here, not in a pod."""
    code = """
import sys
import harness.client.agent, harness.client.generator
where = {name: str(getattr(module, "__file__", "")) for name, module in sys.modules.items() if "." not in name}
print(*(name for name, file in where.items() if "site-packages" in file and not name.startswith("_")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    pinned = {line.partition("==")[0] for line in _locked() if "==" in line}
    assert set(done.stdout.split()) - {"harness"} <= pinned
    assert {"h2", "httptools", "numpy"} <= set(done.stdout.split())


def _locked() -> list[Any]:
    return (ROOT / "images" / "load" / "requirements.txt").read_text().splitlines()
