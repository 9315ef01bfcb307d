"""The router of a realm, with recipients that keep what they are sent and have no connection."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, get_args

import pytest

from tests.router.dealing import client
from wampasgi import ConfigurationError, Limits, WAMPError
from wampasgi.peers.identity import AuthenticationDetails
from wampasgi.protocol.messages import (
    Call,
    Error,
    Event,
    Interrupt,
    Invocation,
    Message,
    Register,
    Registered,
    Result,
    Unregistered,
    Yield,
)
from wampasgi.router.admission import Place
from wampasgi.router.event_history import Filters
from wampasgi.router.interfaces import SharedEvent
from wampasgi.router.router import Router
from wampasgi.types import Match

ALICE, BOB, CAROL, SERVER = 11, 12, 13, 1
NOON = "2026-11-23T12:00:00.000Z"
TOPIC, PROCEDURE = "com.myapp.topic", "com.myapp.procedure"


@dataclass(eq=False)
class Member:
    """The attributes of a session that the router reads."""

    id: int
    authid: str | None = None
    authrole: str | None = None
    details: dict[str, Any] = field(default_factory=lambda: client().details)
    authentication: AuthenticationDetails = field(default_factory=AuthenticationDetails)


class Recorder:
    """A recipient that keeps what it is sent."""

    def __init__(self) -> None:
        self.overloaded = False
        self.messages: list[Message] = []
        self.events: list[SharedEvent] = []
        self.goodbyes: list[tuple[str, str | None]] = []
        self.revoked: list[tuple[int, str | None]] = []

    def send(self, message: Message) -> None:
        self.messages.append(message)

    def send_event(self, event: SharedEvent) -> None:
        self.events.append(event)

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        self.revoked.append((subscription_id, reason))

    def say_goodbye(self, reason: str, message: str | None = None) -> None:
        self.goodbyes.append((reason, message))

    @property
    def payloads(self) -> list[Any]:
        """The positional arguments of all events so far."""
        return [event.message.args for event in self.events]

    @property
    def topics(self) -> list[str]:
        """The topics of all events so far. They must be events of pattern subscriptions."""
        return [event.message.details["topic"] for event in self.events]


class Ending(Recorder):
    """A recipient whose session begins to end when it gets its first event."""

    def __init__(self, leave: Callable[[], None]) -> None:
        super().__init__()
        self.leave = leave

    def send_event(self, event: SharedEvent) -> None:
        super().send_event(event)
        if len(self.events) == 1:
            self.leave()


class EndingWhenTold(Recorder):
    """A recipient whose session begins to end when it is sent GOODBYE, like a client's."""

    def __init__(self, leave: Callable[[], None]) -> None:
        super().__init__()
        self.leave = leave

    def say_goodbye(self, reason: str, message: str | None = None) -> None:
        super().say_goodbye(reason, message)
        self.leave()


def new_router(*, private_registrations: bool = False) -> Router[Member]:
    return Router(now=lambda: NOON, private_registrations=private_registrations)


def join(
    router: Router[Member], session_id: int, recipient: Recorder | None = None, **details: Any
) -> Recorder:
    recipient = recipient or Recorder()
    router.join(Member(session_id, **details), recipient)
    return recipient


def attach(router: Router[Member]) -> Recorder:
    """Add the realm's own session."""
    recipient = Recorder()
    router.attach(SERVER, Member(SERVER), recipient)
    return recipient


def join_ending(
    router: Router[Member], session_id: int, kind: type[Ending] | type[EndingWhenTold], **details: Any
) -> Recorder:
    return join(router, session_id, kind(partial(router.leaving, session_id)), **details)


def subscribe(router: Router[Member], session_id: int, topic: str, match: Match = "exact") -> int:
    subscription_id = router.broker.subscribe(session_id, topic, match).subscription_id
    router.publish_meta_events()
    return subscription_id


def register(router: Router[Member], session_id: int, procedure: str = PROCEDURE, **options: Any) -> int:
    [(_, answer)] = router.dealer.register(session_id, Register(1, options, procedure))
    assert isinstance(answer, Registered), answer
    router.publish_meta_events()
    return answer.registration_id


