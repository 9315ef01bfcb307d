"""The messages of a call between two sessions, and the record of its early end.

Spec: Basic Profile, "Remote Procedure Calls"; Advanced Profile, "Call Canceling" and "Progressive Call
Invocations".
"""

from __future__ import annotations

from typing import TypeAlias

from wampasgi.errors import WAMPError
from wampasgi.protocol.messages import Call, Error, Interrupt, Invocation, Message
from wampasgi.router.invocations import PendingCall, RoutedSession

#: A message and the session ID of its recipient.
Outgoing: TypeAlias = tuple[int, Message]


def refuse_call(caller: RoutedSession, message: Call, error: WAMPError) -> Outgoing:
    """Answer a call with ERROR before it is routed; further parts of it will be discarded."""
    if message.options.get("progress", False):
        caller.remember_ended_early(message)
    return caller.session_id, Error.answering(Call.code, message.request_id, error)


def invocation_of(pending: PendingCall, message: Call) -> Outgoing:
    """Return the INVOCATION of a call, or of a further part of a progressive call."""
    assert pending.callee is not None
    details = pending.details if pending.complete else {**pending.details, "progress": True}
    return pending.callee.session_id, Invocation(
        pending.invocation_id, pending.registration.registration_id, details, message.args, message.kwargs
    )


def can_interrupt(pending: PendingCall) -> bool:
    """Return whether the callee has announced call canceling."""
    return pending.callee is not None and "call_canceling" in pending.callee.callee_features


def give_up(pending: PendingCall, *, interrupt: bool) -> list[Outgoing]:
    """Discard the callee's future answer; with ``interrupt``, interrupt the callee if it supports that."""
    assert pending.callee is not None
    interrupt = interrupt and not pending.interrupted and can_interrupt(pending)
    pending.callee.give_up_invocation(pending, still_runs=not (interrupt or pending.interrupted))
    if not interrupt:
        return []
    # By the specification, this mode also means that no answer is expected.
    return [(pending.callee.session_id, Interrupt(pending.invocation_id, {"mode": "killnowait"}))]


def remember_if_ended_early(pending: PendingCall) -> None:
    """Discard the further parts of a progressive call that ends before its last CALL."""
    if not pending.complete:
        pending.caller.remember_ended_early(pending.message)


def error_of(pending: PendingCall, error: WAMPError) -> Outgoing:
    """Return the ERROR for the caller of a call."""
    return pending.caller.session_id, Error.answering(Call.code, pending.message.request_id, error)
