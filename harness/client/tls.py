"""TLS between the socket and the protocol above it, with one deadline for all of it; fresh connections with it.

The bytes go through ssl's memory buffers and not through its sockets: the same code runs on threads and on gevent, each
read has what is left of the attempt's time, and a handshake that stalls can't outlive it.
"""

from __future__ import annotations

import socket
import ssl
from time import monotonic_ns
from typing import Final

from harness.client.exchange import Answer, Request
from harness.client.http import RECV_BYTES, Connection, Wire, connect, next_connection, over
from harness.errors import ConfigurationError
from harness.evidence.samples import FAILED

HTTP1: Final = "http/1.1"
HTTP2: Final = "h2"


class HandshakeFailed(Exception):
    """No TLS connection came about.

    Args:
        error: one of `harness.evidence.samples.ERRORS`.
        detail: the reason in words.

    """

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error
        self.detail = detail


def context_of(ca: str, protocol: str) -> ssl.SSLContext:
    """What a client checks a server's certificate by: always, its host name too.

    Args:
        ca: PEM file of the authorities to trust, and no others; "" for those of the system.
        protocol: the one that ALPN offers (RFC 7301).

    Raises:
        ConfigurationError: the file isn't there or holds no certificate.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which demands a certificate, and the right name in it
    try:
        if ca:
            context.load_verify_locations(ca)
        else:
            context.load_default_certs()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{ca}: no certificates of authorities can be read: {error}", "name a PEM file under ca"
        ) from error
    context.set_alpn_protocols([protocol])
    return context


class Tunnel:
    """One TLS connection as a client, bytes in and bytes out.

    Args:
        context: as `context_of` gives it.
        host: the name that the certificate must be for, also told to the server (SNI).

    Attributes:
        ended: the peer has closed its side of TLS (close_notify).

    """

    __slots__ = ("_incoming", "_object", "_outgoing", "ended")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self.ended = False

    def shake(self, data: bytes) -> tuple[bool, bytes]:
        """One step of the handshake, after ``data`` came.

        Returns:
            Whether it is over, and what must be sent.

        Raises:
            HandshakeFailed: the certificate is wrong, or what came is no handshake.

        """
        self._incoming.write(data)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False, self._outgoing.read()
        except ssl.SSLCertVerificationError as error:
            raise HandshakeFailed("tls_certificate", error.verify_message or str(error)) from None
        except ssl.SSLError as error:
            raise HandshakeFailed("tls_handshake", str(error)) from None
        return True, self._outgoing.read()

    @property
    def protocol(self) -> str:
        """What ALPN agreed on, "" for nothing."""
        return self._object.selected_alpn_protocol() or ""

    def seal(self, data: bytes) -> bytes:
        """The bytes for the wire that carry ``data``.

        Raises:
            OSError: the connection has ended.

        """
        try:
            self._object.write(data)
        except ssl.SSLError as error:
            raise _reset(error) from None
        return self._outgoing.read()

    def open(self, data: bytes) -> bytes:
        """What the bytes of the wire carry, b"" where that isn't whole yet; see `ended`.

        Raises:
            ConnectionResetError: an alert, or a record that is no record.

        """
        self._incoming.write(data)
        found = bytearray()
        while True:
            try:
                part = self._object.read(RECV_BYTES)
            except ssl.SSLWantReadError:
                return bytes(found)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                part = b""
            except ssl.SSLError as error:
                raise _reset(error) from None
            if not part:
                self.ended = True
                return bytes(found)
            found += part


def _reset(error: ssl.SSLError) -> ConnectionResetError:
    """Without ssl's number, which isn't one of the system's: SSL_ERROR_SSL would read as EPERM."""
    return ConnectionResetError(f"TLS: {error}")


