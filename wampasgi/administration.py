"""The administration of a running realm: its sessions and metrics, and what clients have registered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from wampasgi.configuration.plan import RealmPlan
from wampasgi.errors import CLOSE_REALM
from wampasgi.metrics import Metrics
from wampasgi.peers.session import Session
from wampasgi.protocol.uris import require_pattern
from wampasgi.router.router import Router
from wampasgi.sessions.shutdown import wait_ended
from wampasgi.types import Match


class AdministersRealm(ABC):
    """The methods of a realm for its sessions, and for the registrations, subscriptions and stored events."""

    #: The router of the realm.
    router: Router[Session]

    @abstractmethod
    def plan(self) -> RealmPlan:
        """Return the compiled configuration."""

    @abstractmethod
    def check_event_loop(self, what: str) -> None:
        """Raise RuntimeError if ``what`` is used outside the event loop that serves the realm."""

    @property
    def sessions(self) -> Mapping[int, Session]:
        """A live mapping of the open sessions of this worker, by session ID."""
        return self.router.sessions

    def metrics(self) -> Metrics:
        """Return the realm's counters and gauges, such as ``metrics["calls"]["results"]``.

        ``authentication``: logins that were ``delayed``, and failures that are ``unreported`` because too
        many waited for the handler. ``authentication_failures`` by method and reason, such as
        ``"ticket:wrong_proof"``. ``sessions``: gauges of ``open`` and ``opening`` sessions; counters of
        sessions that have ``joined``, were ``refused`` because of a limit, or ``aborted``. ``calls`` by
        clients: ``results``, ``errors``, ``canceled``. ``errors``: ERRORs ``sent``. ``events``: publications
        ``published`` and EVENTs ``sent``. ``overflows``: ``stretches``, the periods in which a client read
        too slowly, and the messages ``dropped`` in them. ``bytes`` of serialized messages: ``received`` and
        ``sent``. ``router``: gauges of the clients' ``subscriptions`` and ``registrations``.
        """
        return self.router.metrics()

    def revoke_registration(
        self, procedure: str, *, match: Match = "exact", reason: str | None = None
    ) -> int:
        """Revoke the registrations of a procedure by clients, and return their number.

        Clients that announced ``registration_revocation`` are notified, with the reason. They can still
        answer earlier calls, and can register the procedure again.
        Spec: Advanced Profile, "Registration Revocation".
        """
        self.check_event_loop("revoke_registration()")
        require_pattern(f"revoke_registration({procedure!r})", procedure, match)
        return self.router.revoke_registration(procedure, match, reason)

    def revoke_subscription(
        self,
        topic: str,
        *,
        match: Match = "exact",
        session: Session | None = None,
        reason: str | None = None,
    ) -> int:
        """Revoke a subscription of ``session``, or of all clients, and return the number of its subscribers.

        ``topic`` and ``match`` must be the same as in SUBSCRIBE. Without ``session``, the clients of other
        workers lose it, too, but the number is that of this worker's clients. Clients that announced
        ``subscription_revocation`` are notified, with the reason. As after UNSUBSCRIBE, the rest of the
        gatekeeper runs, and clients can subscribe again.
        Spec: Advanced Profile, "Subscription Revocation".
        """
        self.check_event_loop("revoke_subscription()")
        require_pattern(f"revoke_subscription({topic!r})", topic, match)
        if session is not None and not isinstance(session, Session):
            raise TypeError(
                f"revoke_subscription({topic!r}): session is {session!r}, it must be a Session: "
                "realm.sessions maps session IDs to sessions"
            )
        return self.router.revoke_subscription(topic, match, None if session is None else session.id, reason)

    def clear_retained(self, topic: str, *, match: Match = "exact") -> int:
        """Delete the retained events of a topic or a pattern of topics, and return their number.

        The topic ``""`` with ``match="prefix"`` deletes all retained events.
        Spec: Advanced Profile, "Event Retention".
        """
        self.check_event_loop("clear_retained()")
        require_pattern(f"clear_retained({topic!r})", topic, match)
        return self.router.clear_retained(topic, match)

    async def close_sessions(self, uri: str = CLOSE_REALM, message: str | None = None) -> None:
        """Close all sessions with GOODBYE and wait until they have ended.

        The wait is limited to ``Limits.close_timeout`` for the answers of the clients, plus
        ``Limits.teardown_timeout`` for the teardown of the handlers.
        """
        self.check_event_loop("close_sessions()")
        limits = self.plan().limits
        closing = self.served_sessions()
        for session in closing:
            await session.close(uri, message)
        await wait_ended(closing, limits)

    def served_sessions(self) -> list[Session]:
        """Return all sessions that are being served: the open ones, and those that are ending."""
        return list(self.router.served.values())
