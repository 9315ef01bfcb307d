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
    """The identity of a session, as permissions and the lists of events use it."""

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
        """The authority that authenticated the session."""


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
    ``relayed`` is true if another worker published the event: the realm's handlers get it there.
    A recipient that encodes the event caches the result in ``encodings`` under the name of its encoding, so
    that an event is encoded once for each of them.
    """

    __slots__ = ("encodings", "message", "publisher_id", "raw", "relayed")

    def __init__(self, message: Event, publisher_id: int | None = None, *, relayed: bool = False) -> None:
        self.message = message
        self.publisher_id = publisher_id
        self.relayed = relayed
        #: The message as it stands on the wire.
        self.raw: RawMessage = message.to_list()
        #: The encoded event and its size in bytes; None if the encoding cannot carry it.
        self.encodings: dict[str, tuple[Any, int] | None] = {}


class Recipient(Protocol):
    """A session that the router sends to.

    The peer of a client is one, and the realm's own session is another. No method blocks.
    """

    @property
    def overloaded(self) -> bool:
        """Return whether the recipient's queue is too full for further invocations."""

    def send(self, message: Message) -> None:
        """Send any message other than EVENT."""

    def send_event(self, event: SharedEvent) -> object:
        """Send an EVENT, which may have other recipients as well."""

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        """Revoke a subscription of the session.

        Spec: Advanced Profile, "Subscription Revocation".
        """

    def say_goodbye(self, reason: str, message: str | None = None) -> None:
        """Begin to close the session with GOODBYE; do nothing if it is closing already."""


class Observer(Protocol[T_contra]):
    """Observes subscriptions or registrations.

    Broker and registrations call it in the order of the changes, before they return.
    """

    def created(self, session_id: int, entry: T_contra, /) -> None:
        """Handle the creation of an entry by a session's request; ``added`` follows."""

    def added(self, session_id: int, entry: T_contra, /) -> None:
        """Handle the addition of a session to an entry."""

    def removed(self, session_id: int, entry: T_contra, /) -> None:
        """Handle the removal of a session from an entry."""

    def deleted(self, session_id: int, entry: T_contra, /) -> None:
        """Handle the deletion of an entry after the removal of its last session."""

    def kept(self, entry: T_contra, /) -> None:
        """Handle the creation of an entry by the realm itself; it outlives its last session."""
