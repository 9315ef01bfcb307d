"""The test's side of a WebSocket: everything on it that waits, waits for a limited time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from queue import Empty
from threading import Thread
from typing import Any, NoReturn, TypeVar

import anyio
from starlette.testclient import WebSocketTestSession

from wampasgi.protocol.messages import Abort, Goodbye
from wampasgi.serializers import Subprotocol
from wampasgi.testing.errors import ExpectationFailed, SessionClosed, Timeout, what_arrived
from wampasgi.testing.socket import Ended, ServedSocket, Unreadable, WebSocketClose, received
from wampasgi.types import RawMessage

T = TypeVar("T")


def within(timeout: float, awaited: str, function: Callable[..., T], *args: Any) -> T:
    """Call a function that may block for ever, and raise Timeout after so many seconds.

    It runs in a thread of its own, because nothing can interrupt a wait for an event loop that a handler
    blocks. Only after a Timeout is that thread left behind.
    """
    outcome: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            outcome.set_result(context.run(function, *args))
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            outcome.set_exception(error)

    thread = Thread(target=run, daemon=True, name=f"wampasgi test client: {awaited}")
    thread.start()
    thread.join(timeout)
    if not outcome.done():
        raise Timeout(
            f"{awaited} took longer than {timeout:g} s: either that is not enough (timeout=), "
            "or something in the application blocks the event loop or ignores cancellation"
        )
    return outcome.result()


class Wire:
    """A WebSocket that a test holds open, and the messages that arrived on it and nobody has taken yet.

    ``timeout``, in seconds, bounds every wait that is not given another one.
    """

    def __init__(
        self, served: ServedSocket, websocket: WebSocketTestSession, subprotocol: Subprotocol, timeout: float
    ) -> None:
        self._served = served
        self._websocket = websocket
        self._inbox: list[RawMessage] = []
        self._unreadable: list[str] = []
        self._ended: Ended | None = None
        self._left = False
        self.subprotocol = subprotocol
        self.timeout = timeout
        #: How the server closed the WebSocket, as far as that was read.
        self.closed: WebSocketClose | None = None
        #: Why there is no session: none was opened, GOODBYE or ABORT was taken, or the WebSocket is closed.
        self.over: SessionClosed | None = None

    # To the application

    def send(self, *messages: RawMessage) -> None:
        """Send messages in one WebSocket message; only a batched subprotocol takes more than one."""
        event = received(self._encode(messages))
        says_goodbye = any(message[:1] == [Goodbye.code] for message in messages)
        self._hand_over(partial(self._served.deliver_unchecked, event, says_goodbye=says_goodbye))

    def send_frame(self, data: str | bytes) -> None:
        """Send one WebSocket message as it is."""
        self._hand_over(partial(self._served.deliver, received(data)))

    def send_in_session(self, message: RawMessage) -> None:
        """Send a session's message, unless GOODBYE was said in it: then the server's will be found."""
        self._hand_over(partial(self._served.deliver_in_session, received(self._encode([message]))))

    def send_goodbye(self, goodbye: Goodbye) -> None:
        """Send GOODBYE, unless the server's was answered already."""
        self._hand_over(partial(self._served.deliver_goodbye, received(self._encode([goodbye.to_list()]))))

    def begin_session(self, *, answers_goodbye: bool) -> None:
        """Prepare for HELLO."""
        self.over = None
        self._hand_over(partial(self._served.begin_session, answers_goodbye=answers_goodbye))

    def disconnect(self, code: int, reason: str = "") -> None:
        """Close the WebSocket from the client's side and wait until the application is done with it."""
        if self.over is None:
            self.over = SessionClosed(reason, "the test has closed the WebSocket", code=code, by_client=True)
        self._left = True
        event = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self._hand_over(partial(self._served.deliver, event))
        deadline = time.monotonic() + self.timeout
        while self._ended is None:
            self._read("the application's return after the WebSocket was closed", deadline, self.timeout)

    def settle(self) -> None:
        """Wait until no task of the application can go on by itself.

        Tasks that wait for a timer, a thread or a peer count as waiting.
        """
        portal = self._websocket.portal
        within(self.timeout, "the application's coming to rest", portal.call, anyio.wait_all_tasks_blocked)

    def _encode(self, messages: Iterable[RawMessage]) -> str | bytes:
        encode = self.subprotocol.serializer.encode
        return self.subprotocol.frame([encode(message) for message in messages])

    def _hand_over(self, delivery: Callable[[], None]) -> None:
        portal = self._websocket.portal
        within(self.timeout, "handing something to the application", portal.call, delivery)

    # From the application

    def take(
        self, wanted: Callable[[RawMessage], bool], awaited: str, timeout: float | None = None
    ) -> RawMessage:
        """The first message that is wanted; the others stay, in order.

        Raises Timeout, and SessionClosed where the server has closed the WebSocket.
        """
        raw = self._inbox.pop(self._wait(wanted, awaited, timeout))
        self._note_end(raw)
        return raw

    def peek(
        self, wanted: Callable[[RawMessage], bool], awaited: str, timeout: float | None = None
    ) -> RawMessage:
        """Wait as ``take`` does, but leave the message where it is."""
        return self._inbox[self._wait(wanted, awaited, timeout)]

    def take_arrived(self, wanted: Callable[[RawMessage], bool]) -> RawMessage | None:
        """Take a message that is wanted without waiting: None where no such message has been read."""
        for index, raw in enumerate(self._inbox):
            if wanted(raw):
                del self._inbox[index]
                self._note_end(raw)
                return raw
        return None

    def _wait(self, wanted: Callable[[RawMessage], bool], awaited: str, timeout: float | None) -> int:
        bound = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + bound
        index = 0
        while True:
            while index < len(self._inbox):
                if wanted(self._inbox[index]):
                    return index
                index += 1
            if self._unreadable:
                problem = f"waited for {awaited}; {self.arrived()}"
                self._unreadable.clear()
                raise ExpectationFailed(problem)
            if self.closed is not None or self._left:
                self._raise_closed(awaited)
            self._read(awaited, deadline, bound)

    def read_arrived(self) -> None:
        """Read what the application has sent so far."""
        while not self._served.arrived.empty():
            self._read("what has been sent", time.monotonic(), 0)

    def wait_closed(self, timeout: float | None = None) -> WebSocketClose:
        """Wait until the server closes the WebSocket; raises Timeout."""
        bound = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + bound
        while self.closed is None:
            self._read("the end of the WebSocket", deadline, bound)
        return self.closed

    def arrived(self) -> str:
        """Tell what has arrived that nobody has taken."""
        return what_arrived(self._inbox, self._unreadable)

    def _read(self, awaited: str, deadline: float, bound: float) -> None:
        try:
            arrival = self._served.arrived.get(timeout=max(deadline - time.monotonic(), 0))
        except Empty:
            raise Timeout(f"waited {bound:g} s for {awaited}; {self.arrived()}") from None
        if isinstance(arrival, list):
            self._inbox.append(arrival)
        elif isinstance(arrival, Unreadable):
            self._unreadable.append(f"something unreadable: {arrival.problem}")
        elif isinstance(arrival, WebSocketClose):
            self.closed = arrival
        else:
            self._ended = arrival
            if self.closed is None and not self._left:
                how = "returned" if arrival.error is None else f"failed with {arrival.error!r}"
                # What a server makes of an application that leaves the WebSocket open.
                self.closed = WebSocketClose(1006, f"the application {how} without closing")

    def _note_end(self, raw: RawMessage) -> None:
        if raw[0] in (Abort.code, Goodbye.code):
            reason = raw[2] if len(raw) > 2 and isinstance(raw[2], str) else ""
            kind = "GOODBYE" if raw[0] == Goodbye.code else "ABORT"
            self.over = SessionClosed(reason, f"the session is over: {kind} came before, {reason}")

    def _raise_closed(self, awaited: str) -> NoReturn:
        if self.closed is None:
            raise SessionClosed(
                "",
                f"waited for {awaited}, but the test has closed the WebSocket; {self.arrived()}",
                by_client=True,
            )
        code, reason = self.closed.code, self.closed.reason
        self.over = SessionClosed(
            reason, f"the server has closed the WebSocket with code {code} {reason!r}", code=code
        )
        raise SessionClosed(
            reason,
            f"waited for {awaited}, but the server closed the WebSocket with code {code} {reason!r}; "
            f"{self.arrived()}",
            code=code,
        )

    # The end

    def close(self, *, at_once: bool = False) -> None:
        """Close the WebSocket if it is open, and wait until everything that served it has ended.

        ``at_once`` cancels the application instead of letting it end by itself. Raises what the application
        raised, and Timeout where it does not end.
        """
        late: Timeout | None = None
        if not at_once and self._ended is None:
            try:
                self.disconnect(1000)
            except Timeout as error:
                late = error
        awaited = "the end of the application's WebSocket"
        try:
            within(self.timeout, awaited, self._websocket.__exit__, None, None, None)
        except Timeout as later:
            if late is None:
                raise
            late.add_note(f"Then {later}")
        if late is not None:
            raise late
        if self._ended is not None and self._ended.error is not None:
            raise self._ended.error
