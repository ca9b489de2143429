from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from harness.cluster import api
from harness.cluster.answers import (
    EventInfo,
    Refused,
    deployment_of,
    endpoints,
    event_infos,
    job_state,
    node_info,
    pod_info,
    rollout_status,
)
from harness.cluster.kube import Kube
from harness.errors import ClusterError, ConfigurationError

Handler = Callable[["Wire"], None]


class Wire(BaseHTTPRequestHandler):
    """One request to the fake API server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is two writes, and the second would wait 40 ms
    server: FakeApi

    def do(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.sent = json.loads(self.rfile.read(length)) if length else None
        parts = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.server.seen.append((self.command, parts.path, self.query, self.sent, dict(self.headers)))
        for pattern, handler in self.server.routes:
            if re.fullmatch(pattern, f"{self.command} {parts.path}"):
                handler(self)
                return
        self.reply(404, {"kind": "Status", "reason": "NotFound", "message": f"no {parts.path}"})

    do_GET = do_POST = do_PATCH = do_DELETE = do  # noqa: N815 - the names that http.server looks for

    def reply(self, status: int, body: object) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self) -> Callable[[object], None]:
        """Begin a chunked answer; the result writes one line of it."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def line(value: object) -> None:
            data = json.dumps(value).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        return line

    def end_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the test has cut this connection itself
            super().finish()

    def log_message(self, *_: object) -> None:
        pass


class FakeApi(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Wire)
        self.seen: list[tuple[str, str, dict[str, str], Any, dict[str, str]]] = []
        self.routes: list[tuple[str, Handler]] = []
        self.released = threading.Event()

    def on(self, pattern: str, answer: Handler | dict[str, Any] | bytes, status: int = 200) -> None:
        self.routes.append((pattern, answer if callable(answer) else lambda wire: wire.reply(status, answer)))

    def calls(self) -> list[str]:
        return [f"{method} {path}" for method, path, *_ in self.seen]


@pytest.fixture
def server() -> Iterator[FakeApi]:
    with FakeApi() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield made
        made.released.set()
        made.shutdown()
        thread.join(5)


def kubeconfig(folder: Path, host: str) -> Path:
    file = folder / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": host}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t0ken"}}
    document = {"apiVersion": "v1", "kind": "Config", "current-context": "c"}
    file.write_text(yaml.safe_dump({**document, "clusters": [cluster], "contexts": [context], "users": [user]}))
    return file


def hang(wire: Wire) -> None:
    wire.server.released.wait(5)


