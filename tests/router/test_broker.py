from __future__ import annotations

import itertools
import sys
from collections.abc import Collection
from typing import Any

import pytest

from tests.router.session_details import Details
from wampasgi.errors import NO_SUCH_SUBSCRIPTION, WAMPError
from wampasgi.protocol.ids import SequentialIds
from wampasgi.protocol.messages import Event, Unsubscribed
from wampasgi.router.broker import Broker, Delivery, Publication
from wampasgi.router.event_history import EventHistory, Filters
from wampasgi.router.retained_events import RetainedEvents
from wampasgi.types import Match

TOPIC = "com.myapp.topic"
ALICE, BOB, CAROL, DAVE, ERIN = 11, 12, 13, 14, 15
#: A subscriber whose identity the broker does not know.
STRANGER = 99


def new_broker(retained: RetainedEvents | None = None) -> Broker:
    return Broker(
        retained=retained,
        next_subscription_id=SequentialIds().for_entry,
        random_publication_id=itertools.count(5001).__next__,
        sessions={
            ALICE: Details("alice", "manager"),
            BOB: Details("bob", "staff"),
            CAROL: Details("carol", "staff"),
            DAVE: Details(),
            ERIN: Details(details=REVOCABLE),
        },
    )


def broker_with(*subscribers: int) -> Broker:
    """A broker with these subscribers of ``TOPIC``, which is subscription 1."""
    broker = new_broker()
    for session_id in subscribers:
        broker.subscribe(session_id, TOPIC, "exact")
    return broker


def recipients(publication: Publication) -> list[int]:
    return [session_id for delivery in publication.deliveries for session_id in delivery.recipients]


# Subscribing


def test_all_subscribers_of_one_topic_share_a_subscription() -> None:
    broker = new_broker()
    first = broker.subscribe(ALICE, TOPIC, "exact")
    second = broker.subscribe(BOB, TOPIC, "exact")
    assert first is second
    assert (first.subscription_id, first.topic, first.match) == (1, TOPIC, "exact")
    assert list(first.subscribers) == [ALICE, BOB]


def test_each_match_policy_and_topic_has_a_subscription_of_its_own() -> None:
    broker = new_broker()
    pairs: list[tuple[str, Match]] = [
        (TOPIC, "exact"),
        (TOPIC, "prefix"),
        (TOPIC, "wildcard"),
        ("com.other", "exact"),
    ]
    assert [broker.subscribe(ALICE, topic, match).subscription_id for topic, match in pairs] == [1, 2, 3, 4]


def test_subscribing_again_changes_nothing() -> None:
    broker = broker_with(ALICE)
    assert broker.subscribe(ALICE, TOPIC, "exact").subscription_id == 1
    assert recipients(broker.publish(BOB, TOPIC, {}, None, None)) == [ALICE]
    broker.unsubscribe(ALICE, 1)
    assert not broker.subscriptions


def test_find_returns_only_the_subscription_of_this_session_under_this_policy() -> None:
    broker = broker_with(ALICE)
    assert broker.find(ALICE, TOPIC, "exact") is broker.subscriptions[1]
    assert broker.find(BOB, TOPIC, "exact") is None
    assert broker.find(ALICE, TOPIC, "prefix") is None
    assert broker.find(ALICE, "com.other", "exact") is None


def test_subscriptions_are_a_read_only_view_with_the_oldest_first() -> None:
    broker = new_broker()
    view = broker.subscriptions
    broker.subscribe(ALICE, TOPIC, "prefix")
    broker.subscribe(ALICE, TOPIC, "exact")
    assert [(id_, subscription.match) for id_, subscription in view.items()] == [(1, "prefix"), (2, "exact")]
    with pytest.raises(TypeError):
        view[3] = view[1]  # type: ignore[index]


# Unsubscribing


def test_only_the_remaining_subscribers_receive_events_after_an_unsubscribe() -> None:
    broker = broker_with(ALICE, BOB)
    left = broker.unsubscribe(ALICE, 1)
    assert left is broker.subscriptions[1]
    assert recipients(broker.publish(None, TOPIC, {}, None, None)) == [BOB]


