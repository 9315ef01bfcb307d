"""Random peers use broker and dealer together, while a watcher records all meta events."""

from __future__ import annotations

import contextlib
import weakref
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.router.dealing import CALLEE_FEATURES, CALLER_FEATURES, Client, client
from tests.router.test_dealer_states import PATTERNS, URIS, Model, Realm, someone_is_there
from wampasgi.errors import WAMPError
from wampasgi.peers.identity import AuthenticationDetails
from wampasgi.protocol.messages import Call, Invocation, Message
from wampasgi.router.call_messages import Outgoing
from wampasgi.router.interfaces import SharedEvent
from wampasgi.router.router import Router
from wampasgi.types import Match

SERVER, WATCHER = 10**9, 10**9 + 1
TOPICS: list[tuple[Match, str]] = [
    ("exact", "com.a"),
    ("exact", "com.a.b"),
    ("prefix", "com."),
    ("wildcard", "com..b"),
    ("exact", "wamp.session.on_leave"),
    ("exact", "wamp.subscription.on_delete"),
    ("prefix", "wamp."),
]


def matches(match: str, pattern: str, topic: str) -> bool:
    if match == "prefix":
        return topic.startswith(pattern)
    if match == "exact":
        return topic == pattern
    of_pattern, of_topic = pattern.split("."), topic.split(".")
    return len(of_pattern) == len(of_topic) and all(
        part in ("", other) for part, other in zip(of_pattern, of_topic, strict=True)
    )


@dataclass
class Member(Client):
    """A session as the router sees it."""

    id: int = 0
    authentication: AuthenticationDetails = field(default_factory=AuthenticationDetails)


@dataclass
class Subscriber(Model):
    #: Match policy and topic by subscription ID.
    subscriptions: dict[int, tuple[str, str]] = field(default_factory=dict)
    testaments: dict[str, list[int]] = field(default_factory=lambda: {"detached": [], "destroyed": []})


class RecordingPeer:
    """A fake peer whose client may stop reading after any message."""

    def __init__(self, machine: RouterMachine, session_id: int) -> None:
        self.machine = machine
        self.session_id = session_id
        self.overloaded = False
        #: The number of messages that it takes before its queue overflows.
        self.patience: int | None = None
        #: True if its serializer cannot serialize the next INVOCATION.
        self.cannot_serialize = False
        self.ended = False

    def send(self, message: Message) -> None:
        if isinstance(message, Invocation) and self.cannot_serialize:
            self.cannot_serialize = False
            self.machine.router.undeliverable(self.session_id, message.request_id, "not serializable")
        elif self._takes():
            self.machine.take(self.session_id, message)

    def send_event(self, event: SharedEvent) -> None:
        if self._takes():
            self.machine.take_event(self.session_id, *event.raw[1:])

    def _takes(self) -> bool:
        if self.ended:
            assert self.session_id in self.machine.ended_now, "a message goes to a session that has left"
            return False
        if self.patience == 0:
            self.machine.ended_now.add(self.session_id)
            self.end()
            return False
        if self.patience is not None:
            self.patience -= 1
        return True

    def say_goodbye(self, reason: str, message: str | None = None) -> None:
        if not self.ended:
            self.end()

    def end(self) -> None:
        self.ended = True
        self.machine.forget(self.session_id)
        self.machine.router.leaving(self.session_id)

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        del self.machine.joined[self.session_id].subscriptions[subscription_id]
        self.machine.router.broker.unsubscribe(self.session_id, subscription_id)


class SilentServer:
    """A fake of the realm's own session that ignores answers."""

    overloaded = False

    def send(self, message: Message) -> None:
        assert not isinstance(message, Invocation)

    def send_event(self, event: SharedEvent) -> None:
        raise AssertionError("it has subscribed to nothing")

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        raise AssertionError("it has subscribed to nothing")

    def say_goodbye(self, reason: str, message: str | None = None) -> None:
        raise AssertionError("the server's session does not end")


class RecordedTestament:
    def __init__(self, machine: RouterMachine, session_id: int, number: int) -> None:
        self.machine, self.session_id, self.number = machine, session_id, number

    def __call__(self) -> None:
        args = [self.session_id, self.number]
        self.machine.router.publish(self.session_id, "com.testament", {}, args, None)