def shake_hands(sock: socket.socket, tunnel: Tunnel, protocol: str, deadline: int) -> None:
    """Complete the handshake, with the right protocol, before ``deadline`` (CLOCK_MONOTONIC ns).

    Raises:
        HandshakeFailed: with its class; the caller closes the socket.

    """
    data = b""
    try:
        while True:
            done, answer = tunnel.shake(data)
            if answer:
                set_left(sock, deadline)
                sock.sendall(answer)
            if done:
                break
            set_left(sock, deadline)
            data = sock.recv(RECV_BYTES)
            if not data:
                raise HandshakeFailed("tls_handshake", "FIN within the handshake")
    except TimeoutError:
        raise HandshakeFailed("tls_timeout", "no end of the handshake in time") from None
    except OSError as error:
        raise HandshakeFailed("tls_handshake", str(error)) from None
    # HTTP/1.1 needs no agreement (RFC 9112 has none); HTTP/2 does (RFC 9113 3.2).
    if tunnel.protocol != protocol and not (protocol == HTTP1 and not tunnel.protocol):
        raise HandshakeFailed("alpn", f"the server agreed on {tunnel.protocol or 'no protocol'}, not on {protocol}")


def set_left(sock: socket.socket, deadline: int) -> None:
    """Give the next call on a socket what is left until ``deadline``.

    Raises:
        TimeoutError: nothing is.

    """
    left = (deadline - monotonic_ns()) / 1e9
    if left <= 0:
        raise TimeoutError("timed out")
    sock.settimeout(left)


class TlsWire:
    """A connected socket whose bytes go through a tunnel.

    Args:
        sock: connected.
        tunnel: after its handshake.
        deadline: CLOCK_MONOTONIC ns.

    """

    __slots__ = ("_deadline", "_sock", "_tunnel", "_waits")

    def __init__(self, sock: socket.socket, tunnel: Tunnel, deadline: int) -> None:
        self._sock = sock
        self._tunnel = tunnel
        self._deadline = deadline
        self._waits = True

    @property
    def ended(self) -> bool:
        """Whether the peer closed TLS (close_notify), and not only the socket below."""
        return self._tunnel.ended

    def settimeout(self, seconds: float, /) -> None:
        """The time for all that follows, not for each call: a record may come in many pieces. 0: no call waits."""
        self._deadline = monotonic_ns() + int(seconds * 1e9)
        self._waits = seconds > 0

    def send(self, data: bytes, /) -> int:
        """Send all of it."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes | memoryview, /) -> None:
        """Send all of it."""
        set_left(self._sock, self._deadline)
        self._sock.sendall(self._tunnel.seal(bytes(data)))

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """What the next records carry; b"" for the peer's end.

        Raises:
            BlockingIOError: it mustn't wait, and no whole record is there.
            TimeoutError: none came in time.

        """
        while not self._tunnel.ended:
            if self._waits:
                set_left(self._sock, self._deadline)
            else:
                self._sock.settimeout(0.0)
            raw = self._sock.recv(size, flags)
            if not raw:
                return b""
            if data := self._tunnel.open(raw):
                return data
        return b""

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class TlsConnection(Connection):
    """One request on one new TLS connection, HTTP/1.1 on it; close it after each.

    Args:
        host, port, entry: as `Connection`'s.
        context: as `context_of` gives it, with `HTTP1`.
        name: the host that the certificate must be for.

    """

    __slots__ = ("_context", "_name")

    def __init__(self, host: str, port: int, entry: int, context: ssl.SSLContext, name: str) -> None:
        super().__init__(host, port, entry)
        self._context = context
        self._name = name

    def _open(self, request: Request, answer: Answer) -> Wire | None:
        self.nth = 0
        answer.conn = self.ident = next_connection()
        deadline = answer.sent + request.timeout_ns
        sock = connect(self.host, self.port, request.timeout_s, answer)
        if sock is None:
            return None
        tunnel = Tunnel(self._context, self._name)
        try:
            shake_hands(sock, tunnel, HTTP1, deadline)
        except HandshakeFailed as failed:
            sock.close()
            over(answer, FAILED, failed.error, failed.detail)
            return None
        wire = TlsWire(sock, tunnel, deadline)
        self._wait = (deadline - monotonic_ns()) / 1e9
        self._sock = wire
        return wire

    def _told_its_end(self) -> bool:
        return isinstance(self._sock, TlsWire) and self._sock.ended
