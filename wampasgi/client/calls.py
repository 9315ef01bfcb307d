"""Calls of procedures: one result, or progressive results before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, Literal, Self, TypeAlias, TypeVar

import anyio

from wampasgi.client.conversion import Converter
from wampasgi.client.link import Link
from wampasgi.client.requester import Requester, lost
from wampasgi.client.waiting import timed_out
from wampasgi.client.wire import WireClosed
from wampasgi.errors import FEATURE_NOT_SUPPORTED, UnserializableValue, WAMPError
from wampasgi.payload import split_payload
from wampasgi.protocol.messages import Error, Result

CancelMode: TypeAlias = Literal["skip", "kill", "killnowait"]

R = TypeVar("R")
P = TypeVar("P")

_CANCELING: Final = frozenset({"call_canceling", "call_cancelling"})


async def call(
    requester: Requester,
    procedure: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: dict[str, Any],
    timeout: float | None,
) -> Result:
    """Call a procedure and return its RESULT.

    Raises WAMPError for ERROR. If the caller is cancelled or the timeout expires, CANCEL is sent.
    """
    what = partial("the result of {!r}".format, procedure)
    link = requester.link or await requester.open_link(timeout, what)
    answer = requester.new_answer()
    raw = link.core.call(answer, procedure, args, kwargs, options)
    try:
        waiting = link.put(raw, answer)
        if waiting is not None:
            await requester.wait_for_room(waiting, answer, timeout, what)
        message = await answer.wait(timeout, what)
    except UnserializableValue:
        raise
    except WireClosed as error:
        raise lost(what(), str(error), sent=answer.sent) from error
    except BaseException:
        cancel(link, raw[1], "killnowait")
        raise
    if isinstance(message, Error):
        raise requester.error_of(message)
    assert isinstance(message, Result)
    return message


def cancel(link: Link, request_id: int, mode: CancelMode) -> None:
    """Send CANCEL for a call, unless it is over or the router does not know CANCEL. Ignore its answer."""
    link.core.abandon(request_id)
    if _CANCELING.isdisjoint(link.dealer_features):
        return
    message = link.core.cancel(request_id, mode)
    if message is not None:
        link.put_nowait(message)


class ProgressCall(Generic[P, R]):
    """A call with progressive results, made by ``Session.call_progress``.

    Enter it to send the call, iterate over it for the progressive results, and await ``result`` for the final
    one. Leaving it before the final result cancels the call.

    If the application is slow, at most ``buffer`` progressive results wait. Then the oldest one is dropped;
    ``dropped`` counts them. The final result is never dropped.
    """

    def __init__(
        self,
        requester: Requester,
        procedure: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: dict[str, Any],
        *,
        timeout: float | None,
        buffer: int,
        convert_progress: Converter,
        convert_result: Converter,
    ) -> None:
        self.procedure = procedure
        #: The number of progressive results that were dropped because the buffer was full.
        self.dropped = 0
        #: Set when the request may have reached the router.
        self.sent = False
        self._requester = requester
        self._call = (args, kwargs, {**options, "receive_progress": True})
        self._timeout = timeout
        self._buffer = buffer
        self._convert_progress = convert_progress
        self._convert_result = convert_result
        self._reports: deque[Result] = deque()
        self._final: Result | Error | Exception | None = None
        self._arrived = anyio.Event()
        self._link: Link | None = None
        self._request_id = 0

    async def __aenter__(self) -> Self:
        """Send the call."""
        if self._link is not None:
            raise RuntimeError("a call can be made only once: use call_progress again")
        requester, what = self._requester, self.describe
        link = requester.link or await requester.open_link(self._timeout, what)
        args, kwargs, options = self._call
        raw = link.core.call(self, self.procedure, args, kwargs, options)
        self._request_id = raw[1]
        try:
            await requester.send(link, raw, self, self._timeout, what)
        except UnserializableValue:
            raise
        except BaseException:
            cancel(link, self._request_id, "killnowait")
            raise
        self._link = link
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel the call if it is not over."""
        if self._final is None and self._link is not None:
            cancel(self._link, self._request_id, "killnowait")
            self._final = RuntimeError(f"the call of {self.procedure!r} was left before its result")
            self._wake()

    async def send(self, *args: Any, final: bool = False, **kwargs: Any) -> None:
        """Send further arguments; the last ones with ``final``. They are dropped if the call is over.

        The call must have been made with ``more=True``.
        """
        options = self._call[2]
        if self._link is None or not options.get("progress"):
            raise RuntimeError("enter a call with call_progress(..., more=True) to send further arguments")
        positional, keywords = split_payload(args, kwargs)
        raw = self._link.core.call_again(
            self._request_id, self.procedure, positional, keywords, {**options, "progress": not final}
        )
        if raw is not None:
            await self._requester.send(self._link, raw, None, self._timeout, self.describe)

    def cancel(self, mode: CancelMode = "kill") -> None:
        """Send CANCEL. ``result`` then raises WAMPError ``wamp.error.canceled`` or returns what was faster.

        With ``"kill"``, the router waits for the callee to stop; with ``"killnowait"`` and ``"skip"``, it
        answers at once. If the router does not know CANCEL, the callee goes on, and ``result`` raises
        WAMPError ``wamp.error.feature_not_supported`` at once.
        """
        link = self._link
        if link is None:
            raise RuntimeError("enter the call before canceling it")
        if self._final is not None:
            return
        if _CANCELING.isdisjoint(link.dealer_features):
            link.core.abandon(self._request_id)
            self.fail(WAMPError(FEATURE_NOT_SUPPORTED, "the router does not know CANCEL"))
            return
        message = link.core.cancel(self._request_id, mode)
        if message is not None:
            link.put_nowait(message)

    # The progressive results

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> P:
        """Return the next progressive result; stop at the final one. Raises WAMPError for ERROR."""
        await self._wait(lambda: bool(self._reports), "a progressive result of")
        if self._reports:
            report = self._reports.popleft()
            what = f"a progressive result of {self.procedure!r}"
            value: P = self._convert_progress(report.args or (), report.kwargs or {}, what)
            return value
        if not isinstance(self._final, Result):
            self._raise_failure()
        raise StopAsyncIteration

    async def result(self) -> R:
        """Wait for the final result and return it. Raises WAMPError for ERROR.

        Progressive results that were not read are kept for the iteration.
        """
        await self._wait(lambda: False, "the result of")
        if not isinstance(self._final, Result):
            self._raise_failure()
        final = self._final
        assert isinstance(final, Result)
        value: R = self._convert_result(final.args or (), final.kwargs or {}, self.describe())
        return value

    async def _wait(self, ready: Callable[[], bool], what: str) -> None:
        """Wait until ``ready()`` or the end of the call, at most ``timeout`` for each message."""
        if self._link is None:
            raise RuntimeError("enter the call first: async with session.call_progress(...) as call")
        while self._final is None and not ready():
            arrived = self._arrived
            with anyio.move_on_after(self._timeout):
                await arrived.wait()
            if not arrived.is_set():
                raise timed_out(self._timeout or 0, f"{what} {self.procedure!r}")

    def _raise_failure(self) -> None:
        if isinstance(self._final, Error):
            raise self._requester.error_of(self._final)
        assert isinstance(self._final, Exception)
        raise self._final

    # From the router

    def receive(self, message: Result | Error) -> None:
        """Take a message of the router."""
        if isinstance(message, Result) and message.details.get("progress") is True:
            if len(self._reports) >= self._buffer:
                self._reports.popleft()
                self.dropped += 1
            self._reports.append(message)
        elif self._final is None:
            self._final = message
        self._wake()

    def fail(self, error: Exception) -> None:
        """Take the reason why there will be no result."""
        if self._final is None:
            self._final = error
            self._wake()

    def _wake(self) -> None:
        self._arrived.set()
        self._arrived = anyio.Event()

    def describe(self) -> str:
        """Return a description of the awaited answer."""
        return f"the result of {self.procedure!r}"