def call(router: Router[Member], session_id: int, request_id: int = 1, procedure: str = PROCEDURE) -> None:
    router.deliver(router.dealer.call(session_id, Call(request_id, {}, procedure), now=0))


def call_meta(router: Router[Member], caller_id: int, procedure: str, *values: Any) -> Any:
    """Call a meta procedure, carry out its consequences, and return its result."""
    outcome = router.meta.find(f"wamp.{procedure}").compute(caller_id, *values)
    router.carry_out(outcome)
    return outcome.args[0] if outcome.args else None


def add_testament(router: Router[Member], session_id: int, *args: Any) -> None:
    def publish() -> None:
        router.publish(session_id, "com.testament", {}, list(args), None)

    call_meta(router, session_id, "session.add_testament", publish, None, 1, 100, 100)


def watch(router: Router[Member], session_id: int, prefix: str) -> Recorder:
    """Join a session that watches the topics with a prefix, and clear its events so far."""
    watcher = join(router, session_id)
    subscribe(router, session_id, prefix, "prefix")
    watcher.events.clear()
    return watcher


# Joining and leaving


def test_session_is_listed_until_it_begins_to_end() -> None:
    router = new_router()
    join(router, ALICE)
    join(router, BOB)

    router.leaving(ALICE)
    assert list(router.sessions) == [BOB]
    assert list(router.served) == [ALICE, BOB]
    router.leave(ALICE)
    assert list(router.served) == [BOB]


def test_session_that_begins_to_end_is_in_the_meta_api_no_more() -> None:
    router = new_router()
    join(router, ALICE)
    join(router, BOB)

    router.leaving(ALICE)

    assert call_meta(router, BOB, "session.list", None) == [BOB]
    with pytest.raises(WAMPError, match="no_such_session"):
        call_meta(router, BOB, "session.get", ALICE)


def test_nothing_is_left_when_the_last_session_has_left() -> None:
    router = new_router()
    references: list[weakref.ref[Any]] = []

    def remember(session: Member, recipient: Recorder) -> None:
        references.extend([weakref.ref(session), weakref.ref(recipient)])
        router.join(session, recipient)

    for session_id in ALICE, BOB, CAROL:
        remember(Member(session_id), Recorder())
        add_testament(router, session_id, "bye")
        for match in get_args(Match):
            subscribe(router, session_id, TOPIC, match)
        register(router, session_id, invoke="roundrobin")
        register(router, session_id, f"{PROCEDURE}.{session_id}")
    for session_id in ALICE, BOB, CAROL:
        for request_id in range(1, 5):
            call(router, session_id, request_id)
    # Silently: the router has to remember that until they have left.
    call_meta(router, ALICE, "session.kill_all", None, None)

    for session_id in BOB, ALICE, CAROL:
        router.leave(session_id)
    gc.collect()

    assert not router.sessions
    assert not router.broker.subscriptions
    assert not router.dealer.registrations.by_id
    assert not router.dealer.sessions
    assert not any(router.broker.of_session(session_id) for session_id in (ALICE, BOB, CAROL))
    assert call_meta(router, SERVER, "session.count", None) == 0
    assert [reference() for reference in references] == [None] * 6


def test_leaving_twice_is_leaving_once() -> None:
    router = new_router()
    watcher = watch(router, BOB, "")
    join(router, ALICE)
    add_testament(router, ALICE, "bye")
    watcher.events.clear()

    router.leaving(ALICE)
    router.leaving(ALICE)
    router.leave(ALICE)

    assert watcher.topics == ["com.testament", "wamp.session.on_leave"]


# Calls


def test_messages_of_the_dealer_are_delivered_to_their_recipients_in_order() -> None:
    router = new_router()
    alice, bob = join(router, ALICE), join(router, BOB)

    router.deliver(
        [(ALICE, Result(1, {}, ["one"])), (BOB, Result(1, {}, ["other"])), (ALICE, Result(2, {}, ["two"]))]
    )

    assert alice.messages == [Result(1, {}, ["one"]), Result(2, {}, ["two"])]
    assert bob.messages == [Result(1, {}, ["other"])]


