"""The registrations of a test's session, and the calls that reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wampasgi.protocol import messages
from wampasgi.testing.exchange import Exchange
from wampasgi.types import RawMessage


class Invocation:
    """A call that the server has routed to the test's session. Answer it with ``answer`` or ``fail``."""

    def __init__(self, exchange: Exchange, message: messages.Invocation) -> None:
        self._exchange = exchange
        self._request_id = message.request_id
        self.args: Sequence[Any] = message.args or []
        self.kwargs: Mapping[str, Any] = message.kwargs or {}
        #: INVOCATION.Details. For a pattern, they contain the called ``procedure``.
        self.details: Mapping[str, Any] = message.details

    def __repr__(self) -> str:
        return f"Invocation(args={self.args!r}, kwargs={self.kwargs!r}, details={self.details!r})"

    def answer(self, *args: Any, **kwargs: Any) -> None:
        """Send YIELD with the result of the call."""
        self._exchange.send(messages.Yield(self._request_id, {}, list(args), kwargs))

    def fail(self, error: str, /, *args: Any, **kwargs: Any) -> None:
        """Send ERROR with the URI ``error``."""
        code = messages.Invocation.code
        self._exchange.send(messages.Error(code, self._request_id, {}, error, list(args), kwargs))


class Registration:
    """A registered procedure and its calls, in order of arrival. Returned by ``WAMPSession.register``."""

    def __init__(self, exchange: Exchange, procedure: str, registration_id: int) -> None:
        self._exchange = exchange
        #: The procedure, or the pattern of procedures, that was registered.
        self.procedure = procedure
        self.registration_id = registration_id

    def next(self, *, timeout: float | None = None) -> Invocation:
        """Wait for the next call and return it. Raises Timeout after ``timeout`` seconds."""
        description = f"a call of {self.procedure!r} (registration {self.registration_id})"
        message = self._exchange.take(self._is_invocation, description, timeout)
        assert isinstance(message, messages.Invocation)
        return Invocation(self._exchange, message)

    def unregister(self, *, timeout: float | None = None) -> None:
        """End the registration. Calls that have already arrived are kept. Raises WAMPError for ERROR."""
        request = messages.Unregister(self._exchange.request_ids.next(), self.registration_id)
        self._exchange.ask(request, messages.Unregistered, timeout)

    def _is_invocation(self, raw: RawMessage) -> bool:
        invoked: bool = raw[0] == messages.Invocation.code and raw[2] == self.registration_id
        return invoked
