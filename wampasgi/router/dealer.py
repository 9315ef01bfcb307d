"""The dealer of a realm: who gets a call, and what becomes of it.

State and decisions only. The dealer neither sends nor awaits nor looks at a clock: every method returns the
messages that follow, with their recipients and in sending order, and who may register or call was decided
before it is asked. A session that it does not know, because it has left, causes nothing.
Spec: Basic Profile, "Remote Procedure Calls"; Advanced Profile, "Advanced RPC".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from wampasgi.errors import (
    CANCELED,
    FEATURE_NOT_SUPPORTED,
    INVALID_ARGUMENT,
    NO_AVAILABLE_CALLEE,
    NO_SUCH_PROCEDURE,
    TIMEOUT,
    UNAVAILABLE,
    RemoteProtocolError,
    WAMPError,
)
from wampasgi.protocol.messages import (
    Call,
    Cancel,
    Error,
    Interrupt,
    Invocation,
    Message,
    Register,
    Registered,
    Result,
    Unregister,
    Unregistered,
    Yield,
)
from wampasgi.router.call_options import (
    check_announced,
    invocation_details,
    lacking_feature,
    payload_attributes,
)
from wampasgi.router.interfaces import SessionDetails
from wampasgi.router.invocations import PendingCall, RoutedSession
from wampasgi.router.registrations import Callee, Registration, Registrations

#: A message and the session ID of its recipient.
Outgoing: TypeAlias = tuple[int, Message]


class Dealer:
    """The registrations of one realm, and the calls that sessions make to each other.

    ``next_registration_id`` gives the IDs, ``random_index(n)`` draws from ``range(n)``;
    ``overloaded`` tells of a session ID that it should be sent no more invocations for now. With
    ``private_registrations`` each session registers for itself alone, and is reached only by calls that are
    for it.
    """

    def __init__(
        self,
        *,
        next_registration_id: Callable[[], int],
        random_index: Callable[[int], int],
        overloaded: Callable[[int], bool],
        private_registrations: bool = False,
    ) -> None:
        self._random_index = random_index
        self._overloaded = overloaded
        self._private_registrations = private_registrations
        self._sessions: dict[int, RoutedSession] = {}
        #: The procedures and their callees.
        self.registrations = Registrations(next_registration_id)

    @property
    def sessions(self) -> Mapping[int, RoutedSession]:
        """What is known of each session, by session ID."""
        return self._sessions

    @property
    def private_registrations(self) -> bool:
        """Whether each session registers for itself alone."""
        return self._private_registrations

    def add_session(self, session_id: int, peer: SessionDetails) -> RoutedSession:
        """Let a session take part."""
        session = self._sessions[session_id] = RoutedSession(session_id, peer)
        return session

    def remove_session(self, session_id: int) -> list[Outgoing]:
        """Remove a session with its calls, invocations and registrations.

        Returns ERROR ``wamp.error.canceled`` for those that called it, and INTERRUPT for those that it
        called and that can be interrupted.
        Spec: Basic Profile, "Caller Leaving During an RPC Invocation", "Callee Leaving During an RPC
        Invocation".
        """
        leaving = self._sessions.pop(session_id, None)
        if leaving is None:
            return []
        self.registrations.remove_session(session_id)
        outgoing: list[Outgoing] = []
        for pending in leaving.invocations.values():
            del pending.caller.calls[pending.message.request_id]
            if pending.caller is not leaving:
                _remember_ended_early(pending)
                error = WAMPError(CANCELED, "the callee has left before the call was completed")
                outgoing.append(_error(pending, error))
        for pending in leaving.calls.values():
            assert pending.callee is not None
            outgoing += _give_up(pending, interrupt=True)
        return outgoing

    # Registering

    def register(self, session_id: int, message: Register) -> list[Outgoing]:
        """Register a session for a procedure: REGISTERED, or ERROR as :meth:`Registrations.add` raises it.

        Spec: Basic Profile, "Registering and Unregistering".
        """
        if session_id not in self._sessions:
            return []
        try:
            registration = self.registrations.add(
                session_id, message.procedure, message.options, private=self._private_registrations
            )
        except WAMPError as error:
            return [(session_id, Error.answering(Register.code, message.request_id, error))]
        return [(session_id, Registered(message.request_id, registration.registration_id))]

    def unregister(self, session_id: int, message: Unregister) -> list[Outgoing]:
        """Withdraw a session from a procedure; the invocations that it has are still its to answer.

        UNREGISTERED, or ERROR ``wamp.error.no_such_registration``.
        Spec: Basic Profile, "Registering and Unregistering".
        """
        if session_id not in self._sessions:
            return []
        try:
            self.registrations.remove(session_id, message.registration_id)
        except WAMPError as error:
            return [(session_id, Error.answering(Unregister.code, message.request_id, error))]
        return [(session_id, Unregistered(message.request_id))]

    def revoke(self, session_id: int, registration_id: int, reason: str | None = None) -> list[Outgoing]:
        """Take a registration away from a session; it is told if it announced that it understands that.

        Raises WAMPError ``wamp.error.no_such_registration``.
        Spec: Advanced Profile, "Registration Revocation".
        """
        self.registrations.remove(session_id, registration_id)
        if "registration_revocation" not in self._sessions[session_id].callee_features:
            return []
        details: dict[str, Any] = {"registration": registration_id}
        if reason is not None:
            details["reason"] = reason
        return [(session_id, Unregistered(0, details))]

    # Calling

    def call(
        self,
        session_id: int,
        message: Call,
        *,
        now: float,
        registration: Registration | None = None,
        disclose: bool = False,
        only: int | None = None,
    ) -> list[Outgoing]:
        """Route a call, or continue one that has begun with the same request ID.

        ``now`` is the present on the clock of :meth:`expire`, in seconds. ``registration`` is the one that
        answers the call, if it has been looked up already. ``disclose`` tells the callee who calls: whether
        the caller asked and whether it may is decided before. ``only`` names the one session whose
        registrations count.

        INVOCATION for the callee, or ERROR for the caller: ``wamp.error.no_such_procedure``,
        ``wamp.error.no_available_callee`` where all callees are at their limit or overloaded, and
        ``wamp.error.feature_not_supported`` where the one to be called cannot do what the call needs. The
        ID of another call that waits for its answer is ``wamp.error.invalid_argument``. Raises
        RemoteProtocolError for options that the caller has not announced.
        Spec: Basic Profile, "Calling and Invocations"; Advanced Profile, "Progressive Call Invocations".
        """
        caller = self._sessions.get(session_id)
        if caller is None:
            return []
        pending = caller.calls.get(message.request_id)
        if pending is not None:
            return self._continue_call(pending, message)
        if caller.discard_continuation(message):
            return []
        if message.options:
            check_announced(caller, message)
        if only is not None:
            registration = self.registrations.best_of(only, message.procedure)
        elif registration is None:
            registration = self.registrations.best(message.procedure)
        if registration is None:
            of_whom = "this realm has" if only is None else "that session has registered"
            unknown = WAMPError(NO_SUCH_PROCEDURE, f"{of_whom} no procedure {message.procedure!r}")
            return [refuse_call(caller, message, unknown)]
        pending = PendingCall(caller, message, registration, disclose, now, only)
        pending.complete = not message.options.get("progress", False)
        return self._invoke(pending)

    def _invoke(self, pending: PendingCall) -> list[Outgoing]:
        """Send a call to the next callee; it is not among the caller's calls at this moment."""
        caller, message = pending.caller, pending.message
        taken_by = self._pick(pending)
        if taken_by is None:
            error = WAMPError(NO_AVAILABLE_CALLEE, f"nobody can take a call of {message.procedure!r} now")
            return [refuse_call(caller, message, error)]
        callee = self._sessions[taken_by.session_id]
        lacking = lacking_feature(message, callee) if message.options else None
        if lacking is not None:
            error = WAMPError(FEATURE_NOT_SUPPORTED, f"the callee has not announced {lacking}")
            return [refuse_call(caller, message, error)]
        pending.details = invocation_details(pending, callee, taken_by)
        pending.deadline = None
        if message.options.get("timeout", 0) and "timeout" not in pending.details:
            pending.deadline = pending.started_at + message.options["timeout"] / 1000
        callee.open_invocation(pending, taken_by)
        caller.calls[message.request_id] = pending
        if pending.deadline is not None and caller.on_deadline is not None:
            caller.on_deadline()
        return [_invocation(pending, message)]

    def _pick(self, pending: PendingCall) -> Callee | None:
        def skip(session_id: int) -> bool:
            return session_id in pending.tried or self._overloaded(session_id)

        if pending.only is None:
            return pending.registration.pick(skip, self._random_index)
        taken_by = pending.registration.callees.get(pending.only)
        return None if taken_by is None or taken_by.busy or skip(pending.only) else taken_by

    def _continue_call(self, pending: PendingCall, message: Call) -> list[Outgoing]:
        """Pass on one more part of a progressive call; its options but ``progress`` are the first one's."""
        if pending.complete or pending.message.procedure != message.procedure:
            # Refused by itself: many clients do not keep to the one sequence of ids.
            error = WAMPError(INVALID_ARGUMENT, f"request id {message.request_id} is still in flight")
            return [(pending.caller.session_id, Error.answering(Call.code, message.request_id, error))]
        pending.complete = not message.options.get("progress", False)
        pending.continued = True
        assert pending.callee is not None
        if self._overloaded(pending.callee.session_id):
            slow = WAMPError(NO_AVAILABLE_CALLEE, "the callee is slower than the parts of this call")
            return [_error(pending, slow), *self._end_early(pending, interrupt=True)]
        return [_invocation(pending, message)]

    def undeliverable(self, session_id: int, invocation_id: int, text: str) -> list[Outgoing]:
        """An INVOCATION could not be sent: ERROR ``wamp.error.invalid_argument`` for its caller."""
        callee = self._sessions.get(session_id)
        pending = None if callee is None else callee.invocations.get(invocation_id)
        if callee is None or pending is None:
            return []
        error = _error(pending, WAMPError(INVALID_ARGUMENT, text))
        if pending.continued:
            return [error, *self._end_early(pending, interrupt=True)]
        del pending.caller.calls[pending.message.request_id]
        callee.withdraw_invocation(pending)
        _remember_ended_early(pending)
        return [error]

    # Canceling

    def cancel(self, session_id: int, message: Cancel) -> list[Outgoing]:
        """Cancel a call as ``options.mode`` says; one that has its answer is left alone.

        A callee that did not announce call canceling is left alone, too, as with ``skip``.
        Spec: Advanced Profile, "Call Canceling", which names no default; here it is ``killnowait``.
        """
        caller = self._sessions.get(session_id)
        pending = None if caller is None else caller.calls.get(message.request_id)
        if pending is None:
            return []
        assert pending.callee is not None
        mode = message.options.get("mode", "killnowait")
        if mode == "kill" and _can_interrupt(pending):
            if pending.interrupted:
                return []
            pending.interrupted = True
            return [(pending.callee.session_id, Interrupt(pending.invocation_id, {"mode": "kill"}))]
        error = _error(pending, WAMPError(CANCELED))
        return [error, *self._end_early(pending, interrupt=mode == "killnowait")]

    def deadline(self, session_id: int) -> float | None:
        """When the first of a caller's calls times out, None where none is to."""
        caller = self._sessions.get(session_id)
        if caller is None:
            return None
        deadlines = (pending.deadline for pending in caller.calls.values() if pending.deadline is not None)
        return min(deadlines, default=None)

    def expire(self, session_id: int, now: float) -> list[Outgoing]:
        """Answer a caller's calls whose deadline has passed with ERROR ``wamp.error.timeout``.

        Spec: Advanced Profile, "Call Timeouts", "Dealer-Initiated Timeouts".
        """
        caller = self._sessions.get(session_id)
        outgoing: list[Outgoing] = []
        for pending in [] if caller is None else list(caller.calls.values()):
            if pending.deadline is not None and pending.deadline <= now:
                seconds = pending.message.options["timeout"] / 1000
                error = WAMPError(TIMEOUT, f"the call gave no result within {seconds} s")
                outgoing.append(_error(pending, error))
                outgoing += self._end_early(pending, interrupt=True)
        return outgoing

    def _end_early(self, pending: PendingCall, *, interrupt: bool) -> list[Outgoing]:
        """Forget a call that its callee has not answered."""
        del pending.caller.calls[pending.message.request_id]
        _remember_ended_early(pending)
        return _give_up(pending, interrupt=interrupt)

    # Answering

    def yield_result(self, session_id: int, message: Yield, *, now: float) -> list[Outgoing]:
        """Pass on a result, or a progressive one to a caller that asked for these.

        Raises RemoteProtocolError for an invocation that is not the session's to answer; what comes late for
        a call that was given up is discarded.
        Spec: Basic Profile, "YIELD"; Advanced Profile, "Progressive Call Results", "Payload Passthru Mode".
        """
        callee = self._sessions.get(session_id)
        if callee is None:
            return []
        options = message.options
        # Most results have no options, and nothing is looked for in none.
        scheme = options.get("ppt_scheme") if options else None
        if scheme and "payload_passthru_mode" not in callee.callee_features:
            raise RemoteProtocolError(
                "YIELD with ppt_scheme from a callee that has not announced payload_passthru_mode"
            )
        pending = callee.invocations.get(message.request_id)
        if pending is None:
            callee.take_late_answer(message)
            return []
        caller = pending.caller
        if scheme and "payload_passthru_mode" not in caller.caller_features:
            return self._refuse_yield(pending, message)
        details = payload_attributes(options)
        if options and options.get("progress", False):
            if not pending.details.get("receive_progress", False):
                return []
            if pending.deadline is not None:
                # Spec: the timeout is the time between two results.
                pending.deadline = now + pending.message.options["timeout"] / 1000
            details["progress"] = True
        else:
            self._close(pending)
            _remember_ended_early(pending)
        result = Result(pending.message.request_id, details, message.args, message.kwargs)
        return [(caller.session_id, result)]

    def _refuse_yield(self, pending: PendingCall, message: Yield) -> list[Outgoing]:
        """The caller could not read this payload: both sides are told."""
        assert pending.callee is not None
        refusal = WAMPError(FEATURE_NOT_SUPPORTED, "the caller has not announced payload_passthru_mode")
        answer = (pending.callee.session_id, Error.answering(Yield.code, message.request_id, refusal))
        error = _error(pending, refusal)
        if message.options.get("progress", False):
            return [answer, error, *self._end_early(pending, interrupt=True)]
        self._close(pending)
        _remember_ended_early(pending)
        return [answer, error]

    def error(self, session_id: int, message: Error) -> list[Outgoing]:
        """Pass on an error, or the call to another callee where this one is not available.

        Raises RemoteProtocolError for an ERROR that answers no INVOCATION of the session.
        Spec: Basic Profile, "Invocation ERROR"; Advanced Profile, "Call Re-Routing".
        """
        callee = self._sessions.get(session_id)
        if callee is None:
            return []
        if message.request_type != Invocation.code:
            raise RemoteProtocolError(
                f"ERROR for a request of type {message.request_type}: from a client it answers INVOCATION"
            )
        pending = callee.invocations.get(message.request_id)
        if pending is None:
            callee.take_late_answer(message)
            return []
        self._close(pending)
        if message.error == UNAVAILABLE and not pending.interrupted:
            if not pending.continued:
                return self._invoke(pending)
            _remember_ended_early(pending)
            gone = WAMPError(NO_AVAILABLE_CALLEE, "the callee gave up a call that has begun")
            return [_error(pending, gone)]
        details = payload_attributes(message.details)
        request_id = pending.message.request_id
        error = Error(Call.code, request_id, details, message.error, message.args, message.kwargs)
        _remember_ended_early(pending)
        return [(pending.caller.session_id, error)]

    def _close(self, pending: PendingCall) -> None:
        assert pending.callee is not None
        pending.callee.close_invocation(pending)
        del pending.caller.calls[pending.message.request_id]


