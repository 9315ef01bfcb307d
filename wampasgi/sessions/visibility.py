"""The part of a realm's description that one session may see: the procedures and topics that it may use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from anyio.lowlevel import checkpoint

from wampasgi.auth import AnonymousMethod
from wampasgi.configuration.plan import RealmPlan
from wampasgi.configuration.routes import RouteMatch
from wampasgi.description import (
    Definition,
    Interface,
    ProcedureDescription,
    TopicDescription,
    with_definitions,
)
from wampasgi.errors import WAMPError
from wampasgi.peers.session import Session
from wampasgi.router.interfaces import Authenticated
from wampasgi.router.matching import covers
from wampasgi.router.permissions import DENIED, Verdict
from wampasgi.router.registrations import Registration
from wampasgi.types import Action, Match

# Entries between two checkpoints, so that long descriptions do not delay other sessions.
_ENTRIES_AT_ONCE = 100


async def visible_interface(
    plan: RealmPlan,
    interface: Interface,
    session: Session | None,
    definitions: Iterable[Sequence[Any]],
) -> Interface:
    """Return the part of a realm's description that a session may use, with the procedures of clients.

    Each entry is authorized like a request. An entry is left out if the authorizer fails for it, and if the
    rules cannot decide for all of its URIs. Without a session, all entries are returned. ``definitions`` are
    those of clients, each ``[match, procedure, definition]``.
    """
    registrations = [
        registration
        for registration in plan.router.dealer.registrations.by_id.values()
        if not (registration.of_realm or registration.private)
    ]
    if session is not None:
        visibility = _Visibility(plan, session)
        interface = await visibility.own_part(interface)
        registrations = [
            registration for registration in registrations if await visibility.may_call_client(registration)
        ]
    defined = {(match, procedure): definition for match, procedure, definition in definitions}
    return with_definitions(
        interface,
        [
            _definition(entry.match, entry.procedure, defined.get((entry.match, entry.procedure), {}))
            for entry in registrations
        ],
    )


def _definition(match: Match, procedure: str, definition: Mapping[str, Any]) -> Definition:
    try:
        return Definition(match, procedure, definition)
    except ValueError:
        # A worker with another version of this package has accepted it.
        return Definition(match, procedure, {})


async def public_interface(plan: RealmPlan, interface: Interface) -> Interface:
    """Return the part of a realm's description that anonymous sessions may use, by its rules.

    An entry is left out if the authorizer would have to be asked, and all are if the realm does not accept
    anonymous sessions.
    """
    if AnonymousMethod.name not in plan.authmethods:
        return interface.restricted_to((), ())
    return await _Visibility(plan, None).own_part(interface)


def part_of(interface: Interface, procedure: str, values: Sequence[Any]) -> Any:
    """Return the part of a description that a procedure of the router answers with.

    ``values`` are the arguments of ``wamp.reflection.describe`` and the other procedures that describe.
    """
    _, _, kind, *what = procedure.split(".")
    if kind == "describe":
        return interface.to_dict()
    if what == ["list"]:
        entries: Mapping[str, Sequence[Any]] = {
            "procedure": interface.procedures,
            "topic": interface.topics,
            "error": interface.errors,
        }
        return [entry.uri for entry in entries[kind]]
    if kind == "error":
        return interface.describe_error(*values)
    uri, match = values
    describe = interface.describe_procedure if kind == "procedure" else interface.describe_topic
    return describe(uri, match or "exact")


@dataclass(frozen=True, slots=True)
class _Anonymous:
    """The identity of anonymous sessions, for the rules."""

    authid: str | None = None
    authrole: str | None = AnonymousMethod.name


class _Visibility:
    """Authorizes the entries of a description for one session, or for anonymous sessions in general."""

    def __init__(self, plan: RealmPlan, session: Session | None) -> None:
        self._plan = plan
        self._session = session
        self._identity: Authenticated = _Anonymous() if session is None else session
        self._provided = {} if session is None else plan.provided_for(session)
        self._count = 0

    async def own_part(self, interface: Interface) -> Interface:
        """Return the part of the realm's own procedures and topics."""
        procedures = [entry for entry in interface.procedures if await self.may_call(entry)]
        topics = [await self.seen_topic(entry) for entry in interface.topics]
        return interface.restricted_to(procedures, [entry for entry in topics if entry is not None])

    async def may_call(self, entry: ProcedureDescription) -> bool:
        procedure = self._plan.own_procedure(entry.match, entry.uri)
        if procedure is None:
            # The realm got it after the session had joined.
            return False
        verdict = await self._verdict("call", entry.uri, entry.match, procedure.roles)
        return verdict is None or verdict.allowed

    async def may_call_client(self, registration: Registration) -> bool:
        verdict = await self._verdict("call", registration.procedure, registration.match, None)
        return verdict is not None and verdict.allowed

    async def seen_topic(self, entry: TopicDescription) -> TopicDescription | None:
        """Return the topic with the actions that the session may take, or None if it may take none.

        The type of the events is for subscribers, and the parameters are for publishers. The examples may be
        for either.
        """
        subscribe = await self._may_subscribe(entry)
        publish = await self._may_publish(entry)
        if not (subscribe or publish):
            return None
        if (subscribe, publish) == (entry.subscribe, entry.publish):
            return entry
        may_do_all = subscribe >= entry.subscribe and publish >= entry.publish
        return replace(
            entry,
            subscribe=subscribe,
            publish=publish,
            event=entry.event if subscribe else None,
            parameters=entry.parameters if publish else None,
            examples=entry.examples if may_do_all else (),
        )

    async def _may_subscribe(self, entry: TopicDescription) -> bool:
        plan = self._plan
        topic = plan.topic_for_all or plan.topics.get(entry.match, entry.uri)
        if topic is None and entry.match == "exact":
            # A topic that only has subscribers, or that the realm got after the session had joined.
            topic = plan.find_topic(entry.uri)
        roles = None if topic is None else topic.roles
        verdict = await self._verdict("subscribe", entry.uri, entry.match, roles)
        return topic is not None if verdict is None else verdict.allowed

    async def _may_publish(self, entry: TopicDescription) -> bool:
        verdict = await self._verdict("publish", entry.uri, entry.match, None)
        if verdict is not None:
            return verdict.allowed
        role = self._identity.authrole
        if entry.match == "exact":
            # Faster than the search below.
            return self._plan.permitting_subscribers(entry.uri, role)
        if entry.match == "regex":
            return False
        return any(
            handler.takes_from(role)
            for (match, topic), handlers in self._plan.subscribers.items()
            if covers(match, topic, entry.match, entry.uri)
            for handler in handlers
        )

    async def _verdict(
        self, action: Action, uri: str, match: RouteMatch, roles: frozenset[str] | None
    ) -> Verdict | None:
        """Return the verdict on all URIs of an entry, None if neither a rule nor an authorizer decides."""
        self._count += 1
        if self._count % _ENTRIES_AT_ONCE == 0:
            await checkpoint()
        authorization = self._plan.authorization
        if match == "regex":
            # No rule names a regular expression, so those that match any URI must agree.
            match, uri = "prefix", ""
        elif self._session is not None:
            options = {} if match == "exact" else {"match": match}
            try:
                return await authorization.decide(
                    self._session,
                    action,
                    uri,
                    options,
                    self._provided,
                    roles=roles,
                    match=match,
                    of_realm=True,
                )
            except WAMPError:
                return DENIED
        verdict = authorization.by_rules(self._identity, action, uri, roles=roles, match=match, of_realm=True)
        return DENIED if verdict is None and authorization.authorizer is not None else verdict
