"""Calls that a test has started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from wampasgi.injection.results import unwrap
from wampasgi.protocol.messages import Call, Cancel, Error, Result
from wampasgi.testing.errors import ExpectationFailed
from wampasgi.testing.exchange import Exchange, answers, error_of

OnProgress: TypeAlias = Callable[[Any], object]
CancelMode: TypeAlias = Literal["skip", "kill", "killnowait"]


class PendingCall:
    """A call under way; ``WAMPSession.start_call`` makes it."""

    def __init__(self, exchange: Exchange, call: Call, on_progress: OnProgress | None) -> None:
        self._exchange = exchange
        self._call = call
        self._on_progress = on_progress
        self._final: Result | Error | None = None

    @property
    def request_id(self) -> int:
        """CALL.Request."""
        return self._call.request_id

    def cancel(self, mode: CancelMode = "killnowait") -> None:
        """Send CANCEL; ``result`` then raises WAMPError ``wamp.error.canceled``, unless the call was faster.

        Spec: Advanced Profile, "Call Canceling".
        """
        self._exchange.send(Cancel(self.request_id, {"mode": mode}))

    def next_progress(self, *, timeout: float | None = None) -> Any:
        """Wait for the next progressive result and return it, in the form of ``result``.

        The call needs ``on_progress``, which gets it too, or ``options={"receive_progress": True}``. Raises
        ExpectationFailed where the final answer comes instead; ``result`` then gives it.
        """
        message = self._next(f"progress of {self._call!r}", timeout)
        if message is self._final:
            raise ExpectationFailed(f"waited for progress of {self._call!r}, but got its end: {message!r}")
        return self._report(message)

    def result(self, *, timeout: float | None = None) -> Any:
        """Wait for the final answer and return the result as ``WAMPSession.call`` does.

        ``timeout`` bounds each wait: for every progressive result, and for the final one. Raises WAMPError
        for ERROR, and the same again when it is asked again.
        """
        message = self._next(f"the result of {self._call!r}", timeout)
        while message is not self._final:
            self._report(message)
            message = self._next(f"the result of {self._call!r}", timeout)
        if isinstance(message, Error):
            raise error_of(message, self._call)
        return unwrap(message.args or (), message.kwargs or {})

    def _next(self, awaited: str, timeout: float | None) -> Result | Error:
        if self._final is not None:
            return self._final
        message = self._exchange.take(answers(self._call, Result), awaited, timeout)
        assert isinstance(message, Result | Error)
        if isinstance(message, Error) or not message.details.get("progress", False):
            self._final = message
        return message

    def _report(self, message: Result | Error) -> Any:
        value = unwrap(message.args or (), message.kwargs or {})
        if self._on_progress is not None:
            self._on_progress(value)
        return value
