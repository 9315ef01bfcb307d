"""The meta events for changes that the broker and registrations report."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.router.session_details import Details
from wampasgi.errors import WAMPError
from wampasgi.protocol.ids import SequentialIds
from wampasgi.router.broker import Broker
from wampasgi.router.meta_events import MetaEvent, MetaEvents
from wampasgi.router.registrations import Registrations

ALICE, BOB = 11, 12
NOON = "2026-11-23T12:00:00.000Z"


class Realm:
    """A broker and registrations that report to the same meta events."""

    def __init__(self, *, subscribed: bool = True) -> None:
        self.asked: list[str] = []
        self.subscribed = subscribed
        self.broker = Broker(
            next_subscription_id=SequentialIds(101).for_entry,
            random_publication_id=itertools.count(5001).__next__,
            sessions={},
        )
        self.registrations = Registrations(SequentialIds(201).for_entry)
        self.events = MetaEvents(has_subscribers=self.has_subscribers, now=lambda: NOON)
        self.broker.observer = self.events.subscriptions
        self.registrations.observer = self.events.registrations

    def has_subscribers(self, topic: str) -> bool:
        self.asked.append(topic)
        return self.subscribed

    def take_events(self) -> list[MetaEvent]:
        return self.events.take()


def test_subscribing_creates_and_then_adds() -> None:
    realm = Realm()
    realm.broker.subscribe(ALICE, "com.a", "prefix")
    realm.broker.subscribe(ALICE, "com.a", "prefix")
    realm.broker.subscribe(BOB, "com.a", "prefix")

    details = {"id": 101, "created": NOON, "uri": "com.a", "match": "prefix"}
    assert realm.take_events() == [
        MetaEvent("wamp.subscription.on_create", [ALICE, details]),
        MetaEvent("wamp.subscription.on_subscribe", [ALICE, 101]),
        MetaEvent("wamp.subscription.on_subscribe", [BOB, 101]),
    ]


def test_unsubscribing_removes_and_then_deletes() -> None:
    realm = Realm()
    for session_id in ALICE, BOB:
        realm.broker.subscribe(session_id, "com.a", "exact")
    realm.take_events()

    realm.broker.unsubscribe(ALICE, 101)
    realm.broker.remove_session(BOB)

    assert realm.take_events() == [
        MetaEvent("wamp.subscription.on_unsubscribe", [ALICE, 101]),
        MetaEvent("wamp.subscription.on_unsubscribe", [BOB, 101]),
        MetaEvent("wamp.subscription.on_delete", [BOB, 101]),
    ]


def test_registering_creates_and_then_adds() -> None:
    realm = Realm()
    realm.registrations.add(ALICE, "com.a", {"invoke": "last"})
    realm.registrations.add(BOB, "com.a", {"invoke": "last"})
    with pytest.raises(WAMPError):
        realm.registrations.add(BOB, "com.a", {"invoke": "last"})

    details = {"id": 201, "created": NOON, "uri": "com.a", "match": "exact", "invoke": "last"}
    assert realm.take_events() == [
        MetaEvent("wamp.registration.on_create", [ALICE, details]),
        MetaEvent("wamp.registration.on_register", [ALICE, 201]),
        MetaEvent("wamp.registration.on_register", [BOB, 201]),
    ]


def test_unregistering_removes_and_then_deletes() -> None:
    realm = Realm()
    for session_id in ALICE, BOB:
        realm.registrations.add(session_id, "com.a", {"invoke": "last"})
    realm.take_events()

    realm.registrations.remove_session(ALICE)
    realm.registrations.remove(BOB, 201)

    assert realm.take_events() == [
        MetaEvent("wamp.registration.on_unregister", [ALICE, 201]),
        MetaEvent("wamp.registration.on_unregister", [BOB, 201]),
        MetaEvent("wamp.registration.on_delete", [BOB, 201]),
    ]


def test_session_gets_no_event_about_its_own_subscription_to_meta_events() -> None:
    realm = Realm()
    realm.broker.subscribe(ALICE, "wamp.session.on_join", "exact")
    realm.broker.remove_session(ALICE)

    assert [event.excluded_id for event in realm.take_events()] == [ALICE] * 4


def test_joining_and_leaving_sessions_cause_events() -> None:
    realm = Realm()
    realm.events.joined(ALICE, Details("alice", "manager"))
    realm.events.left(ALICE, Details("alice", "manager"))

    details = {
        "session": ALICE,
        "authid": "alice",
        "authrole": "manager",
        "authmethod": "ticket",
        "authprovider": "static",
    }
    assert realm.take_events() == [
        MetaEvent("wamp.session.on_join", [details]),
        MetaEvent("wamp.session.on_leave", [ALICE, "alice", "manager"]),
    ]


def test_no_event_is_created_without_subscribers() -> None:
    realm = Realm(subscribed=False)
    realm.events.joined(ALICE, Details("alice", "manager"))
    realm.broker.subscribe(ALICE, "com.a", "exact")
    realm.broker.remove_session(ALICE)
    realm.registrations.add(ALICE, "com.a", {})
    realm.registrations.remove_session(ALICE)
    realm.events.left(ALICE, Details("alice", "manager"))

    assert len(realm.asked) == 10
    assert realm.take_events() == []


def test_details_are_known_even_if_the_creation_had_no_subscribers() -> None:
    realm = Realm(subscribed=False)
    subscription = realm.broker.subscribe(ALICE, "com.a", "exact")

    assert realm.events.subscriptions.details(subscription)["created"] == NOON


SESSIONS, URIS = st.sampled_from([ALICE, BOB, 13]), st.sampled_from(["com.a", "com.b", "wamp.x"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["subscribe", "unsubscribe", "register", "unregister", "leave"]), SESSIONS, URIS
    ),
    max_size=40,
)


@given(STEPS)
def test_events_suffice_to_reconstruct_the_state(steps: list[tuple[str, int, str]]) -> None:
    realm = Realm()
    known: dict[int, set[int]] = {}
    for action, session_id, uri in steps:
        take(realm, action, session_id, uri)
        for event in realm.take_events():
            follow(known, event)
        entries = {
            entry.subscription_id: set(entry.subscribers) for entry in realm.broker.subscriptions.values()
        }
        entries |= {entry.registration_id: set(entry.callees) for entry in realm.registrations.by_id.values()}
        assert known == entries


def take(realm: Realm, action: str, session_id: int, uri: str) -> None:
    """Take one step, which may be refused."""
    try:
        if action == "subscribe":
            realm.broker.subscribe(session_id, uri, "exact")
        elif action == "register":
            realm.registrations.add(session_id, uri, {"invoke": "random"})
        elif action == "leave":
            realm.broker.remove_session(session_id)
            realm.registrations.remove_session(session_id)
        elif action == "unsubscribe":
            found = realm.broker.get(uri, "exact")
            realm.broker.unsubscribe(session_id, found.subscription_id if found else 0)
        else:
            registered = realm.registrations.get("exact", uri)
            realm.registrations.remove(session_id, registered.registration_id if registered else 0)
    except WAMPError:
        assert realm.events.take() == []


def follow(known: dict[int, set[int]], event: MetaEvent) -> None:
    """Apply one event to the known state, which it must fit."""
    session_id, entry = event.args
    kind = event.topic.rpartition(".on_")[2]
    if kind == "create":
        assert entry["id"] not in known
        known[entry["id"]] = set()
    elif kind in ("subscribe", "register"):
        assert session_id not in known[entry]
        known[entry].add(session_id)
    elif kind in ("unsubscribe", "unregister"):
        known[entry].remove(session_id)
    else:
        assert known.pop(entry) == set()
