"""The ASGI extension ``wampasgi.frames``: WebSocket messages without events.

ASGI passes each message of a WebSocket through a queue, a dict and two coroutines. A server that offers this
extension lets the application take them directly. The scope of the connection has::

    "extensions": {"wampasgi.frames": {"channel": channel}}

``channel.receive`` and ``channel.send`` are the ASGI callables that the server has passed to the application.
The application compares them with its own. Each one that is the same may be replaced by the direct way: no
middleware watches or changes the messages that go through it. If a middleware has wrapped a callable, the
application must use it.

The direct ways and the callables may be mixed. The order of messages is kept.
"""

from __future__ import annotations

from typing import Final, Protocol, cast

from wampasgi.peers.frames import FrameSink, FrameSource
from wampasgi.types import Receive, Scope, Send

#: The name of the extension.
FRAMES: Final = "wampasgi.frames"


class FrameChannel(Protocol):
    """The direct ways of one WebSocket, which is accepted as any other."""

    @property
    def receive(self) -> Receive:
        """The server's ASGI ``receive``."""

    @property
    def send(self) -> Send:
        """The server's ASGI ``send``."""

    @property
    def source(self) -> FrameSource:
        """The messages from the client: text as str, binary messages as bytes, and websocket.disconnect."""

    def sink(self, *, binary: bool) -> FrameSink:
        """Return the way for binary messages, or for text in UTF-8, to the client."""


def frame_channel(scope: Scope) -> FrameChannel | None:
    """Return the channel that the server offers for a connection, if it does."""
    extension = (scope.get("extensions") or {}).get(FRAMES)
    return None if extension is None else cast("FrameChannel", extension["channel"])
