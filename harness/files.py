"""Files that a killed process leaves whole or untouched."""

from __future__ import annotations

import secrets
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Replace ``path`` by a file with ``text``: a reader sees the old or the new one."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fresh.write_text(text)
    fresh.replace(path)
