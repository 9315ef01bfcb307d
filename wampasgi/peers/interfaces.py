"""The interfaces between a peer and the objects around it, and the record of its session's end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from wampasgi.protocol.messages import Call
from wampasgi.types import RawMessage


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a session: the reason URI, the side that began, and whether both sides sent GOODBYE."""

    reason: str
    ended_by: Literal["client", "server"]
    orderly: bool = False


class JoinedRouter(Protocol):
    """The router of the realm, as far as a peer needs it."""

    def leaving(self, session_id: int) -> None:
        """Remove the subscriptions, registrations and calls of a session that has begun to end."""

    def undeliverable(self, session_id: int, invocation_id: int, text: str) -> None:
        """Answer the caller of an INVOCATION that cannot be serialized; ``text`` is the reason."""

    def uri_of(self, raw: RawMessage) -> str | None:
        """Return the topic of an EVENT or the procedure of an INVOCATION; None for other messages."""

    def may_continue(self, session_id: int, call: Call) -> bool:
        """Return whether a CALL that reuses a request ID can be part of a progressive call."""


class ServedSession(Protocol):
    """An open session that is being served, as far as its peer needs it."""

    def send_event(
        self, topic: str, args: list[Any], kwargs: dict[str, Any], details: dict[str, Any]
    ) -> bool:
        """Send an event to this session alone if it is subscribed to the topic; return whether it is."""

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        """Revoke a subscription of the session."""

    def lost(self, dropped: int) -> None:
        """Report the number of messages that the client has lost in one overflow of its queue."""
