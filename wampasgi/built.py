"""What a realm's configuration comes to: plans and tables, ready to serve sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wampasgi.adapters import AsyncSupport
from wampasgi.authorization import Authorization
from wampasgi.calls import Procedure
from wampasgi.events import Subscriber
from wampasgi.handlers import HandlerPlan
from wampasgi.joined import JoinedSessions
from wampasgi.limits import Limits
from wampasgi.router.matching import URIMap
from wampasgi.routing import RouteMatch, RouteTable, precedence
from wampasgi.session import Session
from wampasgi.subscribing import Topic
from wampasgi.types import Match
from wampasgi.uris import is_reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRealm:
    """A realm whose configuration has been read: every handler has its plan.

    ``provided`` are the arguments that every handler of the realm can get; a session adds itself.
    ``procedures_at_run_time`` is the realm's, and the same in whatever is built of its configuration.
    ``procedure_for_all`` and ``topic_for_all`` are the custom handlers that replace the routes.
    """

    provided: Mapping[str, Any]
    limits: Limits
    async_support: AsyncSupport | None
    synchronize_requests: bool
    debug: bool
    authorization: Authorization
    procedures: RouteTable[Procedure]
    procedures_at_run_time: RouteTable[Procedure]
    procedure_for_all: Procedure | None
    topics: RouteTable[Topic]
    topic_for_all: Topic | None
    subscribers: URIMap[list[Subscriber]]
    lifespan_handlers: tuple[HandlerPlan, ...]
    early_lifespan_handlers: tuple[HandlerPlan, ...]
    overflow_handler: HandlerPlan | None
    joined: JoinedSessions
    #: Whether a session can have handlers that run beside it: lifespan handlers, or gatekeepers with a yield.
    has_two_part_handlers: bool = field(init=False)
    #: Those at exact URIs that everybody may call as long as there are no rules.
    open_procedures: Mapping[str, Procedure] = field(init=False)

    def __post_init__(self) -> None:
        found: dict[str, Procedure] = {}
        if not (self.procedure_for_all or self.synchronize_requests or self.authorization.authorizer):
            for procedure in self.procedures:
                if procedure.route is not None and procedure.first and procedure.roles is None:
                    found[procedure.route.uri] = procedure
        object.__setattr__(self, "open_procedures", found)
        topics = [*self.topics, *([self.topic_for_all] if self.topic_for_all is not None else [])]
        two_parts = any(topic.plan.kind == "async_generator" for topic in topics)
        object.__setattr__(self, "has_two_part_handlers", two_parts or bool(self.lifespan_handlers))

    def provided_for(self, session: Session) -> dict[str, Any]:
        """The framework's own arguments for handlers of one session."""
        return {**self.provided, "session": session}

    def find_procedure(self, uri: str) -> Procedure | None:
        """The realm's own procedure that a call of this URI goes to.

        None where there is none, and where what a client has registered comes first by the specification's
        order: exact, then the longest prefix, then the best wildcard; a regular expression comes last. What
        is the router's is nobody else's, whatever the pattern.
        Spec: Advanced Profile, "Calls matching multiple registrations".
        """
        found = self.procedure_for_all or self.procedures.find(uri)
        if found is not None and found.first:
            return found
        if is_reserved(uri):
            return None
        if self.procedure_for_all is not None:
            return self.procedure_for_all
        at_run_time = self.procedures_at_run_time.find(uri)
        if found is at_run_time is None:
            return None
        candidates = [candidate for candidate in (found, at_run_time) if candidate is not None]
        own = max(candidates, key=_precedence, default=None)
        registration = self.joined.dealer.registrations.best(uri)
        if own is None or registration is None:
            return own
        return own if _precedence(own) > precedence(registration.match, registration.procedure) else None

    def own_procedure(self, match: RouteMatch, uri: str) -> Procedure | None:
        """What exactly this URI, or pattern of URIs, is of the realm's own procedures, None for nothing."""
        return (
            self.procedure_for_all
            or self.procedures.get(match, uri)
            or self.procedures_at_run_time.get(match, uri)
        )

    def offered(self) -> Iterator[tuple[Match, str]]:
        """The realm's own procedures that a match policy and a URI describe; regular expressions are none."""
        if self.procedure_for_all is not None:
            return
        for procedure in (*self.procedures, *self.procedures_at_run_time):
            if procedure.route is not None and procedure.route.match != "regex":
                yield procedure.route.match, procedure.route.uri

    def find_topic(self, uri: str) -> Topic | None:
        """The realm's own topic at a URI."""
        return self.topic_for_all or self.topics.find(uri)


def _precedence(procedure: Procedure) -> tuple[int, tuple[int, ...]]:
    assert procedure.route is not None
    return precedence(procedure.route.match, procedure.route.uri)