class RouterMachine(Realm):
    joined: dict[int, Subscriber]  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.router: Router[Member] = Router(now=lambda: "2026-11-23T12:00:00.000Z")
        self.router.attach(SERVER, Member(id=SERVER), SilentServer())
        self.dealer = self.router.dealer
        self.servers = {SERVER, WATCHER}
        self.members: dict[int, Member] = {}
        self.peers: dict[int, RecordingPeer] = {}
        #: Sessions that have begun to end, but have not been removed yet.
        self.ending: list[int] = []
        #: Sessions that ended during the current step. The router may still send to them in this step.
        self.ended_now: set[int] = set()
        #: Session and subscription IDs of the events by publication ID.
        self.events: dict[int, list[tuple[int, int]]] = defaultdict(list)
        #: The testaments of each session that has ended, and the testaments that the watcher received.
        self.expected_testaments: dict[int, list[int]] = {}
        self.received_testaments: dict[int, list[int]] = defaultdict(list)
        self.testaments: list[weakref.ref[RecordedTestament]] = []
        # The state that the watcher reconstructs from meta events.
        self.present: set[int] = set()
        self.subscribers: dict[int, set[int]] = {}
        self.callees: dict[int, set[int]] = {}
        self.add(WATCHER, Member())
        broker = self.router.broker
        self.watched = {
            broker.subscribe(WATCHER, topic, "prefix").subscription_id for topic in ("wamp.", "com.test")
        }
        self.router.publish_meta_events()

    def add(self, session_id: int, member: Member) -> None:
        member.id = session_id
        self.members[session_id] = member
        self.peers[session_id] = RecordingPeer(self, session_id)
        self.router.join(member, self.peers[session_id])

    def forget(self, session_id: int) -> None:
        model = self.joined.pop(session_id)
        model.open_calls.clear()
        self.expected_testaments[session_id] = [*model.testaments["detached"], *model.testaments["destroyed"]]
        self.ending.append(session_id)

    def deliver(self, outgoing: list[Outgoing]) -> None:
        self.router.deliver(outgoing)
        self.router.publish_meta_events()

    # Receiving

    def take_event(
        self,
        session_id: int,
        subscription_id: int,
        publication_id: int,
        details: dict[str, Any],
        args: list[Any] | None = None,
    ) -> None:
        self.events[publication_id].append((session_id, subscription_id))
        if session_id == WATCHER:
            assert subscription_id in self.watched
            self.watch(details["topic"], args or [])
            return
        match, topic = self.joined[session_id].subscriptions[subscription_id]
        assert matches(match, topic, details.get("topic", topic))

    def watch(self, topic: str, args: list[Any]) -> None:
        if topic == "wamp.session.on_join":
            self.present.add(args[0]["session"])
        elif topic == "wamp.session.on_leave":
            self.present.remove(args[0])
            assert self.received_testaments[args[0]] == self.expected_testaments[args[0]]
        elif topic == "com.testament":
            session_id, number = args
            self.received_testaments[session_id].append(number)
        else:
            _, kind, event = topic.split(".")
            self.record_change(self.subscribers if kind == "subscription" else self.callees, event, *args)

    def record_change(self, entries: dict[int, set[int]], event: str, session_id: int, entry: Any) -> None:
        if event == "on_create":
            assert entry["id"] not in entries
            entries[entry["id"]] = set()
        elif event == "on_delete":
            assert entries.pop(entry) == set()
        elif event in ("on_subscribe", "on_register"):
            members = entries.setdefault(entry, set()) if entry in self.watched else entries[entry]
            assert session_id not in members
            members.add(session_id)
        else:
            assert event in ("on_unsubscribe", "on_unregister")
            entries[entry].remove(session_id)

    # Steps

    @rule(
        caller=st.sets(st.sampled_from(CALLER_FEATURES)),
        callee=st.sets(st.sampled_from(CALLEE_FEATURES)),
        patience=st.none() | st.integers(0, 20),
    )
    def join(self, caller: set[str], callee: set[str], patience: int | None) -> None:
        session_id = next(self.ids)
        details = client(caller=caller, callee=callee).details
        self.joined[session_id] = Subscriber(frozenset(callee | {f"caller:{name}" for name in caller}))
        self.add(session_id, Member(f"user{session_id % 2}", "user", details))
        self.peers[session_id].patience = patience

    def remove(self, session_id: int) -> None:
        self.peers[session_id].end()

    @precondition(lambda self: self.ending)
    @rule(data=st.data())
    def session_is_removed(self, data: st.DataObject) -> None:
        session_id = data.draw(st.sampled_from(self.ending), "session")
        self.ending.remove(session_id)
        self.router.leave(self.members.pop(session_id).id)

    @rule(data=st.data())
    @someone_is_there
    def client_is_killed(self, data: st.DataObject) -> None:
        self.call_meta("wamp.session.kill", self.someone(data), self.someone(data), None, None)

    @rule(authid=st.sampled_from(["user0", "user1"]), data=st.data())
    @someone_is_there
    def clients_are_killed(self, authid: str, data: st.DataObject) -> None:
        self.call_meta("wamp.session.kill_by_authid", self.someone(data), authid, None, None)

    @rule(overloaded=st.booleans(), cannot_serialize=st.booleans(), data=st.data())
    @someone_is_there
    def peer_has_trouble(self, overloaded: bool, cannot_serialize: bool, data: st.DataObject) -> None:
        peer = self.peers[self.someone(data)]
        peer.overloaded, peer.cannot_serialize = overloaded, cannot_serialize

    @rule(wanted=st.sampled_from(TOPICS), data=st.data())
    @someone_is_there
    def subscribe(self, wanted: tuple[Match, str], data: st.DataObject) -> None:
        session_id = self.someone(data)
        match, topic = wanted
        subscription = self.router.broker.subscribe(session_id, topic, match)
        self.joined[session_id].subscriptions[subscription.subscription_id] = wanted
        self.router.publish_meta_events()

    @rule(data=st.data())
    @someone_is_there
    def unsubscribe(self, data: st.DataObject) -> None:
        session_id = self.someone(data)
        own = self.joined[session_id].subscriptions
        subscription_id = data.draw(st.sampled_from([999, *sorted(own)]))
        with contextlib.suppress(WAMPError):
            self.router.broker.unsubscribe(session_id, subscription_id)
            del own[subscription_id]
        self.router.publish_meta_events()

    @rule(wanted=st.sampled_from(TOPICS[:4]), data=st.data())
    def revoke_subscription(self, wanted: tuple[Match, str], data: st.DataObject) -> None:
        match, topic = wanted
        only = data.draw(st.sampled_from([None, *sorted(self.joined)]))
        had_it = [key for key, model in self.joined.items() if wanted in model.subscriptions.values()]
        expected = had_it if only is None else [only] if only in had_it else []
        assert self.router.revoke_subscription(topic, match, only, None) == len(expected)

    @rule(
        topic=st.sampled_from(URIS),
        exclude_me=st.booleans(),
        chosen=st.sampled_from(["eligible", "exclude", ""]),
        data=st.data(),
    )
    @someone_is_there
    def publish(self, topic: str, exclude_me: bool, chosen: str, data: st.DataObject) -> None:
        publisher = self.someone(data)
        options: dict[str, Any] = {"exclude_me": exclude_me}
        listed = set(data.draw(st.lists(st.sampled_from(sorted(self.joined)), max_size=3)))
        if chosen:
            options[chosen] = sorted(listed)
        expected = [
            (session_id, subscription_id)
            for session_id, model in self.joined.items()
            for subscription_id, (match, pattern) in model.subscriptions.items()
            if matches(match, pattern, topic)
            and not (exclude_me and session_id == publisher)
            and not (chosen == "eligible" and session_id not in listed)
            and not (chosen == "exclude" and session_id in listed)
        ]
        publication = self.router.publish(publisher, topic, options, None, None)
        self.router.publish_meta_events()
        arrived = self.events[publication.publication_id]
        assert len(set(arrived)) == len(arrived)
        for session_id in self.joined:
            of_session = {entry for entry in expected if entry[0] == session_id}
            assert of_session == {entry for entry in arrived if entry[0] == session_id}
        assert set(arrived) <= set(expected)

    @rule(scope=st.sampled_from(["detached", "destroyed"]), number=st.integers(0, 99), data=st.data())
    @someone_is_there
    def add_testament(self, scope: str, number: int, data: st.DataObject) -> None:
        session_id = self.someone(data)
        testament = RecordedTestament(self, session_id, number)
        self.testaments.append(weakref.ref(testament))
        self.call_meta("wamp.session.add_testament", session_id, testament, scope, 1, 1000, 1000)
        self.joined[session_id].testaments[scope].append(number)

    @rule(scope=st.sampled_from(["detached", "destroyed"]), data=st.data())
    @someone_is_there
    def flush_testaments(self, scope: str, data: st.DataObject) -> None:
        session_id = self.someone(data)
        self.call_meta("wamp.session.flush_testaments", session_id, scope)
        self.joined[session_id].testaments[scope].clear()

    @rule(procedure=st.sampled_from(URIS))
    def server_calls_a_procedure(self, procedure: str) -> None:
        call = Call(next(self.ids), {}, procedure)
        self.deliver(self.dealer.call(SERVER, call, now=self.now))

    @rule(pattern=st.sampled_from(PATTERNS))
    def revoke_registration(self, pattern: tuple[Match, str]) -> None:
        match, procedure = pattern
        registration = self.dealer.registrations.get(match, procedure)
        if registration is not None:
            for session_id in registration.callees:
                self.joined[session_id].registrations.remove(registration.registration_id)
        self.router.revoke_registration(procedure, match, None)

    @rule(data=st.data())
    @someone_is_there
    def remove_callee(self, data: st.DataObject) -> None:
        session_id = self.someone(data)
        own = self.joined[session_id].registrations
        if own:
            registration_id = data.draw(st.sampled_from(sorted(own)))
            own.remove(registration_id)
            self.call_meta("wamp.registration.remove_callee", session_id, registration_id, session_id, None)

    def call_meta(self, procedure: str, caller_id: int, *values: Any) -> None:
        with contextlib.suppress(WAMPError):
            self.router.carry_out(self.router.meta.find(procedure).compute(caller_id, *values))

    # Invariants

    @invariant()
    def sessions_that_ended_get_nothing_in_later_steps(self) -> None:
        self.ended_now.clear()

    @invariant()
    def subscriptions_agree_with_the_sessions(self) -> None:
        expected: dict[int, set[int]] = {subscription_id: {WATCHER} for subscription_id in self.watched}
        for session_id, model in self.joined.items():
            for subscription_id in model.subscriptions:
                expected.setdefault(subscription_id, set()).add(session_id)
        found = self.router.broker.subscriptions
        assert {key: set(subscription.subscribers) for key, subscription in found.items()} == expected
        for subscription in found.values():
            assert self.router.broker.get(subscription.topic, subscription.match) is subscription

    @invariant()
    def meta_events_reported_all_changes(self) -> None:
        assert self.present == set(self.joined)
        for subscription_id, subscription in self.router.broker.subscriptions.items():
            # A session gets no event about its own subscription to meta events.
            unannounced = {WATCHER} if subscription.topic == "wamp." else set()
            assert self.subscribers.get(subscription_id, set()) == set(subscription.subscribers) - unannounced
        assert set(self.subscribers) <= set(self.router.broker.subscriptions)
        registrations = self.dealer.registrations.by_id.items()
        assert self.callees == {key: set(registration.callees) for key, registration in registrations}

    def teardown(self) -> None:
        for session_id in list(self.joined):
            if session_id in self.joined:
                self.remove(session_id)
        self.sessions_that_ended_get_nothing_in_later_steps()
        self.meta_events_reported_all_changes()
        for session_id in self.ending:
            self.router.leave(self.members.pop(session_id).id)
        assert list(self.router.sessions) == [WATCHER]
        assert set(self.router.broker.subscriptions) == self.watched
        assert not self.dealer.registrations.by_id
        assert not self.dealer.sessions[SERVER].calls
        assert not any(testament() for testament in self.testaments)
        self.router.broker.remove_session(WATCHER)
        self.router.publish_meta_events()
        assert not self.router.broker.subscriptions
        super().teardown()


TestRouter = RouterMachine.TestCase
TestRouter.settings = settings(max_examples=80, stateful_step_count=50)