def test_call_goes_to_its_callee_and_the_result_back() -> None:
    router = new_router()
    caller, callee = join(router, ALICE), join(router, BOB)
    registration_id = register(router, BOB)

    call(router, ALICE, 7)
    router.deliver(router.dealer.yield_result(BOB, Yield(1, {}, ["done"]), now=0))

    assert callee.messages == [Invocation(1, registration_id, {})]
    assert caller.messages == [Result(7, {}, ["done"])]


def test_callers_of_a_session_that_leaves_get_an_error() -> None:
    router = new_router()
    caller = join(router, ALICE)
    join(router, BOB)
    register(router, BOB)
    call(router, ALICE, 7)

    router.leaving(BOB)

    [answer] = caller.messages
    assert isinstance(answer, Error)
    assert (answer.request_id, answer.error) == (7, "wamp.error.canceled")


def test_callee_of_a_session_that_leaves_is_interrupted() -> None:
    router = new_router()
    join(router, ALICE)
    callee = join(router, BOB)
    register(router, BOB)
    call(router, ALICE)

    router.leaving(ALICE)

    assert callee.messages[1:] == [Interrupt(1, {"mode": "killnowait"})]


def test_call_passes_over_a_callee_that_is_overloaded() -> None:
    router = new_router()
    caller, first, second = join(router, ALICE), join(router, BOB), join(router, CAROL)
    for session_id in BOB, CAROL:
        register(router, session_id, invoke="first")

    first.overloaded = True
    call(router, ALICE, 1)
    second.overloaded = True
    call(router, ALICE, 2)

    assert not first.messages
    assert [type(message) for message in second.messages] == [Invocation]
    [refused] = caller.messages
    assert isinstance(refused, Error)
    assert (refused.request_id, refused.error) == (2, "wamp.error.no_available_callee")


def test_caller_gets_an_error_if_its_callee_cannot_be_sent_the_invocation() -> None:
    router = new_router()
    caller = join(router, ALICE)
    join(router, BOB)
    register(router, BOB)
    call(router, ALICE, 7)

    router.undeliverable(BOB, 1, "no serializer carries this")

    [answer] = caller.messages
    assert isinstance(answer, Error)
    assert (answer.request_id, answer.error) == (7, "wamp.error.invalid_argument")
    assert answer.args == ["no serializer carries this"]


def test_only_a_progressive_call_without_its_last_part_may_continue() -> None:
    router = new_router()
    join(router, ALICE)
    join(router, BOB)
    register(router, BOB)
    part = Call(1, {"progress": True}, PROCEDURE)
    router.deliver(router.dealer.call(ALICE, part, now=0))
    call(router, ALICE, 2)

    assert router.may_continue(ALICE, part)
    assert not router.may_continue(ALICE, Call(2, {}, PROCEDURE))
    assert not router.may_continue(BOB, part)
    router.leaving(ALICE)
    assert not router.may_continue(ALICE, part)


# Publications


def test_publication_reaches_every_subscription_but_those_of_its_publisher() -> None:
    router = new_router()
    alice, bob, carol = join(router, ALICE), join(router, BOB), join(router, CAROL)
    exact = subscribe(router, ALICE, TOPIC)
    subscribe(router, BOB, TOPIC)
    prefix = subscribe(router, BOB, "com.", "prefix")
    subscribe(router, CAROL, "com.other")

    publication = router.publish(ALICE, TOPIC, {}, ["text"], {"a": 1})

    publication_id = publication.publication_id
    assert [event.message for event in bob.events] == [
        Event(exact, publication_id, {}, ["text"], {"a": 1}),
        Event(prefix, publication_id, {"topic": TOPIC}, ["text"], {"a": 1}),
    ]
    assert not alice.events
    assert not carol.events
    assert publication.events == 2


