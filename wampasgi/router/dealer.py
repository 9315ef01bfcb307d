"""The dealer of a realm: it routes calls to callees, and answers to callers.

The dealer holds state and makes decisions. It does not send or await anything and reads no clock: each method
returns the resulting messages with their recipients, in sending order. Its caller has checked before that the
session may register or call. Messages of a session that has left have no effect.
Spec: Basic Profile, "Remote Procedure Calls"; Advanced Profile, "Advanced RPC".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wampasgi.errors import (
    CANCELED,
    FEATURE_NOT_SUPPORTED,
    INVALID_ARGUMENT,
    NO_AVAILABLE_CALLEE,
    NO_SUCH_PROCEDURE,
    PROCEDURE_ALREADY_EXISTS,
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
    Register,
    Registered,
    Result,
    Unregister,
    Unregistered,
    Yield,
)
from wampasgi.router.call_messages import (
    Outgoing,
    can_interrupt,
    error_of,
    give_up,
    invocation_of,
    refuse_call,
    remember_if_ended_early,
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
from wampasgi.types import Match


class Dealer:
    """The registrations of one realm, and the calls that sessions make to each other.

    ``next_registration_id`` returns new IDs, and ``random_index(n)`` draws from ``range(n)``. ``overloaded``
    tells whether the session with an ID should get no further invocations for now. With
    ``private_registrations``, each session registers for itself alone, and only calls addressed to it reach
    it.
    """

    def __init__(
        self,
        *,
        next_registration_id: Callable[[Match, str], int],
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
        """The dealer's records of all sessions, by session ID."""
        return self._sessions

    @property
    def private_registrations(self) -> bool:
        """Return whether each session registers for itself alone."""
        return self._private_registrations

    def add_session(self, session_id: int, peer: SessionDetails) -> RoutedSession:
        """Add a session as caller and callee."""
        session = RoutedSession(session_id, peer)
        self.add(session)
        return session

    def add(self, session: RoutedSession) -> None:
        """Add the record of a session."""
        self._sessions[session.session_id] = session

    def remove_session(self, session_id: int, error: WAMPError | None = None) -> list[Outgoing]:
        """Remove a session with its calls, invocations and registrations.

        Returns ERROR ``wamp.error.canceled``, or the given ``error``, for its callers, and INTERRUPT for the
        callees of its own calls that support it.
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
                remember_if_ended_early(pending)
                left = WAMPError(CANCELED, "the callee left before it completed the call")
                outgoing.append(error_of(pending, error or left))
        for pending in leaving.calls.values():
            assert pending.callee is not None
            outgoing += give_up(pending, interrupt=True)
        return outgoing

    # Registering

    def register(self, session_id: int, message: Register) -> list[Outgoing]:
        """Register a session for a procedure.

        Returns REGISTERED, or ERROR for the errors of :meth:`Registrations.add`. With ``force_reregister``,
        the registrations of other sessions are revoked first.
        Spec: Basic Profile, "Registering and Unregistering".
        """
        if session_id not in self._sessions:
            return []
        outgoing: list[Outgoing] = []
        try:
            if message.options.get("force_reregister", False) and not self._private_registrations:
                others = self.registrations.held_by_others(session_id, message.procedure, message.options)
                for other_id, registration_id in others:
                    outgoing += self.revoke(other_id, registration_id, PROCEDURE_ALREADY_EXISTS)
            registration = self.registrations.add(
                session_id, message.procedure, message.options, private=self._private_registrations
            )
        except WAMPError as error:
            return [*outgoing, (session_id, Error.answering(Register.code, message.request_id, error))]
        return [*outgoing, (session_id, Registered(message.request_id, registration.registration_id))]

    def unregister(self, session_id: int, message: Unregister) -> list[Outgoing]:
        """Remove a session from a registration; it still has to answer its open invocations.

        Returns UNREGISTERED, or ERROR ``wamp.error.no_such_registration``.
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
        """Revoke a registration of a session.

        Returns UNREGISTERED if the session has announced ``registration_revocation``. Raises WAMPError
        ``wamp.error.no_such_registration``.
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
        relayed: bool = False,
    ) -> list[Outgoing]:
        """Route a call, or continue the progressive call with the same request ID.

        ``now`` is the current time in seconds, on the same clock as for :meth:`expire`. ``registration`` is
        the one that answers the call, if it has been looked up already. ``disclose`` discloses the caller to
        the callee; that the caller asked for it and may be disclosed is checked before. ``only`` is the
        session ID of the one callee that the call is addressed to. ``relayed`` says that the call comes from
        another worker, which tries its next callee if this one answers ``wamp.error.unavailable``.

        Returns INVOCATION for the callee, or ERROR for the caller: ``wamp.error.no_such_procedure``;
        ``wamp.error.no_available_callee`` if all callees are overloaded or at their concurrency limit;
        ``wamp.error.feature_not_supported`` if the chosen callee lacks a feature that the call needs; and
        ``wamp.error.invalid_argument`` if another call with this request ID is pending. Raises
        RemoteProtocolError for options that need a feature which the caller has not announced.
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
        if registration is None:
            registrations = self.registrations
            if only is None:
                registration = registrations.best(message.procedure)
            else:
                registration = registrations.best_of(only, message.procedure)
        if registration is None:
            subject = "this realm has" if only is None else "that session has registered"
            unknown = WAMPError(NO_SUCH_PROCEDURE, f"{subject} no procedure {message.procedure!r}")
            return [refuse_call(caller, message, unknown)]
        pending = PendingCall(caller, message, registration, disclose, now, only, relayed)
        pending.complete = not message.options.get("progress", False)
        return self._invoke(pending)

    def invoke(
        self,
        caller: RoutedSession,
        message: Call,
        registration: Registration,
        taken_by: Callee,
        *,
        disclose: bool,
    ) -> Outgoing:
        """Route a call without options, for which another worker has chosen the callee.

        Returns INVOCATION, or ERROR ``wamp.error.unavailable`` if the callee can take no call now.
        """
        if taken_by.busy or self._overloaded(taken_by.session_id):
            busy = WAMPError(UNAVAILABLE, f"the callee of {message.procedure!r} can take no call now")
            return refuse_call(caller, message, busy)
        pending = PendingCall(caller, message, registration, disclose, 0, taken_by.session_id, relayed=True)
        callee = self._sessions[taken_by.session_id]
        if disclose or taken_by.disclose_caller or registration.match != "exact":
            pending.details = invocation_details(pending, callee, taken_by)
        callee.open_invocation(pending, taken_by)
        caller.calls[message.request_id] = pending
        return invocation_of(pending, message)

    def complete(
        self, pending: PendingCall, args: list[Any] | None, kwargs: dict[str, Any] | None
    ) -> Outgoing:
        """End a call with a result that has no details, and return its RESULT."""
        self._close(pending)
        remember_if_ended_early(pending)
        return pending.caller.session_id, Result(pending.message.request_id, {}, args, kwargs)

    def _invoke(self, pending: PendingCall) -> list[Outgoing]:
        """Send a call to the next callee. The call must not be among the caller's pending calls."""
        caller, message = pending.caller, pending.message
        taken_by = self._pick(pending)
        if taken_by is None:
            uri = UNAVAILABLE if pending.relayed else NO_AVAILABLE_CALLEE
            error = WAMPError(uri, f"no callee of {message.procedure!r} can take a call now")
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
        return [invocation_of(pending, message)]

    def _pick(self, pending: PendingCall) -> Callee | None:
        def skip(session_id: int) -> bool:
            return session_id in pending.tried or self._overloaded(session_id)

        if pending.only is None:
            return pending.registration.pick(skip, self._random_index)
        taken_by = pending.registration.callees.get(pending.only)
        return None if taken_by is None or taken_by.busy or skip(pending.only) else taken_by

    def _continue_call(self, pending: PendingCall, message: Call) -> list[Outgoing]:
        """Pass on a further CALL of a progressive call; of its options, only ``progress`` counts."""
        if pending.complete or pending.message.procedure != message.procedure:
            # Only this CALL is refused: many clients do not number all their requests in one sequence.
            error = WAMPError(INVALID_ARGUMENT, f"request id {message.request_id} is still in flight")
            return [(pending.caller.session_id, Error.answering(Call.code, message.request_id, error))]
        pending.complete = not message.options.get("progress", False)
        pending.continued = True
        assert pending.callee is not None
        if self._overloaded(pending.callee.session_id):
            slow = WAMPError(NO_AVAILABLE_CALLEE, "the callee is too slow for the parts of this call")
            return [error_of(pending, slow), *self._end_early(pending, interrupt=True)]
        return [invocation_of(pending, message)]

    def undeliverable(self, session_id: int, invocation_id: int, text: str) -> list[Outgoing]:
        """Answer the caller with ERROR ``wamp.error.invalid_argument``: its INVOCATION could not be sent."""
        callee = self._sessions.get(session_id)
        pending = None if callee is None else callee.invocations.get(invocation_id)
        if callee is None or pending is None:
            return []
        error = error_of(pending, WAMPError(INVALID_ARGUMENT, text))
        if pending.continued:
            return [error, *self._end_early(pending, interrupt=True)]
        del pending.caller.calls[pending.message.request_id]
        callee.withdraw_invocation(pending)
        remember_if_ended_early(pending)
        return [error]

    def break_off(self, session_id: int, message: Call, error: WAMPError) -> list[Outgoing]:
        """End a progressive call with an error, because ``message``, a part of it, cannot be passed on."""
        caller = self._sessions.get(session_id)
        if caller is None:
            return []
        pending = caller.calls.get(message.request_id)
        if pending is None:
            caller.discard_continuation(message)
            return []
        pending.complete = not message.options.get("progress", False)
        return [error_of(pending, error), *self._end_early(pending, interrupt=True)]

    # Canceling

    def cancel(self, session_id: int, message: Cancel) -> list[Outgoing]:
        """Cancel a call as ``options.mode`` says, unless it has been answered already.

        A callee that has not announced call canceling is not interrupted, as with ``skip``.
        Spec: Advanced Profile, "Call Canceling". It names no default mode; here it is ``killnowait``.
        """
        caller = self._sessions.get(session_id)
        pending = None if caller is None else caller.calls.get(message.request_id)
        if pending is None:
            return []
        assert pending.callee is not None
        mode = message.options.get("mode", "killnowait")
        if mode == "kill" and can_interrupt(pending):
            if pending.interrupted:
                return []
            pending.interrupted = True
            return [(pending.callee.session_id, Interrupt(pending.invocation_id, {"mode": "kill"}))]
        error = error_of(pending, WAMPError(CANCELED))
        return [error, *self._end_early(pending, interrupt=mode == "killnowait")]

    def deadline(self, session_id: int) -> float | None:
        """Return the earliest deadline of a caller's calls, or None if no call has one."""
        caller = self._sessions.get(session_id)
        if caller is None:
            return None
        deadlines = (pending.deadline for pending in caller.calls.values() if pending.deadline is not None)
        return min(deadlines, default=None)

    def expire(self, session_id: int, now: float) -> list[Outgoing]:
        """Answer those of a caller's calls whose deadline has passed with ERROR ``wamp.error.timeout``.

        Spec: Advanced Profile, "Call Timeouts", "Dealer-Initiated Timeouts".
        """
        caller = self._sessions.get(session_id)
        outgoing: list[Outgoing] = []
        for pending in [] if caller is None else list(caller.calls.values()):
            if pending.deadline is not None and pending.deadline <= now:
                seconds = pending.message.options["timeout"] / 1000
                error = WAMPError(TIMEOUT, f"the call gave no result within {seconds} s")
                outgoing.append(error_of(pending, error))
                outgoing += self._end_early(pending, interrupt=True)
        return outgoing

    def _end_early(self, pending: PendingCall, *, interrupt: bool) -> list[Outgoing]:
        """Remove a call before its callee has answered it."""
        del pending.caller.calls[pending.message.request_id]
        remember_if_ended_early(pending)
        return give_up(pending, interrupt=interrupt)

    # Answering

    def yield_result(self, session_id: int, message: Yield, *, now: float) -> list[Outgoing]:
        """Pass a result on to the caller; a progressive result only if the caller asked for such results.

        A late answer to a call that was given up is discarded. Raises RemoteProtocolError if the session has
        no such invocation.
        Spec: Basic Profile, "YIELD"; Advanced Profile, "Progressive Call Results", "Payload Passthru Mode".
        """
        callee = self._sessions.get(session_id)
        if callee is None:
            return []
        options = message.options
        # Most results have no options, so that the empty case is worth a shortcut.
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
                # Spec: the timeout applies to the time between two results.
                pending.deadline = now + pending.message.options["timeout"] / 1000
            details["progress"] = True
        else:
            self._close(pending)
            remember_if_ended_early(pending)
        result = Result(pending.message.request_id, details, message.args, message.kwargs)
        return [(caller.session_id, result)]

    def _refuse_yield(self, pending: PendingCall, message: Yield) -> list[Outgoing]:
        """Send ERROR to both caller and callee: the caller cannot read this payload."""
        assert pending.callee is not None
        refusal = WAMPError(FEATURE_NOT_SUPPORTED, "the caller has not announced payload_passthru_mode")
        answer = (pending.callee.session_id, Error.answering(Yield.code, message.request_id, refusal))
        progress = message.options.get("progress", False)
        return [answer, *self._answer_instead(pending, refusal, progress=progress)]

    def refuse_answer(
        self, session_id: int, invocation_id: int, error: WAMPError, *, progress: bool
    ) -> list[Outgoing]:
        """Send ERROR to the caller in place of an answer that cannot be passed on.

        ``progress`` tells that the answer is a progressive result, so that the callee may still be busy.
        Raises RemoteProtocolError if the session has no such invocation.
        """
        callee = self._sessions.get(session_id)
        if callee is None:
            return []
        pending = callee.invocations.get(invocation_id)
        if pending is None:
            callee.take_late_answer(Yield(invocation_id, {"progress": progress}))
            return []
        return self._answer_instead(pending, error, progress=progress)

    def _answer_instead(self, pending: PendingCall, error: WAMPError, *, progress: bool) -> list[Outgoing]:
        answer = error_of(pending, error)
        if progress:
            return [answer, *self._end_early(pending, interrupt=True)]
        self._close(pending)
        remember_if_ended_early(pending)
        return [answer]

    def error(self, session_id: int, message: Error) -> list[Outgoing]:
        """Pass an error on to the caller, or reroute the call if the callee is unavailable.

        Raises RemoteProtocolError if the ERROR answers no INVOCATION of the session.
        Spec: Basic Profile, "Invocation ERROR"; Advanced Profile, "Call Re-Routing".
        """
        callee = self._sessions.get(session_id)
        if callee is None:
            return []
        if message.request_type != Invocation.code:
            raise RemoteProtocolError(
                f"ERROR for a request of type {message.request_type}: a client may only answer INVOCATION"
            )
        pending = callee.invocations.get(message.request_id)
        if pending is None:
            callee.take_late_answer(message)
            return []
        self._close(pending)
        if message.error == UNAVAILABLE and not pending.interrupted:
            if not pending.continued:
                return self._invoke(pending)
            remember_if_ended_early(pending)
            gone = WAMPError(NO_AVAILABLE_CALLEE, "the callee became unavailable during a progressive call")
            return [error_of(pending, gone)]
        details = payload_attributes(message.details)
        request_id = pending.message.request_id
        error = Error(Call.code, request_id, details, message.error, message.args, message.kwargs)
        remember_if_ended_early(pending)
        return [(pending.caller.session_id, error)]

    def _close(self, pending: PendingCall) -> None:
        assert pending.callee is not None
        pending.callee.close_invocation(pending)
        del pending.caller.calls[pending.message.request_id]
