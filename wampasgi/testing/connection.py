"""A WebSocket on which a test can send arbitrary messages."""

from __future__ import annotations

from wampasgi.protocol.messages import Abort, Goodbye, Message
from wampasgi.testing.errors import ExpectationFailed, SessionClosed, message_of
from wampasgi.testing.socket import WebSocketClose
from wampasgi.testing.wire import Wire
from wampasgi.types import RawMessage


class WAMPConnection:
    """An open WebSocket with a negotiated subprotocol, for tests of the protocol itself.

    It sends nothing by itself. Every wait is limited by the ``timeout`` of the method, in seconds, or by the
    timeout of the connection. Messages that do not end a wait are kept, in order, for later waits.
    """

    def __init__(self, wire: Wire) -> None:
        #: The underlying WebSocket.
        self.wire = wire

    @property
    def subprotocol(self) -> str:
        """The subprotocol that the server chose, such as ``"wamp.2.json"``."""
        return self.wire.subprotocol.name

    # Messages as lists

    def send_raw(self, *messages: RawMessage) -> None:
        """Send messages, as lists ``[code, ...]``, unchecked. A batched subprotocol sends them in one batch.

        Raises UnserializableValue for a value that the serializer cannot encode.
        """
        if self.wire.subprotocol.batched:
            self.wire.send(*messages)
            return
        for message in messages:
            self.wire.send(message)

    def send_frame(self, data: str | bytes) -> None:
        """Send a WebSocket message, text or binary, unchecked. It need not be a WAMP message."""
        self.wire.send_frame(data)

    def receive_raw(self, *, timeout: float | None = None) -> RawMessage:
        """Wait for the next message that nothing else has taken, and return it as a list ``[code, ...]``.

        Raises Timeout, or SessionClosed if the WebSocket is closed.
        """
        return self.wire.take(lambda arrival: True, "a message", timeout).raw

    # The end

    def expect_abort(self, uri: str | None = None, *, timeout: float | None = None) -> Abort:
        """Wait for ABORT from the server and return it. If ``uri`` is given, it must be the reason.

        Raises ExpectationFailed for GOODBYE, another reason, or a WebSocket that is closed without ABORT.
        """
        message = self._expect_end(Abort, uri, timeout)
        assert isinstance(message, Abort)
        return message

    def expect_goodbye(self, reason: str | None = None, *, timeout: float | None = None) -> Goodbye:
        """Wait for GOODBYE from the server and return it. If ``reason`` is given, it must be the reason.

        Raises ExpectationFailed for ABORT, another reason, or a WebSocket that is closed without GOODBYE.
        """
        message = self._expect_end(Goodbye, reason, timeout)
        assert isinstance(message, Goodbye)
        return message

    def expect_close(self, code: int | None = None, *, timeout: float | None = None) -> WebSocketClose:
        """Wait until the server closes the WebSocket. If ``code`` is given, it must be the close code.

        Raises ExpectationFailed for another close code. If the application returns without closing the
        WebSocket, the close code is 1006.
        """
        closed = self.wire.wait_closed(timeout)
        if code is not None and closed.code != code:
            raise ExpectationFailed(
                f"expected the WebSocket to be closed with code {code}, but it was {closed.code} "
                f"{closed.reason!r}; {self.wire.arrived()}"
            )
        self.wire.over = self.wire.over or SessionClosed(
            closed.reason, f"the server closed the WebSocket with code {closed.code}", code=closed.code
        )
        return closed

    def disconnect(self, code: int = 1001, reason: str = "") -> None:
        """Close the WebSocket without GOODBYE, as a browser does when the user leaves the page.

        Returns when the application has finished with the connection and all handlers of its session have
        ended. Raises Timeout if they do not end.
        """
        self.wire.disconnect(code, reason)

    def _expect_end(self, expected: type[Abort | Goodbye], uri: str | None, timeout: float | None) -> Message:
        name = expected.__name__.upper()
        description = name if uri is None else f"{name} {uri}"
        try:
            arrival = self.wire.take(lambda arrival: arrival.ends_session, description, timeout)
        except SessionClosed as error:
            raise ExpectationFailed(str(error)) from None
        message = message_of(arrival)
        assert isinstance(message, Abort | Goodbye)
        if not isinstance(message, expected) or uri not in (None, message.reason):
            raise ExpectationFailed(f"expected {description}, but got {message!r}; {self.wire.arrived()}")
        return message