def test_subscribers_of_one_subscription_share_one_event() -> None:
    router = new_router()
    alice, bob = join(router, ALICE), join(router, BOB)
    for session_id in ALICE, BOB:
        subscribe(router, session_id, TOPIC)

    router.publish(CAROL, TOPIC, {}, None, None)
    router.publish(None, TOPIC, {}, None, None)

    assert [event.publisher_id for event in alice.events] == [CAROL, None]
    assert all(one is other for one, other in zip(alice.events, bob.events, strict=True))


def test_publication_for_some_sessions_reaches_no_other() -> None:
    router = new_router()
    server, alice, bob = attach(router), join(router, ALICE), join(router, BOB)
    for session_id in SERVER, ALICE, BOB:
        subscribe(router, session_id, TOPIC)

    router.publish(ALICE, TOPIC, {"exclude_me": False}, ["one"], None, only=(SERVER, BOB, 99))

    assert server.payloads == bob.payloads == [["one"]]
    assert not alice.events


def test_publications_and_events_to_clients_are_counted() -> None:
    router = new_router()
    attach(router)
    join(router, ALICE)
    join(router, BOB)
    for session_id in SERVER, ALICE, BOB:
        subscribe(router, session_id, TOPIC)
    subscribe(router, ALICE, "com.", "prefix")

    router.publish(None, TOPIC, {}, None, None)
    router.publish(ALICE, TOPIC, {}, None, None)
    router.publish(None, "org.nobody", {}, None, None)

    # The realm's own session counts its events itself.
    router.counts.own_events += 2
    assert router.metrics()["events"] == {"published": 3, "sent": 4}


def test_session_that_ends_in_the_middle_of_a_publication_does_not_stop_it() -> None:
    router = new_router()
    watcher = watch(router, CAROL, "")
    ending = join_ending(router, ALICE, Ending)
    bob = join(router, BOB)
    for session_id in ALICE, BOB:
        subscribe(router, session_id, TOPIC)
    add_testament(router, ALICE, "bye")
    watcher.events.clear()

    publication = router.publish(None, TOPIC, {}, ["all"], None)

    assert publication.events == 3
    assert ending.payloads == bob.payloads == [["all"]]
    # The meta events may come before or after the event itself.
    assert sorted(watcher.topics) == sorted(
        [TOPIC, "com.testament", "wamp.subscription.on_unsubscribe", "wamp.session.on_leave"]
    )
    assert router.publish(None, TOPIC, {}, ["later"], None).events == 2
    assert ending.payloads == [["all"]]


def test_last_subscriber_that_ends_in_the_middle_of_a_publication_ends_its_subscription() -> None:
    router = new_router()
    ending = join_ending(router, ALICE, Ending)
    subscribe(router, ALICE, TOPIC)
    subscribe(router, ALICE, "com.", "prefix")

    router.publish(None, TOPIC, {}, None, None)
    router.leave(ALICE)

    # The router still sends it the second event. A peer drops that.
    assert len(ending.events) == 2
    assert not router.broker.subscriptions


# Meta events


def test_watchers_get_an_event_for_each_session_that_joins_or_leaves() -> None:
    router = new_router()
    watcher = watch(router, CAROL, "wamp.session.")
    authentication = AuthenticationDetails(authmethod="ticket", authprovider="static")

    join(router, ALICE, authid="alice", authrole="staff", authentication=authentication)
    router.leaving(ALICE)
    router.leave(ALICE)

    details = {
        "session": ALICE,
        "authid": "alice",
        "authrole": "staff",
        "authmethod": "ticket",
        "authprovider": "static",
    }
    assert watcher.topics == ["wamp.session.on_join", "wamp.session.on_leave"]
    joined, left = watcher.payloads
    assert details.items() <= joined[0].items()
    assert left == [ALICE, "alice", "staff"]
    assert [event.publisher_id for event in watcher.events] == [None, None]


def test_meta_events_wait_until_they_are_reported() -> None:
    router = new_router()
    watcher = watch(router, CAROL, "wamp.subscription.")

    router.broker.subscribe(ALICE, TOPIC, "exact")
    assert not watcher.events
    router.publish_meta_events()

    assert watcher.topics == ["wamp.subscription.on_create", "wamp.subscription.on_subscribe"]


