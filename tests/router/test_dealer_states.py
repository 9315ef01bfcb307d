"""Random peers join, leave, register, call, cancel and answer, and the invariants of the dealer hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.router.dealing import CALLEE_FEATURES, CALLER_FEATURES, client, new_dealer
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
from wampasgi.router.call_messages import Outgoing
from wampasgi.router.registrations import INVOKE_POLICIES

URIS = ["com.a", "com.a.b", "com.b"]
PATTERNS = [("exact", "com.a"), ("exact", "com.a.b"), ("prefix", "com."), ("wildcard", "com..b")]


@dataclass
class Model:
    """A client, and the messages that it may expect."""

    features: frozenset[str]
    last_request_id: int = 0
    last_invocation_id: int = 0
    #: Its calls without final answer, by request ID: the procedure, and whether further parts may follow.
    open_calls: dict[int, tuple[str, bool]] = field(default_factory=dict)
    #: The invocations that it has not answered.
    unanswered: set[int] = field(default_factory=set)
    #: The unanswered invocations that were interrupted.
    interrupted: set[int] = field(default_factory=set)
    registrations: set[int] = field(default_factory=set)


someone_is_there = precondition(lambda machine: bool(machine.joined))


class Realm(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.dealer = new_dealer()
        self.joined: dict[int, Model] = {}
        #: Sessions of the dealer that are not clients.
        self.servers: set[int] = set()
        self.ids = iter(range(1, 10**9))
        self.now = 0.0

    def deliver(self, outgoing: list[Outgoing]) -> None:
        for recipient, message in outgoing:
            self.take(recipient, message)

    def take(self, recipient: int, message: Message) -> None:
        assert recipient in self.joined, f"{message} goes to {recipient}, which has left"
        model = self.joined[recipient]
        if isinstance(message, Invocation):
            if message.request_id not in model.unanswered:
                assert message.request_id == model.last_invocation_id + 1
                model.last_invocation_id += 1
                # A further part of a call may follow after its registration was deleted.
                assert message.registration_id in self.dealer.registrations.by_id
            model.unanswered.add(message.request_id)
        elif isinstance(message, Interrupt):
            assert "call_canceling" in model.features
            assert message.request_id not in model.interrupted, "interrupted twice"
            model.interrupted.add(message.request_id)
        elif isinstance(message, Result) and message.details.get("progress"):
            assert message.request_id in model.open_calls
        elif isinstance(message, Result) or (isinstance(message, Error) and message.request_type == 48):
            assert message.request_id in model.open_calls, "a second final answer"
            del model.open_calls[message.request_id]
        elif isinstance(message, Registered):
            model.registrations.add(message.registration_id)
        elif isinstance(message, Unregistered):
            pass
        else:
            assert isinstance(message, Error), message

    def someone(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.joined)), "session")

    def next_request(self, session_id: int) -> int:
        self.joined[session_id].last_request_id += 1
        return self.joined[session_id].last_request_id

    @rule(
        caller=st.sets(st.sampled_from(CALLER_FEATURES)),
        callee=st.sets(st.sampled_from(CALLEE_FEATURES)),
    )
    def join(self, caller: set[str], callee: set[str]) -> None:
        session_id = next(self.ids)
        self.dealer.add_session(session_id, client(caller=caller, callee=callee))
        self.joined[session_id] = Model(frozenset(callee | {f"caller:{name}" for name in caller}))

    @rule(data=st.data())
    @someone_is_there
    def leave(self, data: st.DataObject) -> None:
        self.remove(self.someone(data))

    def remove(self, session_id: int) -> None:
        del self.joined[session_id]
        self.deliver(self.dealer.remove_session(session_id))

    @rule(
        pattern=st.sampled_from(PATTERNS),
        invoke=st.sampled_from(INVOKE_POLICIES),
        concurrency=st.integers(0, 2),
        data=st.data(),
    )
    @someone_is_there
    def register(self, pattern: tuple[str, str], invoke: str, concurrency: int, data: st.DataObject) -> None:
        session_id = self.someone(data)
        match, procedure = pattern
        options = {"match": match, "invoke": invoke, "concurrency": concurrency, "forward_timeout": True}
        self.deliver(
            self.dealer.register(session_id, Register(self.next_request(session_id), options, procedure))
        )

    @rule(data=st.data())
    @someone_is_there
    def unregister(self, data: st.DataObject) -> None:
        session_id = self.someone(data)
        registration_id = data.draw(st.sampled_from([999, *sorted(self.joined[session_id].registrations)]))
        self.joined[session_id].registrations.discard(registration_id)
        request_id = self.next_request(session_id)
        self.deliver(self.dealer.unregister(session_id, Unregister(request_id, registration_id)))

    @rule(
        procedure=st.sampled_from(URIS),
        options=st.fixed_dictionaries(
            {},
            optional={"timeout": st.just(2000), "receive_progress": st.just(True), "progress": st.just(True)},
        ),
        data=st.data(),
    )
    @someone_is_there
    def call(self, procedure: str, options: dict[str, Any], data: st.DataObject) -> None:
        session_id = self.someone(data)
        model = self.joined[session_id]
        if "caller:progressive_call_invocations" not in model.features:
            options.pop("progress", None)
        request_id = self.next_request(session_id)
        model.open_calls[request_id] = (procedure, "progress" in options)
        self.deliver(self.dealer.call(session_id, Call(request_id, options, procedure), now=self.now))

    @rule(last=st.booleans(), data=st.data())
    @someone_is_there
    def continue_call(self, last: bool, data: st.DataObject) -> None:
        session_id = self.someone(data)
        model = self.joined[session_id]
        progressive = sorted(request_id for request_id, (_, more) in model.open_calls.items() if more)
        if progressive:
            request_id = data.draw(st.sampled_from(progressive))
            procedure, _ = model.open_calls[request_id]
            model.open_calls[request_id] = (procedure, not last)
            message = Call(request_id, {} if last else {"progress": True}, procedure)
            self.deliver(self.dealer.call(session_id, message, now=self.now))

    @rule(mode=st.sampled_from(["skip", "kill", "killnowait"]), data=st.data())
    @someone_is_there
    def cancel(self, mode: str, data: st.DataObject) -> None:
        session_id = self.someone(data)
        model = self.joined[session_id]
        request_id = data.draw(st.integers(1, max(1, model.last_request_id)))
        self.deliver(self.dealer.cancel(session_id, Cancel(request_id, {"mode": mode})))
        if mode == "skip":
            assert request_id not in model.open_calls

    @rule(kind=st.sampled_from(["yield", "progress", "error", "unavailable"]), data=st.data())
    @someone_is_there
    def answer(self, kind: str, data: st.DataObject) -> None:
        session_id = self.someone(data)
        unanswered = self.joined[session_id].unanswered
        if not unanswered:
            return
        invocation_id = data.draw(st.sampled_from(sorted(unanswered)))
        if kind != "progress":
            unanswered.remove(invocation_id)
        if kind in ("yield", "progress"):
            message = Yield(invocation_id, {"progress": True} if kind == "progress" else {})
            self.deliver(self.dealer.yield_result(session_id, message, now=self.now))
        else:
            uri = "wamp.error.unavailable" if kind == "unavailable" else "com.error"
            self.deliver(self.dealer.error(session_id, Error(68, invocation_id, {}, uri)))

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        for session_id in list(self.joined):
            self.deliver(self.dealer.expire(session_id, self.now))
            deadline = self.dealer.deadline(session_id)
            assert deadline is None or deadline > self.now

    @invariant()
    def every_open_call_has_a_callee_that_can_answer_it(self) -> None:
        for session_id, model in self.joined.items():
            routed = self.dealer.sessions[session_id]
            assert set(routed.calls) == set(model.open_calls)
            for pending in routed.calls.values():
                assert pending.callee is not None
                assert pending.invocation_id in self.joined[pending.callee.session_id].unanswered
                assert pending.callee.invocations[pending.invocation_id] is pending

    @invariant()
    def indexes_agree_with_the_sessions(self) -> None:
        assert set(self.dealer.sessions) == set(self.joined) | self.servers
        for registration_id, registration in self.dealer.registrations.by_id.items():
            assert registration.callees
            assert self.dealer.registrations.get(registration.match, registration.procedure) is registration
            for session_id in registration.callees:
                assert registration_id in self.joined[session_id].registrations
        for session_id, model in self.joined.items():
            assert set(self.dealer.registrations.of_session(session_id)) == model.registrations

    @invariant()
    def callees_stay_within_their_concurrency_limits(self) -> None:
        for registration in self.dealer.registrations.by_id.values():
            for callee in registration.callees.values():
                assert 0 <= callee.running <= (callee.concurrency or callee.running)

    @precondition(lambda self: not self.joined)
    @invariant()
    def dealer_is_empty_when_the_last_session_has_left(self) -> None:
        assert not self.dealer.registrations.by_id
        assert self.dealer.registrations.best("com.a.b") is None

    def teardown(self) -> None:
        for session_id in list(self.joined):
            self.remove(session_id)
        assert set(self.dealer.sessions) == self.servers
        assert not self.dealer.registrations.by_id


TestRealm = Realm.TestCase
TestRealm.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
