"""The calls in flight of one session: counts, cancellation and timeouts."""

from __future__ import annotations

from collections.abc import Awaitable, Container
from typing import Final

import anyio

from wampasgi.adapters import Task, TaskOwner, cancel
from wampasgi.configuration.handlers import Procedure
from wampasgi.errors import CANCELED, TIMEOUT, UNAVAILABLE, WAMPError
from wampasgi.limits import Limits
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.protocol.messages import Call, Cancel, Message
from wampasgi.router.call_messages import refuse_call
from wampasgi.router.invocations import RoutedSession
from wampasgi.router.router import Router
from wampasgi.sessions.changes import Changes
from wampasgi.sessions.held_requests import HeldRequest, HeldRequests
from wampasgi.types import RawMessage

#: The value that the sessions without such requests share. An empty dict for each would take memory.
NO_REQUESTS: Final[frozenset[int]] = frozenset()


class _HeldBytes:
    """The total size of the calls of one kind that came in long messages."""

    __slots__ = ("_sizes", "total")

    def __init__(self) -> None:
        # None until the first long message, because most sessions have none.
        self._sizes: dict[int, int] | None = None
        self.total = 0

    def add(self, request_id: int, size: int) -> None:
        if self._sizes is None:
            self._sizes = {}
        self._sizes[request_id] = size
        self.total += size

    def remove(self, request_id: int) -> None:
        if self._sizes:
            self.total -= self._sizes.pop(request_id, 0)

    def keep_only(self, request_ids: Container[int]) -> None:
        if self._sizes:
            self._sizes = {call: size for call, size in self._sizes.items() if call in request_ids}
            self.total = sum(self._sizes.values())


