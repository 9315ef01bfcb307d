"""A WAMP client that exposes each message as a list, over a WebSocket of the `websockets` package."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

TIMEOUT = 5.0


class WireClient:
    """A context manager around one WebSocket, with a timeout for every wait."""

    def __init__(
        self, url: str, subprotocols: Sequence[str] = ("wamp.2.json",), *, origin: str | None = None
    ) -> None:
        self._url = url
        self._origin = None if origin is None else Origin(origin)
        self._subprotocols = [Subprotocol(name) for name in subprotocols]
        self._opened = ExitStack()

    def __enter__(self) -> WireClient:
        opening = connect(
            self._url,
            origin=self._origin,
            subprotocols=self._subprotocols,
            open_timeout=TIMEOUT,
            close_timeout=TIMEOUT,
        )
        self._socket = self._opened.enter_context(opening)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._opened.close()

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server selected."""
        return self._socket.subprotocol

    @property
    def close_code(self) -> int | None:
        """The close code; None while the connection is open."""
        return self._socket.close_code

    def send(self, *message: Any) -> None:
        """Send one message."""
        self._socket.send(json.dumps(message))

    def receive(self) -> list[Any]:
        """Return the next message; raise TimeoutError, or ConnectionClosed if the connection is closed."""
        message: list[Any] = json.loads(self._socket.recv(timeout=TIMEOUT))
        return message

    def join(self, realm: str = "default") -> int:
        """Open a session and return its ID."""
        self.send(1, realm, {"roles": {role: {} for role in ("caller", "subscriber", "publisher")}})
        welcome = self.receive()
        assert welcome[0] == 2, f"expected WELCOME, got {welcome}"
        session_id: int = welcome[1]
        return session_id

    def request(self, *message: Any) -> list[Any]:
        """Send a request and return the next message."""
        self.send(*message)
        return self.receive()
