"""The registrations of a test's session, and the calls that reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wampasgi.protocol import messages
from wampasgi.testing.arrival import Arrival
from wampasgi.testing.ending import EndsWithBlock
from wampasgi.testing.errors import ExpectationFailed
from wampasgi.testing.exchange import Exchange


class Invocation:
    """A call that the server has routed to the test's session. Answer it with ``answer`` or ``fail``."""

    def __init__(self, exchange: Exchange, message: messages.Invocation) -> None:
        self._exchange = exchange
        #: INVOCATION.Request. Further arguments of a call are Invocations with the same ID.
        self.request_id = message.request_id
        self.args: Sequence[Any] = message.args or []
        self.kwargs: Mapping[str, Any] = message.kwargs or {}
        #: INVOCATION.Details. For a pattern, they contain the called ``procedure``.
        self.details: Mapping[str, Any] = message.details

    def __repr__(self) -> str:
        return f"Invocation(args={self.args!r}, kwargs={self.kwargs!r}, details={self.details!r})"

    def progress(self, *args: Any, **kwargs: Any) -> None:
        """Send YIELD with a progressive result of the call."""
        self._exchange.send(self._exchange.core.progress(self.request_id, args, kwargs))

    def answer(self, *args: Any, **kwargs: Any) -> None:
        """Send YIELD with the result of the call."""
        self._exchange.send(self._exchange.core.result(self.request_id, args, kwargs))

    def fail(self, error: str, /, *args: Any, **kwargs: Any) -> None:
        """Send ERROR with the URI ``error``."""
        self._exchange.send(self._exchange.core.error(self.request_id, error, args, kwargs))

    def expect_interrupt(self, *, timeout: float | None = None) -> messages.Interrupt:
        """Wait for INTERRUPT of the call and return it. Raises Timeout after ``timeout`` seconds.

        The server waits for ``answer`` or ``fail`` if the mode of CANCEL was ``"kill"``.
        Spec: Advanced Profile, "Call Canceling".
        """
        description = f"INTERRUPT of {self!r}"
        message = self._exchange.take(self._is_interrupt, description, timeout)
        assert isinstance(message, messages.Interrupt)
        return message

    def _is_interrupt(self, arrival: Arrival) -> bool:
        message = arrival.message
        return isinstance(message, messages.Interrupt) and message.request_id == self.request_id


class Registration(EndsWithBlock):
    """A registered procedure and its calls, in order of arrival. Returned by ``WAMPSession.register``.

    Leaving its ``with`` block unregisters.
    """

    def __init__(
        self, exchange: Exchange, procedure: str, options: dict[str, Any], timeout: float | None
    ) -> None:
        super().__init__(exchange)
        #: The procedure, or the pattern of procedures, that was registered.
        self.procedure = procedure
        registered = exchange.ask(lambda core, asked: core.register(asked, self, procedure, options), timeout)
        assert isinstance(registered, messages.Registered)
        self.registration_id = registered.registration_id

    def next(self, *, timeout: float | None = None) -> Invocation:
        """Wait for the next call and return it. Raises Timeout after ``timeout`` seconds.

        Raises ExpectationFailed if the server has ended the registration.
        """
        description = f"a call of {self.procedure!r} (registration {self.registration_id})"
        message = self._exchange.take(self._is_ours, description, timeout)
        if isinstance(message, messages.Unregistered):
            self._ended = True
            raise ExpectationFailed(f"waited for {description}, but the server ended it: {message!r}")
        assert isinstance(message, messages.Invocation)
        return Invocation(self._exchange, message)

    def unregister(self, *, timeout: float | None = None) -> None:
        """End the registration. Calls that have already arrived are kept. Raises WAMPError for ERROR."""
        self._ended = True
        self._exchange.ask(lambda core, asked: core.unregister(asked, self.registration_id), timeout)

    def _end(self) -> None:
        self.unregister()

    def _is_ours(self, arrival: Arrival) -> bool:
        return arrival.recipient is self and isinstance(
            arrival.message, messages.Invocation | messages.Unregistered
        )
