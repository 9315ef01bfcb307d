"""The router's own procedures, computed from the state of a broker and a dealer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from tests.router.session_details import Details
from wampasgi.errors import WAMPError
from wampasgi.protocol.ids import SequentialIds
from wampasgi.protocol.messages import Unregistered
from wampasgi.router import testaments
from wampasgi.router.broker import Broker
from wampasgi.router.dealer import Dealer
from wampasgi.router.meta_events import MetaEvents
from wampasgi.router.meta_procedures import MetaAPI, MetaResult, SessionsToClose

ALICE, BOB, CAROL, SERVER, STRANGER = 11, 12, 13, 1, 99
NOON = "2026-11-23T12:00:00.000Z"
REVOCATION = {"roles": {"callee": {"features": {"registration_revocation": True}}}}


class Realm:
    """Alice and Bob are staff, Carol is a guest, and the server has the procedure ``com.own``."""

    def __init__(self) -> None:
        self.sessions = {
            ALICE: Details("alice", "staff"),
            BOB: Details("bob", "staff", details=REVOCATION),
            CAROL: Details("carol", "guest"),
        }
        self.broker = Broker(
            next_subscription_id=SequentialIds(101).for_entry,
            random_publication_id=itertools.count(5001).__next__,
            sessions=self.sessions,
        )
        self.dealer = Dealer(
            next_registration_id=SequentialIds(201).for_entry,
            random_index=lambda count: 0,
            overloaded=lambda session_id: False,
        )
        for session_id, details in self.sessions.items():
            self.dealer.add_session(session_id, details)
        self.testaments = testaments.Testaments()
        events = MetaEvents(has_subscribers=lambda topic: False, now=lambda: NOON)
        self.broker.observer = events.subscriptions
        self.dealer.registrations.observer = events.registrations
        self.meta = MetaAPI(
            sessions=self.sessions,
            broker=self.broker,
            dealer=self.dealer,
            testaments=self.testaments,
            subscriptions=events.subscriptions,
            registrations=events.registrations,
        )
        self.dealer.registrations.add(SERVER, "com.own", {}, of_realm=True)

    def call(self, procedure: str, *args: Any, caller: int = ALICE, **kwargs: Any) -> MetaResult:
        found = self.meta.find(f"wamp.{procedure}")
        return found.compute(caller, *found.signature.read(args, kwargs))

    def error(self, procedure: str, *args: Any, **kwargs: Any) -> str:
        with pytest.raises(WAMPError) as raised:
            self.call(procedure, *args, **kwargs)
        return raised.value.uri


def test_sessions_are_counted_and_listed_by_role() -> None:
    realm = Realm()
    assert realm.call("session.count") == MetaResult([3])
    assert realm.call("session.count", ["staff"]) == MetaResult([2])
    assert realm.call("session.list", ["staff", "guest"]) == MetaResult([[ALICE, BOB, CAROL]])
    assert realm.call("session.list", []) == MetaResult([[]])


@pytest.mark.parametrize(
    ("procedure", "args", "answer", "closed"),
    [
        ("kill", [BOB], (), [BOB]),
        ("kill_by_authid", ["carol"], [[CAROL]], [CAROL]),
        ("kill_by_authid", ["alice"], [[]], []),
        ("kill_by_authrole", ["staff"], [1], [BOB]),
        ("kill_all", [], [2], [BOB, CAROL]),
    ],
)
def test_kill_procedures_return_the_sessions_to_close(
    procedure: str, args: list[Any], answer: Sequence[Any], closed: list[int]
) -> None:
    realm, silent = Realm(), procedure == "kill_all"
    killed = SessionsToClose(closed, "wamp.close.killed", None, silent=silent)
    assert realm.call(f"session.{procedure}", *args) == MetaResult(answer, killed)
    with_reason = realm.call(f"session.{procedure}", *args, reason="com.why", message="so")
    assert with_reason == MetaResult(answer, SessionsToClose(closed, "com.why", "so", silent=silent))


def test_kill_all_by_the_server_closes_all_sessions() -> None:
    result = Realm().call("session.kill_all", caller=SERVER)
    assert result.to_close is not None
    assert result.to_close.session_ids == [ALICE, BOB, CAROL]


def test_remove_callee_returns_the_message_for_the_callee() -> None:
    realm = Realm()
    shared = realm.dealer.registrations.add(BOB, "com.a", {"invoke": "first"})
    realm.dealer.registrations.add(CAROL, "com.a", {"invoke": "first"})

    result = realm.call("registration.remove_callee", shared.registration_id, BOB, "com.why")

    revoked = Unregistered(0, {"registration": shared.registration_id, "reason": "com.why"})
    assert result == MetaResult(outgoing=[(BOB, revoked)])
    assert list(shared.callees) == [CAROL]


def test_registrations_of_the_server_and_of_clients_are_listed_together() -> None:
    realm = Realm()
    client = realm.dealer.registrations.add(BOB, "com.", {"match": "prefix"})

    listed = {"exact": [201], "prefix": [client.registration_id], "wildcard": []}
    assert realm.call("registration.list") == MetaResult([listed])
    assert realm.call("registration.match", "com.own") == MetaResult([201])
    assert realm.call("registration.match", "com.other") == MetaResult([client.registration_id])
    assert realm.call("registration.list_callees", 201) == MetaResult([[SERVER]])
    details = {"id": 201, "created": NOON, "uri": "com.own", "match": "exact", "invoke": "single"}
    assert realm.call("registration.get", 201) == MetaResult([details])


def test_pattern_of_a_client_does_not_match_the_routers_procedures() -> None:
    realm = Realm()
    realm.dealer.registrations.add(BOB, "", {"match": "prefix"})
    assert realm.call("registration.match", "wamp.anything") == MetaResult([None])


def test_testament_of_a_session_that_has_ended_is_not_added() -> None:
    realm = Realm()
    add = realm.meta.find("wamp.session.add_testament")
    with pytest.raises(WAMPError, match="no_such_session"):
        add.compute(STRANGER, list, None, 10, 9, 100)
    assert realm.testaments.take(STRANGER) == []

    add.compute(ALICE, list, "detached", 10, 9, 100)
    add.compute(ALICE, dict, None, 10, 9, 100)
    realm.call("session.flush_testaments", scope="detached")
    assert realm.testaments.take(ALICE) == [dict]


@pytest.mark.parametrize(
    ("procedure", "args", "uri"),
    [
        ("session.get", [STRANGER], "wamp.error.no_such_session"),
        ("session.get", [SERVER], "wamp.error.no_such_session"),
        ("session.kill", [ALICE], "wamp.error.no_such_session"),
        ("session.kill", [STRANGER], "wamp.error.no_such_session"),
        ("registration.get", [999], "wamp.error.no_such_registration"),
        ("registration.remove_callee", [999, BOB], "wamp.error.no_such_registration"),
        ("registration.remove_callee", [201, BOB], "wamp.error.no_such_session"),
        ("registration.remove_callee", [201, SERVER], "wamp.error.no_such_session"),
        ("subscription.get", [999], "wamp.error.no_such_subscription"),
        ("subscription.lookup", ["com.a", {"match": "regex"}], "wamp.error.invalid_argument"),
        ("registration.lookup", ["com.a", {"match": "regex"}], "wamp.error.invalid_argument"),
        ("session.teleport", [], "wamp.error.no_such_procedure"),
    ],
)
def test_unknown_entity_is_a_specific_error(procedure: str, args: list[Any], uri: str) -> None:
    assert Realm().error(procedure, *args) == uri
