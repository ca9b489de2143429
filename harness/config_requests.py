"""What a configuration says of the load's requests: one frozen dataclass a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from harness.config_key import Key

MAX_TIMEOUT = 120.0
PATH = r"/[!-~]*"
Headers = Annotated[Mapping[str, str], Key("further headers; `${NAME}` in a value is taken from the environment")]


@dataclass(frozen=True)
class Request:
    """One request of the load, and the status that is right for it."""

    method: Annotated[
        str,
        Key("in capitals", default="GET", form="GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS", like="GET"),
    ]
    path: Annotated[str, Key("target, percent-encoded", default="/", form=PATH, like="/")]
    expect_status: Annotated[int, Key("the status that is right", default=200, low=200, high=599)]
    headers: Headers = field(hash=False)  # a dict can't be hashed; a configuration must be
    body: Annotated[str, Key("`{id}` becomes the request's id, `${NAME}` is taken from the environment", default="")]
    timeout_seconds: Annotated[float, Key("bound of one attempt", default=5.0, high=MAX_TIMEOUT)]


@dataclass(frozen=True)
class Slow(Request):
    """A request whose answer takes longer than a flip (1 s at least); without it that class doesn't run."""

    path: Annotated[str, Key("target, percent-encoded", form=PATH, like="/slow")]
    timeout_seconds: Annotated[float, Key("bound of one attempt", default=10.0, high=MAX_TIMEOUT)]


@dataclass(frozen=True)
class Post(Request):
    """A request that changes something; without it that class doesn't run."""

    method: Annotated[str, Key("in capitals", default="POST", form="POST|PUT|PATCH|DELETE", like="POST")]
    path: Annotated[str, Key("target, percent-encoded", form=PATH, like="/orders")]


@dataclass(frozen=True)
class Weighted(Request):
    """One of several requests that take turns on the classes fresh, busy and idle; the first is also smoke's."""

    path: Annotated[str, Key("target, percent-encoded", form=PATH, like="/")]
    weight: Annotated[int, Key("its share of the turns", default=1, low=1, high=100)]


@dataclass(frozen=True)
class MainRequest(Request):
    """The request of the classes fresh, busy and idle."""

    slow: Annotated[Slow | None, Key("")]
    post: Annotated[Post | None, Key("")]