def test_subscription_is_deleted_with_its_last_subscriber() -> None:
    broker = broker_with(ALICE)
    assert broker.unsubscribe(ALICE, 1).subscription_id == 1
    assert not broker.subscriptions
    assert broker.subscribe(ALICE, TOPIC, "exact").subscription_id == 2


@pytest.mark.parametrize(("session_id", "subscription_id"), [(ALICE, 2), (BOB, 1), (STRANGER, 1)])
def test_unsubscribing_without_a_subscription_is_no_such_subscription(
    session_id: int, subscription_id: int
) -> None:
    broker = broker_with(ALICE)
    broker.subscribe(BOB, "com.other", "exact")
    broker.unsubscribe(BOB, 2)
    with pytest.raises(WAMPError, match=str(subscription_id)) as caught:
        broker.unsubscribe(session_id, subscription_id)
    assert caught.value.uri == NO_SUCH_SUBSCRIPTION
    assert broker.find(ALICE, TOPIC, "exact") is not None


def test_removed_session_is_in_no_subscription() -> None:
    broker = broker_with(ALICE, BOB)
    broker.subscribe(ALICE, "com.", "prefix")
    broker.subscribe(ALICE, "..topic", "wildcard")
    left = broker.remove_session(ALICE)
    assert [subscription.subscription_id for subscription in left] == [1, 2, 3]
    assert [list(subscription.subscribers) for subscription in left] == [[BOB], [], []]
    assert list(broker.subscriptions) == [1]
    assert recipients(broker.publish(None, TOPIC, {}, None, None)) == [BOB]
    assert broker.remove_session(ALICE) == []


def test_broker_holds_no_reference_to_a_removed_session() -> None:
    broker = new_broker()
    session_id = 2**53 - 7
    references = sys.getrefcount(session_id)
    broker.subscribe(session_id, TOPIC, "exact")
    broker.subscribe(session_id, "com.", "prefix")
    broker.unsubscribe(session_id, 2)
    broker.publish(session_id, TOPIC, {"exclude_me": False}, None, None)
    assert sys.getrefcount(session_id) > references
    broker.remove_session(session_id)
    assert sys.getrefcount(session_id) == references
    assert not broker.subscriptions


# Revoking

REVOCABLE = {"roles": {"subscriber": {"features": {"subscription_revocation": True}}}}


@pytest.mark.parametrize(
    ("reason", "details"),
    [(None, {"subscription": 1}), ("moved", {"subscription": 1, "reason": "moved"})],
)
def test_subscriber_that_announced_revocation_gets_unsubscribed(
    reason: str | None, details: dict[str, Any]
) -> None:
    broker = broker_with(ERIN, BOB)
    assert broker.revoke(ERIN, 1, reason) == Unsubscribed(0, details)
    assert recipients(broker.publish(None, TOPIC, {}, None, None)) == [BOB]
    assert broker.subscribe(ERIN, TOPIC, "exact").subscription_id == 1


@pytest.mark.parametrize("session_id", [ALICE, STRANGER])
def test_subscriber_that_did_not_announce_revocation_must_not_get_unsubscribed(session_id: int) -> None:
    broker = broker_with(session_id)
    assert broker.revoke(session_id, 1) is None
    assert not broker.subscriptions


def test_revoking_a_subscription_that_the_session_does_not_have_is_no_such_subscription() -> None:
    with pytest.raises(WAMPError) as caught:
        broker_with(ERIN).revoke(BOB, 1)
    assert caught.value.uri == NO_SUCH_SUBSCRIPTION


def test_get_returns_the_subscription_to_a_topic_under_a_policy() -> None:
    broker = broker_with(ALICE)
    assert broker.get(TOPIC, "exact") is broker.subscriptions[1]
    assert broker.get(TOPIC, "prefix") is None


# Publishing


