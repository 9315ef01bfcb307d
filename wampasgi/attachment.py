"""What a peer is attached to while its session is open: the realm's router, and its own subscriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from wampasgi.messages import Call


class OwnSubscriptions(Protocol):
    """What a session has subscribed to."""

    def send_event(
        self, topic: str, args: list[Any], kwargs: dict[str, Any], details: dict[str, Any]
    ) -> bool:
        """Send an event to this session alone if it is subscribed to the topic, and return whether it is."""

    def revoke(self, subscription_id: int, reason: str | None) -> None:
        """Take a subscription away."""


class Router(Protocol):
    """What a peer tells the router of the realm that it has joined, and asks of it."""

    def leaving(self, session_id: int) -> None:
        """The session begins to end: no answer of the client's will be read any more."""

    def undeliverable(self, session_id: int, invocation_id: int, text: str) -> None:
        """The serializer cannot carry this INVOCATION; ``text`` is the reason."""

    def may_continue(self, session_id: int, call: Call) -> bool:
        """Whether a CALL with an id that was there before can be part of a progressive call."""

    async def call_client(
        self,
        session_id: int,
        procedure: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        timeout: float | None,
    ) -> Any:
        """Call a procedure that this very client has registered; raises WAMPError."""
