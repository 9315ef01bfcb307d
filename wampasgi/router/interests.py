"""The subscriptions of a realm that several workers serve.

A worker announces its interest in a topic or pattern with its first subscriber, and withdraws it with the
last. The other workers send it the events, and it finds its own subscribers. SUBSCRIBED waits until all
workers know of the interest, so that nothing published afterwards is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from wampasgi.protocol.uris import MATCH_POLICIES
from wampasgi.router.broker import Broker, Subscription
from wampasgi.router.cluster_items import ItemCode
from wampasgi.router.completion import Completion
from wampasgi.router.meta_events import Lifecycle
from wampasgi.router.realm_channel import RealmChannel
from wampasgi.router.replicas import Item, MalformedItem
from wampasgi.router.stamps import Stamp
from wampasgi.types import Match

#: A match policy and a topic or pattern.
Key: TypeAlias = tuple[Match, str]


@dataclass(slots=True, eq=False)
class _OwnInterest:
    """This worker's interest in a topic.

    ``holders`` counts the requests and listeners that need it besides the subscribers. ``known`` completes
    when all other workers know of it. ``used`` tells whether anybody was subscribed. ``creator`` is the first
    subscriber if another worker is to publish the creation of the subscription.
    """

    stamp: Stamp
    created: str
    known: Completion[bool]
    holders: int = 0
    used: bool = False
    creator: int | None = None


class Interests:
    """The interests of all workers, of one realm. It is the observer of the broker's subscriptions.

    ``is_client`` tells whether a subscriber is a client of this worker, and not the realm's own session.
    """

    def __init__(
        self,
        channel: RealmChannel,
        broker: Broker,
        lifecycle: Lifecycle[Subscription],
        *,
        is_client: Callable[[int], bool],
        now: Callable[[], str],
    ) -> None:
        self._channel = channel
        self._broker = broker
        self._lifecycle = lifecycle
        self._is_client = is_client
        self._now = now
        self._own: dict[Key, _OwnInterest] = {}
        # The stamps of other workers' interests, by topic and node.
        self._others: dict[Key, dict[int, Stamp]] = {}
        self._keys: dict[int, set[Key]] = {}
        # Of the topics that lost their last subscriber here while other workers had some: when, and which.
        self._removed_here: dict[Key, tuple[Stamp, int]] = {}
        self._last_removed = 0

    # This worker's interests

    def hold(self, match: Match, topic: str) -> Completion[bool]:
        """Announce an interest, and keep it until ``release`` even if nobody subscribes.

        The result completes when all other workers know of it.
        """
        key: Key = match, topic
        own = self._own.get(key)
        if own is None:
            subscription = self._broker.get(topic, match)
            created = self._now()
            if subscription is not None:
                created = self._lifecycle.time_of_creation(subscription)
            own = self._own[key] = _OwnInterest(self._channel.stamp(), created, Completion())
            self._announce(key, own)
        own.holders += 1
        return own.known

    def _announce(self, key: Key, own: _OwnInterest) -> None:
        def done(answers: dict[int, Any], complete: bool) -> None:
            if not complete and self._own.get(key) is own:
                # A worker that could not answer may not have the question, either.
                self._channel.put_all(self._row(key, own))
            own.known.finish(True)

        self._channel.ask(["interest", *self._row(key, own)[1:]], done)

    def release(self, match: Match, topic: str) -> None:
        """End a ``hold``; the interest ends with it if this worker has no subscribers."""
        self._own[match, topic].holders -= 1
        self._withdraw_unused((match, topic))

    def _withdraw_unused(self, key: Key) -> None:
        own = self._own.get(key)
        if own is None or own.holders:
            return
        match, topic = key
        subscription = self._broker.get(topic, match)
        if subscription is not None and any(map(self._is_client, subscription.subscribers)):
            return
        del self._own[key]
        stamp = self._channel.stamp()
        if self._others.get(key):
            self._removed_here[key] = stamp, self._last_removed
        self._channel.put_all([ItemCode.NO_INTEREST, *key, stamp[0], own.used])

    def _row(self, key: Key, own: _OwnInterest) -> Item:
        return [ItemCode.INTEREST, *key, own.stamp[0], own.created]

    def own_rows(self) -> Iterator[Item]:
        """Yield the items of this worker's interests."""
        for key, own in self._own.items():
            yield self._row(key, own)

    # For other workers

    def interest(self, node: int, item: Item) -> None:
        """Take the interest of another worker."""
        _, match, topic, time, created = item
        if match not in MATCH_POLICIES:
            raise MalformedItem(f"a subscription with match={match!r}")
        key: Key = (match, topic)
        self._others.setdefault(key, {})[node] = self._channel.observe(time, node)
        self._keys.setdefault(node, set()).add(key)
        subscription, is_new = self._broker.add_node(node, topic, match)
        if is_new:
            self._lifecycle.appeared(subscription, created)

    def no_interest(self, node: int, item: Item) -> None:
        """Remove the interest of another worker."""
        _, match, topic, time, used = item
        self._remove(node, (match, topic), self._channel.observe(time, node))
        own, subscription = self._own.get((match, topic)), self._broker.get(topic, match)
        if own is None or own.creator is None or subscription is None:
            return
        if used:
            own.creator = None
        elif self._is_oldest((match, topic), own):
            # The client that would have created the subscription left too early.
            self._lifecycle.announce_creation(own.creator, subscription)
            own.creator = None

    def _is_oldest(self, key: Key, own: _OwnInterest) -> bool:
        return all(own.stamp < other for other in self._others.get(key, {}).values())

    def keys_of(self, node: int) -> set[Key]:
        """Return the topics that another worker is interested in."""
        return set(self._keys.get(node, ()))

    def remove_key(self, node: int, key: Key, dead: int | None = None) -> None:
        """Remove one interest of another worker. ``dead`` is a session of a worker that has died."""
        self._remove(node, key, None, dead)

    def _remove(self, node: int, key: Key, stamp: Stamp | None, dead: int | None = None) -> None:
        others = self._others.get(key, {})
        if node not in others:
            return
        del others[node]
        if not others:
            del self._others[key]
        keys = self._keys[node]
        keys.remove(key)
        if not keys:
            del self._keys[node]
        match, topic = key
        subscription, is_deleted = self._broker.remove_node(node, topic, match)
        here = None if others else self._removed_here.pop(key, None)
        if is_deleted:
            if dead is not None:
                self._lifecycle.announce_deletion(dead, subscription)
            elif here is not None and stamp is not None and here[0] > stamp:
                self._lifecycle.announce_deletion(here[1], subscription)
            self._lifecycle.disappeared(subscription)

    # As the observer of the subscriptions

    def created(self, session_id: int, entry: Subscription) -> None:
        """Handle the creation of a subscription on this worker, which no other worker has."""
        own = self._own.get((entry.match, entry.topic))
        self._lifecycle.created(session_id, entry, None if own is None else own.created)

    def added(self, session_id: int, entry: Subscription) -> None:
        """Handle the addition of a subscriber of this worker."""
        key: Key = entry.match, entry.topic
        own = self._own.get(key)
        is_first = len(entry.subscribers) == 1 and not entry.kept
        if own is not None:
            own.used = True
            if key in self._others and is_first and self._is_oldest(key, own):
                # Another worker has subscribed a little later, and seen this worker's interest.
                self._lifecycle.announce_creation(session_id, entry)
            elif key in self._others and is_first:
                own.creator = session_id
        self._lifecycle.added(session_id, entry)

    def removed(self, session_id: int, entry: Subscription) -> None:
        """Handle the removal of a subscriber of this worker."""
        self._lifecycle.removed(session_id, entry)
        self._last_removed = session_id
        self._withdraw_unused((entry.match, entry.topic))

    def deleted(self, session_id: int, entry: Subscription) -> None:
        """Handle the deletion of a subscription with its last subscriber, of this worker."""
        self._lifecycle.deleted(session_id, entry)

    def kept(self, entry: Subscription) -> None:
        """Handle a subscription that the realm keeps."""
        self._lifecycle.kept(entry)
