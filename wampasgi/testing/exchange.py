"""The requests of one session, and their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeAlias

from wampasgi.client.core import SessionCore
from wampasgi.client.errors import exception_of
from wampasgi.errors import UnserializableValue, WAMPError
from wampasgi.protocol.ids import MAX_ID
from wampasgi.protocol.messages import Abort, Error, Goodbye, Message
from wampasgi.testing.arrival import Arrival
from wampasgi.testing.errors import SessionAborted, SessionClosed, format_message, message_of
from wampasgi.testing.wire import Wire
from wampasgi.types import RawMessage

ArrivalFilter: TypeAlias = Callable[[Arrival], bool]

#: The core of a test's session. Its recipients are objects that only their identity distinguishes.
Core: TypeAlias = SessionCore[object]


class Exchange:
    """Sends the messages that the session's core makes, and waits for their answers.

    Raw messages of the test use the same WebSocket. ``errors`` are classes of errors, by URI.
    """

    def __init__(self, wire: Wire, core: Core, errors: Mapping[str, type[WAMPError]]) -> None:
        self._wire = wire
        self._errors = errors
        self.core = core

    @property
    def over(self) -> bool:
        """Return whether the test has seen the end of the session."""
        return self._wire.over is not None

    def send(self, message: RawMessage) -> None:
        """Send a message. Raises SessionClosed if the session is over."""
        if self._wire.over is not None:
            raise self._wire.over
        self._wire.send_in_session(message)

    def request(self, make: Callable[[Core], RawMessage]) -> RawMessage:
        """Send the request that ``make`` returns, and return it.

        Raises SessionClosed if the session is over, and UnserializableValue, which leaves the ID unused.
        """
        if self._wire.over is not None:
            raise self._wire.over
        message = make(self.core)
        try:
            self._wire.send_in_session(message)
        except UnserializableValue:
            self.core.withdraw(message[1])
            raise
        return message

    def ask(self, make: Callable[[Core, object], RawMessage], timeout: float | None) -> Message:
        """Send a request, wait for its answer and return it. Raises WAMPError for ERROR.

        ``make`` gets the object that the answer is for.
        """
        asked = object()
        request = self.request(lambda core: make(core, asked))
        description = f"the answer to {format_message(request)}"
        message = self.take(lambda arrival: arrival.recipient is asked, description, timeout)
        if isinstance(message, Error):
            raise self.exception_of(message, request)
        return message

    def take(self, matches: ArrivalFilter, description: str, timeout: float | None) -> Message:
        """Wait for the first message that matches, and return it.

        Raises SessionAborted or SessionClosed if the server ends the session first, and ExpectationFailed if
        it sends a message that the protocol does not allow.
        """
        arrival = self._wire.take(
            lambda arrival: arrival.ends_session or arrival.problem is not None or matches(arrival),
            description,
            timeout,
        )
        message = message_of(arrival)
        if isinstance(message, Abort):
            aborted = SessionAborted.of(message)
            aborted.add_note(f"waited for {description}; {self._wire.arrived()}")
            raise aborted
        if isinstance(message, Goodbye):
            text = f"waited for {description}, but the server said {message!r}; {self._wire.arrived()}"
            raise SessionClosed(message.reason, text)
        return message

    def wait_for(self, matches: ArrivalFilter, description: str, timeout: float | None) -> None:
        """Wait for the first message that matches, or for the end of the session, without taking it."""
        self._wire.peek(lambda arrival: arrival.ends_session or matches(arrival), description, timeout)

    def wait_blocked(self) -> None:
        """Wait until all tasks of the application are blocked."""
        self._wire.settle()

    def take_arrived(self, matches: ArrivalFilter) -> Message | None:
        """Return the first message that matches, or None if no message does yet."""
        self._wire.read_arrived()
        arrival = self._wire.take_arrived(matches)
        return None if arrival is None else message_of(arrival)

    def settle(self) -> None:
        """Wait until the server has handled all messages. See WAMPSession.settle."""
        self._wire.read_arrived()
        if self._wire.over is None:
            # No router has that many subscriptions, so the answer is an ERROR and nothing changes.
            probe = object()
            self.request(lambda core: core.unsubscribe(probe, MAX_ID))
            with suppress(SessionClosed):
                self.wait_for(
                    lambda arrival: arrival.recipient is probe,
                    "the server to have handled all messages",
                    timeout=None,
                )
            self._wire.take_arrived(lambda arrival: arrival.recipient is probe)
        self._wire.settle()
        self._wire.read_arrived()

    def exception_of(self, error: Error, request: RawMessage) -> WAMPError:
        """Return the exception for an ERROR, with a note that names the request."""
        raised = exception_of(error, self._errors)
        raised.add_note(f"the server's answer to {format_message(request)}")
        return raised
