"""Writes messages through the ASGI ``send`` of a realm's middleware."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from wampasgi.errors import UnserializableValue
from wampasgi.types import RawMessage, Send


class MiddlewareWriter:
    """Passes messages to ``send``, which serializes them in the end.

    ``replace`` returns the message for one that cannot be serialized, or None. ``on_failure`` is called with
    the message that ``send`` failed for, and the exception. Later messages are not sent.
    """

    __slots__ = ("_on_failure", "_replace", "_send")

    def __init__(
        self,
        send: Send,
        replace: Callable[[RawMessage, UnserializableValue], RawMessage | None],
        on_failure: Callable[[RawMessage, Exception], None],
    ) -> None:
        self._send = send
        self._replace = replace
        self._on_failure = on_failure

    def write_one(self, raw: RawMessage, size: int) -> Awaitable[None]:
        """Send one message."""
        return self.write((raw,), size)

    async def _write(self, raw: RawMessage) -> None:
        try:
            await self._send({"type": "wamp.message", "message": raw})
        except UnserializableValue as error:
            replacement = self._replace(raw, error)
            if replacement is not None:
                await self._send({"type": "wamp.message", "message": replacement})

    async def write(self, messages: Sequence[RawMessage], size: int) -> None:
        """Send messages in order."""
        for raw in messages:
            try:
                await self._write(raw)
            except Exception as error:  # noqa: BLE001 - on_failure logs it
                self._on_failure(raw, error)
                return
