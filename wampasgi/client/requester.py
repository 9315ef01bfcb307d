"""Requests on the current connection of a session, whichever that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar, cast

import anyio

from wampasgi.adapters import TaskOwner
from wampasgi.client.core import Recipient, SessionCore
from wampasgi.client.errors import ConnectionLost, exception_of
from wampasgi.client.link import Link
from wampasgi.client.waiting import DEFAULT, Answer, Sendable, answer_factory, timed_out, within
from wampasgi.client.wire import WireClosed
from wampasgi.errors import CLOSE_REALM, ConfigurationError, ConnectionClosed, WAMPError
from wampasgi.logs import logger_named
from wampasgi.protocol.messages import Error
from wampasgi.protocol.states import SessionState
from wampasgi.protocol.uris import MATCH_POLICIES, check_pattern
from wampasgi.types import RawMessage

logger = logger_named("wampasgi.client")

T = TypeVar("T")

#: Called with an exception that no caller can get: of a handler of events, of a registered procedure, or of a
#: subscription or registration that could not be renewed after a reconnection.
OnError: TypeAlias = Callable[[Exception], object]

#: Makes a request: it gets the core of the session and the answer that the request waits for.
MakeRequest: TypeAlias = Callable[[SessionCore[Recipient], Answer], RawMessage]

#: The default number of events in the buffer of a subscription, and of progressive results of a call.
BUFFER: Final = 1024


class Requester:
    """Sends requests, and waits for a connection while the client has lost it.

    ``timeout`` is the default of all timeouts, in seconds.
    """

    def __init__(
        self,
        owner: TaskOwner,
        timeout: float | None,
        on_error: OnError | None,
        errors: Mapping[str, type[WAMPError]],
    ) -> None:
        #: Runs the tasks of the session, which outlive its connections.
        self.owner = owner
        self.timeout = timeout
        #: The connection with an open session, None while the client connects.
        self.link: Link | None = None
        #: Makes the exception for requests after the end of the session; None before it.
        self.ended: Callable[[], Exception] | None = None
        self.new_answer = answer_factory()
        #: The number of times that each handler is running, by its name.
        self.handlers: Counter[str] = Counter()
        self._changed = anyio.Event()
        self._on_error = on_error
        self._errors = errors

    def limit(self, timeout: float | None) -> float | None:
        """Return a timeout, or the session's for ``DEFAULT``."""
        return self.timeout if timeout == DEFAULT else timeout

    def set_link(self, link: Link | None) -> None:
        """Change the connection for requests."""
        self.link = link
        self._wake()

    def end(self, error: Callable[[], Exception]) -> None:
        """Let all further requests fail."""
        self.link = None
        if self.ended is None:
            self.ended = error
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def report(self, error: Exception) -> None:
        """Pass an exception to ``on_error``."""
        if self._on_error is None:
            return
        try:
            self._on_error(error)
        except Exception:
            logger.exception("on_error failed for %r", error)

    async def open_link(self, timeout: float | None, what: Callable[[], str]) -> Link:
        """Return the connection, and wait for it while the client connects. Raises Timeout."""
        with anyio.move_on_after(timeout):
            while self.link is None:
                if self.ended is not None:
                    raise self.ended()
                await self._changed.wait()
        if self.link is None:
            raise timed_out(timeout or 0, f"a connection, to send the request for {what()}")
        return self.link

    async def request(
        self,
        make: MakeRequest,
        timeout: float | None,
        what: Callable[[], str],
        link: Link | None = None,
    ) -> Any:
        """Send a request and return its answer. Raises WAMPError for ERROR, Timeout and ConnectionLost."""
        link = link or self.link or await self.open_link(timeout, what)
        if link.core.state is not SessionState.ESTABLISHED:
            # GOODBYE has been sent, which nothing may follow.
            raise lost(what(), "the session is over", sent=False)
        answer = self.new_answer()
        raw = make(link.core, answer)
        await self.send(link, raw, answer, timeout, what)
        message = await answer.wait(timeout, what)
        if isinstance(message, Error):
            raise self.error_of(message)
        return message

    def error_of(self, message: Error) -> WAMPError:
        """Return the exception for an ERROR, see ``exception_of``."""
        return exception_of(message, self._errors)

    async def in_background(
        self, function: Callable[[], Awaitable[T]], timeout: float | None, what: Callable[[], str]
    ) -> T:
        """Await ``function()`` in a task of the session, and return its value. Raises Timeout.

        If the caller is cancelled or waits no longer, the task goes on, so that it can clean up.
        """
        if self.ended is not None:
            raise self.ended()
        answer = self.new_answer()

        async def run() -> None:
            try:
                answer.receive(await function())
            except Exception as error:  # noqa: BLE001 - raised in the caller
                answer.fail(error)
            except BaseException:
                answer.fail(ConnectionClosed(CLOSE_REALM, closed_by="client"))
                raise

        self.owner.spawn(run)
        value: T = await answer.wait(timeout, what)
        return value

    async def send(
        self,
        link: Link,
        raw: RawMessage,
        request: Sendable | None,
        timeout: float | None,
        what: Callable[[], str],
    ) -> None:
        """Send a message, and wait if too much is unsent. Raises ConnectionLost and Timeout."""
        try:
            waiting = link.put(raw, request)
        except WireClosed as error:
            was_sent = request is not None and request.sent
            raise lost(what(), str(error), sent=was_sent) from error
        if waiting is not None:
            await self.wait_for_room(waiting, request, timeout, what)

    async def wait_for_room(
        self,
        waiting: Awaitable[None],
        request: Sendable | None,
        timeout: float | None,
        what: Callable[[], str],
    ) -> None:
        """Wait until less is unsent. Raises ConnectionLost and Timeout."""
        try:
            with within(timeout, what):
                await waiting
        except WireClosed as error:
            was_sent = request is not None and request.sent
            raise lost(what(), str(error), sent=was_sent) from error


def lost(what: str, reason: str, *, sent: bool) -> ConnectionLost:
    """Return the error for a request whose answer will not arrive."""
    consequence = "it may have been carried out" if sent else "it was not sent"
    return ConnectionLost(f"the connection ended before {what} arrived ({consequence}): {reason}", sent=sent)


def check_uri(kind: str, uri: object, match: str = "exact") -> str:
    """Return a URI or pattern that a router accepts. Raises TypeError and ConfigurationError."""
    if not isinstance(uri, str):
        raise TypeError(f"a {kind} must be a str, got {type(uri).__name__}")
    if match not in MATCH_POLICIES:
        raise ConfigurationError(f"match is {match!r}: it must be one of {', '.join(MATCH_POLICIES)}")
    if not check_pattern(uri, cast("Any", match)):
        raise ConfigurationError(
            f"{uri!r} is not a valid {kind} for match={match!r}: it must have components separated by dots,"
            " without white space or '#'"
        )
    return uri


def with_match(options: Mapping[str, Any] | None, match: str) -> dict[str, Any]:
    """Return Options with the match policy, which is omitted if it is the default."""
    given = dict(options or {})
    if match != "exact":
        given["match"] = match
    return given
