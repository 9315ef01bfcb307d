"""Calls of the router's own procedures, ``wamp.*``, by clients and by the server itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from wampasgi.configuration.authorization import refusal
from wampasgi.configuration.plan import RealmPlan
from wampasgi.description import Interface, check_definition
from wampasgi.errors import (
    FEATURE_NOT_SUPPORTED,
    NO_SUCH_SESSION,
    RUNTIME_ERROR,
    ConfigurationError,
    WAMPError,
)
from wampasgi.injection.cancellation import within
from wampasgi.logs import fields, logger_named
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.protocol.messages import Call, Publish, Result
from wampasgi.router.broker import Subscription
from wampasgi.router.meta_procedures import MetaProcedure, MetaResult
from wampasgi.router.permissions import Verdict
from wampasgi.router.reflection import DEFINE, DESCRIBE, DESCRIPTIONS
from wampasgi.router.stored_events import copied
from wampasgi.sessions.visibility import part_of, visible_interface
from wampasgi.sessions.waiting import completed

logger = logger_named("wampasgi.router")

#: Checks whether a session may publish a message later, and returns the function that publishes it. Raises
#: WAMPError.
Permit: TypeAlias = Callable[[Publish], Awaitable[Callable[[], object]]]

#: Raises WAMPError if a session may not subscribe to an existing subscription.
PermitListening: TypeAlias = Callable[[Subscription], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class MetaCaller:
    """The caller of a meta procedure: a client's session, or the server's own, which needs no permission."""

    session: Session
    plan: RealmPlan
    permit: Permit | None = None
    permit_listening: PermitListening | None = None

    async def call(self, procedure: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> MetaResult:
        """Call a procedure that the session may call; raises WAMPError.

        ``Router.carry_out`` carries out the consequences of the result, once the caller has its answer.
        """
        found = self.plan.router.meta.find(procedure)
        values = found.signature.read(args, kwargs)
        check = _CHECKS.get(procedure)
        if check is not None:
            values = await check(self, values)
        result = await self._compute(found, procedure, values)
        if procedure in DESCRIPTIONS:
            session = self.session if self.permit is not None else None
            visible = await self._visible(self.plan, session, result)
            return MetaResult([part_of(visible, procedure, values)])
        return result

    async def describe_for(self, session: Session) -> Interface:
        """Return the part of the realm's description that a session may use.

        Raises ValueError for a session of another realm.
        """
        if session.realm is not self.session.realm:
            raise ValueError(f"{session!r} is not a session of the realm {self.session.realm_uri!r}")
        plan = self.plan
        if session is not self.session:
            # The configuration may have changed since it was opened.
            plan = session.connection.scope["wamp.plan"]
        found = self.plan.router.meta.find(DESCRIBE)
        return await self._visible(plan, session, await self._compute(found, DESCRIBE, []))

    async def _compute(self, found: MetaProcedure, procedure: str, values: list[Any]) -> MetaResult:
        """Compute a procedure, together with the other workers if it reads what they know."""
        read = self.plan.router.read(procedure, values)
        if read is None:
            return found.compute(self.session.id, *values)
        await completed(read.synchronised)
        read.require_complete()
        return read.merged(found.compute(self.session.id, *values))

    async def _visible(self, plan: RealmPlan, session: Session | None, definitions: MetaResult) -> Interface:
        try:
            described = self.session.realm.describe()
        except ConfigurationError as error:
            # The settings have changed since the session was opened.
            logger.exception("the realm cannot be described", extra=fields(None, None))
            raise WAMPError(RUNTIME_ERROR) from error
        return await visible_interface(plan, described, session, definitions.args[0])


#: Does the asynchronous part of a procedure, such as asking an authorizer. Returns the values to compute the
#: result with, which may be more than the arguments. Raises WAMPError.
Check: TypeAlias = Callable[[MetaCaller, list[Any]], Awaitable[list[Any]]]


async def _check_testament(caller: MetaCaller, values: list[Any]) -> list[Any]:
    topic, args, kwargs, publish_options, scope = values
    if caller.permit is None:
        raise WAMPError(NO_SUCH_SESSION, "the server's own session does not end, so it has no testaments")
    options = {name: value for name, value in (publish_options or {}).items() if value is not None}
    publish = await caller.permit(Publish(0, options, topic, args, kwargs))
    limits = caller.plan.limits
    _, size = copied([options, topic, args, kwargs], most=limits.testament_bytes)
    return [publish, scope, size, limits.testaments, limits.testament_bytes]


async def _check_history(caller: MetaCaller, values: list[Any]) -> list[Any]:
    """Give the history only to sessions that may subscribe; the server gets all of it."""
    subscription = caller.plan.router.broker.subscriptions.get(values[0])
    if subscription is not None and caller.permit_listening is not None:
        await caller.permit_listening(subscription)
    return [*values, caller.permit_listening is None]


async def _check_definition(caller: MetaCaller, values: list[Any]) -> list[Any]:
    procedure, definition, match = values
    most = caller.plan.limits.definition_bytes
    size = 0
    if definition is not None:
        definition, size = copied(definition, most=most)
        if size <= most:
            # Otherwise it is refused because of its size, without the work to check it.
            check_definition(definition)
    return [procedure, definition, match, size, most]


_CHECKS: Final[Mapping[str, Check]] = {
    "wamp.session.add_testament": _check_testament,
    "wamp.subscription.get_events": _check_history,
    DEFINE: _check_definition,
}


class MetaCalls:
    """Answers one client's calls of the router's own procedures, one after the other."""

    __slots__ = ("_caller", "_peer", "_router")

    def __init__(self, caller: MetaCaller, peer: Peer) -> None:
        self._caller = caller
        self._peer = peer
        self._router = caller.plan.router

    async def answer(self, message: Call, verdict: Verdict | None) -> None:
        """Answer a call with RESULT, then carry out its consequences; raises WAMPError for ERROR.

        An unknown procedure gives ``wamp.error.no_such_procedure`` even if no rule allows the session to call
        it: the router's procedures are no secret.
        """
        self._router.meta.find(message.procedure)
        allowed = verdict.allowed if verdict is not None else self._is_open(message.procedure)
        if not allowed:
            raise refusal("call", message.procedure)
        options = message.options
        if options.get("progress", False):
            raise WAMPError(FEATURE_NOT_SUPPORTED, "this procedure does not support progressive calls")
        call = self._caller.call(message.procedure, message.args or (), message.kwargs or {})
        timeout = options.get("timeout", 0) / 1000
        outcome = await (within(timeout, call) if timeout else call)
        result = Result(message.request_id, {}, list(outcome.args), dict(outcome.kwargs))
        self._peer.send(result)
        self._router.carry_out(outcome)
        # For one short message, some procedures look at all sessions or at all stored events.
        self._peer.turn.end()
        await self._peer.uncongested()

    def _is_open(self, procedure: str) -> bool:
        """Return whether sessions may call a procedure without a rule."""
        return procedure in DESCRIPTIONS and self._caller.plan.description_access.open
