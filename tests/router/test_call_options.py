"""The features that the options of a call need, and the details of its INVOCATION."""

from __future__ import annotations

from typing import Any

import pytest

from tests.router.dealing import (
    CALLEE,
    CALLER,
    PPT,
    PROCEDURE,
    answer,
    call,
    client,
    dealer_of,
    error,
    new_dealer,
    register,
    wire,
)
from wampasgi.errors import RemoteProtocolError
from wampasgi.protocol.messages import Call
from wampasgi.router.call_options import lacking_feature, payload_attributes
from wampasgi.router.invocations import RoutedSession


@pytest.mark.parametrize(("match", "pattern"), [("prefix", "com.myapp."), ("wildcard", "com..procedure")])
def test_details_for_a_pattern_based_registration_must_have_the_procedure(match: str, pattern: str) -> None:
    dealer = new_dealer()
    dealer.add_session(CALLER, client())
    register(dealer, CALLER, pattern, match=match)
    assert wire(call(dealer, CALLER)) == [(CALLER, [68, 1, 101, {"procedure": PROCEDURE}])]


def test_details_must_have_a_disclosed_caller() -> None:
    dealer = dealer_of(client("alice", "staff"))
    assert wire(call(dealer, CALLER, disclose=True)) == [
        (CALLEE, [68, 1, 101, {"caller": CALLER, "caller_authid": "alice", "caller_authrole": "staff"}])
    ]


def test_callers_are_disclosed_to_a_callee_that_asked_for_it() -> None:
    dealer = dealer_of(disclose_caller=True)
    assert wire(call(dealer, CALLER)) == [(CALLEE, [68, 1, 101, {"caller": CALLER}])]


def test_disclose_me_alone_does_not_disclose_the_caller() -> None:
    assert wire(call(dealer_of(), CALLER, disclose_me=True)) == [(CALLEE, [68, 1, 101, {}])]


@pytest.mark.parametrize(
    ("features", "details"),
    [
        ([], {}),
        (["call_canceling"], {}),
        (["progressive_call_results"], {"receive_progress": True}),
    ],
)
def test_callee_is_asked_for_progress_if_it_announced_it(
    features: list[str], details: dict[str, Any]
) -> None:
    dealer = dealer_of(None, client(callee=features))
    assert wire(call(dealer, CALLER, receive_progress=True)) == [(CALLEE, [68, 1, 101, details])]


def test_progressive_call_without_announcement_must_be_a_protocol_error() -> None:
    with pytest.raises(RemoteProtocolError, match="progressive_call_invocations"):
        call(dealer_of(client(caller=[])), CALLER, progress=True)


@pytest.mark.parametrize("features", [[], ["progressive_call_invocations"], ["call_canceling"]])
def test_progressive_call_must_be_refused_if_the_callee_does_not_support_it(features: list[str]) -> None:
    dealer = dealer_of(None, client(callee=features))
    refused = (CALLER, [8, 48, 1, {}, "wamp.error.feature_not_supported"])
    assert wire(call(dealer, CALLER, progress=True)) == [refused]
    assert call(dealer, CALLER, progress=True) == []
    assert call(dealer, CALLER) == []
    assert [recipient for recipient, _ in call(dealer, CALLER)] == [CALLEE]


def test_timeout_is_forwarded_to_a_callee_that_asked_for_it() -> None:
    dealer = dealer_of(forward_timeout=True)
    assert wire(call(dealer, CALLER, timeout=5000)) == [(CALLEE, [68, 1, 101, {"timeout": 5000}])]
    assert dealer.deadline(CALLER) is None


def test_dealer_times_a_call_if_the_callee_did_not_announce_call_timeout() -> None:
    dealer = dealer_of(None, client(callee=["call_canceling"]), forward_timeout=True)
    assert wire(call(dealer, CALLER, timeout=5000)) == [(CALLEE, [68, 1, 101, {}])]
    assert dealer.deadline(CALLER) == 5


def test_payload_attributes_are_passed_on_unchanged_in_both_directions() -> None:
    dealer = dealer_of()
    assert wire(call(dealer, CALLER, 1, PROCEDURE, b"payload", **PPT)) == [
        (CALLEE, [68, 1, 101, PPT, [b"payload"]])
    ]
    assert wire(answer(dealer, CALLEE, 1, b"result", **PPT)) == [(CALLER, [50, 1, PPT, [b"result"]])]


def test_payload_attributes_of_an_error_are_passed_on() -> None:
    dealer = dealer_of()
    call(dealer, CALLER, **PPT)
    assert wire(error(dealer, CALLEE, 1, "com.myapp.failed", b"text", **PPT, trace=[1])) == [
        (CALLER, [8, 48, 1, PPT, "com.myapp.failed", [b"text"]])
    ]


def test_passthru_call_without_announcement_must_be_a_protocol_error() -> None:
    with pytest.raises(RemoteProtocolError, match="payload_passthru_mode"):
        call(dealer_of(client(caller=[])), CALLER, **PPT)


def test_passthru_call_must_be_refused_if_the_callee_does_not_support_it() -> None:
    dealer = dealer_of(None, client(callee=[]))
    assert wire(call(dealer, CALLER, **PPT)) == [(CALLER, [8, 48, 1, {}, "wamp.error.feature_not_supported"])]


def test_disclosed_caller_without_authid_and_role_is_its_session_id_alone() -> None:
    assert wire(call(dealer_of(), CALLER, disclose=True)) == [(CALLEE, [68, 1, 101, {"caller": CALLER}])]


def test_options_that_have_no_effect_on_the_callee_are_not_passed_on() -> None:
    dealer = dealer_of(forward_timeout=True)
    outgoing = call(dealer, CALLER, progress=False, receive_progress=False, timeout=0, _private=1)
    assert wire(outgoing) == [(CALLEE, [68, 1, 101, {}])]
    assert payload_attributes({}) == {}
    assert payload_attributes({"timeout": 1, "ppt_scheme": "wamp"}) == {"ppt_scheme": "wamp"}


def test_first_feature_that_the_callee_lacks_is_named() -> None:
    message = Call(1, {"progress": True, "ppt_scheme": "wamp"}, PROCEDURE)
    for features, lacking in [
        ([], "progressive_call_invocations"),
        (["progressive_call_invocations", "call_canceling"], "payload_passthru_mode"),
        (["progressive_call_invocations", "call_canceling", "payload_passthru_mode"], None),
    ]:
        assert lacking_feature(message, RoutedSession(CALLEE, client(callee=features))) == lacking
