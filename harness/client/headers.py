"""Which headers can be sent: RFC 9110 5.5, less those that the client writes itself."""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE: Final = re.compile(r"(?:[!-~\x80-\xff](?:[\t\x20-\x7e\x80-\xff]{0,4094}[!-~\x80-\xff])?)?")
_OWN: Final = frozenset({"host", "content-length", "x-request-id", "transfer-encoding", "connection", "expect"})


def fault(name: object, value: object) -> str:
    """What is wrong with a header, without its value, which may be secret; "" if nothing is."""
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        return f"{name!r} is no name of a header"
    if name.lower() in _OWN:
        return f"header {name} is written by the client"
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        return f"header {name} has a value that can't be sent (up to 4096 of Latin-1, no line end, no outer blank)"
    return ""
