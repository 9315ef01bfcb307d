"""Messages to the dealer, and its responses. IDs 10 to 19 are sessions, 101 is the first registration."""

from __future__ import annotations

from typing import Any

import pytest

from tests.router.dealing import (
    CALLEE,
    CALLER,
    PPT,
    PROCEDURE,
    SECOND,
    THIRD,
    UNAVAILABLE,
    answer,
    call,
    cancel,
    client,
    dealer_of,
    error,
    new_dealer,
    register,
    wire,
)
from wampasgi.errors import NO_SUCH_REGISTRATION, RemoteProtocolError, WAMPError
from wampasgi.protocol.messages import Call, Cancel, Error, Interrupt, Register, Unregister, Yield

#: A session that has left or never joined.
STRANGER = 99

CANCELED = "wamp.error.canceled"


# Registering


def test_registered_answers_register_with_the_registration_id() -> None:
    dealer = new_dealer()
    dealer.add_session(CALLEE, client())
    assert wire(dealer.register(CALLEE, Register(7, {}, PROCEDURE))) == [(CALLEE, [65, 7, 101])]


def test_error_for_register_has_its_request_id() -> None:
    dealer = dealer_of()
    assert wire(dealer.register(CALLER, Register(7, {}, PROCEDURE))) == [
        (CALLER, [8, 64, 7, {}, "wamp.error.procedure_already_exists"])
    ]


def test_unregistered_procedure_cannot_be_called() -> None:
    dealer = dealer_of()
    assert wire(dealer.unregister(CALLEE, Unregister(8, 101))) == [(CALLEE, [67, 8])]
    assert wire(call(dealer, CALLER)) == [(CALLER, [8, 48, 1, {}, "wamp.error.no_such_procedure"])]


def test_unregistering_the_registration_of_another_session_is_an_error() -> None:
    dealer = dealer_of()
    assert wire(dealer.unregister(CALLER, Unregister(8, 101))) == [
        (CALLER, [8, 66, 8, {}, "wamp.error.no_such_registration"])
    ]


def test_callee_can_answer_an_invocation_after_it_has_unregistered() -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    dealer.unregister(CALLEE, Unregister(8, 101))
    assert wire(answer(dealer, CALLEE, 1, "done")) == [(CALLER, [50, 1, {}, ["done"]])]


def test_callee_that_announced_revocation_gets_unregistered() -> None:
    dealer = dealer_of()
    assert wire(dealer.revoke(CALLEE, 101, "moved")) == [
        (CALLEE, [67, 0, {"registration": 101, "reason": "moved"}])
    ]
    assert wire(call(dealer, CALLER))[0][1][4] == "wamp.error.no_such_procedure"
    register(dealer, CALLEE)
    assert wire(dealer.revoke(CALLEE, 102)) == [(CALLEE, [67, 0, {"registration": 102}])]


def test_callee_that_did_not_announce_revocation_must_not_get_unregistered() -> None:
    dealer = dealer_of(None, client(callee=[]))
    assert dealer.revoke(CALLEE, 101) == []
    assert not dealer.registrations.by_id
    with pytest.raises(WAMPError) as raised:
        dealer.revoke(CALLEE, 101)
    assert raised.value.uri == NO_SUCH_REGISTRATION


# Calling


def test_call_becomes_an_invocation_and_yield_becomes_a_result() -> None:
    dealer = dealer_of()
    message = Call(5, {}, PROCEDURE, [1, 2], {"c": 3})
    assert wire(dealer.call(CALLER, message, now=0)) == [(CALLEE, [68, 1, 101, {}, [1, 2], {"c": 3}])]
    assert wire(dealer.yield_result(CALLEE, Yield(1, {}, [4], {"d": 5}), now=0)) == [
        (CALLER, [50, 5, {}, [4], {"d": 5}])
    ]


def test_invocation_error_becomes_the_error_of_the_call() -> None:
    dealer = dealer_of()
    call(dealer, CALLER, 5)
    failure = Error(68, 1, {}, "com.myapp.error.bad", ["text"], {"severity": 3})
    assert wire(dealer.error(CALLEE, failure)) == [
        (CALLER, [8, 48, 5, {}, "com.myapp.error.bad", ["text"], {"severity": 3}])
    ]


def test_session_can_call_itself() -> None:
    dealer = dealer_of()
    assert wire(call(dealer, CALLEE)) == [(CALLEE, [68, 1, 101, {}])]
    assert wire(answer(dealer, CALLEE, 1)) == [(CALLEE, [50, 1, {}])]


