"""What the dealer remembers of a session: the calls that it made, and the invocations that it was sent.

Spec: Basic Profile, "Calling and Invocations"; Advanced Profile, "Call Canceling" and "Progressive Call
Invocations".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from wampasgi.errors import RemoteProtocolError
from wampasgi.protocol.features import announced
from wampasgi.protocol.ids import MAX_ID
from wampasgi.protocol.messages import MESSAGE_NAMES, Call, Error, Yield
from wampasgi.router.interfaces import SessionDetails
from wampasgi.router.registrations import Callee, Registration

#: How many of its invocations that were given up, and of its calls that ended before the last CALL, are
#: remembered of one session.
MAX_REMEMBERED: Final = 1000


@dataclass(slots=True, eq=False)
class PendingCall:
    """A CALL that waits for its final answer, and the INVOCATION that it became.

    ``tried`` holds the session IDs of the callees that it was sent to. ``message`` is kept for as long as it
    could be sent to one more. ``deadline`` is on the clock of whoever calls the dealer, None where nothing is
    to be timed here; ``only`` is the one session that the call is for, where there is one.
    """

    caller: RoutedSession
    message: Call
    registration: Registration
    disclose: bool
    started_at: float
    only: int | None = None
    tried: tuple[int, ...] = ()
    callee: RoutedSession | None = None
    taken_by: Callee | None = None
    invocation_id: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    deadline: float | None = None
    #: The caller has sent the last CALL of a progressive call, or its only one.
    complete: bool = True
    #: One more CALL has come since the first, so that no other callee could take over.
    continued: bool = False
    #: The callee was told to give up, and the caller waits for what it says to that.
    interrupted: bool = False


class RoutedSession:
    """A session as caller and as callee."""

    __slots__ = (
        "_given_up",
        "_uncertain_up_to",
        "callee_features",
        "caller_features",
        "calls",
        "ended_early",
        "invocations",
        "last_invocation_id",
        "on_deadline",
        "peer",
        "session_id",
    )

    def __init__(self, session_id: int, peer: SessionDetails) -> None:
        self.session_id = session_id
        self.peer = peer
        self.caller_features = announced(peer.details, "caller")
        self.callee_features = announced(peer.details, "callee")
        #: Its calls that wait for an answer, by CALL.Request.
        self.calls: dict[int, PendingCall] = {}
        #: The invocations that it has to answer, by INVOCATION.Request.
        self.invocations: dict[int, PendingCall] = {}
        self.last_invocation_id = 0
        #: Called when one of its calls gets a deadline, for whoever has the clock.
        self.on_deadline: Callable[[], None] | None = None
        # Invocations that may still be answered although nobody waits any more, with the callee whose place
        # the answer makes free.
        self._given_up: dict[int, Callee | None] = {}
        # Up to here invocations have dropped out of that, so that an answer may be late or a violation.
        self._uncertain_up_to = 0
        #: Progressive calls that ended before their last CALL came, with their procedures.
        self.ended_early: dict[int, str] = {}

    # As callee

    def open_invocation(self, pending: PendingCall, taken_by: Callee) -> None:
        """Give the call the next INVOCATION.Request of this callee."""
        self.last_invocation_id = self.last_invocation_id % MAX_ID + 1
        pending.callee, pending.taken_by = self, taken_by
        pending.invocation_id = self.last_invocation_id
        pending.tried += (self.session_id,)
        self.invocations[pending.invocation_id] = pending
        taken_by.running += 1

    def close_invocation(self, pending: PendingCall) -> None:
        """The callee has answered; a second answer is a violation unless it was interrupted meanwhile."""
        del self.invocations[pending.invocation_id]
        assert pending.taken_by is not None
        pending.taken_by.running -= 1
        if pending.interrupted:
            self._remember_given_up(pending.invocation_id, None)

    def give_up_invocation(self, pending: PendingCall, *, still_runs: bool) -> None:
        """Nobody waits for the answer any more; with ``still_runs`` it comes, and makes the place free."""
        del self.invocations[pending.invocation_id]
        taken_by = pending.taken_by
        assert taken_by is not None
        if not still_runs:
            taken_by.running -= 1
        self._remember_given_up(pending.invocation_id, taken_by if still_runs else None)

    def withdraw_invocation(self, pending: PendingCall) -> None:
        """Take back an INVOCATION that could not be sent, and its ID, so that there is no gap."""
        del self.invocations[pending.invocation_id]
        assert pending.taken_by is not None
        pending.taken_by.running -= 1
        if pending.invocation_id == self.last_invocation_id:
            self.last_invocation_id -= 1

    def _remember_given_up(self, invocation_id: int, taken_by: Callee | None) -> None:
        self._given_up[invocation_id] = taken_by
        if len(self._given_up) > MAX_REMEMBERED:
            oldest = next(iter(self._given_up))
            _make_free(self._given_up.pop(oldest))
            self._uncertain_up_to = max(self._uncertain_up_to, oldest)

    def take_late_answer(self, message: Yield | Error) -> None:
        """Take an answer that nobody waits for; raises RemoteProtocolError where nobody ever did.

        An invocation that was answered counts as such, too.
        """
        invocation_id = message.request_id
        if invocation_id in self._given_up:
            if type(message) is not Yield or not message.options.get("progress", False):
                _make_free(self._given_up[invocation_id])
                self._given_up[invocation_id] = None
        elif invocation_id > self._uncertain_up_to:
            name = MESSAGE_NAMES[message.code]
            raise RemoteProtocolError(
                f"{name} for invocation {invocation_id}, which this session does not have"
            )

    # As caller

    def remember_ended_early(self, message: Call) -> None:
        """A progressive call has ended before its last CALL came: what still comes is to be discarded."""
        self.ended_early[message.request_id] = message.procedure
        if len(self.ended_early) > MAX_REMEMBERED:
            del self.ended_early[next(iter(self.ended_early))]

    def discard_continuation(self, message: Call) -> bool:
        """Tell whether this CALL continues one that has ended; its last one ends that, too.

        Spec: Advanced Profile, "Continuations on Completed Calls".
        """
        if not self.ended_early or self.ended_early.get(message.request_id) != message.procedure:
            return False
        if not message.options.get("progress", False):
            del self.ended_early[message.request_id]
        return True

    def may_continue(self, message: Call) -> bool:
        """Tell whether this CALL can be one that continues another, of the same ID and procedure."""
        pending = self.calls.get(message.request_id)
        if pending is not None:
            return not pending.complete and pending.message.procedure == message.procedure
        return self.ended_early.get(message.request_id) == message.procedure


def _make_free(callee: Callee | None) -> None:
    if callee is not None:
        callee.running -= 1
