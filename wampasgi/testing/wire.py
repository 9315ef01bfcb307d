"""The part of a test's WebSocket that runs in the test's thread. Each wait on it has a timeout."""

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

from wampasgi.client.core import SessionCore
from wampasgi.protocol.messages import Goodbye
from wampasgi.serializers import Subprotocol
from wampasgi.testing.arrival import Arrival, read_arrival
from wampasgi.testing.errors import ExpectationFailed, SessionClosed, Timeout, describe_arrived
from wampasgi.testing.socket import AppExit, InvalidFrame, ServedSocket, WebSocketClose, message_event
from wampasgi.types import RawMessage

T = TypeVar("T")


def within(timeout: float, description: str, function: Callable[..., T], *args: Any) -> T:
    """Call a function that may block forever, and raise Timeout after ``timeout`` seconds.

    The function runs in its own thread, because nothing can interrupt a wait for a blocked event loop. After
    a Timeout, the thread goes on.
    """
    outcome: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            outcome.set_result(context.run(function, *args))
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            outcome.set_exception(error)

    thread = Thread(target=run, daemon=True, name=f"wampasgi test client: {description}")
    thread.start()
    thread.join(timeout)
    if not outcome.done():
        raise Timeout(
            f"{description} took longer than {timeout:g} s: the timeout is too short (timeout=), or "
            "something in the application blocks the event loop or ignores cancellation"
        )
    return outcome.result()


