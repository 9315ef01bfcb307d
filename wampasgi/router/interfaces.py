"""The interfaces between the router and the layers around it.

The router decides who receives a message and hands it to a :class:`Recipient`. It never asks which kind of
recipient that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from wampasgi.protocol.messages import Event, Message
from wampasgi.types import RawMessage

T_contra = TypeVar("T_contra", contravariant=True)


class Authenticated(Protocol):
    """The identity of a session, as far as permissions and event lists are concerned."""

    @property
    def authid(self) -> str | None:
        """The authid that WELCOME gave to the session."""

    @property
    def authrole(self) -> str | None:
        """The authrole that WELCOME gave to the session."""


class SessionDetails(Authenticated, Protocol):
    """The identity of a session and the features that it announced."""

    @property
    def details(self) -> Mapping[str, Any]:
        """HELLO.Details, with the session's roles and features."""


class Authentication(Protocol):
    """How a session was authenticated."""

    @property
    def authmethod(self) -> str | None:
        """The method that was used."""

    @property
    def authprovider(self) -> str | None:
        """The authority that performed it."""


class MetaSession(Authenticated, Protocol):
    """The attributes of a session that the session meta API shows."""

    @property
    def authentication(self) -> Authentication:
        """How the session was authenticated."""


class JoinedSession(MetaSession, SessionDetails, Protocol):
    """A session of a client that has joined the router."""

    @property
    def id(self) -> int:
        """The session ID."""


class SharedEvent:
    """One EVENT for any number of recipients.

    ``publisher_id`` is the session ID of the publisher, None for publications by the server or the router.
    Each recipient that serializes the event keeps the result in ``encodings``, under its serializer's name,
    so that an event is encoded once for each serializer.
    """

    __slots__ = ("encodings", "message", "publisher_id", "raw")

    def __init__(self, message: Event, publisher_id: int | None = None) -> None:
        self.message = message
        self.publisher_id = publisher_id
        #: The message as it stands on the wire.
        self.raw: RawMessage = message.to_list()
        #: The serialized event and its size in bytes; None if the serializer cannot carry it.
        self.encodings: dict[str, tuple[str | bytes, int] | None] = {}


class Recipient(Protocol):
    """A session that the router sends to.

    A client's peer is one, the realm's own session is another. Nothing here waits.
    """

    @property
    def overloaded(self) -> bool:
        """Whether the queue of the recipient is so full that it gets no more invocations for now."""

    def send(self, message: Message) -> None:
        """Send any message other than EVENT."""

    def send_event(self, event: SharedEvent) -> None:
        """Send an EVENT, which other recipients may get, too."""

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        """Take a subscription away from the session.

        Spec: Advanced Profile, "Subscription Revocation".
        """

    def say_goodbye(self, reason: str, message: str | None = None) -> None:
        """Begin to close the session with GOODBYE; does nothing if it is closing already."""


class Observer(Protocol[T_contra]):
    """Observes subscriptions or registrations; these call it in order, before they return."""

    def created(self, session_id: int, entry: T_contra, /) -> None:
        """A session's request has created the entry; ``added`` follows."""

    def added(self, session_id: int, entry: T_contra, /) -> None:
        """A session was added to the entry."""

    def removed(self, session_id: int, entry: T_contra, /) -> None:
        """A session was removed from the entry."""

    def deleted(self, session_id: int, entry: T_contra, /) -> None:
        """The entry was deleted, because its last session was removed."""

    def kept(self, entry: T_contra, /) -> None:
        """The realm itself has created the entry, which stays when its last session is removed."""
