"""The requests of one session, and their answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias, TypeVar

from wampasgi.errors import WAMPError
from wampasgi.protocol.ids import MAX_ID, SequentialIds
from wampasgi.protocol.messages import (
    Abort,
    Call,
    Error,
    Goodbye,
    Message,
    Publish,
    Published,
    Register,
    Registered,
    Result,
    Subscribe,
    Subscribed,
    Unregister,
    Unregistered,
    Unsubscribe,
    Unsubscribed,
)
from wampasgi.testing.connection import ENDING
from wampasgi.testing.errors import SessionAborted, SessionClosed, parse_message
from wampasgi.testing.wire import Wire
from wampasgi.types import RawMessage

Request: TypeAlias = Call | Publish | Register | Subscribe | Unregister | Unsubscribe
MessageFilter: TypeAlias = Callable[[RawMessage], bool]
A = TypeVar("A", Published, Registered, Result, Subscribed, Unregistered, Unsubscribed)


class Exchange:
    """Sends the messages of a session and waits for their answers.

    Raw messages of the test use the same WebSocket.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        #: All requests of a session share one sequence of IDs. Spec: Basic Profile, "IDs".
        self.request_ids = SequentialIds()

    def send(self, message: Message) -> None:
        """Send a message. Raises SessionClosed if the session is over."""
        if self._wire.over is not None:
            raise self._wire.over
        self._wire.send_in_session(message.to_list())

    def ask(self, request: Request, answer: type[A], timeout: float | None) -> A:
        """Send a request, wait for its answer and return it. Raises WAMPError for ERROR."""
        self.send(request)
        message = self.take(answer_filter(request, answer), f"the answer to {request!r}", timeout)
        if isinstance(message, Error):
            raise error_of(message, request)
        assert isinstance(message, answer)
        return message

    def take(self, matches: MessageFilter, description: str, timeout: float | None) -> Message:
        """Wait for the first message that matches, and return it.

        Raises SessionAborted or SessionClosed if the server ends the session first.
        """
        raw = self._wire.take(lambda raw: raw[0] in ENDING or matches(raw), description, timeout)
        message = parse_message(raw)
        if isinstance(message, Abort):
            aborted = SessionAborted.of(message)
            aborted.add_note(f"waited for {description}; {self._wire.arrived()}")
            raise aborted
        if isinstance(message, Goodbye):
            text = f"waited for {description}, but the server said {message!r}; {self._wire.arrived()}"
            raise SessionClosed(message.reason, text)
        return message

    def wait_for(self, matches: MessageFilter, description: str, timeout: float | None) -> None:
        """Wait for the first message that matches, or for the end of the session, without taking it."""
        self._wire.peek(lambda raw: raw[0] in ENDING or matches(raw), description, timeout)

    def wait_blocked(self) -> None:
        """Wait until all tasks of the application are blocked."""
        self._wire.settle()

    def take_arrived(self, matches: MessageFilter) -> Message | None:
        """Return the first message that matches, or None if no message does yet."""
        self._wire.read_arrived()
        raw = self._wire.take_arrived(matches)
        return None if raw is None else parse_message(raw)

    def settle(self) -> None:
        """Wait until the server has handled all messages. See WAMPSession.settle."""
        self._wire.read_arrived()
        if self._wire.over is None:
            # No router has that many subscriptions, so the answer is an ERROR and nothing changes.
            probe = Unsubscribe(self.request_ids.next(), MAX_ID)
            answer = answer_filter(probe, Unsubscribed)
            self.send(probe)
            with suppress(SessionClosed):
                self._wire.peek(
                    lambda raw: raw[0] in ENDING or answer(raw), "the server to have handled all messages"
                )
            self._wire.take_arrived(answer)
        self._wire.settle()
        self._wire.read_arrived()


def answer_filter(request: Request, answer: type[A]) -> MessageFilter:
    """Return a filter for the answer to ``request``: a message of type ``answer``, or ERROR."""
    answered = [answer.code, request.request_id]
    refused = [Error.code, request.code, request.request_id]
    return lambda raw: raw[:2] == answered or raw[:3] == refused


def error_of(error: Error, request: Request) -> WAMPError:
    """Return the exception for an ERROR, with a note that names the request."""
    raised = WAMPError(error.error, *(error.args or ()), **(error.kwargs or {}))
    raised.add_note(f"the server's answer to {request!r}")
    return raised
