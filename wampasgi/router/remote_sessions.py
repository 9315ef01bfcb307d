"""The sessions of other workers, as this worker's router sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Protocol

from wampasgi.protocol.ids import SequentialIds
from wampasgi.protocol.messages import Message
from wampasgi.router.cluster_items import ItemCode
from wampasgi.router.interfaces import MetaSession, SharedEvent
from wampasgi.router.invocations import PendingCall, RoutedSession
from wampasgi.router.realm_channel import RealmChannel
from wampasgi.router.registrations import Callee
from wampasgi.router.replicas import Item


@dataclass(frozen=True, slots=True)
class RemoteAuthentication:
    """How a session of another worker was authenticated."""

    authmethod: str | None
    authprovider: str | None


#: Sessions have few different ones, so they share them: there may be a hundred thousand sessions.
_authentication = lru_cache(maxsize=1000)(RemoteAuthentication)


@lru_cache(maxsize=1000)
def _details(caller_features: tuple[str, ...], callee_features: tuple[str, ...]) -> Mapping[str, Any]:
    return {
        "roles": {
            "caller": {"features": dict.fromkeys(caller_features, True)},
            "callee": {"features": dict.fromkeys(callee_features, True)},
        }
    }


class Relay(Protocol):
    """Sends the messages for sessions of other workers to these workers."""

    def relay(self, session: RemoteSession, message: Message) -> None:
        """Send a message of the dealer to the worker of a session."""

    def skip(self, session: RemoteSession, call_id: int) -> None:
        """Let the worker of a callee send no answer, although the callee is not interrupted."""


class RemoteSession:
    """A session of another worker: a recipient, and an identity.

    Its own worker sends it events, so here it only takes part in calls.
    """

    __slots__ = ("_channel", "_relay", "authentication", "authid", "authrole", "details", "id", "node")

    def __init__(self, node: int, session_id: int, channel: RealmChannel, relay: Relay) -> None:
        self._channel = channel
        self._relay = relay
        #: The node that serves the session, and the session ID.
        self.node = node
        self.id = session_id
        self.authid: str | None = None
        self.authrole: str | None = None
        self.authentication = _authentication(None, None)
        self.details = _details((), ())

    def identify(
        self,
        authid: str | None,
        authrole: str | None,
        authmethod: str | None,
        authprovider: str | None,
        caller_features: Iterable[str],
        callee_features: Iterable[str],
    ) -> None:
        """Set the identity and the features of the session."""
        self.authid = authid
        self.authrole = authrole
        self.authentication = _authentication(authmethod, authprovider)
        self.details = _details(tuple(caller_features), tuple(callee_features))

    @property
    def overloaded(self) -> bool:
        """Return whether the worker of the session should get no further invocations for now."""
        return self._channel.congested

    def send(self, message: Message) -> None:
        """Send a message of the dealer to the worker of the session."""
        self._relay.relay(self, message)

    def send_event(self, event: SharedEvent) -> None:
        """Do nothing: the session's own worker sends it events."""

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        """Do nothing: only the session's own worker knows its subscriptions."""

    def say_goodbye(self, reason: str, message: str | None = None, *, silent: bool = False) -> None:
        """Let the worker of the session close it; see :class:`SessionsToClose` for ``silent``."""
        self._channel.put(self.node, [ItemCode.CLOSE, self.id, reason, message, silent])


class RemoteRoutedSession(RoutedSession):
    """The dealer's record of a session of another worker.

    Its invocations have IDs that are unique among all workers' callees, so that they identify calls.
    """

    __slots__ = ("_call_ids", "_relay", "_session", "node")

    def __init__(self, session: RemoteSession, relay: Relay, call_ids: SequentialIds) -> None:
        super().__init__(session.id, session)
        self._session = session
        self._relay = relay
        self._call_ids = call_ids
        #: The node that serves the session.
        self.node = session.node

    def open_invocation(self, pending: PendingCall, taken_by: Callee) -> None:
        """Assign a call to this callee, under the next call ID."""
        self.last_invocation_id = self._call_ids.next() - 1
        super().open_invocation(pending, taken_by)

    def give_up_invocation(self, pending: PendingCall, *, still_runs: bool) -> None:
        """Stop waiting for an answer; the worker of the callee learns it here if no INTERRUPT follows."""
        super().give_up_invocation(pending, still_runs=still_runs)
        if still_runs:
            self._relay.skip(self._session, pending.invocation_id)


@dataclass(slots=True)
class Unconfirmed:
    """The rows of another worker that its new snapshot has not confirmed yet.

    ``sessions`` are session IDs, ``callees`` are session IDs with the keys of registrations, and
    ``interests`` are keys of subscriptions.
    """

    sessions: set[int]
    callees: set[tuple[int, Any]]
    interests: set[Any]


class AllSessions(Mapping[int, MetaSession]):
    """A live view of the sessions of this worker and of the others.

    ``is_listed`` tells whether a session of another worker is a client's.
    """

    def __init__(
        self,
        own: Mapping[int, MetaSession],
        remote: Mapping[int, RemoteSession],
        is_listed: Callable[[int], bool],
    ) -> None:
        self._own = own
        self._remote = remote
        self._is_listed = is_listed

    def __getitem__(self, session_id: int) -> MetaSession:
        found = self._own.get(session_id)
        if found is None and self._is_listed(session_id):
            found = self._remote.get(session_id)
        if found is None:
            raise KeyError(session_id)
        return found

    def __iter__(self) -> Iterator[int]:
        return chain(self._own, filter(self._is_listed, self._remote))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def row_of(session_id: int, session: MetaSession, routed: RoutedSession) -> Item:
    """Return the item that announces a session of this worker."""
    authentication = session.authentication
    return [
        ItemCode.JOIN,
        session_id,
        session.authid,
        session.authrole,
        authentication.authmethod,
        authentication.authprovider,
        sorted(routed.caller_features),
        sorted(routed.callee_features),
    ]