class CallsInFlight:
    """The calls of one session that have no final answer yet.

    Handlers of the realm answer some of them, other clients answer the rest. ``routed`` is the dealer's
    record of the session. ``requests`` owns the task that watches the deadlines, which runs only while there
    are any.
    """

    __slots__ = (
        "_answered",
        "_cancelled",
        "_deadlines",
        "_limits",
        "_own_bytes",
        "_peer",
        "_requests",
        "_routed",
        "_routed_bytes",
        "_router",
        "_sleep",
        "at_limit",
        "changes",
        "deciding",
        "held",
        "own",
        "waiting",
    )

    def __init__(
        self,
        peer: Peer,
        router: Router[Session],
        routed: RoutedSession,
        requests: TaskOwner,
        limits: Limits,
    ) -> None:
        self._peer = peer
        self._router = router
        self._routed = routed
        self._requests = requests
        self._limits = limits
        self._own_bytes = _HeldBytes()
        self._routed_bytes = _HeldBytes()
        # The calls that were cancelled and answered, but whose handlers still run.
        self._answered = NO_REQUESTS
        # The deadline, the timeout in seconds and the error text of each call of a handler that can time out.
        self._deadlines: dict[int, tuple[float, float, str]] = {}
        # The errors of calls whose handlers were cancelled and have not ended yet.
        self._cancelled: dict[int, WAMPError] = {}
        self._sleep: anyio.CancelScope | None = None
        routed.on_deadline = self._watch_deadlines
        #: The tasks of the handlers that are running, by request ID of the call.
        self.own: dict[int, Task] = {}
        #: Notified when a handler ends, and when a queue gets shorter.
        self.changes = Changes()
        #: True if a further call must wait, because so many handlers run or other calls wait already.
        self.at_limit = False
        #: The call that the authorizer is asked about.
        self.deciding: Call | None = None
        #: The calls that wait for a handler to end. Made on first use, as is ``held``.
        self.waiting: HeldRequests | None = None
        #: The requests that have not been looked at, because an earlier one keeps the session busy.
        self.held: HeldRequests | None = None

    # Calls of the realm's own procedures

    def add_own(self, message: Call, task: Task, size: int = 0) -> None:
        """Count a call whose handler runs in ``task``. ``size`` is known if the call had to wait."""
        self.own[message.request_id] = task
        size = size or self._peer.turn.size_of(message)
        if size:
            self._own_bytes.add(message.request_id, size)
        if self._full:
            self.at_limit = True

    @property
    def _full(self) -> bool:
        """Return whether so many handlers run that a further one must wait."""
        return (
            len(self.own) >= self._limits.requests_in_flight
            or self._own_bytes.total > self._limits.requests_bytes
        )

    def _check_limit(self) -> None:
        self.at_limit = self._full or bool(self.waiting)

    def put_off(self, message: Call, procedure: Procedure) -> Awaitable[None] | None:
        """Let a call wait for a handler to end; return an awaitable if the queue of these calls was full."""
        if self.waiting is None:
            self.waiting = HeldRequests(self._limits, self.changes)
        pause = self.waiting.put(message, self._peer.turn.size_of(message), procedure=procedure)
        if message.options:
            self._watch_deadlines()
        return pause

    async def next_waiting(self) -> HeldRequest | None:
        """Wait until the next waiting call may begin, and return it; return None if no call waits."""
        waiting = self.waiting
        while waiting and self._full and self._peer.ending is None:
            await self.changes.wait()
        if self._peer.ending is not None:
            self.drop_waiting()
        taken = waiting.take() if waiting else None
        self._check_limit()
        return taken

    def drop_waiting(self) -> None:
        """Drop the calls that wait for a handler to end, because the session ends."""
        if self.waiting is not None:
            self.waiting.clear()

    async def wait_for_end(self, request_id: int) -> None:
        """Wait until the handler of one call has ended."""
        while request_id in self.own:
            await self.changes.wait()

    def includes(self, request_id: int) -> bool:
        """Return whether a call of one of the realm's own procedures is in flight, or waits."""
        return request_id in self.own or (self.waiting is not None and request_id in self.waiting)

    def hold_requests(self) -> HeldRequests:
        """Return the queue of the requests that have not been looked at."""
        if self.waiting is None:
            self.waiting = HeldRequests(self._limits, self.changes)
        self.held = HeldRequests(self._limits, self.changes, self.waiting)
        return self.held

    def hold(self, message: Message) -> Awaitable[None] | None:
        """Hold a request; return an awaitable if the queue of these requests was full."""
        held = self.held
        assert held is not None, "the requests are held by a backlog"
        size = self._peer.turn.size_of(message)
        if not isinstance(message, Call) or not message.options:
            return held.put(message, size)
        # If a call with this ID is in flight, this is a further part of it or will be refused.
        timed = not self.includes(message.request_id) and not self.is_routed(message.request_id)
        pause = held.put(message, size, timed=timed)
        self._watch_deadlines()
        return pause

    def is_routed(self, request_id: int) -> bool:
        """Return whether a call of another client's procedure is in flight, or may have parts to come."""
        return request_id in self._routed.calls or request_id in self._routed.ended_early

    def is_given_up(self, request_id: int) -> bool:
        """Return whether a call has been answered although its handler still runs."""
        return request_id in self._answered

    def end_own(self, request_id: int, answer: RawMessage | None) -> RawMessage | None:
        """Remove a call whose handler has ended, and return the answer that is still due, if any.

        Without an ``answer`` the handler was cancelled. Then the error is sent from here, because the
        cancellation propagates further.
        Spec: Advanced Profile, "Call Canceling" and "Call Timeouts".
        """
        self.own.pop(request_id, None)
        self._own_bytes.remove(request_id)
        if self._deadlines:
            self._deadlines.pop(request_id, None)
        error = self._cancelled.pop(request_id, None)
        if self.at_limit:
            self._check_limit()
        if self.changes.awaited is not None:
            self.changes.notify()
        if request_id in self._answered:
            self._answered -= {request_id}
            return None
        if answer is None:
            self._peer.send_error(Call.code, request_id, error or WAMPError(CANCELED))
        return answer

    # Calls of other clients' procedures

    def hold_routed(self, message: Call) -> None:
        """Count a call that is about to be routed.

        Raises WAMPError ``wamp.error.unavailable`` if the session is at its limits.
        """
        calls, limits = self._routed.calls, self._limits
        if len(calls) >= limits.routed_calls:
            raise WAMPError(
                UNAVAILABLE,
                f"this session has {limits.routed_calls} unanswered calls, its limit routed_calls",
            )
        size = self._peer.turn.size_of(message)
        if not size:
            return
        held, limit = self._routed_bytes, limits.requests_bytes
        if held.total + size > limit:
            # Calls that have ended are removed only when their room is needed.
            held.keep_only(calls)
        if held.total + size > limit:
            raise WAMPError(
                UNAVAILABLE,
                f"the unanswered calls of this session would be over the limit requests_bytes of {limit}",
            )
        held.add(message.request_id, size)

    # Canceling

    def cancel(self, message: Cancel) -> None:
        """Cancel a call according to its mode; a call that has been answered is left alone.

        ``skip`` answers at once and lets the handler or callee finish, ``killnowait`` answers at once and
        interrupts it, ``kill`` interrupts it and answers when it has ended. A call that nobody has begun to
        handle is answered at once.
        Spec: Advanced Profile, "Call Canceling", which names no default; here it is ``killnowait``.
        """
        request_id = message.request_id
        not_begun = self._take_not_begun(request_id)
        if not_begun is not None:
            self._refuse(not_begun, WAMPError(CANCELED))
            return
        if request_id not in self.own:
            self._router.deliver(self._router.dealer.cancel(self._routed.session_id, message))
            return
        if request_id in self._answered:
            return
        mode, error = message.options.get("mode", "killnowait"), WAMPError(CANCELED)
        if mode != "kill":
            self._answered |= {request_id}
            self._peer.send_error(Call.code, request_id, error)
        if mode != "skip":
            self._cancel_handler(request_id, error)

    def _take_not_begun(self, request_id: int) -> Call | None:
        """Remove a call that neither a handler nor another client has, and return it."""
        deciding, waiting = self.deciding, self.waiting
        if deciding is not None and deciding.request_id == request_id:
            self.deciding = None
            return deciding
        if waiting is not None and (call := waiting.remove(request_id)) is not None:
            self._check_limit()
            return call
        # A held call with the ID of one in flight is a further part of it, or will be refused.
        if self.held is None or self.includes(request_id) or self.is_routed(request_id):
            return None
        return self.held.remove(request_id)

    def _refuse(self, call: Call, error: WAMPError) -> None:
        self._router.deliver([refuse_call(self._routed, call, error)])

    def _cancel_handler(self, request_id: int, error: WAMPError) -> None:
        """Cancel the handler of a call, once: on asyncio a second time would interrupt its cleanup."""
        if request_id not in self._cancelled:
            self._cancelled[request_id] = error
            cancel(self.own[request_id])

    # Deadlines

    def set_deadline(self, request_id: int, seconds: float, text: str) -> None:
        """Cancel the handler of a call after ``seconds``; ``text`` is the message of the error."""
        self._deadlines[request_id] = anyio.current_time() + seconds, seconds, text
        self._watch_deadlines()

    def extend_deadline(self, request_id: int) -> None:
        """Restart the timeout of a call that has sent a progressive result.

        Spec: Advanced Profile, "Call Timeouts": the timeout is the time between two results.
        """
        if request_id in self._deadlines:
            _, seconds, text = self._deadlines[request_id]
            self._deadlines[request_id] = anyio.current_time() + seconds, seconds, text

    def _next_deadline(self) -> float | None:
        deadlines = [deadline for deadline, _, _ in self._deadlines.values()]
        routed = self._router.dealer.deadline(self._routed.session_id)
        if routed is not None:
            deadlines.append(routed)
        for queue in self.waiting, self.held:
            held = queue.next_deadline() if queue else None
            if held is not None:
                deadlines.append(held)
        return min(deadlines, default=None)

    def _watch_deadlines(self) -> None:
        deadline = self._next_deadline()
        if deadline is None:
            return
        if self._sleep is None:
            self._sleep = anyio.CancelScope()
            self._requests.spawn(self._keep_deadlines)
        else:
            self._sleep.deadline = min(self._sleep.deadline, deadline)

    async def _keep_deadlines(self) -> None:
        try:
            while (deadline := self._next_deadline()) is not None:
                with anyio.CancelScope(deadline=deadline) as self._sleep:
                    await anyio.sleep_forever()
                self._expire(anyio.current_time())
        finally:
            self._sleep = None

    def _expire(self, now: float) -> None:
        for request_id, (deadline, _, text) in list(self._deadlines.items()):
            if deadline <= now:
                del self._deadlines[request_id]
                self._cancel_handler(request_id, WAMPError(TIMEOUT, text))
        for queue in self.waiting, self.held:
            for call in queue.expire(now) if queue else ():
                text = f"the call gave no result within {call.options['timeout'] / 1000} s"
                self._refuse(call, WAMPError(TIMEOUT, text))
        self._check_limit()
        self._router.deliver(self._router.dealer.expire(self._routed.session_id, now))