def test_one_delivery_has_all_subscribers_of_a_subscription() -> None:
    broker = broker_with(ALICE, BOB, STRANGER)
    publication = broker.publish(CAROL, TOPIC, {}, ["hi"], {"loud": True})
    event = Event(1, 5001, {}, ["hi"], {"loud": True})
    assert publication == Publication(5001, [Delivery(event, [ALICE, BOB, STRANGER])])


def test_publication_without_subscribers_has_an_id_and_no_delivery() -> None:
    assert broker_with(ALICE).publish(BOB, "com.other", {}, None, None) == Publication(5001, [])


def test_event_of_a_publication_without_payload_has_none() -> None:
    (delivery,) = broker_with(ALICE).publish(BOB, TOPIC, {}, None, None).deliveries
    assert (delivery.event.args, delivery.event.kwargs) == (None, None)


def test_each_matching_subscription_has_its_own_event_of_the_same_publication() -> None:
    broker = broker_with(ALICE)
    broker.subscribe(ALICE, "com.my", "prefix")
    broker.subscribe(BOB, "com..topic", "wildcard")
    broker.subscribe(BOB, "com.other.", "prefix")
    publication = broker.publish(CAROL, TOPIC, {}, [1], None)
    assert publication.deliveries == [
        Delivery(Event(1, 5001, {}, [1], None), [ALICE]),
        Delivery(Event(2, 5001, {"topic": TOPIC}, [1], None), [ALICE]),
        Delivery(Event(3, 5001, {"topic": TOPIC}, [1], None), [BOB]),
    ]


def test_recipients_are_the_subscribers_at_the_time_of_the_publication() -> None:
    broker = broker_with(ALICE)
    publication = broker.publish(BOB, TOPIC, {}, None, None)
    broker.subscribe(CAROL, TOPIC, "exact")
    broker.remove_session(ALICE)
    assert recipients(publication) == [ALICE]


def test_publisher_does_not_receive_its_own_event() -> None:
    broker = broker_with(ALICE, BOB)
    assert recipients(broker.publish(ALICE, TOPIC, {}, None, None)) == [BOB]
    assert list(broker.subscriptions[1].subscribers) == [ALICE, BOB]


def test_subscription_with_only_the_publisher_has_no_delivery() -> None:
    assert broker_with(ALICE).publish(ALICE, TOPIC, {}, None, None).deliveries == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"exclude_me": False}, [ALICE, BOB]),
        ({"exclude_me": True}, [BOB]),
        ({"acknowledge": True}, [BOB]),
        ({"exclude_me": False, "exclude": [ALICE]}, [BOB]),
        ({"eligible": [ALICE]}, []),
    ],
)
def test_exclude_me_decides_whether_the_publisher_receives_its_event(
    options: dict[str, Any], expected: list[int]
) -> None:
    assert recipients(broker_with(ALICE, BOB).publish(ALICE, TOPIC, options, None, None)) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"exclude": [ALICE, STRANGER]}, [BOB, CAROL, DAVE]),
        ({"exclude": []}, [ALICE, BOB, CAROL, DAVE, STRANGER]),
        ({"exclude_authid": ["bob", "nobody"]}, [ALICE, CAROL, DAVE, STRANGER]),
        ({"exclude_authrole": ["staff"]}, [ALICE, DAVE, STRANGER]),
        ({"eligible": [STRANGER, BOB, 4711]}, [BOB, STRANGER]),
        ({"eligible": []}, []),
        ({"eligible_authid": ["carol", "alice"]}, [ALICE, CAROL]),
        ({"eligible_authrole": ["staff"]}, [BOB, CAROL]),
        ({"eligible_authrole": []}, []),
        ({"eligible": [ALICE, BOB], "exclude": [ALICE]}, [BOB]),
        ({"eligible": [ALICE, BOB], "eligible_authrole": ["staff"]}, [BOB]),
        ({"eligible_authrole": ["staff"], "exclude_authid": ["bob"]}, [CAROL]),
        (
            {"exclude": [ALICE], "exclude_authid": ["bob"], "exclude_authrole": ["nobody"]},
            [CAROL, DAVE, STRANGER],
        ),
    ],
)
def test_black_and_whitelists_restrict_the_recipients(options: dict[str, Any], expected: list[int]) -> None:
    broker = broker_with(ALICE, BOB, CAROL, DAVE, STRANGER)
    assert recipients(broker.publish(None, TOPIC, options, None, None)) == expected


