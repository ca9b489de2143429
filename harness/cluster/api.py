"""One call to the API server, one attempt on the wire: bounded, never sent again, errors with the server's words."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from harness.cluster.answers import Json, Refused
from harness.cluster.permissions import asked
from harness.errors import ClusterError

CONNECT_SECONDS = 3.0
CALL_SECONDS = 10.0
WATCH_SECONDS = 30
COLLECTION_SECONDS = 60.0
"""For the deletion of all objects of a kind, one after the other: of 200 pods it takes more than 10 s."""
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

_UNREACHABLE = "ask whether the cluster still runs: kubectl --kubeconfig FILE get --raw /readyz"


class Api:
    """Raw calls to one API server.

    Args:
        pool: a connection pool with the cluster's certificates.
        host: the API server, ``https://address:port``.
        headers: gives the authorization headers of the next call.
        call_seconds: without a byte until a call is given up, unless told otherwise for one.

    """

    def __init__(
        self,
        pool: urllib3.PoolManager,
        host: str,
        headers: Callable[[], Mapping[str, str]],
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._call_seconds = call_seconds
        self._pool = pool
        self._host = host.rstrip("/")
        self._headers = headers
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

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
        """Send one request once and return the whole answer.

        Args:
            method: the HTTP method.
            path: from the server's root, already quoted.
            query: parameters.
            body: JSON-able.
            content_type: of the body.
            timeout: seconds without a byte until the call is given up; connecting has its own, ``CONNECT_SECONDS``.

        Raises:
            Refused: the server answered with a status of 400 or more.
            ClusterError: no answer in time, or no connection.

        """
        answer = self._open(method, path, query, body, content_type, timeout or self._call_seconds, preload=True)
        return answer.data

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Json:
        """GET a JSON object."""
        return _parse(self.send("GET", path, query=query), path)

    def post(self, path: str, body: Any) -> Json:
        """POST an object, once, and return the server's answer."""
        return _parse(self.send("POST", path, body=body), path)

    def patch(self, path: str, body: Any, content_type: str = MERGE, **query: str | int) -> Json:
        """PATCH an object, once, and return what it became."""
        query = {"fieldManager": "bluegreen", **query}
        return _parse(self.send("PATCH", path, query=query, body=body, content_type=content_type), path)

    def watch(self, path: str, query: Mapping[str, str | int], stop: threading.Event) -> Iterator[dict[str, Json]]:
        """Watch a list, and yield after each change (and once at first) all its objects by name.

        The generator ends within a second of ``stop`` being set. The server ends each request after ``WATCH_SECONDS``
        and the next one continues where it ended; a position the server has forgotten (410) starts over with a list.

        Raises:
            ClusterError: the server refused, or the connection broke.

        """
        while not stop.is_set():
            listed = self.get(path, query)
            objects = {item["metadata"]["name"]: item for item in listed.get("items", [])}
            version = listed["metadata"]["resourceVersion"]
            yield dict(objects)
            while version and not stop.is_set():
                for change in self._stream(path, {**query, "resourceVersion": version}, stop):
                    item = change["object"]
                    if change["type"] == "ERROR":
                        if item.get("code") != 410:
                            raise Refused(f"watch {path}: {item.get('message')}", status=int(item.get("code", 0)))
                        version = ""
                        break
                    version = item["metadata"]["resourceVersion"]
                    if change["type"] == "BOOKMARK":
                        continue
                    if change["type"] == "DELETED":
                        objects.pop(item["metadata"]["name"], None)
                    else:
                        objects[item["metadata"]["name"]] = item
                    yield dict(objects)

    def locate(self, api_version: str, kind: str) -> tuple[str, bool]:
        """Where objects of a kind live, asked from the server once per API group.

        Returns:
            The collection's path (with ``{namespace}`` where it is namespaced), and whether it is namespaced.

        Raises:
            Refused: the server doesn't know the kind.

        """
        if (api_version, kind) not in self._kinds:
            group = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
            for found in self.get(group).get("resources", []):
                if "/" not in found["name"]:
                    middle = "/namespaces/{namespace}/" if found["namespaced"] else "/"
                    self._kinds[api_version, found["kind"]] = f"{group}{middle}{found['name']}", found["namespaced"]
        if (api_version, kind) not in self._kinds:
            raise Refused(
                f"the API server knows no kind {kind} in {api_version}", "check apiVersion and kind", status=404
            )
        return self._kinds[api_version, kind]

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Any,
        content_type: str,
        timeout: float,
        *,
        preload: bool,
    ) -> urllib3.BaseHTTPResponse:
        url = f"{self._host}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json, */*", **self._headers()}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            answer = self._pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, timeout), read=timeout),
                retries=False,  # not None, which is three: what fails once is told
                redirect=False,
                preload_content=preload,
            )
            if answer.status < 400:
                return answer
            text, wait_s = answer.data, answer.headers.get("Retry-After", "")
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(f"{method} {path}: no answer from the API server: {error}", _UNREACHABLE) from error
        raise _refused(method, path, query, answer.status, text, wait_s)

    def _stream(self, path: str, query: Mapping[str, str | int], stop: threading.Event) -> Iterator[Json]:
        asked = {**query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        try:
            answer = self._open("GET", path, asked, None, "", WATCH_SECONDS + CALL_SECONDS, preload=False)
        except Refused as error:
            if error.status != 410:
                raise
            yield {"type": "ERROR", "object": {"code": 410, "message": error.what}}
            return
        ended = threading.Event()
        watcher = threading.Thread(target=_shut_when, args=(answer, stop, ended), name="watch-stop", daemon=True)
        watcher.start()
        rest = b""
        try:
            for part in answer.stream(65536):
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield _parse(line, path)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if not stop.is_set():
                raise ClusterError(f"watch {path}: the connection broke: {error}", _UNREACHABLE) from error
        finally:
            ended.set()
            watcher.join()
            answer.close()


def segment(text: str) -> str:
    """Quote one segment of a path."""
    return quote(text, safe="")


def _shut_when(answer: urllib3.BaseHTTPResponse, stop: threading.Event, ended: threading.Event) -> None:
    """Wake a reader that is blocked on ``answer`` once ``stop`` is set."""
    while not ended.wait(0.1):
        if stop.is_set():
            with contextlib.suppress(RuntimeError, ValueError, OSError):  # it ended by itself in this very moment
                answer.shutdown()
            return


def _parse(data: bytes, path: str) -> Json:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise ClusterError(f"{path}: the API server's answer is not JSON: {data[:200]!r}", _UNREACHABLE) from error
    if not isinstance(value, dict):
        raise ClusterError(f"{path}: the API server's answer is no object: {data[:200]!r}", _UNREACHABLE)
    return value


def _refused(
    method: str, path: str, query: Mapping[str, str | int] | None, status: int, text: bytes, wait_s: str
) -> Refused:
    """The server's own words (a Status object's message, else the body's beginning)."""
    reason, message = "", text.decode(errors="replace").strip()[:1000]
    try:
        told = json.loads(text)
        reason, message = str(told.get("reason", "")), str(told.get("message", message))
    except (ValueError, AttributeError):
        pass  # no Status object: a proxy's or an application's own answer, kept as it is
    error = Refused(f"{method} {path}: {status} {message}", status=status, reason=reason)
    if status == 401:
        error.mend = "log in again: the context's credentials have expired, or the cluster doesn't know them"
    elif status == 429:  # no request is sent twice, this one neither: who asked for it decides
        error.mend = f"nothing was changed, and nothing is sent again by itself; try later{_after(wait_s)}"
    elif error.lacks_right:
        error.mend = f"allow it to {asked(method, path, query) or path}: `bluegreen rbac` prints the whole Role"
    return error


def _after(wait_s: str) -> str:
    """The server's Retry-After, in words; it may also be a date."""
    return f", after {wait_s} s by the server's word" if wait_s.isdigit() else ""
