"""The calls of a test's session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from wampasgi.injection.results import unwrap
from wampasgi.protocol.messages import Call, Cancel, Error, Result
from wampasgi.testing.errors import ExpectationFailed
from wampasgi.testing.exchange import Exchange, answer_filter, error_of

OnProgress: TypeAlias = Callable[[Any], object]
CancelMode: TypeAlias = Literal["skip", "kill", "killnowait"]


class PendingCall:
    """A call in progress, returned by ``WAMPSession.start_call``."""

    def __init__(self, exchange: Exchange, call: Call, on_progress: OnProgress | None) -> None:
        self._exchange = exchange
        self._call = call
        self._on_progress = on_progress
        self._receives_progress = call.options.get("receive_progress", False) is True
        self._has_progressed = False
        self._final: Result | Error | None = None

    @property
    def request_id(self) -> int:
        """CALL.Request."""
        return self._call.request_id

    def cancel(
        self, mode: CancelMode = "killnowait", *, at_once: bool = False, timeout: float | None = None
    ) -> None:
        """Send CANCEL. Unless the call has finished before, ``result`` then raises ``wamp.error.canceled``.

        CANCEL waits until the handler runs, because it would otherwise end a call that has done nothing yet.
        If the call receives progress, this waits for its first progressive result, which ``next_progress``
        still returns, or for its final answer; ``timeout`` limits this wait, in seconds. Otherwise this waits
        until all tasks of the application are blocked, be it on a timer or a thread. ``at_once`` does not
        wait.
        Spec: Advanced Profile, "Call Canceling".
        """
        if not at_once and self._final is None:
            if not self._receives_progress:
                self._exchange.wait_blocked()
            elif not self._has_progressed:
                description = (
                    f"the first progress of {self._call!r}, before CANCEL is sent"
                    f" (cancel(at_once=True) sends it without progress)"
                )
                self._exchange.wait_for(answer_filter(self._call, Result), description, timeout)
        self._exchange.send(Cancel(self.request_id, {"mode": mode}))

    def next_progress(self, *, timeout: float | None = None) -> Any:
        """Wait for the next progressive result and return it, in the same form as ``result``.

        The call needs ``on_progress``, which is called as well, or ``options={"receive_progress": True}``;
        without them, ExpectationFailed is raised at once. It is also raised if the final answer arrives
        instead; ``result`` still returns it.
        """
        if not self._receives_progress:
            raise ExpectationFailed(
                f"{self._call!r} does not receive progress: pass on_progress=... or"
                ' options={"receive_progress": True} to start_call'
            )
        message = self._next(f"progress of {self._call!r}", timeout)
        if message is self._final:
            raise ExpectationFailed(
                f"waited for progress of {self._call!r}, but got the final answer {message!r}"
            )
        return self._report(message)

    def result(self, *, timeout: float | None = None) -> Any:
        """Wait for the final answer and return its result, in the same form as ``WAMPSession.call``.

        ``timeout`` limits the wait for each progressive result and for the final one, in seconds. Raises
        WAMPError for ERROR. A second call of this method has the same outcome.
        """
        message = self._next(f"the result of {self._call!r}", timeout)
        while message is not self._final:
            self._report(message)
            message = self._next(f"the result of {self._call!r}", timeout)
        if isinstance(message, Error):
            raise error_of(message, self._call)
        return unwrap(message.args or (), message.kwargs or {})

    def _next(self, description: str, timeout: float | None) -> Result | Error:
        if self._final is not None:
            return self._final
        message = self._exchange.take(answer_filter(self._call, Result), description, timeout)
        assert isinstance(message, Result | Error)
        if isinstance(message, Error) or not message.details.get("progress", False):
            self._final = message
        return message

    def _report(self, message: Result | Error) -> Any:
        self._has_progressed = True
        value = unwrap(message.args or (), message.kwargs or {})
        if self._on_progress is not None:
            self._on_progress(value)
        return value