def test_end_of_a_watcher_that_a_meta_event_causes_is_told_to_the_others() -> None:
    router = new_router()
    watcher = watch(router, CAROL, "wamp.session.")
    join_ending(router, ALICE, Ending)
    subscribe(router, ALICE, "wamp.session.", "prefix")
    watcher.events.clear()

    join(router, BOB)

    assert watcher.topics == ["wamp.session.on_join", "wamp.session.on_leave"]
    assert watcher.payloads[1][0] == ALICE


def test_meta_events_that_others_cause_come_after_those_that_are_due() -> None:
    router = new_router()
    watcher = watch(router, CAROL, "wamp.")
    join_ending(router, ALICE, Ending)
    subscribe(router, ALICE, "wamp.subscription.on_create")
    watcher.events.clear()

    # Alice leaves with the first of the two events.
    subscribe(router, BOB, TOPIC)

    assert watcher.topics == [
        "wamp.subscription.on_create",
        "wamp.subscription.on_subscribe",
        "wamp.subscription.on_unsubscribe",
        "wamp.subscription.on_delete",
        "wamp.session.on_leave",
    ]


def test_killed_session_is_told_why_and_watchers_that_it_has_left() -> None:
    router = new_router()
    watcher = watch(router, CAROL, "")
    killed = join_ending(router, ALICE, EndingWhenTold)
    add_testament(router, ALICE, "bye")
    watcher.events.clear()

    call_meta(router, CAROL, "session.kill", ALICE, "com.myapp.enough", "go away")

    assert killed.goodbyes == [("com.myapp.enough", "go away")]
    assert watcher.topics == ["com.testament", "wamp.session.on_leave"]


def test_kill_all_publishes_neither_meta_events_nor_testaments() -> None:
    router = new_router()
    watcher = watch(router, CAROL, "")
    killed = [join_ending(router, session_id, EndingWhenTold) for session_id in (ALICE, BOB)]
    for session_id in ALICE, BOB:
        add_testament(router, session_id, "bye")
    watcher.events.clear()

    assert call_meta(router, CAROL, "session.kill_all", None, None) == 2

    assert [recipient.goodbyes for recipient in killed] == [[("wamp.close.killed", None)]] * 2
    assert not watcher.events
    assert not watcher.goodbyes
    assert call_meta(router, CAROL, "session.list", None) == [CAROL]


def test_silence_of_kill_all_ends_with_the_sessions_that_it_ended() -> None:
    router = new_router()
    watcher = watch(router, CAROL, "wamp.session.")
    join_ending(router, ALICE, EndingWhenTold)
    call_meta(router, CAROL, "session.kill_all", None, None)
    router.leave(ALICE)
    watcher.events.clear()

    join(router, ALICE)
    router.leave(ALICE)

    assert watcher.topics == ["wamp.session.on_join", "wamp.session.on_leave"]


def test_testaments_come_before_the_news_that_their_session_has_left() -> None:
    router = new_router()
    watcher = watch(router, CAROL, "")
    join(router, ALICE)
    for number in 1, 2:
        add_testament(router, ALICE, number)
    watcher.events.clear()

    router.leaving(ALICE)

    assert watcher.topics == ["com.testament", "com.testament", "wamp.session.on_leave"]
    assert watcher.payloads[:2] == [[1], [2]]
    assert [event.publisher_id for event in watcher.events] == [ALICE, ALICE, None]


# The realm's own session


def test_own_session_of_the_realm_is_none_in_the_session_meta_api() -> None:
    router = new_router()
    watcher = watch(router, CAROL, "wamp.session.")
    server = attach(router)
    join(router, ALICE)

    assert [args[0]["session"] for args in watcher.payloads] == [ALICE]
    assert list(router.sessions) == [CAROL, ALICE]
    assert call_meta(router, ALICE, "session.count", None) == 2
    assert call_meta(router, ALICE, "session.list", None) == [CAROL, ALICE]
    for procedure, values in ("session.get", ()), ("session.kill", (None, None)):
        with pytest.raises(WAMPError, match="no_such_session"):
            call_meta(router, ALICE, procedure, SERVER, *values)
    assert call_meta(router, ALICE, "session.kill_all", None, None) == 1
    assert not server.goodbyes


