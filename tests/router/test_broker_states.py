"""Random sessions join, leave, subscribe and publish, and the invariants of the broker hold."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from wampasgi.protocol.ids import SequentialIds
from wampasgi.router.broker import Broker
from wampasgi.router.event_history import EventHistory, Filters
from wampasgi.router.matching import matcher
from wampasgi.router.retained_events import RetainedEvents
from wampasgi.types import Match

TOPICS = st.sampled_from(["com.a", "com.b", "com.a.b"])
PATTERNS: st.SearchStrategy[tuple[Match, str]] = st.sampled_from(
    [("exact", "com.a"), ("exact", "com.a.b"), ("prefix", "com."), ("prefix", "com.a"), ("wildcard", "com.")]
)
RETAINED, LOGGED = 2, 5


class Realm(RuleBasedStateMachine):
    sessions = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.retained = RetainedEvents(max_events=RETAINED, max_size=10**6)
        self.broker = Broker(
            next_subscription_id=SequentialIds().for_entry,
            random_publication_id=itertools.count(1).__next__,
            sessions={},
            retained=self.retained,
        )
        self.broker.history = EventHistory(now=lambda: "2026-11-23T10:00:00.000Z", max_size=10**6)
        self.broker.history.keep("com.a", "prefix", limit=LOGGED)
        self.kept = self.broker.keep("com.a", "prefix")
        self.ids = itertools.count(1)
        #: The subscriptions of each session that has joined, by ID.
        self.joined: dict[int, dict[int, tuple[Match, str]]] = {}
        #: The topics of all publications, by ID.
        self.published: dict[int, str] = {}

    @rule(target=sessions)
    def join(self) -> int:
        session_id = next(self.ids)
        self.joined[session_id] = {}
        return session_id

    @rule(session_id=consumes(sessions))
    def leave(self, session_id: int) -> None:
        left = self.broker.remove_session(session_id)
        assert [one.subscription_id for one in left] == list(self.joined.pop(session_id))

    @rule(session_id=sessions, pattern=PATTERNS)
    def subscribe(self, session_id: int, pattern: tuple[Match, str]) -> None:
        match, topic = pattern
        subscription = self.broker.subscribe(session_id, topic, match)
        self.joined[session_id].setdefault(subscription.subscription_id, pattern)
        for event in self.broker.retained_events(session_id, subscription, most=1):
            assert event.subscription_id == subscription.subscription_id
            assert matcher(match, topic)(self.published[event.publication_id])

    @precondition(lambda self: any(self.joined.values()))
    @rule(data=st.data(), revoke=st.booleans())
    def unsubscribe(self, data: st.DataObject, revoke: bool) -> None:
        session_id = data.draw(st.sampled_from([one for one, own in self.joined.items() if own]))
        subscription_id = data.draw(st.sampled_from(list(self.joined[session_id])))
        if revoke:
            assert self.broker.revoke(session_id, subscription_id) is None
        else:
            self.broker.unsubscribe(session_id, subscription_id)
        del self.joined[session_id][subscription_id]

    @rule(data=st.data(), topic=TOPICS, retain=st.booleans(), exclude_me=st.booleans())
    def publish(self, data: st.DataObject, topic: str, retain: bool, exclude_me: bool) -> None:
        publisher = data.draw(st.sampled_from([None, *self.joined]))
        options: dict[str, Any] = {"retain": retain, "exclude_me": exclude_me}
        publication = self.broker.publish(publisher, topic, options, [topic], None)
        self.published[publication.publication_id] = topic
        delivered = [
            (recipient, delivery.event.subscription_id)
            for delivery in publication.deliveries
            for recipient in delivery.recipients
        ]
        assert sorted(delivered) == sorted(
            (session_id, subscription_id)
            for session_id, own in self.joined.items()
            for subscription_id, pattern in own.items()
            if matcher(*pattern)(topic) and not (exclude_me and session_id == publisher)
        )

    @invariant()
    def subscriptions_agree_with_the_sessions(self) -> None:
        by_session = {
            (session_id, subscription_id)
            for subscription_id, subscription in self.broker.subscriptions.items()
            for session_id in subscription.subscribers
        }
        assert by_session == {(session_id, one) for session_id, own in self.joined.items() for one in own}
        for subscription in self.broker.subscriptions.values():
            assert subscription.subscribers or subscription is self.kept
            assert self.broker.get(subscription.topic, subscription.match) is subscription

    @invariant()
    def history_has_the_latest_publications(self) -> None:
        records, _ = self.broker.events(None, self.kept, Filters())
        logged = [
            publication_id for publication_id, topic in self.published.items() if topic.startswith("com.a")
        ]
        assert [record.event.publication_id for record in records] == logged[-LOGGED:]

    @invariant()
    def limits_hold(self) -> None:
        assert len(self.retained) <= RETAINED
        assert self.retained.size == sum(event.size for event in self.retained)

    def teardown(self) -> None:
        for session_id in list(self.joined):
            self.leave(session_id)
        assert list(self.broker.subscriptions.values()) == [self.kept]
        assert self.retained.clear("", "prefix") <= RETAINED
        assert (len(self.retained), self.retained.size) == (0, 0)


TestRealm = Realm.TestCase
TestRealm.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
