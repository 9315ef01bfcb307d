"""A server that a test plays frame by frame, to send what servers should not send."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import pytest
from anyio.abc import ByteStream, Listener, SocketAttribute
from anyio.streams.buffered import BufferedByteStream
from anyio.streams.tls import TLSListener

from tests.client.scripted_router import PATIENCE, ROLES
from tests.specification import WELCOME

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

#: The packages of the client's WebSocket, each with the libraries that it runs on.
PACKAGES: Final = [("asyncio", "websockets"), ("trio", "websockets"), ("asyncio", "picows")]
#: A decorator for tests of each package, which have the parameter ``package``.
with_each_package = pytest.mark.parametrize(("anyio_backend", "package"), PACKAGES)

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(message: Any, *, opcode: int = TEXT, final: bool = True, reserved: int = 0) -> bytes:
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    if len(payload) < 126:
        length = bytes([len(payload)])
    elif len(payload) < 1 << 16:
        length = b"\x7e" + len(payload).to_bytes(2, "big")
    else:
        length = b"\x7f" + len(payload).to_bytes(8, "big")
    return bytes([(0x80 if final else 0) | reserved | opcode]) + length + payload


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(code.to_bytes(2, "big") + reason, opcode=CLOSE)


class Connection:
    """The server's end of a connection."""

    def __init__(self, stream: ByteStream, number: int) -> None:
        self._stream = BufferedByteStream(stream)
        self.raw_socket = stream.extra(SocketAttribute.raw_socket)
        #: 1 for the first connection of the server, 2 for the second.
        self.number = number
        self.path = ""
        #: The headers of the client's handshake, with names in lower case.
        self.headers: list[tuple[str, str]] = []

    def header(self, name: str) -> str | None:
        """Return the value of a header that the client may have sent once."""
        values = [value for known, value in self.headers if known == name]
        assert len(values) <= 1
        return values[0] if values else None

    async def read_request(self) -> None:
        """Read the client's handshake."""
        request = await self._stream.receive_until(b"\r\n\r\n", 100_000)
        line, *lines = request.decode().split("\r\n")
        self.path = line.split(" ")[1]
        self.headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]

    async def respond(self, status: str, *headers: str, body: bytes = b"") -> None:
        """Answer the handshake with a status and headers, such as ``Location: /``."""
        lines = "\r\n".join([f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"])
        await self.send(lines.encode() + b"\r\n\r\n" + body)

    async def accept(self, *headers: str, subprotocol: str | None = "wamp.2.json", then: bytes = b"") -> None:
        """Accept the WebSocket, with bytes that follow in the same packet."""
        key = (self.header("sec-websocket-key") or "").encode()
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {accept}", *headers]
        if subprotocol is not None:
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + then)

    async def welcome(self, **accept: Any) -> None:
        """Accept the WebSocket and answer HELLO."""
        await self.read_request()
        await self.accept(**accept)
        await self.frame()
        await self.send(frame([WELCOME, 1, {"roles": ROLES}]))

    def reset(self) -> None:
        """Let the end of the script reset the connection."""
        self.raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def read(self, size: int) -> bytes:
        """Return this number of bytes."""
        with anyio.fail_after(PATIENCE):
            return await self._stream.receive_exactly(size)

    async def send(self, *frames: bytes) -> None:
        await self._stream.send(b"".join(frames))

    async def frame(self) -> tuple[int, bytes]:
        """Return the opcode and the payload of the client's next frame. Raises anyio.IncompleteRead."""
        with anyio.fail_after(PATIENCE):
            first, second = await self._stream.receive_exactly(2)
            assert second & 0x80, "a client must mask its frames"
            size = second & 0x7F
            if size > 125:
                size = int.from_bytes(await self._stream.receive_exactly(2 if size == 126 else 8), "big")
            mask = await self._stream.receive_exactly(4)
            payload = await self._stream.receive_exactly(size) if size else b""
        # As integers, because a loop over the bytes of a large message takes long.
        key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        return first & 0x0F, (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")

    async def message(self) -> list[Any]:
        """Return the client's next message."""
        opcode, payload = await self.frame()
        assert opcode == TEXT
        message: list[Any] = json.loads(payload)
        return message

    async def close_code(self) -> int:
        """Return the code of the client's close frame, after all other frames."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big")

    async def gone(self) -> bool:
        """Wait until the client has closed its socket, and return True."""
        with anyio.fail_after(PATIENCE):
            try:
                while await self._stream.receive():
                    pass
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return True
        return False


Script = Callable[[Connection], Awaitable[None]]


@asynccontextmanager
async def frame_server(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Run a server that runs the script for each connection, and return its URL.

    When the block is left, all scripts must end.
    """
    numbers = iter(range(1, 1000))

    async def serve(stream: ByteStream) -> None:
        async with stream:
            await script(Connection(stream, next(numbers)))

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as connections:
            listener: Listener[Any] = await anyio.create_tcp_listener(local_host="127.0.0.1")
            scheme, port = "ws", listener.extra(SocketAttribute.local_port)
            if tls is not None:
                scheme, listener = "wss", TLSListener(listener, tls, standard_compatible=False)
            async with listener, anyio.create_task_group() as group:
                group.start_soon(listener.serve, serve, connections)
                yield f"{scheme}://127.0.0.1:{port}/"
                group.cancel_scope.cancel()
            scope.deadline = anyio.current_time() + PATIENCE
    assert not scope.cancelled_caught, "a script has not ended"