def test_lists_apply_to_pattern_based_subscriptions_too() -> None:
    broker = broker_with(ALICE)
    broker.subscribe(ALICE, "com.", "prefix")
    broker.subscribe(BOB, "com.", "prefix")
    (delivery,) = broker.publish(None, TOPIC, {"exclude": [ALICE]}, None, None).deliveries
    assert (delivery.event.subscription_id, delivery.recipients) == (2, [BOB])


@pytest.mark.parametrize(
    ("only", "options", "expected"),
    [
        ({BOB, CAROL}, {}, [BOB, CAROL]),
        ((), {}, []),
        ({BOB, CAROL}, {"exclude": [BOB]}, [CAROL]),
        ({ALICE}, {}, []),
    ],
)
def test_only_restricts_the_recipients_further(
    only: Collection[int], options: dict[str, Any], expected: list[int]
) -> None:
    broker = broker_with(ALICE, BOB, CAROL)
    assert recipients(broker.publish(ALICE, TOPIC, options, None, None, only=only)) == expected


# Details of the event


@pytest.mark.parametrize(
    ("publisher_id", "disclosed"),
    [
        (ALICE, {"publisher": ALICE, "publisher_authid": "alice", "publisher_authrole": "manager"}),
        (DAVE, {"publisher": DAVE}),
        (STRANGER, {"publisher": STRANGER}),
        (None, {}),
    ],
)
def test_disclosed_publisher_is_named_in_the_event(
    publisher_id: int | None, disclosed: dict[str, Any]
) -> None:
    broker = broker_with(BOB)
    broker.subscribe(BOB, "com.", "prefix")
    exact, prefix = broker.publish(publisher_id, TOPIC, {}, None, None, disclose=True).deliveries
    assert exact.event.details == disclosed
    assert prefix.event.details == {**disclosed, "topic": TOPIC}


def test_disclose_me_alone_does_not_disclose_the_publisher() -> None:
    (delivery,) = broker_with(BOB).publish(ALICE, TOPIC, {"disclose_me": True}, None, None).deliveries
    assert delivery.event.details == {}


def test_only_the_options_about_the_payload_reach_the_subscriber() -> None:
    payload_options = {
        "ppt_scheme": "x_my_ppt",
        "ppt_serializer": "custom",
        "ppt_cipher": "xsalsa20poly1305",
        "ppt_keyid": "k1",
        "enc_algo": "cryptobox",
        "enc_key": "k2",
        "enc_serializer": "msgpack",
    }
    options = {**payload_options, "acknowledge": True, "x_other": 1}
    (delivery,) = broker_with(BOB).publish(ALICE, TOPIC, options, [b"\x00"], None).deliveries
    assert delivery.event.details == payload_options


def test_encoded_payload_is_passed_on_instead_of_arguments() -> None:
    broker = broker_with(BOB)
    options = {"enc_algo": "cryptobox"}
    (delivery,) = broker.publish(ALICE, TOPIC, options, None, None, payload=b"\x01\x02").deliveries
    assert delivery.event == Event(1, 5001, options, None, None, b"\x01\x02")


# Retained events


def retaining_broker() -> Broker:
    return new_broker(RetainedEvents(max_events=100, max_size=10**6))


def retained(broker: Broker, session_id: int, topic: str = TOPIC, match: Match = "exact") -> list[Event]:
    """The retained events for a session that subscribes now."""
    subscription = broker.subscribe(session_id, topic, match)
    return broker.retained_events(session_id, subscription, most=100)


