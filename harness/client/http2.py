"""One HTTP/2 connection over TLS with many streams on it: each is sent once, and what became of it is told.

The h2 library keeps the protocol's state and has no sockets; a reader of our own feeds it. Whoever sends waits for its
stream's end with its own deadline.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, Final

import h2.events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import H2Error
from h2.settings import SettingCodes

from harness.client.exchange import Answer, Request
from harness.client.frames import Goaway, Splitter
from harness.client.http import RECV_BYTES, connect, next_connection, over
from harness.client.streams import Stream, Streams
from harness.client.tls import HTTP2, HandshakeFailed, Tunnel, set_left, shake_hands
from harness.evidence.samples import FAILED, UNKNOWN

SEND_S: Final = 2.0
"""How long the kernel may refuse to take what is sent, until the connection is given up."""
LOOKS: Final = 10
LOOK_S: Final = 0.0005
"""What has arrived before a send is read first: at most so many looks, so far apart."""


class Session:
    """One connection. It is opened by one attempt; the others wait for `ready`.

    Args:
        host, port: where to.
        context: as `harness.client.tls.context_of` gives it, with `HTTP2`.
        name: the host that the certificate must be for.
        spawn: starts ``spawn(function)`` beside this one.

    Attributes:
        ident: number of the connection in this process.
        sent: how many streams it has carried.
        ready: it is open, or `failure` says why it isn't.
        failure: the attempt that failed to open it.
        streams: those that are open, and what the server said of its leaving.
        gone: nothing can be sent or received any more.

    """

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext, name: str, spawn: Callable[[Callable[[], None]], Any]
    ) -> None:
        self.ident = self.sent = 0
        self.ready = threading.Event()
        self.failure: Answer | None = None
        self.streams = Streams()
        self.gone = False
        self._host, self._port, self._name = host, port, name
        self._spawn = spawn
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._tunnel = Tunnel(context, name)
        self._splitter = Splitter()
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))

    @property
    def open(self) -> bool:
        """Whether it takes, or soon will take, another stream."""
        return not self.gone and self.streams.goaway is None and self.failure is None

    @property
    def full(self) -> bool:
        """Whether the server wants no further stream at the same time."""
        return len(self.streams.open) >= min(self._h2.remote_settings.max_concurrent_streams, 1_000)

    def connect(self, request: Request, answer: Answer) -> None:
        """Open it, within the time of this request; `ready` is set, and `failure` where it can't be."""
        answer.conn = self.ident = next_connection()
        deadline = answer.sent + request.timeout_ns
        sock = connect(self._host, self._port, request.timeout_s, answer)
        try:
            if sock is not None:
                shake_hands(sock, self._tunnel, HTTP2, deadline)
                self._h2.initiate_connection()
                self._h2.update_settings({SettingCodes.ENABLE_PUSH: 0})
                set_left(sock, deadline)
                sock.sendall(self._tunnel.seal(self._h2.data_to_send()))
                sock.settimeout(SEND_S)
        except HandshakeFailed as failed:
            over(answer, FAILED, failed.error, failed.detail)
        except TimeoutError as error:
            over(answer, FAILED, "tls_timeout", str(error))
        except OSError as error:
            over(answer, FAILED, "connect_reset", str(error))
        if answer.end:
            if sock is not None:
                sock.close()
            self.failure = answer
        else:
            self._sock = sock
            self._spawn(self._receive)
        self.ready.set()

    def carry(self, request: Request, request_id: str, answer: Answer, deadline: int, *, stamp: bool) -> bool:
        """Send one request once and wait for its end.

        Args:
            request: what to send.
            request_id: its id.
            answer: told what became of it.
            deadline: CLOCK_MONOTONIC ns.
            stamp: the attempt goes to the wire only now: `sent` is now.

        Returns:
            False where nothing was sent, because the server has left or wants no further stream.

        """
        self._let_reader_go_first()
        fields, body = request.fields(request_id)
        with self._lock:
            if not self.open or self.full:
                return False
            if stamp:
                answer.sent = monotonic_ns()
            self.sent += 1
            answer.conn, answer.nth = self.ident, self.sent
            number = self._h2.get_next_available_stream_id()
            stream = self.streams.open[number] = Stream(request, answer, body)
            self._h2.send_headers(number, fields, end_stream=not body)
            self._pump(number, stream)
            self._flush()
        stream.done.wait(max(0.0, (deadline - monotonic_ns()) / 1e9))
        with self._lock:
            if not stream.done.is_set():
                self._h2.reset_stream(number, ErrorCodes.CANCEL)
                self.streams.over(number, UNKNOWN, "read_timeout", "no end of the stream in time")
                self._flush()
        return True

    def close(self) -> None:
        """End it from this side, politely. Streams that are still open are over."""
        with self._lock:
            if self._sock is not None and not self.gone:
                with contextlib.suppress(H2Error):
                    self._h2.close_connection()
                self._flush()
                self._end("closed", "closed from this side")

    def _let_reader_go_first(self) -> None:
        """A GOAWAY or FIN that was there before the send is the reader's to see: nothing is lost by what isn't sent."""
        for _ in range(LOOKS):
            sock = self._sock
            if sock is None or self.gone or sock.fileno() < 0:
                return
            look = select.poll()
            look.register(sock.fileno(), select.POLLIN)
            if not look.poll(0):
                return
            time.sleep(LOOK_S)

    def _pump(self, number: int, stream: Stream) -> None:
        """Send of the body what the windows allow; the rest goes when they open."""
        while stream.unsent:
            room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            if room <= 0:
                return
            part, stream.unsent = stream.unsent[:room], stream.unsent[room:]
            self._h2.send_data(number, part, end_stream=not stream.unsent)

    def _flush(self) -> None:
        if self._sock is None or self.gone:
            return
        try:
            if data := self._h2.data_to_send():
                self._sock.sendall(self._tunnel.seal(data))
        except TimeoutError:
            self._end("read_timeout", "what was sent wasn't taken")
        except OSError as error:
            self._end("reset", f"send: {error}")

    def _receive(self) -> None:
        """Read until the end; the only one that reads."""
        sock, data = self._sock, b""
        if sock is None:
            return
        while not self.gone:
            with self._lock:
                self._take(data, monotonic_ns())
                if self.streams.goaway is not None and not self.streams.open:
                    self._end("closed", "the server has left")
            try:
                while not self.gone:
                    try:
                        data = sock.recv(RECV_BYTES)
                        break
                    except TimeoutError:
                        continue
            except OSError as error:
                with self._lock:
                    self._end("reset", str(error))
            else:
                if not data:
                    with self._lock:
                        self._end("closed", "FIN")
        sock.close()

    def _take(self, data: bytes, now: int) -> None:
        if self.gone:
            return
        try:
            for part in self._splitter.feed(self._tunnel.open(data)):
                if isinstance(part, Goaway):
                    self.streams.leave(part)
                    continue
                for event in self._h2.receive_data(part):
                    self._handle(event, now)
        except (H2Error, ValueError) as error:
            self._flush()
            self._end("framing", f"{type(error).__name__}: {error}")
        except OSError as error:
            self._end("reset", str(error))
        self._flush()
        if self._tunnel.ended:
            self._end("closed", "close_notify")

    def _handle(self, event: h2.events.Event, now: int) -> None:
        number = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            for one, waiting in self.streams.open.items():
                self._pump(one, waiting)
        if isinstance(event, h2.events.DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        stream = self.streams.open.get(number) if number else None
        if stream is None or number is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream.responded({bytes(name): bytes(value) for name, value in event.headers}, now)
        elif isinstance(event, h2.events.DataReceived):
            stream.received(event.data or b"")
        elif isinstance(event, h2.events.StreamEnded):
            self.streams.complete(number, now)
        elif isinstance(event, h2.events.StreamReset):
            if event.error_code == ErrorCodes.REFUSED_STREAM:
                self.streams.refused(number, "refused_stream", "REFUSED_STREAM")
            else:
                self.streams.over(number, UNKNOWN, "stream_reset", f"RST_STREAM, code {event.error_code!r}")

    def _end(self, error: str, detail: str) -> None:
        if self.gone:
            return
        self.gone = True
        self.streams.cut(error, detail)
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)  # wakes the reader, which closes it
