"""The dealer's record of a session: its calls, its invocations and late answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.router.dealing import (
    CALLEE,
    CALLER,
    SECOND,
    UNAVAILABLE,
    answer,
    call,
    cancel,
    client,
    dealer_of,
    error,
    may_continue,
    register,
    wire,
)
from wampasgi.errors import RemoteProtocolError
from wampasgi.protocol.ids import MAX_ID
from wampasgi.router.call_messages import Outgoing


def test_invocation_ids_are_sequential_for_each_callee() -> None:
    dealer = dealer_of(None, client(), client(), invoke="roundrobin")
    ids = [wire(call(dealer, CALLER, request_id))[0] for request_id in range(1, 6)]
    assert [(recipient, message[1]) for recipient, message in ids] == [
        (CALLEE, 1),
        (SECOND, 1),
        (CALLEE, 2),
        (SECOND, 2),
        (CALLEE, 3),
    ]


@pytest.mark.parametrize(("mode", "free"), [("skip", False), ("killnowait", True)])
def test_slot_of_a_canceled_invocation_is_freed_when_its_callee_has_stopped(mode: str, free: bool) -> None:
    dealer = dealer_of(concurrency=1)
    call(dealer, CALLER, 1)
    cancel(dealer, mode)
    assert ([recipient for recipient, _ in call(dealer, CALLER, 2)] == [CALLEE]) is free
    answer(dealer, CALLEE, 1, progress=True)
    assert answer(dealer, CALLEE, 1) == []
    assert ([recipient for recipient, _ in call(dealer, CALLER, 3)] == [CALLEE]) is not free


@pytest.mark.parametrize("ending", ["yield", "error", "unavailable", "skip", "callee leaves"])
def test_parts_of_a_completed_progressive_call_must_be_discarded(ending: str) -> None:
    dealer = dealer_of()
    call(dealer, CALLER, progress=True)
    call(dealer, CALLER, progress=True)
    ends: dict[str, Callable[[], list[Outgoing]]] = {
        "yield": lambda: answer(dealer, CALLEE, 1),
        "error": lambda: error(dealer, CALLEE, 1, "com.myapp.failed"),
        "unavailable": lambda: error(dealer, CALLEE, 1, UNAVAILABLE),
        "skip": lambda: cancel(dealer, "skip"),
        "callee leaves": lambda: dealer.remove_session(CALLEE),
    }
    assert [recipient for recipient, _ in ends[ending]()] == [CALLER]
    assert may_continue(dealer, 1)
    assert call(dealer, CALLER, progress=True) == []
    assert call(dealer, CALLER) == []
    assert not may_continue(dealer, 1)


def test_only_the_latest_thousand_completed_progressive_calls_are_remembered() -> None:
    dealer = dealer_of()
    for request_id in range(1, 1003):
        call(dealer, CALLER, request_id, progress=True)
        answer(dealer, CALLEE, request_id)
    remembered = [request_id for request_id in range(1, 1003) if may_continue(dealer, request_id)]
    assert remembered == list(range(3, 1003))


@pytest.mark.parametrize("ended", [False, True])
def test_only_calls_of_the_same_procedure_continue_a_progressive_call(ended: bool) -> None:
    dealer = dealer_of()
    call(dealer, CALLER, progress=True)
    if ended:
        answer(dealer, CALLEE, 1)
    assert may_continue(dealer, 1)
    assert not may_continue(dealer, 1, "com.myapp.other")
    assert not may_continue(dealer, 2)


def test_pending_call_that_is_not_progressive_cannot_be_continued() -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    assert not may_continue(dealer, 1)


def test_yield_with_an_invalid_request_must_be_a_protocol_error() -> None:
    dealer = dealer_of()
    with pytest.raises(RemoteProtocolError, match="YIELD for invocation 1"):
        answer(dealer, CALLEE, 1)
    call(dealer, CALLER)
    with pytest.raises(RemoteProtocolError, match="invocation 1"):
        answer(dealer, CALLER, 1)


def test_second_answer_to_an_invocation_is_a_protocol_error() -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    answer(dealer, CALLEE, 1)
    with pytest.raises(RemoteProtocolError, match="ERROR for invocation 1"):
        error(dealer, CALLEE, 1, "com.myapp.failed")


def test_late_answer_to_an_old_invocation_is_no_protocol_error() -> None:
    dealer = dealer_of(concurrency=2000)
    for request_id in range(1, 1200):
        call(dealer, CALLER, request_id)
        cancel(dealer, "skip", request_id)
    assert answer(dealer, CALLEE, 1) == []
    assert answer(dealer, CALLEE, 1199) == []
    with pytest.raises(RemoteProtocolError):
        answer(dealer, CALLEE, 1200)


def test_slot_of_an_old_invocation_that_was_given_up_is_free() -> None:
    dealer = dealer_of(concurrency=1)
    register(dealer, CALLEE, "com.other")
    call(dealer, CALLER, 1)
    cancel(dealer, "skip", 1)
    for request_id in range(2, 1002):
        assert wire(call(dealer, CALLER, request_id))[0][0] == CALLER
        call(dealer, CALLER, request_id, "com.other")
        cancel(dealer, "skip", request_id)
    assert [recipient for recipient, _ in call(dealer, CALLER, 1002)] == [CALLEE]


def test_undeliverable_invocation_is_an_error_and_leaves_no_gap_in_the_ids() -> None:
    dealer = dealer_of(concurrency=1)
    call(dealer, CALLER, 1, progress=True)
    assert wire(dealer.undeliverable(CALLEE, 1, "no such type")) == [
        (CALLER, [8, 48, 1, {}, "wamp.error.invalid_argument"])
    ]
    assert call(dealer, CALLER, 1) == []
    assert wire(call(dealer, CALLER, 2)) == [(CALLEE, [68, 1, 101, {}])]


def test_invocation_ids_begin_anew_after_the_largest_id() -> None:
    dealer = dealer_of()
    dealer.sessions[CALLEE].last_invocation_id = MAX_ID - 1
    ids = [wire(call(dealer, CALLER, request_id))[0][1][1] for request_id in (1, 2)]
    assert ids == [MAX_ID, 1]


def test_interrupted_callee_may_answer_twice_since_its_interrupt_may_cross_the_first_answer() -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    cancel(dealer, "kill")
    assert [recipient for recipient, _ in answer(dealer, CALLEE, 1)] == [CALLER]
    assert error(dealer, CALLEE, 1, "wamp.error.canceled") == []


def test_session_remembers_calls_and_invocations_only_until_they_are_answered() -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    caller, callee = dealer.sessions[CALLER], dealer.sessions[CALLEE]
    assert caller.calls[1] is callee.invocations[1]
    answer(dealer, CALLEE, 1)
    assert caller.calls == callee.invocations == {}
