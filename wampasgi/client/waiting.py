"""Waiting for one message, with a timeout that names the message."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

import anyio

from wampasgi.adapters import running_library
from wampasgi.client.errors import Timeout

#: Stands for the default timeout of the session.
DEFAULT: Final = -1.0


def timed_out(timeout: float, what: str) -> Timeout:
    """Return the error for a wait that took too long."""
    return Timeout(f"waited {timeout:g} s for {what}")


@contextmanager
def within(timeout: float | None, what: Callable[[], str]) -> Iterator[None]:
    """Limit the time of a block. Raises Timeout, which names ``what()``."""
    with anyio.move_on_after(timeout) as scope:
        yield
    if scope.cancelled_caught:
        raise timed_out(timeout or 0, what())


class Sendable(Protocol):
    """A request, as far as the connection that sends it is concerned."""

    #: Set when the request may have reached the router.
    sent: bool


class Answer(ABC):
    """The answer to one request: a message, or the reason why there will be none."""

    __slots__ = ("sent", "what")

    def __init__(self) -> None:
        self.sent = False
        #: Describes the answer, for errors. None until it is awaited.
        self.what: Callable[[], str] | None = None

    def describe(self) -> str:
        """Return a description of the answer."""
        return "the answer" if self.what is None else self.what()

    @abstractmethod
    def receive(self, message: Any) -> None:
        """Take the answer."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """Take the reason why there is no answer."""

    @abstractmethod
    async def wait(self, timeout: float | None, what: Callable[[], str]) -> Any:
        """Wait for the answer and return it. Raises the reason, or Timeout, which names ``what()``."""


class Observed:
    """An answer that a function sees first.

    The function is called when the message arrives. The task that waits for it runs later, when further
    messages may have arrived.
    """

    __slots__ = ("_answer", "_see")

    def __init__(self, answer: Answer, see: Callable[[Any], None]) -> None:
        self._answer = answer
        self._see = see

    @property
    def sent(self) -> bool:
        """Return whether the request may have reached the router."""
        return self._answer.sent

    def describe(self) -> str:
        """Return a description of the answer."""
        return self._answer.describe()

    def receive(self, message: Any) -> None:
        """Take the answer."""
        self._see(message)
        self._answer.receive(message)

    def fail(self, error: Exception) -> None:
        """Take the reason why there is no answer."""
        self._answer.fail(error)


class _AsyncioAnswer(Answer):
    """A future, which costs a third of an event with a cancel scope."""

    __slots__ = ("_answers", "_future")

    def __init__(self, answers: _AsyncioAnswers) -> None:
        self.sent = False
        self.what = None
        self._answers = answers
        self._future: asyncio.Future[Any] = answers.loop.create_future()

    def receive(self, message: Any) -> None:
        if not self._future.done():
            self._future.set_result(message)

    def fail(self, error: Exception) -> None:
        if not self._future.done():
            self._future.set_exception(error)
            # Nobody may wait yet, and asyncio logs exceptions that nobody retrieves.
            self._future.exception()

    async def wait(self, timeout: float | None, what: Callable[[], str]) -> Any:
        self.what = what
        future = self._future
        if timeout is None or future.done():
            return await future
        deadlines = self._answers.deadlines(timeout)
        deadlines.add(self, what)
        try:
            return await future
        finally:
            deadlines.remove(self)


class _Deadlines:
    """The answers that expire after the same timeout, in order, with one timer for all of them.

    Nearly all answers arrive in time, and setting and cancelling a timer costs as much as parsing an answer.
    """

    __slots__ = ("_is_set", "_loop", "_timeout", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float) -> None:
        self._loop = loop
        self._timeout = timeout
        self._waiting: dict[Answer, tuple[float, Callable[[], str]]] = {}
        self._is_set = False

    def add(self, answer: Answer, what: Callable[[], str]) -> None:
        """Let an answer fail after the timeout."""
        deadline = self._loop.time() + self._timeout
        self._waiting[answer] = deadline, what
        if not self._is_set:
            self._is_set = True
            self._loop.call_at(deadline, self._expire)

    def remove(self, answer: Answer) -> None:
        """Do not let an answer fail."""
        self._waiting.pop(answer, None)

    def _expire(self) -> None:
        self._is_set = False
        now = self._loop.time()
        for answer, (deadline, what) in list(self._waiting.items()):
            if deadline > now:
                self._is_set = True
                self._loop.call_at(deadline, self._expire)
                return
            del self._waiting[answer]
            answer.fail(timed_out(self._timeout, what()))


class _AnyAnswer(Answer):
    __slots__ = ("_event", "_failure", "_message")

    def __init__(self) -> None:
        super().__init__()
        self._event = anyio.Event()
        self._message: Any = None
        self._failure: Exception | None = None

    def receive(self, message: Any) -> None:
        if not self._event.is_set():
            self._message = message
            self._event.set()

    def fail(self, error: Exception) -> None:
        if not self._event.is_set():
            self._failure = error
            self._event.set()

    async def wait(self, timeout: float | None, what: Callable[[], str]) -> Any:
        self.what = what
        with anyio.move_on_after(timeout):
            await self._event.wait()
        if not self._event.is_set():
            assert timeout is not None
            self.fail(timed_out(timeout, what()))
        if self._failure is not None:
            raise self._failure
        return self._message


# Few timeouts are in use, but an application may compute its timeouts.
_MAX_TIMEOUTS: Final = 100


class _AsyncioAnswers:
    """Makes the answers of one session."""

    __slots__ = ("_by_timeout", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._by_timeout: dict[float, _Deadlines] = {}

    def new(self) -> Answer:
        return _AsyncioAnswer(self)

    def deadlines(self, timeout: float) -> _Deadlines:
        """Return the answers that expire after this timeout."""
        found = self._by_timeout.get(timeout)
        if found is None:
            if len(self._by_timeout) >= _MAX_TIMEOUTS:
                self._by_timeout.clear()
            found = self._by_timeout[timeout] = _Deadlines(self.loop, timeout)
        return found


def answer_factory() -> Callable[[], Answer]:
    """Return a function that makes the answers of one session, in the running event loop."""
    return _AsyncioAnswers().new if running_library() == "asyncio" else _AnyAnswer
