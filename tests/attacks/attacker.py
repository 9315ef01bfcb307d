"""A client that can send anything, in a session or before it has one."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

from tests.specification import HELLO, WELCOME
from tests.transports.raw_websocket import CLOSE, PING, PONG, TEXT, RawWebSocket, Response, frame, handshake

#: In seconds, the longest wait. It is long because the machine may be busy.
PATIENCE: Final = 30.0

ROLES: Final[dict[str, Any]] = {"roles": {role: {} for role in ("caller", "publisher", "subscriber")}}


class Attacker(RawWebSocket):
    """A WebSocket on a raw socket that can also open a session and exchange messages."""

    def __init__(self, port: int, *, address: str | None = None, receive_buffer: int | None = None) -> None:
        super().__init__(port, address=address, receive_buffer=receive_buffer, timeout=PATIENCE)

    def shake_hands(self, **headers: str) -> Response:
        """Send the opening handshake and return the answer. Other headers may be added."""
        self.send_handshake(**headers)
        return self.read_response()

    def send_handshake(self, **headers: str) -> None:
        """Send the opening handshake."""
        extra = {name.replace("_", "-"): value for name, value in headers.items()}
        self.send(handshake(headers={"Sec-WebSocket-Protocol": "wamp.2.json", **extra}))

    def join(self, **headers: str) -> None:
        """Open a WebSocket and a session."""
        response = self.shake_hands(**headers)
        assert response.status == 101, response
        self.say_hello()

    def say_hello(self) -> None:
        """Open a session."""
        self.send_message(HELLO, "default", ROLES)
        welcome = self.receive_message()
        assert welcome[0] == WELCOME, welcome

    def send_message(self, *message: Any) -> None:
        """Send a message of WAMP."""
        self.send(message_frame(*message))

    def receive_message(self) -> list[Any]:
        """Return the next message. Pings are skipped."""
        while True:
            received = self.read_frame()
            if received.opcode == TEXT:
                message: list[Any] = json.loads(received.payload)
                return message
            assert received.opcode in (PING, PONG), received

    def request(self, *message: Any) -> list[Any]:
        """Send a request and return the next message."""
        self.send_message(*message)
        return self.receive_message()

    def close_code(self) -> int | None:
        """Read up to the close frame and return its code; None if the connection ends without one."""
        with suppress(EOFError, ConnectionResetError):
            while True:
                received = self.read_frame()
                if received.opcode == CLOSE:
                    return int.from_bytes(received.payload[:2])
        return None


def message_frame(*message: Any) -> bytes:
    """Build the frame of a message."""
    return frame(TEXT, json.dumps(message).encode())
