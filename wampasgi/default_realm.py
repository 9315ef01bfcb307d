"""The methods with which an application uses its default realm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, Unpack

from wampasgi.configuration.response_types import FROM_ANNOTATION
from wampasgi.configuration.route_details import ProcedureDetails
from wampasgi.configuration.routes import RouteMatch
from wampasgi.peers.session import Session
from wampasgi.realm import Realm
from wampasgi.sessions.listening import Events, LocalSubscription, WhenFull
from wampasgi.types import Handler, Match


class UsesDefaultRealm(ABC):
    """Calls, publications and subscriptions of the server in the default realm."""

    @property
    @abstractmethod
    def default_realm(self) -> Realm:
        """The realm of clients whose realm was not added. Raises ConfigurationError if it is disabled."""

    async def publish(
        self, topic: str, /, *args: Any, options: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> int:
        """Publish an event in the default realm. See Realm.publish."""
        return await self.default_realm.publish(topic, *args, options=options, **kwargs)

    async def call(self, procedure: str, /, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a procedure of the default realm. See Realm.call."""
        return await self.default_realm.call(procedure, *args, timeout=timeout, **kwargs)

    def subscribe(
        self,
        topic: str,
        handler: Handler,
        *,
        match: Match = "exact",
        buffer: int = 1000,
        when_full: WhenFull = "drop_oldest",
        get_retained: bool = False,
    ) -> LocalSubscription:
        """Return a context manager that handles events of the default realm. See Realm.subscribe."""
        return self.default_realm.subscribe(
            topic, handler, match=match, buffer=buffer, when_full=when_full, get_retained=get_retained
        )

    def events(
        self,
        topic: str,
        *,
        match: Match = "exact",
        buffer: int = 1000,
        when_full: WhenFull = "drop_oldest",
        get_retained: bool = False,
    ) -> Events:
        """Return events of the default realm, to iterate over inside ``async with``. See Realm.events."""
        return self.default_realm.events(
            topic, match=match, buffer=buffer, when_full=when_full, get_retained=get_retained
        )

    def register(
        self,
        uri: str,
        handler: Handler,
        *,
        match: RouteMatch = "exact",
        roles: str | Collection[str] | None = None,
        response_type: Any = FROM_ANNOTATION,
        **details: Unpack[ProcedureDetails],
    ) -> None:
        """Add a procedure to the default realm at run time. See Realm.register."""
        self.default_realm.register(
            uri, handler, match=match, roles=roles, response_type=response_type, **details
        )

    def unregister(self, uri: str, *, match: RouteMatch = "exact") -> None:
        """Remove a procedure that was added with ``register``. See Realm.unregister."""
        self.default_realm.unregister(uri, match=match)

    def revoke_registration(
        self, procedure: str, *, match: Match = "exact", reason: str | None = None
    ) -> int:
        """Revoke registrations by clients of the default realm. See Realm.revoke_registration."""
        return self.default_realm.revoke_registration(procedure, match=match, reason=reason)

    def revoke_subscription(
        self,
        topic: str,
        *,
        match: Match = "exact",
        session: Session | None = None,
        reason: str | None = None,
    ) -> int:
        """Revoke a subscription of clients of the default realm. See Realm.revoke_subscription."""
        return self.default_realm.revoke_subscription(topic, match=match, session=session, reason=reason)

    def clear_retained(self, topic: str, *, match: Match = "exact") -> int:
        """Delete retained events of the default realm. See Realm.clear_retained."""
        return self.default_realm.clear_retained(topic, match=match)
