"""What a realm's configuration comes to: plans and tables, ready to serve sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wampasgi.adapters import AsyncSupport
from wampasgi.authorization import Authorization
from wampasgi.calls import Procedure
from wampasgi.events import Subscriber
from wampasgi.handlers import HandlerPlan
from wampasgi.joined import JoinedSessions
from wampasgi.limits import Limits
from wampasgi.router.matching import URIMap
from wampasgi.routing import RouteTable
from wampasgi.session import Session
from wampasgi.subscribing import Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRealm:
    """A realm whose configuration has been read: every handler has its plan.

    ``provided`` are the arguments that every handler of the realm can get; a session adds itself.
    ``procedure_for_all`` and ``topic_for_all`` are the custom handlers that replace the routes.
    """

    provided: Mapping[str, Any]
    limits: Limits
    async_support: AsyncSupport | None
    synchronize_requests: bool
    debug: bool
    authorization: Authorization
    procedures: RouteTable[Procedure]
    procedure_for_all: Procedure | None
    topics: RouteTable[Topic]
    topic_for_all: Topic | None
    subscribers: URIMap[list[Subscriber]]
    lifespan_handlers: tuple[HandlerPlan, ...]
    early_lifespan_handlers: tuple[HandlerPlan, ...]
    joined: JoinedSessions

    def provided_for(self, session: Session) -> dict[str, Any]:
        """The framework's own arguments for handlers of one session."""
        return {**self.provided, "session": session}

    def find_procedure(self, uri: str) -> Procedure | None:
        """The realm's own procedure at a URI."""
        return self.procedure_for_all or self.procedures.find(uri)

    def find_topic(self, uri: str) -> Topic | None:
        """The realm's own topic at a URI."""
        return self.topic_for_all or self.topics.find(uri)
