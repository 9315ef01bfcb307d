"""Requests of one session and the answers to them."""

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
from wampasgi.testing.errors import SessionAborted, SessionClosed, parsed
from wampasgi.testing.wire import Wire
from wampasgi.types import RawMessage

Request: TypeAlias = Call | Publish | Register | Subscribe | Unregister | Unsubscribe
Wanted: TypeAlias = Callable[[RawMessage], bool]
A = TypeVar("A", Published, Registered, Result, Subscribed, Unregistered, Unsubscribed)


class Exchange:
    """What a session sends, and how it waits for what it wants; raw messages go the same way."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        #: One sequence for all requests of the session. Spec: Basic Profile, "IDs".
        self.request_ids = SequentialIds()

    def send(self, message: Message) -> None:
        """Send a message; raises SessionClosed where the session is over."""
        if self._wire.over is not None:
            raise self._wire.over
        self._wire.send_in_session(message.to_list())

    def ask(self, request: Request, answer: type[A], timeout: float | None) -> A:
        """Send a request and return its answer; raises WAMPError for ERROR."""
        self.send(request)
        message = self.take(answers(request, answer), f"the answer to {request!r}", timeout)
        if isinstance(message, Error):
            raise error_of(message, request)
        assert isinstance(message, answer)
        return message

    def take(self, wanted: Wanted, awaited: str, timeout: float | None) -> Message:
        """Wait for a message that is wanted; raises what the server ends the session with meanwhile."""
        raw = self._wire.take(lambda raw: raw[0] in ENDING or wanted(raw), awaited, timeout)
        message = parsed(raw)
        if isinstance(message, Abort):
            aborted = SessionAborted.of(message)
            aborted.add_note(f"waited for {awaited}; {self._wire.arrived()}")
            raise aborted
        if isinstance(message, Goodbye):
            text = f"waited for {awaited}, but the server said {message!r}; {self._wire.arrived()}"
            raise SessionClosed(message.reason, text)
        return message

    def take_arrived(self, wanted: Wanted) -> Message | None:
        """A message that is wanted, if one has arrived."""
        self._wire.read_arrived()
        raw = self._wire.take_arrived(wanted)
        return None if raw is None else parsed(raw)

    def settle(self) -> None:
        """Wait as WAMPSession.settle says."""
        self._wire.read_arrived()
        if self._wire.over is None:
            # No router has so many subscriptions, so this is answered and changes nothing.
            probe = Unsubscribe(self.request_ids.next(), MAX_ID)
            answer = answers(probe, Unsubscribed)
            self.send(probe)
            with suppress(SessionClosed):
                self._wire.peek(
                    lambda raw: raw[0] in ENDING or answer(raw), "the server to have handled all messages"
                )
            self._wire.take_arrived(answer)
        self._wire.settle()
        self._wire.read_arrived()


def answers(request: Request, answer: type[A]) -> Wanted:
    """Make the test whether a message answers ``request``: by one of type ``answer``, or by ERROR."""
    answered = [answer.code, request.request_id]
    refused = [Error.code, request.code, request.request_id]
    return lambda raw: raw[:2] == answered or raw[:3] == refused


def error_of(error: Error, request: Request) -> WAMPError:
    """The exception for an ERROR, with a note that says what it answers."""
    raised = WAMPError(error.error, *(error.args or ()), **(error.kwargs or {}))
    raised.add_note(f"the server's answer to {request!r}")
    return raised