def refuse_call(caller: RoutedSession, message: Call, error: WAMPError) -> Outgoing:
    """Answer a call that reaches nobody with ERROR; what may still come of it will be discarded."""
    if message.options.get("progress", False):
        caller.remember_ended_early(message)
    return caller.session_id, Error.answering(Call.code, message.request_id, error)


def _invocation(pending: PendingCall, message: Call) -> Outgoing:
    assert pending.callee is not None
    details = pending.details if pending.complete else {**pending.details, "progress": True}
    return pending.callee.session_id, Invocation(
        pending.invocation_id, pending.registration.registration_id, details, message.args, message.kwargs
    )


def _can_interrupt(pending: PendingCall) -> bool:
    return pending.callee is not None and "call_canceling" in pending.callee.callee_features


def _give_up(pending: PendingCall, *, interrupt: bool) -> list[Outgoing]:
    """Let the callee's answer be discarded, and have it stop where it can and ``interrupt`` says so."""
    assert pending.callee is not None
    interrupt = interrupt and not pending.interrupted and _can_interrupt(pending)
    pending.callee.give_up_invocation(pending, still_runs=not (interrupt or pending.interrupted))
    if not interrupt:
        return []
    # By the specification, this mode also tells that no answer is expected.
    return [(pending.callee.session_id, Interrupt(pending.invocation_id, {"mode": "killnowait"}))]


def _remember_ended_early(pending: PendingCall) -> None:
    if not pending.complete:
        pending.caller.remember_ended_early(pending.message)


def _error(pending: PendingCall, error: WAMPError) -> Outgoing:
    return pending.caller.session_id, Error.answering(Call.code, pending.message.request_id, error)
