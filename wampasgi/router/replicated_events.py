"""The publications that cross workers, and the stored events and testaments that all workers have.

A publication goes to each worker that is interested in its topic, and to all workers if it is stored. Each
worker finds its own subscribers, and applies the black- and whitelists to them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from wampasgi.protocol.messages import Event
from wampasgi.router.broker import Broker, Publication
from wampasgi.router.cluster_items import ItemCode, PublicationFlags
from wampasgi.router.event_history import EventHistory
from wampasgi.router.interfaces import SessionDetails
from wampasgi.router.matching import matcher
from wampasgi.router.publish_options import BLACKLISTS, WHITELISTS, event_details
from wampasgi.router.realm_channel import RealmChannel
from wampasgi.router.replicas import Item, MalformedItem
from wampasgi.router.retained_events import RetainedEvents
from wampasgi.router.stamps import Stamp
from wampasgi.router.stored_events import StoredEvent, store
from wampasgi.router.testaments import SCOPES, Publish, Scope, Testament, Testaments
from wampasgi.types import Match

_LISTS: Final = BLACKLISTS | WHITELISTS
#: The number of deletions of retained events that are remembered, for events that arrive late.
_DELETIONS: Final = 1000

#: Sends a publication of a session, whose ID is given, to this worker's subscribers. The bool is the
#: ``relayed`` of the event.
Distribute: TypeAlias = Callable[[Publication, int | None, bool], None]


@dataclass(frozen=True, slots=True)
class RemoteEvent:
    """A publication as it comes from another worker."""

    publication_id: int
    topic: str
    details: dict[str, Any]
    lists: dict[str, Any]
    excluded: int | None
    args: list[Any] | None
    kwargs: dict[str, Any] | None
    payload: bytes | None
    flags: int


@dataclass(frozen=True, slots=True)
class _Deletion:
    """A deletion of retained events, with the test for their topics."""

    match: Match
    topic: str
    stamp: Stamp
    applies: Callable[[str], bool]

    def item(self) -> Item:
        return [ItemCode.CLEAR, self.match, self.topic, *self.stamp]


class ReplicatedEvents:
    """The publications and stored events of one realm, between this worker and others.

    ``server_id`` is the realm's own session on this worker. ``distribute`` sends the events that the broker
    has found recipients for.
    """

    def __init__(
        self,
        channel: RealmChannel,
        broker: Broker,
        retained: RetainedEvents,
        history: EventHistory,
        sessions: Mapping[int, SessionDetails],
        *,
        server_id: Callable[[], int],
        distribute: Distribute,
    ) -> None:
        self._channel = channel
        self._broker = broker
        self._retained = retained
        self._history = history
        self._sessions = sessions
        self._server_id = server_id
        self._distribute = distribute
        self._deletions: deque[_Deletion] = deque(maxlen=_DELETIONS)
        # The nodes whose snapshots are arriving, and meanwhile the stamps of all stored events.
        self._arriving: set[int] = set()
        self._known: set[Stamp] = set()
        broker.next_stamp = channel.stamp

    # Publications

    def forward(
        self,
        publication: Publication,
        publisher_id: int | None,
        topic: str,
        options: Mapping[str, Any],
        contents: tuple[list[Any] | None, dict[str, Any] | None, bytes | None],
        *,
        disclose: bool,
        to_server: bool,
    ) -> bool:
        """Send a publication of this worker to the workers that need it; return whether there are any.

        Raises the errors of :meth:`RealmChannel.put`.
        """
        nodes: frozenset[int] = frozenset()
        for subscription in self._broker.matches(topic):
            nodes |= subscription.nodes
        stored = publication.stored
        if not nodes and stored is None:
            return False
        flags = PublicationFlags.TO_SERVER if to_server else 0
        time = timestamp = None
        if stored is not None:
            flags |= _storage_flags(stored)
            time = stored.stamp[0] if stored.stamp is not None else None
            timestamp = stored.timestamp
        item = [
            ItemCode.PUBLISH,
            publisher_id,
            time,
            timestamp,
            publication.publication_id,
            topic,
            event_details(options, publisher_id if disclose else None, self._sessions),
            {name: list(values) for name, values in options.items() if name in _LISTS} if options else {},
            publisher_id if options.get("exclude_me", True) else None,
            *contents,
            flags,
        ]
        if stored is None:
            self._channel.put_each(nodes, item)
        else:
            self._channel.put_all(item)
        return True

    def publish(self, node: int, item: Item) -> None:
        """Distribute, and store, a publication of another worker."""
        _, publisher_id, time, timestamp, *fields = item
        event = RemoteEvent(*fields)
        stamp = None if time is None else self._channel.observe(time, node)
        self.distribute(event, publisher_id, stamp, timestamp)

    def distribute(
        self,
        event: RemoteEvent,
        publisher_id: int | None,
        stamp: Stamp | None,
        timestamp: str | None,
        *,
        relayed: bool = True,
    ) -> None:
        """Send an event to this worker's subscribers, and store it if it has a stamp.

        If it is not ``relayed``, the realm's handlers get it, too.
        """
        if stamp is not None and not (self._arriving and self._is_known(stamp)):
            self._store(event, stamp, timestamp)
        publication = self._broker.distribute(
            event.publication_id,
            event.topic,
            event.details,
            event.lists,
            (event.args, event.kwargs, event.payload),
            excluded=event.excluded,
            only=(self._server_id(),) if event.flags & PublicationFlags.TO_SERVER else None,
        )
        self._distribute(publication, publisher_id, relayed)

    # Stored events

    def _store(self, event: RemoteEvent, stamp: Stamp, timestamp: str | None) -> StoredEvent:
        message = Event(0, event.publication_id, event.details, event.args, event.kwargs, event.payload)
        stored = store(message, event.topic, event.lists, excluded_id=event.excluded)
        stored.stamp, stored.timestamp = stamp, timestamp
        stored.logged = bool(event.flags & PublicationFlags.LOGGED)
        is_deleted = any(stamp < found.stamp and found.applies(event.topic) for found in self._deletions)
        stored.retained = bool(event.flags & PublicationFlags.RETAINED) and not is_deleted
        self._broker.store(stored)
        return stored

    def adopt(self, event: RemoteEvent) -> None:
        """Store the testament of a dead worker's session on all workers, as an event of this one."""
        if event.flags & (PublicationFlags.RETAINED | PublicationFlags.LOGGED):
            self._channel.put_all(_item_of(self._store(event, self._channel.stamp(), None)))

    def begin_snapshot(self, node: int) -> None:
        """Prepare for the stored events of a snapshot, most of which may be known."""
        if not self._arriving:
            self._known = {event.stamp for event in self._all() if event.stamp is not None}
        self._arriving.add(node)

    def end_snapshot(self, node: int) -> None:
        """End the snapshot of a node, if one is arriving."""
        self._arriving.discard(node)
        if not self._arriving:
            self._known = set()

    def stored(self, node: int, item: Item) -> None:
        """Store an event that may be known already."""
        _, time, author, timestamp, *fields = item
        event = RemoteEvent(*fields)
        stamp = self._channel.observe(time, author)
        if not self._is_known(stamp):
            self._store(event, stamp, timestamp)

    def _is_known(self, stamp: Stamp) -> bool:
        """Return whether an event is stored already. While a snapshot arrives, it is from now on."""
        if not self._arriving:
            return any(event.stamp == stamp for event in self._all())
        is_known = stamp in self._known
        self._known.add(stamp)
        return is_known

    def own_rows(self) -> Iterator[Item]:
        """Yield the items of the deletions and stored events that no other live node announces."""
        others = self._channel.nodes
        for deletion in self._deletions:
            if deletion.stamp[1] not in others:
                yield deletion.item()
        for event in self._all():
            if event.stamp is not None and event.stamp[1] not in others:
                yield _item_of(event)

    def _all(self) -> list[StoredEvent]:
        """Return all stored events, each once."""
        return list(dict.fromkeys([*self._retained, *self._history.events()]))

    # The last events of a node that has ended, which may not have reached all others

    def forget(self, node: int) -> None:
        """Compare the events of a node that has ended with those that the other nodes have."""
        self.end_snapshot(node)
        self._channel.put_all([ItemCode.KNOWN, node, self._newest(node)])

    def _newest(self, author: int) -> int:
        stamps = [event.stamp for event in self._all()] + [deletion.stamp for deletion in self._deletions]
        return max((stamp[0] for stamp in stamps if stamp is not None and stamp[1] == author), default=0)

    def known(self, node: int, item: Item) -> None:
        """Send a node the events and deletions of an ended one that it lacks, or request them."""
        _, author, time = item
        newest = self._newest(author)
        if newest < time and author != self._channel.node:
            self._channel.put(node, [ItemCode.KNOWN, author, newest])
        for deletion in self._deletions:
            if deletion.stamp[1] == author and deletion.stamp[0] > time:
                self._channel.put(node, deletion.item())
        for event in self._all():
            if event.stamp is not None and event.stamp[1] == author and event.stamp[0] > time:
                self._channel.put(node, _item_of(event))

    def clear(self, topic: str, match: Match) -> int:
        """Delete the retained events of a topic or pattern on all workers; return their number here."""
        deletion = _Deletion(match, topic, self._channel.stamp(), matcher(match, topic))
        self._channel.put_all(deletion.item())
        return self._clear(deletion)

    def cleared(self, node: int, item: Item) -> None:
        """Delete retained events, as another worker did."""
        _, match, topic, time, author = item
        stamp = self._channel.observe(time, author)
        if all(deletion.stamp != stamp for deletion in self._deletions):
            self._clear(_Deletion(match, topic, stamp, matcher(match, topic)))

    def _clear(self, deletion: _Deletion) -> int:
        self._deletions.append(deletion)
        return self._retained.clear(deletion.topic, deletion.match, before=deletion.stamp)