def test_own_session_of_the_realm_has_no_testaments() -> None:
    router = new_router()
    attach(router)
    with pytest.raises(WAMPError, match="no_such_session"):
        add_testament(router, SERVER, "never")


def test_own_session_of_the_realm_gets_events_and_invocations() -> None:
    router = new_router()
    server, alice = attach(router), join(router, ALICE)
    subscribe(router, SERVER, TOPIC)
    registration = router.dealer.registrations.add(SERVER, PROCEDURE, {}, of_realm=True)

    router.publish(ALICE, TOPIC, {}, ["text"], None)
    call(router, ALICE, 7)
    router.deliver(router.dealer.yield_result(SERVER, Yield(1, {}, ["own"]), now=0))

    assert server.payloads == [["text"]]
    assert server.messages == [Invocation(1, registration.registration_id, {})]
    assert alice.messages == [Result(7, {}, ["own"])]


def test_own_session_of_the_realm_calls_clients() -> None:
    router = new_router()
    server, alice = attach(router), join(router, ALICE)
    register(router, ALICE)

    call(router, SERVER, 7)
    router.leaving(ALICE)

    assert [type(message) for message in alice.messages] == [Invocation]
    [answer] = server.messages
    assert isinstance(answer, Error)
    assert (answer.request_id, answer.error) == (7, "wamp.error.canceled")


def test_registrations_and_subscriptions_of_the_realm_itself_are_in_the_meta_api() -> None:
    router = new_router()
    attach(router)
    join(router, ALICE)
    subscription_id = subscribe(router, SERVER, "com.", "prefix")
    router.dealer.registrations.add(SERVER, PROCEDURE, {}, of_realm=True)

    registration_id = call_meta(router, ALICE, "registration.lookup", PROCEDURE, None)
    assert call_meta(router, ALICE, "registration.match", PROCEDURE) == registration_id
    assert call_meta(router, ALICE, "registration.list_callees", registration_id) == [SERVER]
    prefix = {"match": "prefix"}
    assert call_meta(router, ALICE, "subscription.lookup", "com.", prefix) == subscription_id
    assert call_meta(router, ALICE, "subscription.match", TOPIC) == [subscription_id]
    assert call_meta(router, ALICE, "subscription.list_subscribers", subscription_id) == [SERVER]


def test_own_session_of_the_realm_cannot_be_removed_from_its_registration() -> None:
    router = new_router()
    attach(router)
    join(router, ALICE)
    registration = router.dealer.registrations.add(SERVER, PROCEDURE, {}, of_realm=True)

    with pytest.raises(WAMPError, match="no_such_session"):
        call_meta(router, ALICE, "registration.remove_callee", registration.registration_id, SERVER, None)


# Revocation


def test_revoked_registration_is_taken_from_all_clients_and_not_from_the_realm() -> None:
    router = new_router()
    server = attach(router)
    told = join(router, ALICE)
    untold = join(router, BOB, details={})
    router.dealer.registrations.add(SERVER, PROCEDURE, {"invoke": "roundrobin"}, of_realm=True)
    registration_id, _ = [register(router, session_id, invoke="roundrobin") for session_id in (ALICE, BOB)]
    watcher = watch(router, CAROL, "wamp.registration.")

    assert router.revoke_registration(PROCEDURE, "exact", "com.myapp.moved") == 2

    details = {"registration": registration_id, "reason": "com.myapp.moved"}
    assert told.messages == [Unregistered(0, details)]
    assert not untold.messages
    assert not server.messages
    assert list(router.dealer.registrations.by_id[registration_id].callees) == [SERVER]
    assert watcher.topics == ["wamp.registration.on_unregister"] * 2
    assert router.revoke_registration(PROCEDURE, "exact", None) == 0
    assert router.revoke_registration(PROCEDURE, "prefix", None) == 0


