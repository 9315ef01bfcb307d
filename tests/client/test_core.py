"""The state of a session without an event loop."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client.scripted_router import ROLES
from tests.specification import (
    CALL,
    CANCEL,
    ERROR,
    EVENT,
    GOODBYE,
    HELLO,
    INVOCATION,
    REGISTER,
    REGISTERED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
    WELCOME,
    YIELD,
)
from wampasgi.client.core import SessionCore
from wampasgi.errors import LocalProtocolError, RemoteProtocolError
from wampasgi.protocol.states import SessionState


class Target:
    """A recipient, which records its messages."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def receive(self, message: Any) -> None:
        self.messages.append(message)


def joined() -> SessionCore[Target]:
    core: SessionCore[Target] = SessionCore()
    assert core.hello("realm", {}) == [HELLO, "realm", {}]
    core.receive([WELCOME, 5, {"roles": ROLES}])
    return core


def test_answers_go_to_the_objects_that_asked() -> None:
    core, first, second = joined(), Target(), Target()
    assert core.call(first, "a.first", [1], {}, {}) == [CALL, 1, {}, "a.first", [1]]
    assert core.call(second, "a.second", [], {"x": 1}, {}) == [CALL, 2, {}, "a.second", [], {"x": 1}]

    assert core.receive([RESULT, 2, {}, ["two"]])[0] is second
    assert core.receive([ERROR, CALL, 1, {}, "an.error"])[0] is first
    assert core.pending == 0


def test_subscription_gets_events_from_its_acknowledgement_to_its_end() -> None:
    core, target, subscription = joined(), Target(), Target()
    assert core.subscribe(target, subscription, "a.topic", {}) == [SUBSCRIBE, 1, {}, "a.topic"]
    with pytest.raises(RemoteProtocolError):
        core.receive([EVENT, 7, 1, {}])

    assert core.receive([SUBSCRIBED, 1, 7])[0] is target
    assert core.receive([EVENT, 7, 1, {}])[0] is subscription
    assert core.unsubscribe(target, 7) == [UNSUBSCRIBE, 2, 7]
    assert core.receive([EVENT, 7, 2, {}])[0] is subscription
    assert core.receive([UNSUBSCRIBED, 2])[0] is target
    assert core.receive([EVENT, 7, 3, {}])[0] is None


def test_invocation_is_answered_once() -> None:
    core, target, registration = joined(), Target(), Target()
    assert core.register(target, registration, "a.procedure", {}) == [REGISTER, 1, {}, "a.procedure"]
    core.receive([REGISTERED, 1, 7])

    assert core.receive([INVOCATION, 3, 7, {}])[0] is registration
    with pytest.raises(RemoteProtocolError, match="must be a new ID"):
        core.receive([INVOCATION, 3, 7, {}])
    assert core.progress(3, [50], {}) == [YIELD, 3, {"progress": True}, [50]]
    assert core.result(3, [], {"x": 1}) == [YIELD, 3, {}, [], {"x": 1}]
    assert core.receive([INVOCATION, 3, 7, {}])[0] is registration
    assert core.error(3, "an.error", [], {}) == [ERROR, INVOCATION, 3, {}, "an.error"]


def test_canceled_call_may_get_two_answers() -> None:
    core, target = joined(), Target()
    core.call(target, "a.procedure", [], {}, {})
    core.abandon(1)

    assert core.cancel(1, "skip") == [CANCEL, 1, {"mode": "skip"}]
    assert core.receive([ERROR, CALL, 1, {}, "wamp.error.canceled"])[0] is None
    assert core.receive([RESULT, 1, {}])[0] is None
    assert core.cancel(1, "skip") is None


def test_goodbye_ends_the_session_from_either_side() -> None:
    ours, theirs = joined(), joined()

    assert ours.goodbye("bye") == [GOODBYE, {}, "bye"]
    ours.receive([GOODBYE, {}, "bye"])
    assert ours.state is SessionState.CLOSED

    theirs.receive([GOODBYE, {}, "bye"])
    with pytest.raises(RemoteProtocolError, match="must not send EVENT while the session is shutting down"):
        theirs.receive([EVENT, 1, 1, {}])
    theirs.goodbye("bye")
    assert theirs.state is SessionState.CLOSED
    with pytest.raises(LocalProtocolError):
        theirs.goodbye("bye")


def test_answers_still_arrive_after_goodbye() -> None:
    core, target = joined(), Target()
    core.call(target, "a.procedure", [], {}, {})
    core.goodbye("bye")

    assert core.receive([RESULT, 1, {}])[0] is target


def test_end_returns_unanswered_requests_in_order() -> None:
    core, first, second = joined(), Target(), Target()
    core.call(first, "a.procedure", [], {}, {})
    core.publish(None, "a.topic", [], {}, {})
    core.publish(second, "a.topic", [], {}, {"acknowledge": True})

    assert [request.target for request in core.end()] == [first, second]
    assert core.end() == []
    with pytest.raises(RemoteProtocolError):
        core.receive([EVENT, 1, 1, {}])
