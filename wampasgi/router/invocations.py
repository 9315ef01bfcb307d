"""The dealer's record of a session: the calls that it made, and the invocations that it was sent.

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

#: The maximum number of invocations given up, and of progressive calls ended early, that are remembered for
#: each session.
MAX_REMEMBERED: Final = 1000


@dataclass(slots=True, eq=False)
class PendingCall:
    """A CALL without a final answer yet, and its INVOCATION.

    ``callee`` is the session that got the INVOCATION, and ``taken_by`` is its entry in the registration.
    ``tried`` holds the session IDs of all callees so far; ``message`` is kept in case the call is rerouted.
    ``deadline`` is on the clock of the dealer's caller, and None if the dealer does not time the call.
    ``only`` is the session that the call is addressed to, if any. A ``relayed`` call comes from another
    worker.
    """

    caller: RoutedSession
    message: Call
    registration: Registration
    disclose: bool
    started_at: float
    only: int | None = None
    relayed: bool = False
    tried: tuple[int, ...] = ()
    callee: RoutedSession | None = None
    taken_by: Callee | None = None
    invocation_id: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    deadline: float | None = None
    #: True if the caller has sent the last CALL of the call.
    complete: bool = True
    #: True if a second CALL has followed. No other callee can take over then.
    continued: bool = False
    #: True if the callee was interrupted and the caller still waits for its answer.
    interrupted: bool = False


class RoutedSession:
    """A session as caller and as callee.

    A progressive call ends early if it is answered before the caller has sent its last CALL. The parts that
    follow are discarded, as the specification demands.
    """

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
        #: Its pending calls, by CALL.Request.
        self.calls: dict[int, PendingCall] = {}
        #: Its unanswered invocations, by INVOCATION.Request.
        self.invocations: dict[int, PendingCall] = {}
        self.last_invocation_id = 0
        #: Called when one of its calls gets a deadline.
        self.on_deadline: Callable[[], None] | None = None
        # Invocations that may still be answered although the caller no longer waits. The value is the callee
        # entry whose slot the answer frees, if any.
        self._given_up: dict[int, Callee | None] = {}
        # The highest ID that was evicted from _given_up. An answer to an ID up to this one may be late or a
        # violation; it is ignored.
        self._uncertain_up_to = 0
        #: The procedures of progressive calls that ended early, by CALL.Request.
        self.ended_early: dict[int, str] = {}

    # As callee

    def open_invocation(self, pending: PendingCall, taken_by: Callee) -> None:
        """Assign a call to this callee, under the callee's next INVOCATION.Request."""
        self.last_invocation_id = self.last_invocation_id % MAX_ID + 1
        pending.callee, pending.taken_by = self, taken_by
        pending.invocation_id = self.last_invocation_id
        pending.tried += (self.session_id,)
        self.invocations[pending.invocation_id] = pending
        taken_by.running += 1

    def close_invocation(self, pending: PendingCall) -> None:
        """Close an invocation that was answered.

        A second answer is a violation, unless the callee was interrupted: its INTERRUPT may cross the answer.
        """
        del self.invocations[pending.invocation_id]
        assert pending.taken_by is not None
        pending.taken_by.running -= 1
        if pending.interrupted:
            self._remember_given_up(pending.invocation_id, None)

    def give_up_invocation(self, pending: PendingCall, *, still_runs: bool) -> None:
        """Stop waiting for an answer; with ``still_runs``, the slot is freed only when the answer arrives."""
        del self.invocations[pending.invocation_id]
        taken_by = pending.taken_by
        assert taken_by is not None
        if not still_runs:
            taken_by.running -= 1
        self._remember_given_up(pending.invocation_id, taken_by if still_runs else None)

    def withdraw_invocation(self, pending: PendingCall) -> None:
        """Take back an INVOCATION that could not be sent, and its ID to avoid a gap in the sequence."""
        del self.invocations[pending.invocation_id]
        assert pending.taken_by is not None
        pending.taken_by.running -= 1
        if pending.invocation_id == self.last_invocation_id:
            self.last_invocation_id -= 1

    def _remember_given_up(self, invocation_id: int, taken_by: Callee | None) -> None:
        self._given_up[invocation_id] = taken_by
        if len(self._given_up) > MAX_REMEMBERED:
            oldest = next(iter(self._given_up))
            _free_slot(self._given_up.pop(oldest))
            self._uncertain_up_to = max(self._uncertain_up_to, oldest)

    def take_late_answer(self, message: Yield | Error) -> None:
        """Accept an answer to an invocation that was given up.

        Raises RemoteProtocolError if the invocation never existed or has been answered before.
        """
        invocation_id = message.request_id
        if invocation_id in self._given_up:
            if type(message) is not Yield or not message.options.get("progress", False):
                _free_slot(self._given_up[invocation_id])
                self._given_up[invocation_id] = None
        elif invocation_id > self._uncertain_up_to:
            name = MESSAGE_NAMES[message.code]
            raise RemoteProtocolError(
                f"{name} for invocation {invocation_id}, which this session does not have"
            )

    # As caller

    def remember_ended_early(self, message: Call) -> None:
        """Remember a progressive call that ended early, to discard its further parts."""
        self.ended_early[message.request_id] = message.procedure
        if len(self.ended_early) > MAX_REMEMBERED:
            del self.ended_early[next(iter(self.ended_early))]

    def discard_continuation(self, message: Call) -> bool:
        """Return whether this CALL continues a call that ended early and must be discarded.

        The last CALL of such a call also ends the record of it.
        Spec: Advanced Profile, "Continuations on Completed Calls".
        """
        if not self.ended_early or self.ended_early.get(message.request_id) != message.procedure:
            return False
        if not message.options.get("progress", False):
            del self.ended_early[message.request_id]
        return True

    def may_continue(self, message: Call) -> bool:
        """Return whether this CALL can continue an earlier one with the same request ID and procedure."""
        pending = self.calls.get(message.request_id)
        if pending is not None:
            return not pending.complete and pending.message.procedure == message.procedure
        return self.ended_early.get(message.request_id) == message.procedure


def _free_slot(callee: Callee | None) -> None:
    if callee is not None:
        callee.running -= 1
