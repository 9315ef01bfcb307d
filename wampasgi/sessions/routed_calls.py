"""The part of one session in the calls that clients make to each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from wampasgi.adapters import TaskOwner
from wampasgi.configuration.authorization import refusal
from wampasgi.configuration.plan import BuiltRealm
from wampasgi.errors import (
    INVALID_URI,
    NO_SUCH_PROCEDURE,
    OPTION_NOT_ALLOWED,
    PROCEDURE_ALREADY_EXISTS,
    UNAVAILABLE,
    WAMPError,
)
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.protocol.messages import Call, Cancel, Error, Register, Unregister, Yield
from wampasgi.protocol.uri_limits import check_components
from wampasgi.protocol.uris import is_reserved
from wampasgi.router.call_options import check_announced
from wampasgi.router.dealer import refuse_call
from wampasgi.router.invocations import RoutedSession
from wampasgi.router.permissions import Verdict
from wampasgi.router.registrations import check_policies
from wampasgi.types import Match


class RoutedCalls:
    """What one session registers, calls and answers at the realm's dealer.

    ``routed`` is what the dealer knows of it, which may have left by now. ``requests`` own the task that
    watches the deadlines of the session's calls; there is one as long as a call has a deadline that the
    dealer is to keep.
    """

    __slots__ = (
        "_built",
        "_bytes",
        "_dealer",
        "_deliver",
        "_peer",
        "_provided",
        "_requests",
        "_routed",
        "_session",
        "_sizes",
        "_sleep",
    )

    def __init__(
        self,
        session: Session,
        peer: Peer,
        routed: RoutedSession,
        built: BuiltRealm,
        requests: TaskOwner,
        provided: Mapping[str, Any],
    ) -> None:
        self._session = session
        self._peer = peer
        # The sizes of the calls that came in long messages, some of which may have ended, and their sum.
        self._sizes: dict[int, int] = {}
        self._bytes = 0
        self._built = built
        self._requests = requests
        self._provided = provided
        self._dealer = built.joined.dealer
        self._deliver = built.joined.deliver
        self._routed = routed
        self._routed.on_deadline = self._watch_deadlines
        self._sleep: anyio.CancelScope | None = None

    # As callee

    async def register(self, message: Register) -> None:
        """Register a procedure of this client's, if it may; raises WAMPError."""
        procedure, options = message.procedure, message.options
        if is_reserved(procedure):
            raise WAMPError(INVALID_URI, "procedures that begin with 'wamp.' are the router's")
        check_policies(options)
        match: Match = options.get("match", "exact")
        check_components(procedure, match)
        verdict = await self._built.authorization.decide(
            self._session, "register", procedure, options, self._provided, match=match
        )
        # What a session registers for itself alone concerns nobody else.
        private = self._dealer.registrations.private
        if not (verdict.allowed if verdict is not None else private):
            raise refusal("register", procedure)
        if options.get("disclose_caller", False) and not (verdict is not None and verdict.disclose):
            raise WAMPError(OPTION_NOT_ALLOWED, f"this session may not know who calls {procedure!r}")
        if self._built.own_procedure(match, procedure) is not None:
            raise WAMPError(PROCEDURE_ALREADY_EXISTS, f"{procedure!r} is a procedure of the realm's own")
        limit = self._built.limits.registrations
        if len(self._dealer.registrations.of_session(self._session.id)) >= limit:
            raise WAMPError(UNAVAILABLE, f"this session has {limit} registrations, its limit registrations")
        self._deliver(self._dealer.register(self._session.id, message))
        self._built.joined.report()

    def unregister(self, message: Unregister) -> None:
        """Withdraw a procedure of this client's, and answer."""
        self._deliver(self._dealer.unregister(self._session.id, message))
        self._built.joined.report()

    def yield_result(self, message: Yield) -> None:
        """Pass a result on to the caller."""
        # Only the next result's deadline depends on the time.
        options = message.options
        now = anyio.current_time() if options and options.get("progress", False) else 0
        self._deliver(self._dealer.yield_result(self._session.id, message, now=now))

    def error(self, message: Error) -> None:
        """Pass an error on to the caller."""
        self._deliver(self._dealer.error(self._session.id, message))

    # As caller

    def continues(self, message: Call) -> bool:
        """Tell whether this is a further part of a progressive call, and pass it on or discard it if so."""
        if message.request_id not in self._routed.calls:
            return self._routed.discards(message)
        self._deliver(self._dealer.call(self._session.id, message, now=0))
        return True

    def check_announced(self, message: Call) -> None:
        """Raise RemoteProtocolError for options that this client has not announced."""
        check_announced(self._routed, message)

    def call(self, message: Call, verdict: Verdict | None, *, disclose: bool) -> None:
        """Call a client's procedure, if the verdict lets it; raises WAMPError."""
        procedure, options = message.procedure, message.options
        if verdict is None or not verdict.allowed:
            if self._dealer.registrations.best(procedure) is None:
                raise WAMPError(NO_SUCH_PROCEDURE, f"this realm has no procedure {procedure!r}")
            raise refusal("call", procedure)
        limit = self._built.limits.routed_calls
        if len(self._routed.calls) >= limit:
            raise WAMPError(
                UNAVAILABLE, f"{limit} calls of this session wait for their answers, its limit routed_calls"
            )
        size = self._peer.turn.size_of(message)
        if size:
            self._hold(message, size)
        now = anyio.current_time() if options and options.get("timeout", 0) else 0
        self._deliver(self._dealer.call(self._session.id, message, now=now, disclose=disclose))

    def _hold(self, message: Call, size: int) -> None:
        """Count a call that came in a long message: it is kept until its answer comes. Raises WAMPError."""
        limit = self._built.limits.requests_bytes
        if self._bytes + size > limit:
            # Only now is looked for those that have ended.
            self._sizes = {call: held for call, held in self._sizes.items() if call in self._routed.calls}
            self._bytes = sum(self._sizes.values())
            if self._bytes + size > limit:
                raise WAMPError(
                    UNAVAILABLE,
                    f"the calls of this session that wait for their answers would be over the limit "
                    f"requests_bytes of {limit}",
                )
        self._sizes[message.request_id] = size
        self._bytes += size

    def refuse(self, message: Call, error: WAMPError) -> None:
        """Answer a call with ERROR; further parts of it will be discarded."""
        self._deliver([refuse_call(self._routed, message, error)])

    def cancel(self, message: Cancel) -> None:
        """Cancel a call of another client's procedure; does nothing where there is none of this ID."""
        self._deliver(self._dealer.cancel(self._session.id, message))

    # Deadlines

    def _watch_deadlines(self) -> None:
        deadline = self._dealer.deadline(self._session.id)
        if deadline is None:
            return
        if self._sleep is None:
            self._sleep = anyio.CancelScope()
            self._requests.spawn(self._keep_deadlines)
        else:
            self._sleep.deadline = min(self._sleep.deadline, deadline)

    async def _keep_deadlines(self) -> None:
        try:
            while (deadline := self._dealer.deadline(self._session.id)) is not None:
                with anyio.CancelScope(deadline=deadline) as self._sleep:
                    await anyio.sleep_forever()
                self._deliver(self._dealer.expire(self._session.id, anyio.current_time()))
        finally:
            self._sleep = None
