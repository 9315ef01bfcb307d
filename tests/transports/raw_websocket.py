"""A WebSocket client on a raw socket that can send anything, right or wrong."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

#: In seconds, the longest wait for the server.
TIMEOUT = 5.0

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
#: The bits of the first byte of a frame.
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10

#: The key of the example in RFC 6455, section 1.3.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_MASK = b"\x37\xfa\x21\x3d"


@dataclass(frozen=True)
class Frame:
    """A frame from the server."""

    opcode: int
    payload: bytes = b""
    fin: bool = True


@dataclass(frozen=True)
class Response:
    """An HTTP response. The names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


class RawWebSocket:
    """A connection of a client, from a certain ``address`` if it is not None.

    Each wait raises TimeoutError after ``timeout`` seconds.
    """

    def __init__(
        self,
        port: int,
        *,
        address: str | None = None,
        receive_buffer: int | None = None,
        send_buffer: int | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._socket = socket.socket()
        self._timeout = timeout
        self._socket.settimeout(timeout)
        if address is not None:
            self._socket.bind((address, 0))
        # Their sizes must be known before the TCP handshake, which negotiates the window.
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if send_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self._socket.connect(("127.0.0.1", port))
        # Otherwise small writes wait for the acknowledgement of the previous one.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, *data: bytes) -> None:
        """Send bytes in one write."""
        self._socket.sendall(b"".join(data))

    def send_bytewise(self, data: bytes) -> None:
        """Send each byte in a write of its own."""
        for byte in data:
            self._socket.sendall(bytes((byte,)))

    def send_until_blocked(self, data: bytes, patience: float) -> int:
        """Send until the server has not read anything for ``patience`` seconds; return the bytes sent."""
        left = memoryview(data)
        self._socket.settimeout(patience)
        try:
            while left:
                left = left[self._socket.send(left) :]
        except TimeoutError:
            pass
        finally:
            self._socket.settimeout(self._timeout)
        return len(data) - len(left)

    def end_sending(self) -> None:
        """Close the connection for sending only, with a TCP FIN."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Reset the connection, with a TCP RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def read_response(self) -> Response:
        """Read an HTTP response, with its body if it has a Content-Length."""
        head = self._read_until(b"\r\n\r\n").decode("latin-1")
        status_line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            assert name not in headers, f"the response has two headers {name}: {head}"
            headers[name] = value.strip()
        version, status, *_ = status_line.split(" ")
        assert version == "HTTP/1.1"
        body = self.read(int(headers.get("content-length", "0")))
        return Response(int(status), headers, body)

    def read_frame(self) -> Frame:
        """Read a frame and check that it is one that a server may send."""
        first, second = self.read(2)
        assert not first & (RSV1 | RSV2 | RSV3), f"the server has sent reserved bits: {first:08b}"
        # 5.1: "A server MUST NOT mask any frames that it sends to the client."
        assert not second & 0x80, "the server has sent a masked frame"
        length = second
        if length == 126:
            (length,) = struct.unpack("!H", self.read(2))
            assert length > 125, "the server has not used the shortest encoding of the length"
        elif length == 127:
            (length,) = struct.unpack("!Q", self.read(8))
            assert 65535 < length < 2**63, "the server has not used the shortest encoding of the length"
        return Frame(first & 0x0F, self.read(length), bool(first & FIN))

    def read_frames_to_end(self) -> list[Frame]:
        """Read frames until the server closes its side of the connection, or resets it."""
        frames = []
        with suppress(EOFError, ConnectionResetError):
            while True:
                frames.append(self.read_frame())
        assert not self._received, f"the server has sent a part of a frame: {bytes(self._received)!r}"
        return frames

    def has_ended(self) -> bool:
        """Return whether the server has closed its side of the connection, as far as is known now."""
        self._socket.setblocking(False)
        try:
            while self._receive():
                pass
        except BlockingIOError:
            return False
        finally:
            self._socket.settimeout(self._timeout)
        return True

    def read(self, count: int) -> bytes:
        """Read a number of bytes."""
        while len(self._received) < count:
            self._receive_some()
        return self._take(count)

    def read_to_end(self) -> bytes:
        """Read until the server closes its side of the connection, and return the rest of the bytes."""
        while self._receive():
            pass
        rest = bytes(self._received)
        self._received.clear()
        return rest

    def _read_until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._receive_some()
        return self._take(self._received.index(end) + len(end))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _receive_some(self) -> None:
        if not self._receive():
            raise EOFError(f"the server has closed the connection after {bytes(self._received)!r}")

    def _receive(self) -> bool:
        data = self._socket.recv(65536)
        self._received += data
        return bool(data)


def handshake(path: str = "/", headers: Mapping[str, str | None] | None = None) -> bytes:
    """Build the request of the opening handshake. Headers replace the usual ones, and None removes one."""
    chosen = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        **(headers or {}),
    }
    lines = [f"{name}: {value}" for name, value in chosen.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def accept_value(key: str = KEY) -> str:
    """Compute the Sec-WebSocket-Accept for a Sec-WebSocket-Key, as section 4.2.2 says."""
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    return base64.b64encode(digest).decode()


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = _MASK,
    length_bits: int | None = None,
    length: int | None = None,
) -> bytes:
    """Build a frame.

    ``rsv`` has the bits `RSV1` to `RSV3`; without a mask, the frame is unmasked. ``length_bits`` selects
    the encoding of the length, 7, 16 or 64 bits; by default, the shortest. ``length`` is a length in the
    header that differs from that of the payload.
    """
    if length is None:
        length = len(payload)
    if length_bits is None:
        length_bits = 7 if length < 126 else 16 if length < 65536 else 64
    first = (FIN if fin else 0) | rsv | opcode
    masked = 0x80 if mask is not None else 0
    if length_bits == 7:
        header = struct.pack("!BB", first, masked | length)
    elif length_bits == 16:
        header = struct.pack("!BBH", first, masked | 126, length)
    else:
        header = struct.pack("!BBQ", first, masked | 127, length)
    if mask is None:
        return header + payload
    return header + mask + _masked(payload, mask)


def close_frame(code: int | None = None, reason: str = "") -> bytes:
    """Build a close frame, without a payload if the code is None."""
    return frame(CLOSE, b"" if code is None else close_payload(code, reason))


def close_payload(code: int, reason: str = "") -> bytes:
    """Build the payload of a close frame."""
    return struct.pack("!H", code) + reason.encode()


def _masked(payload: bytes, mask: bytes) -> bytes:
    # As integers, because a loop over the bytes takes 50 times as long.
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(repeated)).to_bytes(size)