def _item_of(event: StoredEvent) -> Item:
    assert event.stamp is not None, "only events with stamps are sent"
    lists = {name: list(values) for name, values in event.lists.items()}
    return [
        ItemCode.STORED,
        *event.stamp,
        event.timestamp,
        event.publication_id,
        event.topic,
        dict(event.details),
        lists,
        event.excluded_id,
        event.args,
        event.kwargs,
        event.payload,
        _storage_flags(event),
    ]


def _storage_flags(event: StoredEvent) -> int:
    retained = PublicationFlags.RETAINED if event.retained else 0
    return retained | (PublicationFlags.LOGGED if event.logged else 0)


class ReplicatedTestaments(Testaments):
    """The testaments of this worker's sessions, which other workers publish if this one dies."""

    def __init__(
        self,
        channel: RealmChannel,
        sessions: Mapping[int, SessionDetails],
        history: EventHistory,
        next_publication_id: Callable[[], int],
    ) -> None:
        super().__init__()
        self._channel = channel
        self._sessions = sessions
        self._history = history
        self._next_publication_id = next_publication_id
        self._own: dict[int, list[Item]] = {}
        # By node and session ID: the scope and the event of each testament.
        self._others: dict[int, dict[int, list[tuple[Scope, RemoteEvent]]]] = {}

    def add(
        self, session_id: int, scope: Scope, publish: Publish, size: int, *, limit: int, max_size: int
    ) -> None:
        """Add a testament, and announce it; see :meth:`Testaments.add`."""
        super().add(session_id, scope, publish, size, limit=limit, max_size=max_size)
        assert isinstance(publish, Testament)
        message = publish.message
        options = message.options
        item = [
            ItemCode.TESTAMENT,
            session_id,
            scope,
            self._channel.stamp()[0],
            self._next_publication_id(),
            message.topic,
            event_details(options, session_id if publish.disclose else None, self._sessions),
            {name: list(values) for name, values in options.items() if name in _LISTS},
            session_id if options.get("exclude_me", True) else None,
            message.args,
            message.kwargs,
            message.payload,
            self._flags(publish),
        ]
        self._channel.put_all(item)
        self._own.setdefault(session_id, []).append(item)

    def _flags(self, testament: Testament) -> int:
        message = testament.message
        if testament.to_server:
            return PublicationFlags.TO_SERVER
        flags = PublicationFlags.RETAINED if message.options.get("retain", False) else 0
        if self._history.wants(message.topic, message.options):
            flags |= PublicationFlags.LOGGED
        return flags

    def flush(self, session_id: int, scope: Scope) -> None:
        """Remove the testaments of a session in one scope, everywhere."""
        super().flush(session_id, scope)
        remaining = [item for item in self._own.pop(session_id, []) if item[2] != scope]
        if remaining:
            self._own[session_id] = remaining
        self._channel.put_all([ItemCode.NO_TESTAMENTS, session_id, scope])

    def take(self, session_id: int) -> list[Publish]:
        """Remove and return the testaments of a session of this worker."""
        self._own.pop(session_id, None)
        return super().take(session_id)

    def own_rows(self) -> Iterator[Item]:
        """Yield the items of the testaments of this worker's sessions."""
        for items in self._own.values():
            yield from items

    # For other workers

    def testament(self, node: int, item: Item) -> None:
        """Take the testament of another worker's session."""
        _, session_id, scope, time, *fields = item
        if scope not in SCOPES:
            raise MalformedItem(f"a testament with scope={scope!r}")
        self._channel.observe(time, node)
        testaments = self._others.setdefault(node, {}).setdefault(session_id, [])
        testaments.append((scope, RemoteEvent(*fields)))

    def no_testaments(self, node: int, item: Item) -> None:
        """Remove the testaments of another worker's session in one scope."""
        _, session_id, scope = item
        remaining = [found for found in self._take(node, session_id) if found[0] != scope]
        if remaining:
            self._others.setdefault(node, {})[session_id] = remaining

    def take_remote(self, node: int, session_id: int) -> list[RemoteEvent]:
        """Remove and return the testaments of another worker's session, beginning with ``detached``."""
        taken = sorted(self._take(node, session_id), key=lambda testament: SCOPES.index(testament[0]))
        return [event for _, event in taken]

    def _take(self, node: int, session_id: int) -> list[tuple[Scope, RemoteEvent]]:
        of_node = self._others.get(node, {})
        taken = of_node.pop(session_id, [])
        if not of_node:
            self._others.pop(node, None)
        return taken

    def forget(self, node: int) -> None:
        """Remove all testaments of another worker's sessions."""
        self._others.pop(node, None)
