"""Interfaces between the router and what stands around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from wampasgi.protocol.messages import Call


class Authenticated(Protocol):
    """As whom a session was authenticated."""

    @property
    def authid(self) -> str | None:
        """The authid that WELCOME gave it."""

    @property
    def authrole(self) -> str | None:
        """The authrole that WELCOME gave it."""


class SessionDetails(Authenticated, Protocol):
    """As whom a session was authenticated, and what it announced."""

    @property
    def details(self) -> Mapping[str, Any]:
        """HELLO.Details, its roles and features among them."""


T_contra = TypeVar("T_contra", contravariant=True)


class Observer(Protocol[T_contra]):
    """Is told by broker or registrations what happens to their entries, in order and before they return."""

    def created(self, session_id: int, entry: T_contra, /) -> None:
        """A session's request has created it; ``added`` follows."""

    def added(self, session_id: int, entry: T_contra, /) -> None:
        """A session was added to it."""

    def removed(self, session_id: int, entry: T_contra, /) -> None:
        """A session was removed from it."""

    def deleted(self, session_id: int, entry: T_contra, /) -> None:
        """It is no more, because its last session was removed."""

    def kept(self, entry: T_contra, /) -> None:
        """It was created by no session's request, and stays when its last session is removed."""


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
