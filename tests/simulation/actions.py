"""The random actions of clients, and the random faults."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.simulation.client import Client, quietly
from tests.simulation.records import CallRecord, Records
from tests.simulation.world import World
from wampasgi.types import Match

TOPICS: tuple[tuple[Match, str], ...] = (
    ("exact", "com.a"),
    ("exact", "com.b"),
    ("exact", "com.logged.a"),
    ("prefix", "com."),
    ("prefix", "com.l"),
    ("wildcard", "com..a"),
)
PUBLISHED = ("com.a", "com.b", "com.logged.a", "com.logged.b", "com.x.a")
#: The last component says how callees answer: at once, later, or when a later action lets them.
PROCEDURES: tuple[tuple[Match, str], ...] = (
    ("exact", "com.p.held"),
    ("exact", "com.q.held"),
    ("exact", "com.p.now"),
    ("exact", "com.p.slow"),
    ("exact", "com.p.shared"),
    ("prefix", "com.p"),
    ("wildcard", "com..held"),
)
CALLED = (
    "com.p.held",
    "com.q.held",
    "com.p.now",
    "com.p.slow",
    "com.p.shared",
    "com.p.x.now",
    "com.nobody.now",
)
META = (
    "wamp.session.count",
    "wamp.session.list",
    "wamp.registration.list",
    "wamp.subscription.list",
)


class Actions:
    """Actions of clients on one side; each draws its arguments from ``random``.

    ``settled`` says that each action ends before the next one, so that the result of each is certain.
    """

    def __init__(self, records: Records, random: Random, *, settled: bool) -> None:
        self.records = records
        self.random = random
        self.settled = settled

    def client(self) -> Client | None:
        """Return a random client that is not a watcher, on a process that works."""
        found = [
            client
            for client in self.records.clients.values()
            if type(client) is Client and not client.ended and getattr(client.host, "usable", True)
        ]
        return self.random.choice(found) if found else None

    def subscribe(self, client: Client) -> None:
        match, topic = self.random.choice(TOPICS)
        client.subscribe(match, topic, get_retained=self.random.random() < 0.4)

    def unsubscribe(self, client: Client) -> None:
        if client.subscriptions:
            client.unsubscribe(self.random.choice(sorted(client.subscriptions)))

    def _options(self) -> dict[str, Any]:
        random = self.random
        options: dict[str, Any] = {}
        ids = sorted(self.records.clients)
        if random.random() < 0.3:
            name, values = random.choice(
                [
                    ("exclude", random.choices(ids, k=2)),
                    ("eligible", random.choices(ids, k=3)),
                    ("exclude_authid", ["user0"]),
                    ("eligible_authid", ["user1", "user2"]),
                    ("exclude_authrole", ["admin"]),
                    ("eligible_authrole", ["user"]),
                ]
            )
            options[name] = values
        if random.random() < 0.3:
            options["exclude_me"] = False
        if random.random() < 0.2:
            options["disclose_me"] = True
        return options

    def publish(self, client: Client) -> None:
        options = self._options()
        if self.random.random() < 0.2:
            options["retain"] = True
        to_server = self.random.random() < 0.1
        client.publish(self.random.choice(PUBLISHED), options, to_server=to_server)

    def register(self, client: Client) -> None:
        random = self.random
        match, procedure = random.choice(PROCEDURES)
        is_shared = procedure.endswith("shared")
        policies = ("roundrobin", "random") if is_shared else ("single", "first", "last")
        options: dict[str, Any] = {"invoke": random.choice(policies)}
        if random.random() < 0.3 and not is_shared:
            options["concurrency"] = random.choice([1, 2])
        if random.random() < 0.3:
            options["forward_timeout"] = True
        if random.random() < 0.3 and not is_shared:
            options["disclose_caller"] = True
        if random.random() < 0.2:
            options["force_reregister"] = True
        client.register(match, procedure, options)

    def unregister(self, client: Client) -> None:
        if client.registrations:
            client.unregister(self.random.choice(sorted(client.registrations)))

    def call(self, client: Client) -> None:
        random = self.random
        options: dict[str, Any] = {}
        if random.random() < 0.3:
            options["receive_progress"] = True
        procedure = random.choice(CALLED)
        # Which of several callees gets the call must not matter for the result, and some have few features.
        if random.random() < 0.2 and not (self.settled and procedure.endswith("shared")):
            options["progress"] = True
        if random.random() < 0.2 and not self.settled:
            options["timeout"] = random.choice([200, 1000, 5000])
        client.call(procedure, options, disclose=random.random() < 0.2)

    def continue_call(self, client: Client) -> None:
        found = [call for call in self.records.calls.values() if call.caller is client and not call.finals]
        found = [call for call in found if call.options.get("progress", False)]
        if found:
            client.continue_call(self.random.choice(found), last=self.random.random() < 0.4)

    def cancel(self, client: Client) -> None:
        found = [call for call in self.records.calls.values() if call.caller is client and not call.finals]
        if found:
            client.cancel(self.random.choice(found), self.random.choice(["skip", "kill", "killnowait"]))

    def answer(self, client: Client) -> None:
        record = self._invoked(client)
        if record is not None:
            client.answer(record, self.random.randrange(8))

    def progress(self, client: Client) -> None:
        record = self._invoked(client)
        if record is not None:
            client.progress(record)

    def _invoked(self, client: Client) -> CallRecord | None:
        """Return a call that a client has got, unless the router chose it among several callees."""
        found = {call.number: call for call in client.invocations.values() if "shared" not in call.procedure}
        return found[self.random.choice(sorted(found))] if found else None

    def testament(self, client: Client) -> None:
        scope = self.random.choice(["detached", "destroyed"])
        client.add_testament(self.random.choice(PUBLISHED), self._options(), scope)  # type: ignore[arg-type]

    def flush_testaments(self, client: Client) -> None:
        client.has_flushed = True
        client.call_meta("wamp.session.flush_testaments", self.random.choice(["detached", "destroyed"]))

    def leave(self, client: Client) -> None:
        client.leave()

    def kill(self, client: Client) -> None:
        other = self.client()
        if other is not None:
            client.call_meta("wamp.session.kill", other.id, None, None)

    def kill_several(self, client: Client) -> None:
        if self.random.random() < 0.7:
            client.call_meta("wamp.session.kill_by_authid", f"user{self.random.randrange(3)}", None, None)

    def read(self, client: Client) -> None:
        procedure = self.random.choice(META)
        client.call_meta(procedure, *([None] if procedure.startswith("wamp.session") else []))

    def read_entry(self, client: Client) -> None:
        registrations = sorted(client.router.dealer.registrations.by_id)
        subscriptions = sorted(client.router.broker.subscriptions)
        found = [
            (f"wamp.registration.{name}", entry)
            for entry in registrations
            for name in ("get", "list_callees", "count_callees")
        ] + [
            (f"wamp.subscription.{name}", entry)
            for entry in subscriptions
            for name in ("get", "list_subscribers", "count_subscribers")
        ]
        if found:
            client.call_meta(*self.random.choice(found))

    def revoke_callee(self, client: Client) -> None:
        other = self.client()
        if other is not None and other.registrations:
            registration_id = self.random.choice(sorted(other.registrations))
            client.call_meta("wamp.registration.remove_callee", registration_id, other.id, None)

    def revoke_registration(self, client: Client) -> None:
        match, procedure = self.random.choice(PROCEDURES)
        client.router.revoke_registration(procedure, match, None)

    def revoke_subscription(self, client: Client) -> None:
        match, topic = self.random.choice(TOPICS)
        client.router.revoke_subscription(topic, match, None, None)

    def clear_retained(self, client: Client) -> None:
        client.router.clear_retained(self.random.choice(PUBLISHED), "exact")


#: The actions and how often each of them happens.
WEIGHTS: dict[str, int] = {
    "subscribe": 5,
    "unsubscribe": 2,
    "publish": 8,
    "register": 7,
    "unregister": 2,
    "call": 9,
    "continue_call": 4,
    "cancel": 2,
    "answer": 5,
    "progress": 3,
    "testament": 2,
    "flush_testaments": 1,
    "leave": 1,
    "kill": 1,
    "kill_several": 1,
    "read": 1,
    "read_entry": 2,
    "revoke_callee": 1,
    "revoke_registration": 1,
    "revoke_subscription": 1,
    "clear_retained": 1,
}
NAMES = tuple(WEIGHTS)


def act(actions: Actions, name: str) -> None:
    """Let a random client carry out an action, unless the router refuses it."""
    client = actions.client()
    if client is not None:
        action: Callable[[Client], None] = getattr(actions, name)
        quietly(lambda: action(client))


class _Faults:
    """The faults, and how they end."""

    def __init__(self, world: World, random: Random) -> None:
        self.world = world
        self.engine = world.engine
        self.random = random

    def cut(self) -> None:
        one, other = self.random.choices(self.world.live, k=2)
        self.engine.separate(one.id, other.id)

    def cut_both_ways(self) -> None:
        one, other = self.random.choices(self.world.live, k=2)
        self.engine.separate(one.id, other.id)
        self.engine.separate(other.id, one.id)

    def isolate(self) -> None:
        one = self.random.choice(self.world.live)
        for other in self.world.live:
            self.engine.separate(one.id, other.id)
            self.engine.separate(other.id, one.id)

    def end_cuts(self) -> None:
        self.engine.cut.clear()

    def lose(self) -> None:
        self.engine.lose(self.random.choice([0.0, 0.02, 0.2]))

    def delay(self) -> None:
        self.engine.max_delay = self.random.choice([0.005, 0.05, 0.4])

    def pause(self) -> None:
        self.engine.pause(self.random.choice(self.world.live))

    def resume(self) -> None:
        for worker in self.world.live:
            self.engine.resume(worker)

    def disconnect(self) -> None:
        self.engine.disconnect(self.random.choice(self.world.live))

    def connect(self) -> None:
        for worker in self.world.live:
            self.engine.connect(worker)

    def stop_engine(self) -> None:
        self.engine.stop()

    def start_engine(self) -> None:
        self.engine.start()

    def heal(self) -> None:
        self.engine.heal()

    def kill(self) -> None:
        if len(self.world.live) > 2:
            self.world.kill(self.random.choice(self.world.live))

    def stop(self) -> None:
        if len(self.world.usable) > 2:
            self.world.stop(self.random.choice(self.world.usable))

    def add(self) -> None:
        if len(self.world.live) < 4:
            self.world.add_worker()


FAULTS = tuple(name for name in vars(_Faults) if not name.startswith("_"))


def fault(world: World, random: Random, name: str) -> None:
    """Cause or end the fault of this name, with random arguments."""
    getattr(_Faults(world, random), name)()
