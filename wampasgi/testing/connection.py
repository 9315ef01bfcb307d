"""A WebSocket on which a test says whatever it wants."""

from __future__ import annotations

from wampasgi.protocol.messages import Abort, Goodbye, Message
from wampasgi.testing.errors import ExpectationFailed, SessionClosed, parsed
from wampasgi.testing.socket import WebSocketClose
from wampasgi.testing.wire import Wire
from wampasgi.types import RawMessage

#: Codes of the messages that end a session.
ENDING = frozenset((Abort.code, Goodbye.code))


class WAMPConnection:
    """An open WebSocket with an agreed subprotocol, for tests of the protocol itself.

    Nothing is sent that the test does not send. Every wait is bounded: by the ``timeout`` of the method, in
    seconds, or by that of the connection. What arrives while something else is awaited is kept, in order.
    """

    def __init__(self, wire: Wire) -> None:
        #: What the connection is made of.
        self.wire = wire

    @property
    def subprotocol(self) -> str:
        """The subprotocol that the server chose: ``"wamp.2.json"`` or the like."""
        return self.wire.subprotocol.name

    # Messages as lists

    def send_raw(self, *messages: RawMessage) -> None:
        """Send messages, lists ``[code, ...]``, as they are; a batched subprotocol sends them in one batch.

        Raises UnserializableValue for a value that the serializer cannot carry.
        """
        if self.wire.subprotocol.batched:
            self.wire.send(*messages)
            return
        for message in messages:
            self.wire.send(message)

    def send_frame(self, data: str | bytes) -> None:
        """Send a WebSocket message, text or binary, as it is: also one that is no WAMP message."""
        self.wire.send_frame(data)

    def receive_raw(self, *, timeout: float | None = None) -> RawMessage:
        """The next message that nothing else has taken, a list ``[code, ...]``.

        Raises Timeout, and SessionClosed where the WebSocket is closed.
        """
        return self.wire.take(lambda raw: True, "a message", timeout)

    # The end

    def expect_abort(self, uri: str | None = None, *, timeout: float | None = None) -> Abort:
        """Wait for the server's ABORT, whose reason has to be ``uri`` if one is given.

        Raises ExpectationFailed for GOODBYE, another reason, or a WebSocket that is closed without ABORT.
        """
        message = self._expect_end(Abort, uri, timeout)
        assert isinstance(message, Abort)
        return message

    def expect_goodbye(self, reason: str | None = None, *, timeout: float | None = None) -> Goodbye:
        """Wait for a GOODBYE of the server's, whose reason has to be ``reason`` if one is given.

        Raises ExpectationFailed for ABORT, another reason, or a WebSocket that is closed without GOODBYE.
        """
        message = self._expect_end(Goodbye, reason, timeout)
        assert isinstance(message, Goodbye)
        return message

    def expect_close(self, code: int | None = None, *, timeout: float | None = None) -> WebSocketClose:
        """Wait until the server closes the WebSocket, with close code ``code`` if one is given.

        Raises ExpectationFailed for another code. An application that leaves the WebSocket open when it
        returns counts as code 1006.
        """
        closed = self.wire.wait_closed(timeout)
        if code is not None and closed.code != code:
            raise ExpectationFailed(
                f"expected the WebSocket to be closed with code {code}, but it was {closed.code} "
                f"{closed.reason!r}; {self.wire.arrived()}"
            )
        self.wire.over = self.wire.over or SessionClosed(
            closed.reason, f"the server has closed the WebSocket with code {closed.code}", code=closed.code
        )
        return closed

    def disconnect(self, code: int = 1001, reason: str = "") -> None:
        """Close the WebSocket without a word, as a browser does when its page is left.

        Returns when the application is done with the connection: all handlers of its session have ended.
        Raises Timeout where they do not.
        """
        self.wire.disconnect(code, reason)

    def _expect_end(self, expected: type[Abort | Goodbye], uri: str | None, timeout: float | None) -> Message:
        name = expected.__name__.upper()
        awaited = name if uri is None else f"{name} {uri}"
        try:
            raw = self.wire.take(lambda raw: raw[0] in ENDING, awaited, timeout)
        except SessionClosed as error:
            raise ExpectationFailed(str(error)) from None
        message = parsed(raw)
        assert isinstance(message, Abort | Goodbye)
        if not isinstance(message, expected) or uri not in (None, message.reason):
            raise ExpectationFailed(f"expected {awaited}, but got {message!r}; {self.wire.arrived()}")
        return message