class Wire:
    """An open WebSocket, and the messages that have arrived on it and nothing has taken.

    ``timeout`` is the default timeout of each wait, in seconds.
    """

    def __init__(
        self, served: ServedSocket, websocket: WebSocketTestSession, subprotocol: Subprotocol, timeout: float
    ) -> None:
        self._served = served
        self._websocket = websocket
        self._inbox: list[Arrival] = []
        self._core: SessionCore[object] | None = None
        self._sent_raw = False
        self._invalid_frames: list[str] = []
        self._app_exit: AppExit | None = None
        self._left = False
        self.subprotocol = subprotocol
        self.timeout = timeout
        #: The close code and reason from the server, once they have been read.
        self.closed: WebSocketClose | None = None
        #: The reason why the session is over: GOODBYE or ABORT was taken, or the WebSocket is closed.
        self.over: SessionClosed | None = None

    # To the application

    def send(self, *messages: RawMessage) -> None:
        """Send messages in one WebSocket message. Only a batched subprotocol allows more than one."""
        event = message_event(self._encode(messages))
        self._sent_raw = True
        says_goodbye = any(message[:1] == [Goodbye.code] for message in messages)
        self._hand_over(partial(self._served.deliver_unchecked, event, says_goodbye=says_goodbye))

    def send_frame(self, data: str | bytes) -> None:
        """Send one WebSocket message unchecked."""
        self._sent_raw = True
        self._hand_over(partial(self._served.deliver, message_event(data)))

    def send_in_session(self, message: RawMessage) -> None:
        """Send a message of the session. Drop it if the session has already sent GOODBYE.

        The next wait then finds the server's GOODBYE.
        """
        self._hand_over(partial(self._served.deliver_in_session, message_event(self._encode([message]))))

    def send_goodbye(self, goodbye: RawMessage) -> None:
        """Send GOODBYE, unless the server's GOODBYE has already been answered."""
        self._hand_over(partial(self._served.deliver_goodbye, message_event(self._encode([goodbye]))))

    def begin_session(self, core: SessionCore[object], *, answers_goodbye: bool) -> None:
        """Prepare for a new session on the WebSocket. Its core gets all further messages."""
        self.read_arrived()
        self._core, self._sent_raw = core, False
        self.over = None
        self._hand_over(partial(self._served.begin_session, answers_goodbye=answers_goodbye))

    def disconnect(self, code: int, reason: str = "") -> None:
        """Close the WebSocket as the client, and wait until the application returns."""
        if self.over is None:
            self.over = SessionClosed(reason, "the test closed the WebSocket", code=code, by_client=True)
        self._left = True
        event = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self._hand_over(partial(self._served.deliver, event))
        deadline = time.monotonic() + self.timeout
        while self._app_exit is None:
            self._read("the application's return after the WebSocket was closed", deadline, self.timeout)

    def settle(self) -> None:
        """Wait until all tasks of the application are blocked, be it on a timer, a thread or a client."""
        portal = self._websocket.portal
        within(self.timeout, "waiting until all tasks are blocked", portal.call, anyio.wait_all_tasks_blocked)

    def _encode(self, messages: Iterable[RawMessage]) -> str | bytes:
        encode = self.subprotocol.serializer.encode
        return self.subprotocol.frame([encode(message) for message in messages])

    def _hand_over(self, delivery: Callable[[], None]) -> None:
        portal = self._websocket.portal
        within(self.timeout, "sending an event to the application", portal.call, delivery)

    # From the application

    def take(
        self, matches: Callable[[Arrival], bool], description: str, timeout: float | None = None
    ) -> Arrival:
        """Wait for the first message that matches, and return it. Keep the other messages, in order.

        ``description`` is used in errors: "waited for ...". Raises Timeout, SessionClosed if the WebSocket is
        closed, and ExpectationFailed if a frame cannot be decoded.
        """
        arrival = self._inbox.pop(self._wait(matches, description, timeout))
        self._note_end(arrival)
        return arrival

    def peek(
        self, matches: Callable[[Arrival], bool], description: str, timeout: float | None = None
    ) -> Arrival:
        """Wait like ``take``, but keep the message."""
        return self._inbox[self._wait(matches, description, timeout)]

    def take_arrived(self, matches: Callable[[Arrival], bool]) -> Arrival | None:
        """Return the first message that matches without waiting, or None if no message does."""
        for index, arrival in enumerate(self._inbox):
            if matches(arrival):
                del self._inbox[index]
                self._note_end(arrival)
                return arrival
        return None

    def _wait(self, matches: Callable[[Arrival], bool], description: str, timeout: float | None) -> int:
        bound = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + bound
        index = 0
        while True:
            while index < len(self._inbox):
                if matches(self._inbox[index]):
                    return index
                index += 1
            if self._invalid_frames:
                problem = f"waited for {description}; {self.arrived()}"
                self._invalid_frames.clear()
                raise ExpectationFailed(problem)
            if self.closed is not None or self._left:
                self._raise_closed(description)
            self._read(description, deadline, bound)

    def read_arrived(self) -> None:
        """Read everything that the application has sent so far, without waiting."""
        while not self._served.arrived.empty():
            self._read("queued messages", time.monotonic(), 0)

    def wait_closed(self, timeout: float | None = None) -> WebSocketClose:
        """Wait until the server closes the WebSocket. Raises Timeout."""
        bound = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + bound
        while self.closed is None:
            self._read("the end of the WebSocket", deadline, bound)
        return self.closed

    def arrived(self) -> str:
        """Return a description of what has arrived and nothing has taken."""
        return describe_arrived([arrival.raw for arrival in self._inbox], self._invalid_frames)

    def _read(self, description: str, deadline: float, bound: float) -> None:
        try:
            item = self._served.arrived.get(timeout=max(deadline - time.monotonic(), 0))
        except Empty:
            raise Timeout(f"waited {bound:g} s for {description}; {self.arrived()}") from None
        if isinstance(item, list):
            arrival = read_arrival(item, self._core, strict=not self._sent_raw)
            if arrival is not None:
                self._inbox.append(arrival)
        elif isinstance(item, InvalidFrame):
            self._invalid_frames.append(f"an invalid frame: {item.problem}")
        elif isinstance(item, WebSocketClose):
            self.closed = item
        else:
            self._app_exit = item
            if self.closed is None and not self._left:
                how = "returned" if item.error is None else f"failed with {item.error!r}"
                # A server closes the WebSocket with this code if the application leaves it open.
                self.closed = WebSocketClose(1006, f"the application {how} without closing")

    def _note_end(self, arrival: Arrival) -> None:
        raw = arrival.raw
        if arrival.ends_session:
            reason = raw[2] if len(raw) > 2 and isinstance(raw[2], str) else ""
            kind = "GOODBYE" if raw[0] == Goodbye.code else "ABORT"
            self.over = SessionClosed(reason, f"the session is over: it ended with {kind}, {reason}")

    def _raise_closed(self, description: str) -> NoReturn:
        if self.closed is None:
            raise SessionClosed(
                "",
                f"waited for {description}, but the test closed the WebSocket; {self.arrived()}",
                by_client=True,
            )
        code, reason = self.closed.code, self.closed.reason
        self.over = SessionClosed(
            reason, f"the server closed the WebSocket with code {code} {reason!r}", code=code
        )
        raise SessionClosed(
            reason,
            f"waited for {description}, but the server closed the WebSocket with code {code} {reason!r}; "
            f"{self.arrived()}",
            code=code,
        )

    # The end

    def close(self, *, at_once: bool = False) -> None:
        """Close the WebSocket if it is open, and wait until the application has ended.

        ``at_once`` cancels the application instead of letting it end by itself. Raises the application's
        exception, if there is one, and Timeout if the application does not end.
        """
        late: Timeout | None = None
        if not at_once and self._app_exit is None:
            try:
                self.disconnect(1000)
            except Timeout as error:
                late = error
        description = "the end of the application's WebSocket"
        try:
            within(self.timeout, description, self._websocket.__exit__, None, None, None)
        except Timeout as later:
            if late is None:
                raise
            late.add_note(f"Then {later}")
        if late is not None:
            raise late
        if self._app_exit is not None and self._app_exit.error is not None:
            raise self._app_exit.error