def test_retained_event_goes_to_later_subscribers_that_ask_for_it() -> None:
    broker = retaining_broker()
    publication = broker.publish(ALICE, TOPIC, {"retain": True}, [21], {"unit": "C"})
    broker.publish(ALICE, TOPIC, {}, [22], None)
    broker.publish(ALICE, TOPIC, {"retain": False}, [23], None)

    assert publication.deliveries == []
    assert retained(broker, BOB) == [Event(1, 5001, {"retained": True}, [21], {"unit": "C"})]


def test_current_subscribers_get_an_event_to_retain_without_the_retained_detail() -> None:
    broker = retaining_broker()
    broker.subscribe(BOB, TOPIC, "exact")
    (delivery,) = broker.publish(ALICE, TOPIC, {"retain": True}, [21], None).deliveries
    assert delivery == Delivery(Event(1, 5001, {}, [21], None), [BOB])


@pytest.mark.parametrize(
    ("options", "session_id", "gets_it"),
    [
        ({}, ALICE, False),
        ({"exclude_me": False}, ALICE, True),
        ({"exclude": [BOB]}, BOB, False),
        ({"eligible_authrole": ["staff"]}, BOB, True),
        ({"eligible_authrole": ["staff"]}, DAVE, False),
        ({"exclude_authid": ["bob"]}, BOB, False),
        ({"exclude_authid": ["bob"]}, CAROL, True),
    ],
)
def test_subscriber_must_not_get_a_retained_event_that_it_would_not_have_received(
    options: dict[str, Any], session_id: int, gets_it: bool
) -> None:
    broker = retaining_broker()
    broker.publish(ALICE, TOPIC, {**options, "retain": True}, None, None)
    assert bool(retained(broker, session_id)) is gets_it


def test_subscriber_must_get_the_most_recent_event_that_it_would_have_received() -> None:
    broker = retaining_broker()
    broker.publish(None, TOPIC, {"retain": True}, ["all"], None)
    broker.publish(None, TOPIC, {"retain": True, "eligible_authid": ["bob"]}, ["bob"], None)
    assert [event.args for event in retained(broker, BOB) + retained(broker, ALICE)] == [["bob"], ["all"]]


def test_pattern_based_subscription_gets_the_retained_event_of_each_topic_with_the_topic() -> None:
    broker = retaining_broker()
    for topic in "com.b", "com.a":
        broker.publish(None, topic, {"retain": True}, None, None)
    assert [event.details for event in retained(broker, BOB, "com.", "prefix")] == [
        {"topic": "com.b", "retained": True},
        {"topic": "com.a", "retained": True},
    ]
    assert len(retained(broker, BOB, "com.", "wildcard")) == 2


def test_retained_event_discloses_its_publisher_as_the_original_event_did() -> None:
    broker = retaining_broker()
    broker.publish(ALICE, TOPIC, {"retain": True, "ppt_scheme": "x"}, None, None, payload=b"1", disclose=True)
    broker.remove_session(ALICE)
    (event,) = retained(broker, BOB)
    assert event.details == {
        "publisher": ALICE,
        "publisher_authid": "alice",
        "publisher_authrole": "manager",
        "ppt_scheme": "x",
        "retained": True,
    }
    assert event.payload == b"1"


def test_event_for_given_sessions_only_is_not_retained() -> None:
    broker = retaining_broker()
    broker.publish(None, TOPIC, {"retain": True}, None, None, only={BOB})
    assert retained(broker, BOB) == []


def test_broker_without_retained_events_ignores_retain() -> None:
    broker = new_broker()
    broker.publish(None, TOPIC, {"retain": True}, None, None)
    assert retained(broker, BOB) == []


# History


def logging_broker(topic: str = TOPIC, match: Match = "exact") -> Broker:
    """A broker that keeps the history of subscription 1."""
    broker = retaining_broker()
    broker.history = EventHistory(now=lambda: "2026-11-23T10:00:00.000Z", max_size=10**6)
    broker.history.keep(topic, match, limit=10)
    broker.keep(topic, match)
    return broker