@pytest.fixture
def kube(server: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kube:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # a proxy that would swallow everything
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    return Kube(kubeconfig(tmp_path, f"http://127.0.0.1:{server.server_address[1]}"))


SERVICE = "/api/v1/namespaces/ns/services/shop"


def test_a_flip_is_one_patch(server: FakeApi, kube: Kube) -> None:
    server.on(f"PATCH {SERVICE}", {"metadata": {"resourceVersion": "812"}})
    assert kube.patch_service_selector("ns", "shop", {"color": "green"}) == "812"
    ((_, _, query, body, headers),) = server.seen
    assert body == {"spec": {"selector": {"color": "green"}}}
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert headers["authorization"] == "Bearer t0ken"
    assert query["fieldManager"] == "bluegreen"


@pytest.mark.parametrize(
    ("wait", "said"), [("7", ", after 7 s by the server's word"), ("Fri, 01 Jan 2027", ""), ("", "")]
)
def test_who_is_refused_for_the_servers_load_is_told_when_to_try_again(
    server: FakeApi, kube: Kube, wait: str, said: str
) -> None:
    def answer(wire: Wire) -> None:
        wire.send_response(429)
        wire.send_header("Retry-After", wait)
        wire.send_header("Content-Length", "44")
        wire.end_headers()
        wire.wfile.write(b"Too many requests, please try again later.\n\n")

    server.on(f"PATCH {SERVICE}", answer)
    with pytest.raises(Refused) as caught:
        kube.patch_service_selector("ns", "shop", {"color": "green"})
    assert caught.value.status == 429 and len(server.seen) == 1
    assert caught.value.what == f"PATCH {SERVICE}: 429 Too many requests, please try again later."
    assert caught.value.mend == f"nothing was changed, and nothing is sent again by itself; try later{said}"


@pytest.mark.parametrize("fault", ["reset", "close", "503", "429", "redirect"])
def test_a_flip_that_fails_is_never_sent_again(server: FakeApi, kube: Kube, fault: str) -> None:
    def answer(wire: Wire) -> None:
        if fault == "reset":
            wire.reset()
        elif fault == "close":
            wire.close_connection = True
        elif fault == "redirect":
            wire.send_response(307)
            wire.send_header("Location", SERVICE)
            wire.send_header("Content-Length", "0")
            wire.end_headers()
        else:
            wire.send_response(int(fault))
            wire.send_header("Retry-After", "0")
            wire.send_header("Content-Length", "0")
            wire.end_headers()

    server.on(f"PATCH {SERVICE}", answer)
    with pytest.raises(ClusterError):
        kube.patch_service_selector("ns", "shop", {"color": "green"})
    time.sleep(0.05)
    assert server.calls() == [f"PATCH {SERVICE}"]


@pytest.mark.parametrize("fault", ["reset", "close", "503"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_urllib3_would_send_again_goes_out_once(server: FakeApi, kube: Kube, method: str, fault: str) -> None:
    """The proof that retries are off: by default urllib3 repeats these methods after a send, but never a PATCH."""

    def answer(wire: Wire) -> None:
        if fault == "reset":
            wire.reset()
        elif fault == "close":
            wire.close_connection = True
        else:
            wire.send_response(503)
            wire.send_header("Retry-After", "0")
            wire.send_header("Content-Length", "0")
            wire.end_headers()

    server.on(f"{method} .*", answer)
    with pytest.raises(ClusterError):
        if method == "GET":
            kube.service_selector("ns", "shop")
        else:
            kube.delete_pods_now("ns")
    time.sleep(0.05)
    assert len(server.calls()) == 1


def test_a_hanging_server_is_given_up(server: FakeApi, kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    server.on("GET /readyz", hang)
    before = time.monotonic()
    assert kube.ready(timeout=0.2) is False
    assert time.monotonic() - before < 4.5
    monkeypatch.setattr(api.Api.send, "__kwdefaults__", {**(api.Api.send.__kwdefaults__ or {}), "timeout": 0.2})
    server.on("GET /api/v1/nodes", hang)
    with pytest.raises(ClusterError, match="no answer from the API server"):
        kube.nodes()


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        kube = Kube(kubeconfig(tmp_path, f"http://127.0.0.1:{free.getsockname()[1]}"))
        assert kube.ready() is False
        with pytest.raises(ClusterError, match="no answer"):
            kube.version()


def test_errors_have_the_servers_message(server: FakeApi, kube: Kube) -> None:
    status = {"kind": "Status", "reason": "Forbidden", "message": "user u may not patch services"}
    server.on(f"PATCH {SERVICE}", status, 403)
    with pytest.raises(Refused, match="403 user u may not patch services") as error:
        kube.patch_service_selector("ns", "shop", {"color": "green"})
    assert (error.value.status, error.value.reason) == (403, "Forbidden")
    server.on("GET /version", b"<html>a proxy's page", 502)
    with pytest.raises(Refused, match="502 <html>a proxy's page"):
        kube.version()


def test_answers_that_are_no_objects(server: FakeApi, kube: Kube) -> None:
    server.on("GET /version", b"hello")
    with pytest.raises(ClusterError, match="not JSON"):
        kube.version()
    server.on("GET /api/v1/nodes", b"[1]")
    with pytest.raises(ClusterError, match="no object"):
        kube.nodes()


def test_kubeconfig_that_cant_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="absent"):
        Kube(tmp_path / "absent")
    file = kubeconfig(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="context 'other'"):
        Kube(file, "other")
    file.write_text("a: [b")
    with pytest.raises(ConfigurationError, match="can't be used"):
        Kube(file)


def test_apply_is_server_side_and_names_the_refused_object(server: FakeApi, kube: Kube) -> None:
    resources = [
        {"name": "deployments", "kind": "Deployment", "namespaced": True},
        {"name": "deployments/scale", "kind": "Scale", "namespaced": True},
    ]
    server.on("GET /apis/apps/v1", {"resources": resources})
    server.on("GET /api/v1", {"resources": [{"name": "namespaces", "kind": "Namespace", "namespaced": False}]})
    server.on("PATCH /apis/apps/v1/namespaces/ns/deployments/good", {"metadata": {}})
    server.on("PATCH /api/v1/namespaces/n2", {"metadata": {}})
    server.on("PATCH .*/bad", {"message": 'unknown field "spec.replica"'}, 422)
    good = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "good"}}
    kube.apply([good, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n2"}}], "ns")
    _, _, query, body, headers = server.seen[1]
    assert (query, body) == ({"fieldManager": "bluegreen", "force": "true"}, good)
    assert headers["Content-Type"] == "application/apply-patch+yaml"
    bad = {**good, "metadata": {"name": "bad"}}
    with pytest.raises(Refused, match=r'Deployment/bad can\'t be applied: .*unknown field "spec.replica"'):
        kube.apply([bad], "ns")
    with pytest.raises(Refused, match="no kind Rollout in apps/v1"):
        kube.apply([{**good, "kind": "Rollout"}], "ns")
    assert server.calls().count("GET /apis/apps/v1") == 2, "asked once, and once more for the kind that it lacks"


def item(name: str, version: int, color: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, "spec": {"selector": {"color": color}}}


def test_watch_goes_on_over_ends_and_forgotten_positions(server: FakeApi, kube: Kube) -> None:
    watches: list[str] = []
    lists = iter([item("shop", 5, "blue"), item("shop", 90, "white")])

    def answer(wire: Wire) -> None:
        if "watch" not in wire.query:
            listed = next(lists)
            version = listed["metadata"]["resourceVersion"]
            wire.reply(200, {"metadata": {"resourceVersion": version}, "items": [listed]})
            return
        watches.append(wire.query["resourceVersion"])
        assert wire.query["fieldSelector"] == "metadata.name=shop"
        if len(watches) == 3:
            wire.reply(410, {"message": "too old"})
            return
        line = wire.stream()
        if len(watches) == 1:
            line({"type": "MODIFIED", "object": item("shop", 6, "green")})
            line({"type": "BOOKMARK", "object": item("", 8, "")})
            wire.end_stream()
        elif len(watches) == 2:
            line({"type": "DELETED", "object": item("shop", 9, "green")})
            line({"type": "ADDED", "object": item("shop", 10, "red")})
            wire.end_stream()
        else:
            server.released.wait(5)

    server.on("GET /api/v1/namespaces/ns/services", answer)
    stop, found = threading.Event(), []
    for selector in kube.watch_selector("ns", "shop", stop):
        found.append(selector["color"])
        if found[-1] == "white":
            break
    assert found == ["blue", "green", "red", "white"]
    assert watches == ["5", "8", "10"]


def test_watch_refused_midway(server: FakeApi, kube: Kube) -> None:
    def answer(wire: Wire) -> None:
        if "watch" not in wire.query:
            wire.reply(200, {"metadata": {"resourceVersion": "1"}, "items": []})
            return
        line = wire.stream()
        line({"type": "ERROR", "object": {"code": 500, "message": "etcd is gone"}})
        wire.end_stream()

    server.on("GET .*/endpointslices", answer)
    watch = kube.watch_slices("ns", "shop", threading.Event())
    assert next(watch) == ()
    with pytest.raises(Refused, match="etcd is gone"):
        next(watch)


def test_watch_cut_midway_is_an_error_not_an_end(server: FakeApi, kube: Kube) -> None:
    def answer(wire: Wire) -> None:
        if "watch" not in wire.query:
            wire.reply(200, {"metadata": {"resourceVersion": "1"}, "items": []})
            return
        wire.stream()
        wire.wfile.flush()
        wire.reset()

    server.on("GET .*/endpointslices", answer)
    watch = kube.watch_slices("ns", "shop", threading.Event())
    assert next(watch) == ()
    with pytest.raises(ClusterError, match="the connection broke"):
        next(watch)


def test_a_quiet_watch_ends_soon_after_stop(server: FakeApi, kube: Kube) -> None:
    watching = threading.Event()

    def answer(wire: Wire) -> None:
        if "watch" not in wire.query:
            wire.reply(200, {"metadata": {"resourceVersion": "1"}, "items": []})
            return
        wire.stream()
        watching.set()
        server.released.wait(5)

    server.on("GET .*/endpointslices", answer)
    stop, raised = threading.Event(), []

    def read() -> None:
        try:
            list(kube.watch_slices("ns", "shop", stop))
        except Exception as error:
            raised.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert watching.wait(5)
    time.sleep(0.1)
    before = time.monotonic()
    stop.set()
    reader.join(5)
    assert not reader.is_alive()
    assert time.monotonic() - before < 4.5
    assert raised == []


def test_namespace_comes_and_goes(server: FakeApi, kube: Kube) -> None:
    server.on("POST /api/v1/namespaces", {}, 201)
    server.on("DELETE .*", {})
    kube.create_namespace("n", {"a": "b"})
    assert server.seen[0][3]["metadata"] == {"name": "n", "labels": {"a": "b"}}
    kube.delete_namespace("n", wait=True)  # the GET answers 404
    assert server.calls()[1:3] == [
        "DELETE /apis/networking.k8s.io/v1/namespaces/n/ingresses",
        "DELETE /api/v1/namespaces/n",
    ]
    kube.end_namespace("n")
    method, path, query, *_ = server.seen[-1]
    assert (method, path, query) == ("DELETE", "/api/v1/namespaces/n/pods", {"gracePeriodSeconds": "0"})


def test_namespace_gone_already(server: FakeApi, kube: Kube) -> None:
    kube.delete_namespace("n")
    kube.end_namespace("n")
    server.on("DELETE /api/v1/namespaces/n", {"message": "no"}, 403)
    with pytest.raises(Refused, match="403"):
        kube.delete_namespace("n")


def test_image_scale_log_and_proxy(server: FakeApi, kube: Kube) -> None:
    deployments = "/apis/apps/v1/namespaces/ns/deployments/shop-green"
    server.on(f"PATCH {deployments}(/scale)?", {})
    kube.patch_deployment_image("ns", "shop-green", "api", "shop:v2")
    kube.scale("ns", "shop-green", 4)
    image, scaled = server.seen
    assert image[3]["spec"]["template"]["spec"]["containers"] == [{"name": "api", "image": "shop:v2"}]
    assert image[4]["Content-Type"] == "application/strategic-merge-patch+json"
    assert (scaled[1], scaled[3]) == (f"{deployments}/scale", {"spec": {"replicas": 4}})
    server.on("GET /api/v1/namespaces/ns/pods/p%3A9000/proxy/state", b'{"open": 0}')
    assert kube.get_raw("ns", "p", 9000, "/state") == b'{"open": 0}'
    server.on("GET /api/v1/namespaces/ns/pods/p/log", b"last words\n")
    assert kube.log_tail("ns", "p", "api", 5) == "last words\n"
    assert server.seen[-1][2] == {"container": "api", "tailLines": "5"}
    assert kube.log_tail("ns", "p", "api", 5, follow_s=9.0) == "last words\n"
    assert server.seen[-1][2] == {"container": "api", "tailLines": "5", "follow": "true"}
    assert kube.log_tail("ns", "q", "api", 5).startswith("(no log: ")


def pod(name: str, **status: Any) -> dict[str, Any]:
    spec = {"nodeName": "worker", "containers": [{"name": "api"}]}
    return {"metadata": {"name": name}, "spec": spec, "status": {"podIP": "10.0.0.1", "phase": "Running", **status}}


def test_job_and_pods_and_nodes(server: FakeApi, kube: Kube) -> None:
    done = {"status": {"conditions": [{"type": "Failed", "status": "True"}]}}
    server.on("GET /apis/batch/v1/namespaces/ns/jobs/smoke", done)
    server.on("GET /api/v1/namespaces/ns/pods", {"items": [pod("b"), pod("a")]})
    server.on("GET /api/v1/namespaces/ns/pods/b/log", b'{"result": "fail"}\n')
    server.on("GET /apis/apps/v1/.*/shop", {"spec": {"selector": {"matchLabels": {"app": "shop", "color": "blue"}}}})
    result = kube.job_result("ns", "smoke")
    assert (result.done, result.succeeded, result.log) == (True, False, '{"result": "fail"}\n')
    assert [p.name for p in kube.pods_of("ns", "shop")] == ["a", "b"]
    assert server.seen[-1][2] == {"labelSelector": "app=shop,color=blue"}
    address = {"type": "InternalIP", "address": "172.18.0.2"}
    ready = {"type": "Ready", "status": "True"}
    nodes = [{"metadata": {"name": "n"}, "status": {"addresses": [address], "conditions": [ready]}}]
    server.on("GET /api/v1/nodes", {"items": nodes})
    (node,) = kube.nodes()
    assert (node.name, node.ready, node.internal_ip) == ("n", True, "172.18.0.2")


def test_dump_keeps_what_it_can_get_and_no_secret(server: FakeApi, kube: Kube, tmp_path: Path) -> None:
    broken = pod("p", containerStatuses=[{"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}])
    broken["metadata"]["managedFields"] = [{}]
    server.on("GET /api/v1/namespaces/ns/pods", {"items": [broken]})
    server.on("GET /api/v1/namespaces/ns/pods/p/log", b"boom\n")
    server.on("GET /api/v1/namespaces/ns/events", {"items": []})
    server.on("GET /api/v1/namespaces/ns/(services|configmaps)", {"items": []})
    server.on("GET /apis/.*/(deployments|replicasets|endpointslices|ingresses|jobs|.*budgets)", {"items": []})
    missing = kube.dump("ns", tmp_path / "cluster")
    assert missing == ("networkpolicies.yaml",)
    assert "404" in (tmp_path / "cluster" / "networkpolicies.yaml.error").read_text()
    kept = yaml.safe_load((tmp_path / "cluster" / "pods.yaml").read_text())
    assert kept["metadata"] == {"name": "p"}
    logs = sorted(file.name for file in (tmp_path / "cluster" / "logs").iterdir())
    assert logs == ["p.api.log", "p.api.previous.log"]
    log = tmp_path / "cluster" / "logs" / "p.api.log"
    for there, kept_then in (("boom\nand its end\n", "boom\nand its end\n"), ("bo", "boom\n")):
        log.write_text(there)
        kube.dump("ns", tmp_path / "cluster")
        assert log.read_text() == kept_then
    assert not [call for call in server.calls() if "secrets" in call]


def status_of(**status: Any) -> dict[str, Any]:
    return {"metadata": {"generation": 2}, "spec": {"replicas": 4}, "status": {"observedGeneration": 2, **status}}


FULL = {"replicas": 4, "updatedReplicas": 4, "readyReplicas": 4, "availableReplicas": 4}


def test_rollout_status() -> None:
    assert rollout_status(status_of(**FULL)).done
    for key in ("updatedReplicas", "availableReplicas"):
        assert not rollout_status(status_of(**{**FULL, key: 3})).done
    assert not rollout_status(status_of(**{**FULL, "replicas": 5})).done, "an old pod is still there"
    assert not rollout_status(status_of(**{**FULL, "observedGeneration": 1})).done, "the change isn't seen yet"
    stuck = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "timed out progressing"}
    status = rollout_status(status_of(replicas=4, conditions=[stuck]))
    assert status.failed
    assert "timed out progressing" in status.message


def test_pod_info() -> None:
    waiting = {"restartCount": 2, "state": {"waiting": {"reason": "ErrImageNeverPull"}}}
    init = {"restartCount": 1, "state": {"waiting": {"reason": "PodInitializing"}}}
    ready = {"type": "Ready", "status": "False"}
    info = pod_info(pod("p", containerStatuses=[waiting], initContainerStatuses=[init], conditions=[ready]))
    assert (info.waiting, info.restarts, info.ready, info.terminating) == ("ErrImageNeverPull", 3, False, False)
    assert pod_info({"metadata": {"name": "new", "deletionTimestamp": "x"}}).terminating
    assert node_info({"metadata": {"name": "n"}}).internal_ip == ""


def test_events_are_sorted_whatever_time_they_carry() -> None:
    def raw(**fields: Any) -> dict[str, Any]:
        return {"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, **fields}

    found = event_infos(
        [
            raw(series={"lastObservedTime": "2026-01-01T00:00:09Z"}, message="c"),
            raw(lastTimestamp="2026-01-01T00:00:05Z", message="b", involvedObject={"kind": "Pod", "name": "p"}),
            raw(lastTimestamp=None, eventTime=None, message="a"),
        ]
    )
    assert [event.message for event in found] == ["a", "b", "c"]
    assert str(EventInfo("t", "Pod", "p", "Warning", "BackOff", "m")) == "t Warning Pod/p BackOff: m"


def test_endpoints_of_several_slices() -> None:
    def endpoint(address: str, ready: bool | None, name: str = "") -> dict[str, Any]:
        target = {"targetRef": {"kind": "Pod", "name": name}} if name else {}
        return {"addresses": [address], "conditions": {} if ready is None else {"ready": ready}, **target}

    one = {"endpoints": [endpoint("10.0.0.1", False, "p-1"), endpoint("10.0.0.2", None)]}
    two = {"endpoints": [endpoint("10.0.0.1", True, "p-1")]}
    found = endpoints([one, two, {"endpoints": None}])
    assert [(e.address, e.ready, e.pod) for e in found] == [("10.0.0.1", True, "p-1"), ("10.0.0.2", True, "")]
    assert deployment_of("shop-blue-5d4f8-x7k2p") == "shop-blue"
    assert deployment_of("odd") == ""
    assert job_state({}) == (False, False)