def test_call_addressed_to_one_session_reaches_only_its_registrations() -> None:
    dealer = dealer_of(None, client(), client())
    assert [recipient for recipient, _ in call(dealer, CALLER, only=SECOND)] == [SECOND]
    assert wire(call(dealer, CALLER, 2, only=CALLER))[0][1][4] == "wamp.error.no_such_procedure"


def test_only_a_call_addressed_to_its_session_reaches_a_private_registration() -> None:
    dealer = new_dealer(private_registrations=True)
    for session_id in CALLER, CALLEE, SECOND:
        dealer.add_session(session_id, client())
    for session_id in CALLEE, SECOND:
        register(dealer, session_id)
    assert wire(call(dealer, CALLER))[0][1][4] == "wamp.error.no_such_procedure"
    assert [recipient for recipient, _ in call(dealer, CALLER, only=SECOND)] == [SECOND]
    assert wire(error(dealer, SECOND, 1, UNAVAILABLE)) == [
        (CALLER, [8, 48, 1, {}, "wamp.error.no_available_callee"])
    ]


def test_call_is_refused_if_all_callees_are_at_their_concurrency_limit() -> None:
    dealer = dealer_of(concurrency=1)
    call(dealer, CALLER, 1)
    assert wire(call(dealer, CALLER, 2)) == [(CALLER, [8, 48, 2, {}, "wamp.error.no_available_callee"])]
    answer(dealer, CALLEE, 1)
    assert [recipient for recipient, _ in call(dealer, CALLER, 3)] == [CALLEE]


def test_overloaded_callee_gets_no_calls() -> None:
    overloaded: set[int] = set()
    dealer = dealer_of(None, client(), client(), overloaded=overloaded)
    call(dealer, CALLER, 1, progress=True)
    overloaded.add(CALLEE)
    assert [recipient for recipient, _ in call(dealer, CALLER, 2)] == [SECOND]
    assert wire(call(dealer, CALLER, 1)) == [
        (CALLER, [8, 48, 1, {}, "wamp.error.no_available_callee"]),
        (CALLEE, [69, 1, {"mode": "killnowait"}]),
    ]
    overloaded.add(SECOND)
    assert wire(call(dealer, CALLER, 3)) == [(CALLER, [8, 48, 3, {}, "wamp.error.no_available_callee"])]
    assert wire(call(dealer, CALLER, 4, only=CALLEE))[0][1][4] == "wamp.error.no_available_callee"


# Progressive results


def test_progressive_results_reach_a_caller_that_asked_for_them() -> None:
    dealer = dealer_of()
    assert wire(call(dealer, CALLER, receive_progress=True)) == [
        (CALLEE, [68, 1, 101, {"receive_progress": True}])
    ]
    assert wire(answer(dealer, CALLEE, 1, "part", progress=True)) == [
        (CALLER, [50, 1, {"progress": True}, ["part"]])
    ]
    assert wire(answer(dealer, CALLEE, 1, "all")) == [(CALLER, [50, 1, {}, ["all"]])]


def test_progressive_results_are_dropped_if_the_caller_did_not_ask_for_them() -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    assert answer(dealer, CALLEE, 1, "part", progress=True) == []
    assert wire(answer(dealer, CALLEE, 1, "all")) == [(CALLER, [50, 1, {}, ["all"]])]


# Progressive call invocations


def test_parts_of_a_progressive_call_must_have_the_same_ids_and_callee() -> None:
    dealer = dealer_of(None, client(), client(), invoke="roundrobin")
    outgoing = call(dealer, CALLER, 1, PROCEDURE, "a", progress=True)
    outgoing += call(dealer, CALLER, 1, PROCEDURE, "b", progress=True)
    outgoing += call(dealer, CALLER, 1, PROCEDURE, "c")
    assert wire(outgoing) == [
        (CALLEE, [68, 1, 101, {"progress": True}, ["a"]]),
        (CALLEE, [68, 1, 101, {"progress": True}, ["b"]]),
        (CALLEE, [68, 1, 101, {}, ["c"]]),
    ]
    assert wire(answer(dealer, CALLEE, 1)) == [(CALLER, [50, 1, {}])]