def test_revoked_subscription_is_taken_from_all_clients_and_not_from_the_realm() -> None:
    router = new_router()
    server, alice, bob = attach(router), join(router, ALICE), join(router, BOB)
    subscription_id, *_ = [subscribe(router, session_id, TOPIC) for session_id in (SERVER, ALICE, BOB)]

    assert router.revoke_subscription(TOPIC, "exact", None, "com.myapp.over") == 2

    assert alice.revoked == bob.revoked == [(subscription_id, "com.myapp.over")]
    assert not server.revoked
    assert router.revoke_subscription(TOPIC, "prefix", None, None) == 0


def test_subscription_can_be_revoked_from_one_client() -> None:
    router = new_router()
    server, alice, bob = attach(router), join(router, ALICE), join(router, BOB)
    subscription_id, _ = [subscribe(router, session_id, TOPIC) for session_id in (SERVER, ALICE)]

    assert router.revoke_subscription(TOPIC, "exact", ALICE, None) == 1
    assert router.revoke_subscription(TOPIC, "exact", BOB, None) == 0
    assert router.revoke_subscription(TOPIC, "exact", SERVER, None) == 0

    assert alice.revoked == [(subscription_id, None)]
    assert not server.revoked
    assert not bob.revoked


# Stored events and metrics


def test_history_of_a_topic_can_be_kept_only_once() -> None:
    router = new_router()
    router.keep_history(TOPIC, "exact", 2)
    for number in range(3):
        router.publish(None, TOPIC, {}, [number], None)

    [subscription] = router.broker.subscriptions.values()
    records, _ = router.broker.events(None, subscription, Filters())
    assert [record.event.args for record in records] == [[1], [2]]
    router.keep_history(TOPIC, "prefix", 2)
    with pytest.raises(ConfigurationError, match=r"keep_history\('com\.myapp\.topic', match='exact'\)"):
        router.keep_history(TOPIC, "exact", 5)


def test_limits_bound_the_stored_events() -> None:
    router = new_router()
    router.set_limits(Limits(retained_events=2))
    for number in range(3):
        router.publish(None, f"com.topic.{number}", {"retain": True}, [number], None)
    subscription = router.broker.subscribe(ALICE, "com.", "prefix")

    retained = router.broker.retained_events(ALICE, subscription, most=10)

    assert [event.args for event in retained] == [[1], [2]]


def test_subscriptions_and_registrations_of_clients_alone_are_counted() -> None:
    router = new_router()
    attach(router)
    router.keep_history("com.kept", "exact", 5)
    router.keep_history("com.", "prefix", 5)
    join(router, ALICE)
    join(router, BOB)
    for topic in "com.of_both", "com.of_the_server":
        subscribe(router, SERVER, topic)
    for topic in "com.of_both", "com.kept", "com.of_alice":
        subscribe(router, ALICE, topic)
    subscribe(router, BOB, "com.of_both")
    router.dealer.registrations.add(SERVER, "com.own", {}, of_realm=True)
    for session_id in ALICE, BOB:
        register(router, session_id, invoke="first")

    assert router.metrics()["router"] == {"subscriptions": 3, "registrations": 1}
    router.leave(ALICE)
    assert router.metrics()["router"] == {"subscriptions": 1, "registrations": 1}
    router.leave(BOB)
    assert router.metrics()["router"] == {"subscriptions": 0, "registrations": 0}


def test_sessions_that_are_open_and_those_that_have_joined_are_counted() -> None:
    router = new_router()
    attach(router)
    limits = Limits(sessions=3)
    places = [router.admission.enter(None, limits) for _ in range(4)]
    join(router, ALICE)
    join(router, BOB)
    router.leave(ALICE)
    assert isinstance(places[0], Place)
    places[0].leave()

    assert router.metrics()["sessions"] == {
        "open": 1,
        "opening": 1,
        "joined": 2,
        "refused": 1,
        "aborted": 0,
    }
