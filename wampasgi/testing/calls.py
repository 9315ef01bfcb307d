"""The calls of a test's session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeAlias

from wampasgi.client.calls import CancelMode
from wampasgi.client.conversion import converter_for
from wampasgi.payload import split_payload
from wampasgi.protocol.messages import Error, Result
from wampasgi.testing.arrival import Arrival
from wampasgi.testing.errors import ExpectationFailed, Timeout, format_message
from wampasgi.testing.exchange import Exchange

OnProgress: TypeAlias = Callable[[Any], object]


class PendingCall:
    """A call in progress, returned by ``WAMPSession.start_call`` and ``WAMPSession.call_progress``.

    Iterate over it for the progressive results that are still to come. Leaving its ``with`` block before the
    final result cancels the call.
    """

    def __init__(
        self,
        exchange: Exchange,
        procedure: str,
        payload: tuple[Sequence[Any], Mapping[str, Any]],
        options: dict[str, Any],
        *,
        on_progress: OnProgress | None,
        result_type: Any,
        progress_type: Any,
    ) -> None:
        self._convert_result = converter_for(result_type, "result_type")
        self._convert_progress = converter_for(progress_type, "progress_type")
        self._exchange = exchange
        self._procedure = procedure
        self._options = options
        self._on_progress = on_progress
        self._receives_progress = options.get("receive_progress", False) is True
        self._has_progressed = False
        self._final: Result | Error | None = None
        self._call = exchange.request(lambda core: core.call(self, procedure, *payload, options))

    @property
    def request_id(self) -> int:
        """CALL.Request."""
        request_id: int = self._call[1]
        return request_id

    def send(self, *args: Any, final: bool = False, **kwargs: Any) -> None:
        """Send further arguments; the last ones with ``final``. They are dropped if the call is over.

        The call needs ``options={"progress": True}``.
        Spec: Advanced Profile, "Progressive Call Invocations".
        """
        if self._options.get("progress") is not True:
            raise ExpectationFailed(
                f'{self._name} is complete: pass options={{"progress": True}} to send further arguments'
            )
        payload = split_payload(args, kwargs)
        options = {**self._options, "progress": not final}
        raw = self._exchange.core.call_again(self.request_id, self._procedure, *payload, options)
        if raw is not None:
            self._exchange.send(raw)

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
                    f"the first progress of {self._name}, before CANCEL is sent"
                    f" (cancel(at_once=True) sends it without progress)"
                )
                self._exchange.wait_for(self._is_answer, description, timeout)
        cancel = self._exchange.core.cancel(self.request_id, mode)
        if cancel is not None:
            self._exchange.send(cancel)

    # Progressive results

    def next_progress(self, *, timeout: float | None = None) -> Any:
        """Wait for the next progressive result and return it, in the same form as ``result``.

        The call needs ``on_progress``, which is called as well, or ``options={"receive_progress": True}``;
        without them, ExpectationFailed is raised at once. It is also raised if the final answer arrives
        instead; ``result`` still returns it.
        """
        if not self._receives_progress:
            raise ExpectationFailed(
                f"{self._name} does not receive progress: pass on_progress=... or"
                ' options={"receive_progress": True} to start_call, or use call_progress'
            )
        message = self._next(f"progress of {self._name}", timeout)
        if message is self._final:
            raise ExpectationFailed(
                f"waited for progress of {self._name}, but got the final answer {message!r}"
            )
        return self._report(message)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        """Wait for the next progressive result; stop at the final one. Raises WAMPError for ERROR."""
        message = self._next(f"progress of {self._name}", None)
        if message is not self._final:
            return self._report(message)
        if isinstance(message, Error):
            raise self._exchange.exception_of(message, self._call)
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel the call if its final result was not read."""
        # After a Timeout, the application may not take CANCEL either.
        if self._final is None and not self._exchange.over and not isinstance(exc, Timeout):
            self.cancel(at_once=True)
            self._exchange.core.abandon(self.request_id)

    # The result

    def result(self, *, timeout: float | None = None) -> Any:
        """Wait for the final answer and return its result, in the same form as ``WAMPSession.call``.

        ``timeout`` limits the wait for each progressive result and for the final one, in seconds. Raises
        WAMPError for ERROR. A second call of this method has the same outcome.
        """
        message = self._next(f"the result of {self._name}", timeout)
        while message is not self._final:
            self._report(message)
            message = self._next(f"the result of {self._name}", timeout)
        if isinstance(message, Error):
            raise self._exchange.exception_of(message, self._call)
        return self._convert_result(
            message.args or (), message.kwargs or {}, f"the result of {self._procedure!r}"
        )

    @property
    def _name(self) -> str:
        return format_message(self._call)

    def _is_answer(self, arrival: Arrival) -> bool:
        return arrival.recipient is self

    def _next(self, description: str, timeout: float | None) -> Result | Error:
        if self._final is not None:
            return self._final
        message = self._exchange.take(self._is_answer, description, timeout)
        assert isinstance(message, Result | Error)
        if isinstance(message, Error) or not message.details.get("progress", False):
            self._final = message
        return message

    def _report(self, message: Result | Error) -> Any:
        self._has_progressed = True
        what = f"a progressive result of {self._procedure!r}"
        value = self._convert_progress(message.args or (), message.kwargs or {}, what)
        if self._on_progress is not None:
            self._on_progress(value)
        return value