def test_options_of_the_first_part_must_apply_to_all_of_a_progressive_call() -> None:
    dealer = dealer_of(client("alice"))
    call(dealer, CALLER, progress=True, disclose=True, receive_progress=True, ppt_scheme="x_a")
    later = call(dealer, CALLER, progress=True, receive_progress=False, ppt_scheme="x_b", timeout=1)
    expected = {
        "ppt_scheme": "x_a",
        "caller": CALLER,
        "caller_authid": "alice",
        "receive_progress": True,
        "progress": True,
    }
    assert wire(later) == [(CALLEE, [68, 1, 101, expected])]
    assert dealer.deadline(CALLER) is None


def test_call_canceling_can_be_announced_in_either_spelling() -> None:
    dealer = dealer_of(None, client(callee=["progressive_call_invocations", "call_cancelling"]))
    assert [recipient for recipient, _ in call(dealer, CALLER, progress=True)] == [CALLEE]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({}, {"progress": True}),
        ({"progress": True}, {"procedure": "com.myapp.other"}),
    ],
)
def test_reuse_of_the_request_id_of_a_pending_call_is_refused_without_ending_that_call(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    dealer = dealer_of()
    call(dealer, CALLER, **first)
    [(recipient, refusal)] = wire(call(dealer, CALLER, **second))
    assert (recipient, refusal[:3], refusal[4]) == (CALLER, [8, 48, 1], "wamp.error.invalid_argument")
    assert wire(answer(dealer, CALLEE, 1, "first")) == [(CALLER, [50, 1, {}, ["first"]])]


# Canceling


def test_skip_must_answer_at_once_and_not_interrupt_the_callee() -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    assert wire(cancel(dealer, "skip")) == [(CALLER, [8, 48, 1, {}, CANCELED])]
    assert answer(dealer, CALLEE, 1, "late") == []


@pytest.mark.parametrize("mode", ["killnowait", None])
def test_killnowait_must_answer_at_once_and_interrupt_the_callee(mode: str | None) -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    assert wire(cancel(dealer, mode)) == [
        (CALLER, [8, 48, 1, {}, CANCELED]),
        (CALLEE, [69, 1, {"mode": "killnowait"}]),
    ]
    assert error(dealer, CALLEE, 1, CANCELED) == []


def test_kill_must_interrupt_the_callee_and_pass_on_its_answer() -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    assert wire(cancel(dealer, "kill")) == [(CALLEE, [69, 1, {"mode": "kill"}])]
    assert cancel(dealer, "kill") == []
    assert wire(error(dealer, CALLEE, 1, CANCELED)) == [(CALLER, [8, 48, 1, {}, CANCELED])]


def test_result_that_crosses_an_interrupt_reaches_the_caller() -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    cancel(dealer, "kill")
    assert wire(answer(dealer, CALLEE, 1, "done")) == [(CALLER, [50, 1, {}, ["done"]])]
    # The callee also answers the INTERRUPT, which came too late.
    assert error(dealer, CALLEE, 1, CANCELED) == []


def test_caller_can_stop_waiting_for_a_call_canceled_with_kill() -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    cancel(dealer, "kill")
    assert wire(cancel(dealer, "killnowait")) == [(CALLER, [8, 48, 1, {}, CANCELED])]


def test_unavailable_after_an_interrupt_is_not_rerouted() -> None:
    dealer = dealer_of(None, client(), client())
    call(dealer, CALLER)
    cancel(dealer, "kill")
    assert wire(error(dealer, CALLEE, 1, UNAVAILABLE)) == [(CALLER, [8, 48, 1, {}, UNAVAILABLE])]


@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait"])
def test_callee_without_call_canceling_must_not_be_interrupted(mode: str) -> None:
    dealer = dealer_of(None, client(callee=[]))
    call(dealer, CALLER)
    assert wire(cancel(dealer, mode)) == [(CALLER, [8, 48, 1, {}, CANCELED])]


@pytest.mark.parametrize("session_id", [CALLER, STRANGER])
def test_canceling_a_call_that_is_not_pending_does_nothing(session_id: int) -> None:
    assert dealer_of().cancel(session_id, Cancel(1, {"mode": "kill"})) == []


# Timeouts


def test_dealer_must_time_a_call_if_its_callee_does_not() -> None:
    dealer = dealer_of()
    call(dealer, CALLER, 1, now=100, timeout=5000)
    call(dealer, CALLER, 2, now=100, timeout=2000)
    call(dealer, CALLER, 3, now=100, timeout=0)
    assert dealer.deadline(CALLER) == 102
    assert dealer.expire(CALLER, 101.9) == []
    assert wire(dealer.expire(CALLER, 102)) == [
        (CALLER, [8, 48, 2, {}, "wamp.error.timeout"]),
        (CALLEE, [69, 2, {"mode": "killnowait"}]),
    ]
    assert dealer.deadline(CALLER) == 105
    answer(dealer, CALLEE, 1)
    assert dealer.deadline(CALLER) is None


def test_timeout_does_not_interrupt_a_callee_without_call_canceling() -> None:
    dealer = dealer_of(None, client(callee=[]))
    call(dealer, CALLER, timeout=1)
    assert wire(dealer.expire(CALLER, 1)) == [(CALLER, [8, 48, 1, {}, "wamp.error.timeout"])]


def test_timeout_applies_to_the_time_between_two_progressive_results() -> None:
    dealer = dealer_of()
    call(dealer, CALLER, now=100, timeout=5000, receive_progress=True)
    answer(dealer, CALLEE, 1, progress=True, now=104)
    assert dealer.deadline(CALLER) == 109


def test_progress_that_the_caller_did_not_ask_for_does_not_extend_the_deadline() -> None:
    dealer = dealer_of()
    call(dealer, CALLER, now=100, timeout=5000)
    assert answer(dealer, CALLEE, 1, progress=True, now=104) == []
    assert dealer.deadline(CALLER) == 105


def test_caller_is_notified_of_a_deadline_that_comes_with_rerouting() -> None:
    forwarding = client(callee=["call_timeout"])
    dealer = new_dealer()
    dealer.add_session(CALLER, client())
    dealer.add_session(CALLEE, forwarding)
    dealer.add_session(CALLEE + 1, client(callee=[]))
    register(dealer, CALLEE, invoke="first", forward_timeout=True)
    register(dealer, CALLEE + 1, invoke="first")
    deadlines: list[float | None] = []
    dealer.sessions[CALLER].on_deadline = lambda: deadlines.append(dealer.deadline(CALLER))

    call(dealer, CALLER, now=100, timeout=2000)
    assert deadlines == []
    error(dealer, CALLEE, 1, UNAVAILABLE)
    assert deadlines == [102]


def test_unknown_session_has_no_deadline() -> None:
    assert dealer_of().deadline(STRANGER) is None
    assert dealer_of().expire(STRANGER, 1) == []


# Rerouting


@pytest.mark.parametrize(
    ("invoke", "expected"),
    [
        ("first", [CALLEE, SECOND, THIRD]),
        ("last", [THIRD, SECOND, CALLEE]),
        ("roundrobin", [CALLEE, SECOND, THIRD]),
        ("random", [CALLEE, SECOND, THIRD]),
    ],
)
def test_call_of_an_unavailable_callee_must_go_to_the_next_one_by_the_policy(
    invoke: str, expected: list[int]
) -> None:
    dealer = dealer_of(None, client(), client(), client(), invoke=invoke)
    outgoing = call(dealer, CALLER, 1, PROCEDURE, "payload")
    tried = []
    for _ in range(3):
        [(callee, message)] = wire(outgoing)
        assert message == [68, 1, 101, {}, ["payload"]]
        tried.append(callee)
        outgoing = error(dealer, callee, 1, UNAVAILABLE)
    assert tried == expected
    assert wire(outgoing) == [(CALLER, [8, 48, 1, {}, "wamp.error.no_available_callee"])]


def test_call_of_an_unavailable_single_callee_must_be_no_available_callee() -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    assert wire(error(dealer, CALLEE, 1, UNAVAILABLE)) == [
        (CALLER, [8, 48, 1, {}, "wamp.error.no_available_callee"])
    ]


def test_rerouted_call_keeps_its_deadline() -> None:
    dealer = dealer_of(None, client(), client())
    call(dealer, CALLER, now=100, timeout=5000)
    error(dealer, CALLEE, 1, UNAVAILABLE)
    assert dealer.deadline(CALLER) == 105


def test_progressive_call_is_not_rerouted_after_its_second_part() -> None:
    dealer = dealer_of(None, client(), client())
    call(dealer, CALLER, progress=True)
    call(dealer, CALLER)
    assert wire(error(dealer, CALLEE, 1, UNAVAILABLE)) == [
        (CALLER, [8, 48, 1, {}, "wamp.error.no_available_callee"])
    ]


# Payload passthru mode


def test_passthru_yield_without_announcement_must_be_a_protocol_error() -> None:
    dealer = dealer_of(None, client(callee=[]))
    call(dealer, CALLER)
    with pytest.raises(RemoteProtocolError, match="payload_passthru_mode"):
        answer(dealer, CALLEE, 1, **PPT)


def test_passthru_yield_must_be_refused_if_the_caller_does_not_support_it() -> None:
    dealer = dealer_of(client(caller=[]))
    call(dealer, CALLER)
    assert wire(answer(dealer, CALLEE, 1, **PPT)) == [
        (CALLEE, [8, 70, 1, {}, "wamp.error.feature_not_supported"]),
        (CALLER, [8, 48, 1, {}, "wamp.error.feature_not_supported"]),
    ]


def test_refused_progressive_passthru_yield_ends_the_call() -> None:
    dealer = dealer_of(client(caller=[]))
    call(dealer, CALLER, receive_progress=True)
    assert wire(answer(dealer, CALLEE, 1, progress=True, **PPT))[1:] == [
        (CALLER, [8, 48, 1, {}, "wamp.error.feature_not_supported"]),
        (CALLEE, [69, 1, {"mode": "killnowait"}]),
    ]


# Protocol errors


@pytest.mark.parametrize("request_type", [16, 32, 34, 48, 64, 66])
def test_error_with_an_invalid_request_type_must_be_a_protocol_error(request_type: int) -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    with pytest.raises(RemoteProtocolError, match=f"type {request_type}"):
        dealer.error(CALLEE, Error(request_type, 1, {}, "com.myapp.failed"))


# Leaving


def test_callers_must_get_an_error_when_their_callee_leaves() -> None:
    dealer = dealer_of()
    call(dealer, CALLER, 1)
    call(dealer, CALLER, 2)
    assert wire(dealer.remove_session(CALLEE)) == [
        (CALLER, [8, 48, 1, {}, CANCELED]),
        (CALLER, [8, 48, 2, {}, CANCELED]),
    ]


def test_callee_must_be_interrupted_with_killnowait_when_its_caller_leaves() -> None:
    dealer = dealer_of()
    call(dealer, CALLER)
    assert wire(dealer.remove_session(CALLER)) == [(CALLEE, [69, 1, {"mode": "killnowait"}])]
    assert answer(dealer, CALLEE, 1, progress=True) == []
    assert answer(dealer, CALLEE, 1) == []


def test_callee_without_call_canceling_is_not_interrupted_when_its_caller_leaves() -> None:
    dealer = dealer_of(None, client(callee=[]))
    call(dealer, CALLER)
    assert dealer.remove_session(CALLER) == []
    assert answer(dealer, CALLEE, 1) == []


def test_session_that_calls_itself_gets_nothing_when_it_leaves() -> None:
    dealer = dealer_of()
    call(dealer, CALLEE)
    assert dealer.remove_session(CALLEE) == []


def test_dealer_is_empty_when_the_last_session_has_left() -> None:
    dealer = dealer_of()
    call(dealer, CALLER, progress=True)
    call(dealer, CALLEE)
    for session_id in CALLER, CALLEE:
        dealer.remove_session(session_id)
    assert not dealer.sessions
    assert not dealer.registrations.by_id
    assert not dealer.registrations.of_session(CALLEE)


def test_messages_of_a_session_that_has_left_have_no_effect() -> None:
    dealer = dealer_of()
    outgoing = [
        dealer.register(STRANGER, Register(1, {}, "com.other")),
        dealer.unregister(STRANGER, Unregister(1, 101)),
        call(dealer, STRANGER),
        answer(dealer, STRANGER, 1),
        error(dealer, STRANGER, 1, "com.myapp.failed"),
        dealer.remove_session(STRANGER),
        dealer.undeliverable(STRANGER, 1, "text"),
    ]
    assert outgoing == [[]] * len(outgoing)


# Undeliverable invocations


def test_call_ends_if_a_later_part_is_undeliverable() -> None:
    dealer = dealer_of()
    call(dealer, CALLER, progress=True)
    call(dealer, CALLER)
    assert wire(dealer.undeliverable(CALLEE, 1, "no such type")) == [
        (CALLER, [8, 48, 1, {}, "wamp.error.invalid_argument"]),
        (CALLEE, [69, 1, {"mode": "killnowait"}]),
    ]
    assert dealer.undeliverable(CALLEE, 1, "no such type") == []


def test_interrupt_has_the_id_of_the_invocation() -> None:
    dealer = dealer_of()
    call(dealer, CALLER, 1)
    call(dealer, CALLER, 2)
    [(_, interrupt)] = cancel(dealer, "kill", 2)
    assert interrupt == Interrupt(2, {"mode": "kill"})
