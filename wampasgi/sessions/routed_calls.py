"""The calls between clients, as far as one session takes part in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from wampasgi.configuration.authorization import refusal
from wampasgi.configuration.plan import RealmPlan
from wampasgi.errors import (
    INVALID_URI,
    NO_SUCH_PROCEDURE,
    OPTION_NOT_ALLOWED,
    PROCEDURE_ALREADY_EXISTS,
    RUNTIME_ERROR,
    UNAVAILABLE,
    InvalidPayload,
    InvalidRequest,
    WAMPError,
)
from wampasgi.logs import about, logger_named, shown
from wampasgi.peers.session import Session
from wampasgi.protocol.messages import Call, Error, Register, Unregister, Yield
from wampasgi.protocol.uri_limits import check_components
from wampasgi.protocol.uris import is_reserved
from wampasgi.router.call_messages import refuse_call
from wampasgi.router.call_options import check_announced
from wampasgi.router.invocations import RoutedSession
from wampasgi.router.permissions import Verdict
from wampasgi.router.registrations import Registration, check_policies
from wampasgi.sessions.in_flight import CallsInFlight
from wampasgi.sessions.waiting import completed
from wampasgi.types import Match

logger = logger_named("wampasgi.router")


class RoutedCalls:
    """The registrations, calls and answers of one session at the dealer of its realm.

    ``routed`` is the dealer's record of the session, which may have left already.
    """

    __slots__ = ("_dealer", "_deliver", "_in_flight", "_plan", "_provided", "_routed", "_session")

    def __init__(
        self,
        session: Session,
        routed: RoutedSession,
        in_flight: CallsInFlight,
        plan: RealmPlan,
        provided: Mapping[str, Any],
    ) -> None:
        self._session = session
        self._routed = routed
        self._in_flight = in_flight
        self._plan = plan
        self._provided = provided
        self._dealer = plan.router.dealer
        self._deliver = plan.router.deliver

    # As callee

    async def register(self, message: Register) -> None:
        """Register a procedure of this client if it is permitted; raises WAMPError."""
        procedure, options = message.procedure, message.options
        if is_reserved(procedure):
            raise WAMPError(INVALID_URI, "procedures that begin with 'wamp.' are reserved for the router")
        check_policies(options)
        match: Match = options.get("match", "exact")
        check_components(procedure, match)
        verdict = await self._plan.authorization.decide(
            self._session, "register", procedure, options, self._provided, match=match
        )
        # A private registration does not affect other sessions.
        private = self._dealer.private_registrations
        if not (verdict.allowed if verdict is not None else private):
            raise refusal("register", procedure)
        if options.get("disclose_caller", False) and not (verdict is not None and verdict.disclose):
            raise WAMPError(OPTION_NOT_ALLOWED, f"this session may not learn the callers of {procedure!r}")
        if options.get("force_reregister", False) and not private:
            await self._check_takeover(message, match)
        if self._plan.own_procedure(match, procedure) is not None:
            raise WAMPError(PROCEDURE_ALREADY_EXISTS, f"{procedure!r} is one of the realm's own procedures")
        if not private and self._plan.takes_restricted_calls(match, procedure):
            logger.info(
                "%r may not register %s: it would get calls of a procedure of the realm that has roles",
                self._session,
                shown(procedure),
                extra=about(self._session, procedure),
            )
            raise refusal("register", procedure)
        limit = self._plan.limits.registrations
        if len(self._dealer.registrations.of_session(self._session.id)) >= limit:
            raise WAMPError(UNAVAILABLE, f"this session has {limit} registrations, its limit registrations")
        completion = self._plan.router.register(self._session.id, message)
        if completion is not None:
            await completed(completion)
        self._plan.router.publish_meta_events()

    async def _check_takeover(self, message: Register, match: Match) -> None:
        """Raise WAMPError if this session may not take over the registrations of other sessions."""
        procedure = message.procedure
        verdict = await self._plan.authorization.decide(
            self._session, "takeover", procedure, message.options, self._provided, match=match
        )
        if verdict is None or not verdict.allowed:
            raise WAMPError(
                OPTION_NOT_ALLOWED, f"this session may not take over the registration of {procedure!r}"
            )

    def unregister(self, message: Unregister) -> None:
        """Remove a registration of this client, and answer."""
        self._deliver(self._dealer.unregister(self._session.id, message))
        self._plan.router.publish_meta_events()

    def yield_result(self, message: Yield) -> None:
        """Forward a result to the caller."""
        # The time is needed only for the deadline of the next result.
        options = message.options
        now = anyio.current_time() if options and options.get("progress", False) else 0
        self._deliver(self._dealer.yield_result(self._session.id, message, now=now))

    def error(self, message: Error) -> None:
        """Forward an error to the caller."""
        self._deliver(self._dealer.error(self._session.id, message))

    def refuse_answer(self, refused: InvalidRequest) -> None:
        """Answer the caller with ERROR: the result or error of this client cannot be passed on."""
        assert refused.request_id is not None, "the invocation is known"
        progress = isinstance(refused, InvalidPayload) and refused.options.get("progress") is True
        error = WAMPError(RUNTIME_ERROR, f"the answer of the callee is invalid: {refused.message}")
        self._deliver(
            self._dealer.refuse_answer(self._session.id, refused.request_id, error, progress=progress)
        )

    # As caller

    def continues(self, message: Call) -> bool:
        """Return whether a CALL is a further part of a progressive call; if so, forward or discard it."""
        if message.request_id not in self._routed.calls:
            return self._routed.discard_continuation(message)
        self._deliver(self._dealer.call(self._session.id, message, now=0))
        return True

    def check_announced(self, message: Call) -> None:
        """Raise RemoteProtocolError for options that this client has not announced."""
        check_announced(self._routed, message)

    def call(
        self, message: Call, registration: Registration | None, verdict: Verdict | None, *, disclose: bool
    ) -> None:
        """Call a client's procedure if the verdict allows it; raises WAMPError.

        ``registration`` is the one to call, None if no client has registered the procedure.
        """
        procedure, options = message.procedure, message.options
        if verdict is None or not verdict.allowed:
            if registration is None:
                raise WAMPError(NO_SUCH_PROCEDURE, f"this realm has no procedure {procedure!r}")
            raise refusal("call", procedure)
        self._in_flight.hold_routed(message)
        now = anyio.current_time() if options and options.get("timeout", 0) else 0
        self._deliver(
            self._dealer.call(
                self._session.id, message, now=now, registration=registration, disclose=disclose
            )
        )

    def refuse_part(self, message: Call, error: WAMPError) -> None:
        """Answer an invalid CALL with ERROR. A progressive call that it continues ends with it."""
        if self._routed.may_continue(message):
            self._deliver(self._dealer.break_off(self._session.id, message, error))
        else:
            self.refuse(message, error)

    def refuse(self, message: Call, error: WAMPError) -> None:
        """Answer a call with ERROR; further parts of it are discarded."""
        self._deliver([refuse_call(self._routed, message, error)])
