"""The calls of one session that are in flight: one place counts, cancels and times them, whoever answers."""

from __future__ import annotations

from collections.abc import Container

import anyio

from wampasgi.adapters import Task, TaskOwner
from wampasgi.errors import CANCELED, TIMEOUT, UNAVAILABLE, WAMPError
from wampasgi.limits import Limits
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.protocol.messages import Call, Cancel
from wampasgi.router.invocations import RoutedSession
from wampasgi.router.router import Router
from wampasgi.types import RawMessage


class _HeldBytes:
    """The bytes of the calls of one kind that came in long messages."""

    __slots__ = ("_sizes", "total")

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self.total = 0

    def add(self, request_id: int, size: int) -> None:
        self._sizes[request_id] = size
        self.total += size

    def remove(self, request_id: int) -> None:
        if self._sizes:
            self.total -= self._sizes.pop(request_id, 0)

    def keep_only(self, request_ids: Container[int]) -> None:
        self._sizes = {call: size for call, size in self._sizes.items() if call in request_ids}
        self.total = sum(self._sizes.values())


class CallsInFlight:
    """The calls of one session that have no final answer yet.

    Handlers of the realm answer some of them, other clients answer the rest. ``routed`` is the dealer's
    record of the session. ``requests`` own the task that watches the deadlines, as long as there are any.
    """

    __slots__ = (
        "_cancelled",
        "_deadlines",
        "_given_up",
        "_limits",
        "_own_bytes",
        "_peer",
        "_requests",
        "_room",
        "_routed",
        "_routed_bytes",
        "_router",
        "_sleep",
        "own",
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
        self._room: anyio.Event | None = None
        # The calls of handlers that have their answer already, because they were cancelled.
        self._given_up: dict[int, None] = {}
        # Deadline, seconds and error of the calls of handlers that can time out.
        self._deadlines: dict[int, tuple[float, float, str]] = {}
        # The errors of the calls whose handlers were cancelled and have not ended yet.
        self._cancelled: dict[int, WAMPError] = {}
        self._sleep: anyio.CancelScope | None = None
        routed.on_deadline = self._watch_deadlines
        #: The calls whose handlers run, by request ID, with their tasks.
        self.own: dict[int, Task] = {}

    # Calls of the realm's own procedures

    def add_own(self, message: Call, task: Task) -> None:
        """Count a call whose handler runs."""
        self.own[message.request_id] = task
        size = self._peer.turn.size_of(message)
        if size:
            self._own_bytes.add(message.request_id, size)

    @property
    def full(self) -> bool:
        """Whether so many handlers run that the session is not read from."""
        return (
            len(self.own) >= self._limits.requests_in_flight
            or self._own_bytes.total > self._limits.requests_bytes
        )

    async def wait_for_room(self) -> None:
        """Wait as long as it is full."""
        while self.full:
            await self._wait_for_any_end()

    async def wait_for_end(self, request_id: int) -> None:
        """Wait until the handler of one call has ended."""
        while request_id in self.own:
            await self._wait_for_any_end()

    async def _wait_for_any_end(self) -> None:
        self._room = anyio.Event()
        await self._room.wait()

    def is_given_up(self, request_id: int) -> bool:
        """Return whether a call whose handler runs has its answer already."""
        return request_id in self._given_up

    def end_own(self, request_id: int, answer: RawMessage | None) -> RawMessage | None:
        """Forget a call whose handler has ended, and return the answer that is still due, if any.

        The handler was cancelled if it has no ``answer``: then the error is sent from here, because the
        cancellation goes on.
        Spec: Advanced Profile, "Call Canceling" and "Call Timeouts".
        """
        self.own.pop(request_id, None)
        self._own_bytes.remove(request_id)
        if self._deadlines:
            self._deadlines.pop(request_id, None)
        error = self._cancelled.pop(request_id, None)
        if self._room is not None:
            self._room.set()
        if request_id in self._given_up:
            del self._given_up[request_id]
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
                f"{limits.routed_calls} calls of this session wait for their answers, its limit routed_calls",
            )
        size = self._peer.turn.size_of(message)
        if not size:
            return
        held, limit = self._routed_bytes, limits.requests_bytes
        if held.total + size > limit:
            # Only now do we look for the calls that have ended.
            held.keep_only(calls)
        if held.total + size > limit:
            raise WAMPError(
                UNAVAILABLE,
                f"the calls of this session that wait for their answers would be over the limit "
                f"requests_bytes of {limit}",
            )
        held.add(message.request_id, size)

    # Canceling

    def cancel(self, message: Cancel) -> None:
        """Cancel a call as its mode says; a call that has its answer is left alone.

        ``skip`` answers at once and lets the handler or callee finish, ``killnowait`` answers at once and
        interrupts it, ``kill`` interrupts it and answers when it is done.
        Spec: Advanced Profile, "Call Canceling", which names no default; here it is ``killnowait``.
        """
        request_id = message.request_id
        if request_id not in self.own:
            self._router.deliver(self._router.dealer.cancel(self._routed.session_id, message))
            return
        if request_id in self._given_up:
            return
        mode, error = message.options.get("mode", "killnowait"), WAMPError(CANCELED)
        if mode != "kill":
            self._given_up[request_id] = None
            self._peer.send_error(Call.code, request_id, error)
        if mode != "skip":
            self._cancel_handler(request_id, error)

    def _cancel_handler(self, request_id: int, error: WAMPError) -> None:
        """Cancel the handler of a call, once: on asyncio a second time would interrupt its cleanup."""
        if request_id not in self._cancelled:
            self._cancelled[request_id] = error
            self.own[request_id].cancel()

    # Deadlines

    def set_deadline(self, request_id: int, seconds: float, text: str) -> None:
        """Cancel the handler of a call after ``seconds``, unless it has ended; the error says ``text``."""
        self._deadlines[request_id] = anyio.current_time() + seconds, seconds, text
        self._watch_deadlines()

    def extend_deadline(self, request_id: int) -> None:
        """Begin the time of a call anew, because it has given a progressive result.

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
        self._router.deliver(self._router.dealer.expire(self._routed.session_id, now))
