"""Which revision and which pod an answer tells: by a header, or by a path into a JSON body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_IDENTITY = 200
"""Characters of a revision or pod name that are kept."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Where an answer says who it is. A header wins over a JSON path; both empty: never known.

    Args:
        revision_header: header with the revision, any case.
        revision_json: dotted path into a JSON body, such as ``build.version`` or ``items.0.name``.
        pod_header: header with the pod's name.
        pod_json: dotted path of the pod's name.

    """

    revision_header: str = ""
    revision_json: str = ""
    pod_header: str = ""
    pod_json: str = ""
    _revision_name: bytes = field(init=False, repr=False, compare=False)
    _pod_name: bytes = field(init=False, repr=False, compare=False)
    needs_body: bool = field(init=False, repr=False, compare=False)
    names: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_revision_name", self.revision_header.lower().encode())
        object.__setattr__(self, "_pod_name", self.pod_header.lower().encode())
        names = tuple(name for name in (self._revision_name, self._pod_name) if name)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "needs_body", bool(self.revision_json or self.pod_json))

    def extract(self, headers: Mapping[bytes, bytes], body: bytes) -> tuple[str, str]:
        """Revision and pod of one answer, "" where it doesn't tell.

        Args:
            headers: by lower-case name.
            body: the decoded body; read only where a JSON path is asked for.

        """
        found = headers.get(self._revision_name)
        revision = _text(found) if found else ""
        found = headers.get(self._pod_name)
        pod = _text(found) if found else ""
        if not self.needs_body or (revision and (pod or not self.pod_json)) or not body:
            return revision, pod
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return revision, pod
        return revision or _walk(document, self.revision_json), pod or _walk(document, self.pod_json)


def _text(value: bytes) -> str:
    return value.strip().decode("latin-1")[:MAX_IDENTITY]


def _walk(document: Any, path: str) -> str:
    if not path:
        return ""
    node = document
    for step in path.split("."):
        if isinstance(node, dict):
            node = node.get(step)
        elif isinstance(node, list) and step.isdigit() and int(step) < len(node):
            node = node[int(step)]
        else:
            return ""
    # A surrogate can't be written as UTF-8, and an answer must not be able to stop the record.
    text = "" if node is None or isinstance(node, dict | list) else str(node)
    return text.encode("utf-8", "replace").decode()[:MAX_IDENTITY]
