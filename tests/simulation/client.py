"""A client of a simulated worker: a session and its recipient, which records and checks what it gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from tests.router.session_details import Authentication
from tests.simulation.records import (
    UNAVAILABLE,
    CallRecord,
    InvocationRecord,
    Key,
    PublicationRecord,
    Records,
    SubscriptionRecord,
    matches,
)
from wampasgi.errors import FEATURE_NOT_SUPPORTED, NO_AVAILABLE_CALLEE, WAMPError
from wampasgi.protocol.ids import SequentialIds
from wampasgi.protocol.messages import (
    Call,
    Cancel,
    Error,
    Interrupt,
    Invocation,
    Message,
    Register,
    Registered,
    Result,
    Unregister,
    Unregistered,
    Yield,
)
from wampasgi.protocol.messages import Publish as PublishMessage
from wampasgi.router.interfaces import SharedEvent
from wampasgi.router.meta_procedures import MetaResult
from wampasgi.router.router import Router
from wampasgi.router.testaments import Scope, Testament
from wampasgi.types import Match

CALLER_FEATURES = ("progressive_call_invocations", "progressive_call_results", "payload_passthru_mode")
CALLEE_FEATURES = (*CALLER_FEATURES, "call_canceling", "call_timeout", "registration_revocation")


class Host(Protocol):
    """The process that a client is connected to."""

    @property
    def router(self) -> Router[Client]: ...

    @property
    def records(self) -> Records: ...

    @property
    def alive(self) -> bool: ...

    @property
    def server_id(self) -> int: ...

    @property
    def id(self) -> int: ...

    def later(self, delay: float, action: Callable[[], None]) -> None: ...


class Client:
    """A session and its recipient. ``eager`` clients answer invocations by themselves."""

    def __init__(self, host: Host, session_id: int, number: int, *, features: bool = True) -> None:
        self.host = host
        self.records = host.records
        self.router = host.router
        self.id = session_id
        self.authid: str | None = f"user{number % 3}"
        self.authrole: str | None = ("user", "admin", None)[number % 3]
        self.authentication = Authentication()
        self.details: dict[str, Any] = {
            "roles": {
                "caller": {"features": dict.fromkeys(CALLER_FEATURES, True)},
                "callee": {"features": dict.fromkeys(CALLEE_FEATURES if features else (), True)},
                "subscriber": {"features": {"subscription_revocation": features}},
            }
        }
        self.overloaded = False
        self.ended = False
        self.has_left = False
        self._ids = SequentialIds()
        self._calls: dict[int, CallRecord] = {}
        self.invocations: dict[int, CallRecord] = {}
        #: Pending and complete subscriptions and registrations.
        self.topics: dict[Key, SubscriptionRecord | None] = {}
        self.subscriptions: dict[int, SubscriptionRecord] = {}
        self.past: list[SubscriptionRecord] = []
        self._registering: dict[int, tuple[Key, str]] = {}
        self.registrations: dict[int, tuple[Key, str]] = {}
        #: The numbers of the testaments, with their times.
        self.testaments: dict[int, float] = {}
        self.has_flushed = False
        #: The messages that must be equal in the cluster and in a single process.
        self.log: list[Any] = []

    @property
    def present(self) -> bool:
        """Return whether the session is open, on a process that lives."""
        return not self.ended and self.host.alive

    def join(self) -> None:
        self.records.clients[self.id] = self
        self.records.everybody.append(self)
        self.router.join(self, self)
        self.router.dealer.sessions[self.id].on_deadline = self._watch_deadline

    def leave(self) -> None:
        if self.ended:
            return
        self.ended = True
        for record in self.subscriptions.values():
            record.until = self.records.now
        for call in self.invocations.values():
            call.touched = self.records.now
        self.router.leaving(self.id)
        self.host.later(0.01, self._left)

    def _left(self) -> None:
        self.has_left = True
        self.records.clients.pop(self.id, None)
        self.router.leave(self.id)

    # As a recipient

    def say_goodbye(self, reason: str, message: str | None = None) -> None:
        self.leave()

    def send(self, message: Message) -> None:
        assert not self.has_left, "a message goes to a session that has left"
        if self.ended:
            return
        if isinstance(message, Invocation):
            self._on_invocation(message)
        elif isinstance(message, Interrupt):
            self._on_interrupt(message)
        elif isinstance(message, Result):
            self._on_answer(message, is_final=not message.details.get("progress", False))
        elif isinstance(message, Error) and message.request_type == Call.code:
            self._on_answer(message, is_final=True)
        elif isinstance(message, Registered):
            key, invoke = self._registering.pop(message.request_id)
            self.registrations[message.registration_id] = key, invoke
            self.log.append(["registered", message.request_id, message.registration_id])
        elif isinstance(message, Error) and message.request_type == Register.code:
            del self._registering[message.request_id]
            self.log.append(["not registered", message.request_id, message.error])
        elif isinstance(message, Unregistered) and message.details is not None:
            del self.registrations[message.details["registration"]]
            self.log.append(["revoked", message.details])
        elif isinstance(message, Unregistered | Error):
            self.log.append(["unregistered", message.request_id])
        else:
            raise AssertionError(message)

    # Subscribing

    def subscribe(self, match: Match, topic: str, *, get_retained: bool = False) -> None:
        key = match, topic
        if key in self.topics:
            return
        self.topics[key] = None
        known = self.router.hold_interest(topic, match)

        def joined() -> None:
            try:
                if not self.ended:
                    self._subscribed(match, topic, get_retained=get_retained)
            finally:
                self.router.release_interest(topic, match)
            self.router.publish_meta_events()

        if known is None or known.done:
            joined()
        else:
            known.then(lambda: self.host.later(0, joined))

    def _subscribed(self, match: Match, topic: str, *, get_retained: bool) -> None:
        record = SubscriptionRecord((match, topic), self.records.now)
        subscription = self.router.broker.subscribe(self.id, topic, match)
        self.topics[match, topic] = self.subscriptions[subscription.subscription_id] = record
        self.past.append(record)
        self.log.append(["subscribed", subscription.subscription_id])
        if get_retained:
            for event in self.router.broker.retained_events(self.id, subscription, most=100):
                self.send_event(SharedEvent(event))

    def unsubscribe(self, subscription_id: int) -> None:
        self._unsubscribed(subscription_id)
        self.router.broker.unsubscribe(self.id, subscription_id)
        self.router.publish_meta_events()

    def _unsubscribed(self, subscription_id: int) -> None:
        record = self.subscriptions.pop(subscription_id)
        record.until = self.records.now
        del self.topics[record.key]

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        self._unsubscribed(subscription_id)
        message = self.router.broker.revoke(self.id, subscription_id, reason)
        self.log.append(["unsubscribed", subscription_id, message is not None])

    def send_event(self, event: SharedEvent) -> None:
        assert not self.has_left, "an event goes to a session that has left"
        if self.ended:
            return
        message = event.message
        record = self.subscriptions.get(message.subscription_id)
        assert record is not None, "an event for a subscription that the client does not have"
        match, pattern = record.key
        topic = message.details.get("topic", pattern)
        assert matches(match, pattern, topic), f"{topic} does not match {record.key}"
        # Of several sessions that leave an entry at once, any may be the last.
        args = message.args if not topic.endswith(".on_delete") else (message.args or [])[1:]
        self.log.append(["event", message.subscription_id, topic, message.details, args])
        if topic.startswith("wamp."):
            self.on_meta_event(topic, message.args or [])
            return
        publisher_id, number, *testament = message.args or []
        publication = self.records.publications[number]
        assert publication.topic == topic
        assert publication.admits(self), "the lists of the publication exclude this client"
        if testament:
            record.testaments.append(number)
        elif not message.details.get("retained", False):
            record.event(publisher_id, number)

    def on_meta_event(self, topic: str, args: list[Any]) -> None:
        """Handle a meta event."""

    # Publishing

    def publication(self, topic: str, options: dict[str, Any]) -> tuple[int, list[Any]]:
        number = next(self.records.numbers)
        record = PublicationRecord(number, self.records.now, self, topic, options)
        self.records.publications[number] = record
        return number, [self.id, number]

    def publish(self, topic: str, options: dict[str, Any], *, to_server: bool = False) -> None:
        number, args = self.publication(topic, options)
        only = (self.host.server_id,) if to_server else None
        self.records.publications[number].to_server = to_server
        self.router.publish(
            self.id, topic, options, args, None, disclose=bool(options.get("disclose_me")), only=only
        )
        self.router.publish_meta_events()

    def add_testament(self, topic: str, options: dict[str, Any], scope: Scope) -> None:
        number, args = self.publication(topic, options)
        args.append("testament")
        self.records.publications[number].time = float("inf")
        self.testaments[number] = self.records.now
        message = PublishMessage(0, options, topic, args)

        def publish() -> None:
            self.router.publish(self.id, topic, options, args, None)

        testament = Testament(message, disclose=False, to_server=False, publish=publish)
        self.call_meta("wamp.session.add_testament", testament, scope, 10, 1000, 100_000)

    # Registering

    def register(self, match: Match, procedure: str, options: dict[str, Any]) -> None:
        request_id = self._ids.next()
        self._registering[request_id] = (match, procedure), options.get("invoke", "single")
        completion = self.router.register(
            self.id, Register(request_id, {**options, "match": match}, procedure)
        )
        if completion is None:
            self.router.publish_meta_events()
        else:
            completion.then(self.router.publish_meta_events)

    def unregister(self, registration_id: int) -> None:
        # An answer of the router that is on its way, such as a revocation, would cross the request.
        self.registrations.pop(registration_id, None)
        message = Unregister(self._ids.next(), registration_id)
        self.router.deliver(self.router.dealer.unregister(self.id, message))
        self.router.publish_meta_events()

    # Calling

    def call(self, procedure: str, options: dict[str, Any], *, disclose: bool = False) -> None:
        number, request_id = next(self.records.numbers), self._ids.next()
        now = self.records.now
        record = CallRecord(number, self, request_id, procedure, options, now)
        self.records.calls[number] = self._calls[request_id] = record
        message = Call(request_id, options, procedure, [number, 0])
        dealer = self.router.dealer
        self.router.deliver(dealer.call(self.id, message, now=now, disclose=disclose))

    def continue_call(self, record: CallRecord, *, last: bool) -> None:
        if not record.options.get("progress", False) or record.finals:
            return
        message = Call(
            record.request_id, {"progress": not last}, record.procedure, [record.number, record.parts]
        )
        record.parts += 1
        if last:
            record.options = {**record.options, "progress": False}
        self.router.deliver(self.router.dealer.call(self.id, message, now=self.records.now))

    def cancel(self, record: CallRecord, mode: str) -> None:
        message = Cancel(record.request_id, {"mode": mode})
        self.router.deliver(self.router.dealer.cancel(self.id, message))

    def _on_answer(self, message: Result | Error, *, is_final: bool) -> None:
        record = self._calls[message.request_id]
        assert not record.finals, f"call {record.number} has a second answer"
        record.touched = self.records.now
        if is_final:
            record.finals.append(message)
        else:
            assert message.args == [record.number, record.progress], "a result is lost or doubled"
            record.progress += 1
        if isinstance(message, Error):
            # A worker does not know whether callees of other workers are busy, so it looks at their features.
            no_callee = message.error in (FEATURE_NOT_SUPPORTED, NO_AVAILABLE_CALLEE)
            self.log.append(["error", message.request_id, "no callee" if no_callee else message.error])
        else:
            self.log.append(["result", message.request_id, message.details, message.args])

    def _watch_deadline(self) -> None:
        deadline = self.router.dealer.deadline(self.id)
        if deadline is not None:
            self.host.later(max(0.0, deadline - self.records.now), self._expire)

    def _expire(self) -> None:
        if not self.ended:
            self.router.deliver(self.router.dealer.expire(self.id, self.records.now))
            self._watch_deadline()

    # As callee

    def _on_invocation(self, message: Invocation) -> None:
        number, part = message.args or []
        record = self.records.calls[number]
        record.touched = self.records.now
        _, invoke = self.registrations.get(message.registration_id, (None, ""))
        invocation = record.invoked(self, message.request_id, part)
        self.invocations[message.request_id] = record
        if invoke not in ("random", "roundrobin"):
            self.log.append(["invocation", message.registration_id, message.details, message.args])
        if not part:
            self._react(record, invocation)

    def _react(self, record: CallRecord, invocation: InvocationRecord) -> None:
        """Answer by the name of the procedure: at once, later or not at all."""
        plan = record.procedure.rsplit(".", 1)[1]
        if plan == "held" or (plan == "slow" and self.records.settled):
            return
        if plan == "shared" and record.options.get("progress", False):
            return
        delay = 0.0
        if plan == "slow":
            delay = self.records.engine.random.uniform(0, 2)
        self.host.later(delay, lambda: self.answer(record, record.number % 7))

    def _open(self, record: CallRecord) -> InvocationRecord | None:
        found = [one for one in record.invocations if one.callee is self and one.state == "open"]
        return found[0] if found and not self.ended else None

    def progress(self, record: CallRecord) -> None:
        """Send a progressive result, if the caller wants them."""
        invocation = self._open(record)
        if invocation is not None and record.options.get("receive_progress", False):
            message = Yield(invocation.request_id, {"progress": True}, [record.number, invocation.progress])
            invocation.progress += 1
            self.router.deliver(self.router.dealer.yield_result(self.id, message, now=self.records.now))

    def answer(self, record: CallRecord, choice: int) -> None:
        """Send the final answer: mostly a result, sometimes an error, or that this callee cannot answer."""
        invocation = self._open(record)
        if invocation is None:
            return
        record.touched = self.records.now
        request_id, dealer = invocation.request_id, self.router.dealer
        if choice == 0:
            invocation.state = "answered"
            error = Error(Invocation.code, request_id, {}, "com.error", [record.number])
            outgoing = dealer.error(self.id, error)
        elif choice == 1 and invocation.parts == 1:
            invocation.state = "unavailable"
            outgoing = dealer.error(self.id, Error(Invocation.code, request_id, {}, UNAVAILABLE))
        else:
            invocation.state = "answered"
            outgoing = dealer.yield_result(
                self.id, Yield(request_id, {}, [record.number, "done"]), now=self.records.now
            )
        self.router.deliver(outgoing)

    def _on_interrupt(self, message: Interrupt) -> None:
        record = self.invocations[message.request_id]
        self.log.append(["interrupt", record.number, message.options])
        invocation = self._open(record)
        if invocation is None:
            return
        if message.options["mode"] == "kill":
            self.host.later(0, lambda: self.answer(record, 0))
        elif record.number % 2:
            invocation.state = "dropped"

    # The meta API

    def call_meta(self, procedure: str, *values: Any) -> None:
        found = self.router.meta.find(procedure)
        read = self.router.read(procedure, list(values))

        def answer() -> None:
            if self.ended:
                return
            result: MetaResult | None = None
            try:
                if read is not None:
                    read.require_complete()
                result = found.compute(self.id, *values)
                if read is not None:
                    result = read.merged(result)
            except WAMPError as error:
                self.log.append(["meta error", procedure, error.uri])
                return
            self.log.append(["meta", procedure, _unordered(result.args, self.host.server_id), result.kwargs])
            self.router.carry_out(result)

        if read is None:
            answer()
        else:
            read.synchronised.then(answer)


def _unordered(value: Any, server_id: int) -> Any:
    """Return a result without the order of its lists, and with a name for the realm's own session."""
    if isinstance(value, dict):
        return {name: _unordered(item, server_id) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return sorted((_unordered(item, server_id) for item in value), key=repr)
    return "server" if value == server_id else value


class Watcher(Client):
    """A client that subscribes to all meta events, and checks that joins and leaves are paired."""

    def __init__(self, host: Host, session_id: int, number: int) -> None:
        super().__init__(host, session_id, number)
        self.authid, self.authrole = "watcher", None
        self.sessions: set[int] = set()
        #: The entries that there were at first, and the number of times that each was created since.
        self.known: set[int] = set()
        self.created: Counter[int] = Counter()
        self.deleted: Counter[int] = Counter()

    def _subscribed(self, match: Match, topic: str, *, get_retained: bool) -> None:
        super()._subscribed(match, topic, get_retained=get_retained)
        self.sessions.update(self.router.meta.find("wamp.session.list").compute(self.id, None).args[0])
        self.known.update(self.router.broker.subscriptions, self.router.dealer.registrations.by_id)

    def on_meta_event(self, topic: str, args: list[Any]) -> None:
        if topic == "wamp.session.on_join":
            assert args[0]["session"] not in self.sessions, f"on_join of {args[0]['session']} again"
            self.sessions.add(args[0]["session"])
        elif topic == "wamp.session.on_leave":
            assert args[0] in self.sessions, f"on_leave of {args[0]} without on_join"
            self.sessions.remove(args[0])
        elif topic.endswith(".on_create"):
            self.created[args[1]["id"]] += 1
        elif topic.endswith(".on_delete"):
            self.deleted[args[1]] += 1

    def wrong_entries(self) -> list[int]:
        """Return the subscriptions and registrations whose creations and deletions do not add up."""
        there = {*self.router.broker.subscriptions, *self.router.dealer.registrations.by_id}
        everything = self.known | there | set(self.created) | set(self.deleted)
        return [
            entry
            for entry in everything - set(self.subscriptions)
            if (entry in self.known) + self.created[entry] - self.deleted[entry] != (entry in there)
        ]

    def wrong_sessions(self) -> set[int]:
        """Return the sessions that have come or gone without an event."""
        return self.sessions ^ set(self.router.meta.find("wamp.session.list").compute(self.id, None).args[0])


def quietly(action: Callable[[], object]) -> None:
    """Run an action that the router may refuse with a WAMPError."""
    with suppress(WAMPError):
        action()