def texts(broker: Broker, session_id: int | None, subscription_id: int = 1, **filters: Any) -> list[Any]:
    records, _ = broker.events(session_id, broker.subscriptions[subscription_id], Filters(**filters))
    return [record.event.args for record in records]


def test_kept_subscription_exists_without_subscribers() -> None:
    broker = new_broker()
    kept = broker.keep(TOPIC, "exact")
    assert broker.get(TOPIC, "exact") is kept
    assert list(kept.subscribers) == []
    assert broker.subscribe(ALICE, TOPIC, "exact") is kept
    assert broker.keep(TOPIC, "exact") is kept
    broker.unsubscribe(ALICE, kept.subscription_id)
    assert broker.publish(None, TOPIC, {}, None, None).deliveries == []
    assert broker.subscriptions == {1: kept}


def test_subscription_that_has_subscribers_can_be_kept() -> None:
    broker = broker_with(ALICE)
    assert broker.keep(TOPIC, "exact") is broker.subscriptions[1]
    broker.remove_session(ALICE)
    assert list(broker.subscriptions) == [1]


def test_events_are_stored_in_the_order_of_publication_without_any_subscriber() -> None:
    broker = logging_broker()
    broker.publish(ALICE, TOPIC, {}, ["first"], None)
    broker.publish(BOB, TOPIC, {"exclude_me": False}, ["second"], None)
    broker.publish(BOB, "com.other", {}, ["other"], None)
    assert texts(broker, ALICE) == [["first"], ["second"]]
    assert texts(broker, ALICE, reverse=True, limit=1) == [["second"]]


@pytest.mark.parametrize(
    ("options", "receivers"),
    [
        ({"eligible_authrole": ["staff"]}, [BOB, CAROL, None]),
        ({"eligible_authid": ["alice"]}, [ALICE, None]),
        ({"exclude_authid": ["bob"]}, [ALICE, CAROL, DAVE, None]),
        ({"exclude_authrole": ["staff", "manager"]}, [DAVE, None]),
        ({"eligible": [ALICE]}, []),
        ({"exclude": [ALICE]}, []),
    ],
)
def test_lists_of_a_publication_apply_to_the_readers_of_its_history(
    options: dict[str, Any], receivers: list[int | None]
) -> None:
    broker = logging_broker()
    broker.publish(None, TOPIC, options, ["x"], None)
    assert [reader for reader in (ALICE, BOB, CAROL, DAVE, None) if texts(broker, reader)] == receivers


def test_stored_event_has_the_details_of_its_publication() -> None:
    broker = logging_broker("com.", "prefix")
    broker.publish(ALICE, TOPIC, {"ppt_scheme": "x", "retain": True}, None, None, disclose=True)
    (record,), _ = broker.events(BOB, broker.subscriptions[1], Filters())
    assert record.event.publication_id == 5001
    assert record.event.details_for("prefix") == {
        "publisher": ALICE,
        "publisher_authid": "alice",
        "publisher_authrole": "manager",
        "ppt_scheme": "x",
        "topic": TOPIC,
    }


def test_event_for_given_sessions_only_is_not_in_the_history() -> None:
    broker = logging_broker()
    broker.publish(None, TOPIC, {}, None, None, only={BOB})
    assert texts(broker, BOB) == []


def test_broker_without_history_has_no_events() -> None:
    broker = broker_with(ALICE)
    broker.publish(None, TOPIC, {}, None, None)
    assert texts(broker, ALICE) == []


@pytest.mark.parametrize(
    ("topic", "options", "stored"),
    [
        (TOPIC, {}, True),
        (TOPIC, {"exclude": [ALICE]}, False),
        (TOPIC, {"exclude": [ALICE], "retain": True}, True),
        ("com.other", {}, False),
        ("com.other", {"retain": True}, True),
        ("com.other", {"retain": False}, False),
    ],
)
def test_stores_returns_whether_a_publication_would_be_stored(
    topic: str, options: dict[str, Any], stored: bool
) -> None:
    broker = logging_broker()
    assert broker.stores(topic, options) is stored
    assert new_broker(None).stores(topic, options) is False
