"""A scenario whose sides live in namespaces of their own, spoken to as if all of it were in one.

Every part of the harness asks for what is in the scenario's namespace. Here each of these requests goes where the
object is: to a side's namespace by the beginning of its name, a list or a watch to all of them.
"""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from harness.cluster.answers import Json
from harness.cluster.api import Api, segment
from harness.errors import ClusterError

EVERY_SECONDS = 0.2

_Told = tuple[str, dict[str, Json] | Exception]


def home_of(name: str, homes: Mapping[str, str]) -> str:
    """The namespace of the longest of these beginnings that an object's name has; "" where it has none of them."""
    begun = [known for known in homes if name == known or name.startswith(f"{known}-")]
    return homes[max(begun, key=len)] if begun else ""


class SpreadApi(Api):
    """Calls to one API server.

    Args:
        inner: sends them.
        namespace: the scenario's.
        homes: other namespaces, each by what names of the objects in it begin with: ``shop-blue`` is the home of
            ``shop-blue``, ``shop-blue-6d4f`` and so on.

    """

    def __init__(self, inner: Api, namespace: str, homes: Mapping[str, str]) -> None:
        self._inner = inner
        self._namespace = namespace
        self._known = dict(homes)
        self._all = (namespace, *dict.fromkeys(homes.values()))
        self._ours = re.compile(
            rf"(/(?:api/v1|apis/[^/]+/[^/]+)/namespaces/){re.escape(segment(namespace))}/([^/]+)(/.*)?"
        )

    def home(self, name: str) -> str:
        """The namespace of the object with this name."""
        return home_of(name, self._known) or self._namespace

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> bytes:
        """Send one request once, as `Api.send`; of a list, or a collection's end, one to each namespace."""

        def once(path: str, body: Any = body) -> bytes:
            return self._inner.send(method, path, query=query, body=body, content_type=content_type, timeout=timeout)

        found = self._ours.fullmatch(path)
        if found is None:
            return once(path)
        head, resource, rest = found[1], found[2], found[3] or ""
        if not rest and method in ("GET", "DELETE"):
            answers = [once(f"{head}{segment(namespace)}/{resource}") for namespace in self._all]
            return _joined(answers) if method == "GET" else answers[0]
        named = unquote(rest.split("/")[1]) if rest else str(body["metadata"]["name"])
        home = self.home(named.split(":")[0])
        return once(f"{head}{segment(home)}/{resource}{rest}", _moved(body, self._namespace, home))

    def watch(self, path: str, query: Mapping[str, str | int], stop: threading.Event) -> Iterator[dict[str, Json]]:
        """Watch a list, as `Api.watch`: the objects of all namespaces together, once each has told what it has."""
        found = self._ours.fullmatch(path)
        if found is None:
            yield from self._inner.watch(path, query, stop)
            return
        ended = threading.Event()
        told: queue.Queue[_Told] = queue.Queue()

        def tell(namespace: str) -> None:
            try:
                for now in self._inner.watch(f"{found[1]}{segment(namespace)}/{found[2]}", query, ended):
                    told.put((namespace, now))
            except Exception as error:  # raised again where the watch is read
                told.put((namespace, error))

        threads = [
            threading.Thread(target=tell, args=(namespace,), name=f"spread-{namespace}", daemon=True)
            for namespace in self._all
        ]
        for thread in threads:
            thread.start()
        seen: dict[str, dict[str, Json]] = {}
        try:
            while not stop.is_set():
                try:
                    namespace, now = told.get(timeout=EVERY_SECONDS)
                except queue.Empty:
                    continue
                if isinstance(now, Exception):
                    raise now
                seen[namespace] = now
                if len(seen) == len(self._all):
                    yield {name: item for namespace in self._all for name, item in seen[namespace].items()}
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def locate(self, api_version: str, kind: str) -> tuple[str, bool]:
        """Where objects of a kind live, as `Api.locate`."""
        return self._inner.locate(api_version, kind)


def _joined(answers: list[bytes]) -> bytes:
    """One list of several: the first one, with the items of all."""
    try:
        first, *others = [json.loads(answer) for answer in answers]
        first["items"] = [item for one in (first, *others) for item in one["items"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"the API server's answer is no list: {error!r}", "ask what it runs") from error
    return json.dumps(first).encode()


def _moved(body: Any, origin: str, to: str) -> Any:
    """A body whose object says that it is in the scenario's namespace says where it really is."""
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(metadata, dict) or metadata.get("namespace") != origin:
        return body
    return {**body, "metadata": {**metadata, "namespace": to}}
