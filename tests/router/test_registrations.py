from __future__ import annotations

from typing import Any

import pytest

from wampasgi.errors import (
    INVALID_ARGUMENT,
    NO_SUCH_REGISTRATION,
    PROCEDURE_ALREADY_EXISTS,
    WAMPError,
)
from wampasgi.protocol.ids import SequentialIds
from wampasgi.router.registrations import INVOKE_POLICIES, Registration, Registrations

URI = "com.myapp.procedure"
ALICE, BOB, CAROL = 11, 12, 13


def new_registrations() -> Registrations:
    return Registrations(SequentialIds().for_entry)


def nobody(session_id: int) -> bool:
    return False


def shared_by(*session_ids: int, **options: Any) -> tuple[Registrations, Registration]:
    registrations = new_registrations()
    first, *others = [registrations.add(session_id, URI, options) for session_id in session_ids]
    assert all(other is first for other in others)
    return registrations, first


def picks(invoke: str, count: int, *, random_index: int = 0, **options: Any) -> list[int | None]:
    """The callees of ``count`` invocations that are never answered."""
    _, registration = shared_by(ALICE, BOB, CAROL, invoke=invoke, **options)
    picked: list[int | None] = []
    for _ in range(count):
        callee = registration.pick(nobody, lambda length: min(random_index, length - 1))
        if callee is not None:
            callee.running += 1
        picked.append(None if callee is None else callee.session_id)
    return picked


def refusal(registrations: Registrations, session_id: int, **options: Any) -> str:
    with pytest.raises(WAMPError) as raised:
        registrations.add(session_id, URI, options)
    return raised.value.uri


# Shared registration


@pytest.mark.parametrize(
    ("invoke", "expected"),
    [
        ("first", [ALICE, ALICE, ALICE, ALICE]),
        ("last", [CAROL, CAROL, CAROL, CAROL]),
        ("roundrobin", [ALICE, BOB, CAROL, ALICE]),
        ("random", [BOB, BOB, BOB, BOB]),
    ],
)
def test_invocation_policy_chooses_the_callee(invoke: str, expected: list[int]) -> None:
    assert picks(invoke, 4, random_index=1) == expected


@pytest.mark.parametrize(
    ("invoke", "expected"),
    [
        ("first", [ALICE, BOB, CAROL, None]),
        ("last", [CAROL, BOB, ALICE, None]),
        ("roundrobin", [ALICE, BOB, CAROL, None]),
        ("random", [CAROL, BOB, ALICE, None]),
    ],
)
def test_callees_at_their_concurrency_limit_are_passed_over(invoke: str, expected: list[int | None]) -> None:
    assert picks(invoke, 4, random_index=2, concurrency=1) == expected


def test_concurrency_of_zero_is_no_limit() -> None:
    assert picks("first", 3, concurrency=0) == [ALICE, ALICE, ALICE]


def test_roundrobin_continues_with_the_next_callee_when_one_leaves() -> None:
    registrations, registration = shared_by(ALICE, BOB, CAROL, invoke="roundrobin")
    served = []
    for _ in range(4):
        callee = registration.pick(nobody, lambda length: 0)
        assert callee is not None
        served.append(callee.session_id)
        if served == [ALICE]:
            registrations.remove_session(ALICE)
    assert served == [ALICE, BOB, CAROL, BOB]


def test_callees_to_skip_are_passed_over() -> None:
    _, registration = shared_by(ALICE, BOB, invoke="first")
    second = registration.pick({ALICE}.__contains__, lambda length: 0)
    assert second is not None
    assert second.session_id == BOB
    assert registration.pick({ALICE, BOB}.__contains__, lambda length: 0) is None


@pytest.mark.parametrize("invoke", INVOKE_POLICIES)
def test_other_registrations_must_fail_while_a_single_one_exists(invoke: str) -> None:
    registrations = new_registrations()
    held = registrations.add(ALICE, URI, {})
    assert refusal(registrations, BOB, invoke=invoke) == PROCEDURE_ALREADY_EXISTS
    registrations.remove(ALICE, held.registration_id)
    assert registrations.add(BOB, URI, {"invoke": invoke}).invoke == invoke


@pytest.mark.parametrize("invoke", [policy for policy in INVOKE_POLICIES if policy != "first"])
def test_registration_with_another_invocation_policy_than_the_first_must_fail(invoke: str) -> None:
    registrations = new_registrations()
    registrations.add(ALICE, URI, {"invoke": "first"})
    assert refusal(registrations, BOB, invoke=invoke) == PROCEDURE_ALREADY_EXISTS


def test_session_cannot_share_a_registration_with_itself() -> None:
    registrations = new_registrations()
    registrations.add(ALICE, URI, {"invoke": "first"})
    assert refusal(registrations, ALICE, invoke="first") == PROCEDURE_ALREADY_EXISTS


@pytest.mark.parametrize("option", ["match", "invoke"])
def test_unknown_policy_is_refused(option: str) -> None:
    assert refusal(new_registrations(), ALICE, **{option: "regex"}) == INVALID_ARGUMENT


# Finding


def test_one_uri_can_be_registered_under_each_match_policy() -> None:
    registrations = new_registrations()
    for match in "exact", "prefix", "wildcard":
        registrations.add(ALICE, URI, {"match": match})
    assert [found.match for found in registrations.of_session(ALICE).values()] == [
        "exact",
        "prefix",
        "wildcard",
    ]
    exact = registrations.get("exact", URI)
    assert exact is not None
    assert exact.registration_id == 1


def test_best_of_finds_only_registrations_of_this_session() -> None:
    registrations = new_registrations()
    registrations.add(ALICE, URI, {})
    registrations.add(BOB, "com.", {"match": "prefix"})
    mine = registrations.best_of(BOB, URI)
    assert mine is not None
    assert mine.match == "prefix"
    assert registrations.best_of(CAROL, URI) is None
    assert registrations.best_of(BOB, "org.other") is None


# Leaving


def test_registration_is_deleted_with_its_last_callee() -> None:
    registrations = new_registrations()
    for session_id in ALICE, BOB:
        registrations.add(session_id, URI, {"invoke": "first"})
    registrations.remove(ALICE, 1)
    assert list(registrations.by_id) == [1]
    assert [left.registration_id for left in registrations.remove_session(BOB)] == [1]
    assert not registrations.by_id
    assert not registrations.of_session(BOB)
    assert registrations.best(URI) is None


@pytest.mark.parametrize("session_id", [ALICE, BOB])
def test_session_can_remove_only_its_own_registrations(session_id: int) -> None:
    registrations = new_registrations()
    registrations.add(ALICE, URI, {})
    with pytest.raises(WAMPError) as raised:
        registrations.remove(session_id, 1 if session_id == BOB else 2)
    assert raised.value.uri == NO_SUCH_REGISTRATION


# Private registrations


def test_each_session_can_register_a_uri_privately() -> None:
    registrations = new_registrations()
    for session_id in ALICE, BOB:
        registrations.add(session_id, URI, {}, private=True)
    assert registrations.best(URI) is None
    for session_id in ALICE, BOB:
        assert registrations.best_of(session_id, URI) is not None
    assert registrations.best_of(CAROL, URI) is None
    assert refusal(registrations, ALICE) == PROCEDURE_ALREADY_EXISTS


def test_public_pattern_takes_precedence_over_private_registrations() -> None:
    registrations = new_registrations()
    registrations.add(ALICE, URI, {}, private=True)
    public = registrations.add(BOB, URI[:-1], {"match": "prefix"})

    assert registrations.best(URI) is public


@pytest.mark.parametrize("private", [True, False])
def test_private_and_public_registrations_do_not_share_a_uri(private: bool) -> None:
    registrations = new_registrations()
    registrations.add(ALICE, URI, {"invoke": "roundrobin"}, private=private)

    with pytest.raises(WAMPError) as raised:
        registrations.add(BOB, URI, {"invoke": "roundrobin"}, private=not private)
    assert raised.value.uri == PROCEDURE_ALREADY_EXISTS


def test_no_pattern_matches_the_procedures_of_the_router() -> None:
    registrations = new_registrations()
    registrations.add(ALICE, "", {"match": "prefix"})
    own = registrations.add(BOB, "wamp.session.count", {}, of_realm=True)

    assert registrations.best("wamp.session.count") is own
    assert registrations.best("wamp.session.unknown") is None


# Takeovers


def test_callees_that_a_takeover_revokes() -> None:
    registrations, registration = shared_by(ALICE, BOB, invoke="first")
    held = [(ALICE, registration.registration_id), (BOB, registration.registration_id)]
    assert registrations.held_by_others(CAROL, URI, {"invoke": "last"}) == held
    assert registrations.held_by_others(CAROL, URI, {"match": "prefix"}) == []
    assert registrations.held_by_others(CAROL, "com.myapp.other", {}) == []


def test_own_registrations_and_those_of_the_realm_cannot_be_taken_over() -> None:
    registrations, _ = shared_by(ALICE, BOB, invoke="first")
    registrations.add(CAROL, "com.myapp.own", {}, of_realm=True)
    for session_id, uri in (ALICE, URI), (ALICE, "com.myapp.own"):
        with pytest.raises(WAMPError) as raised:
            registrations.held_by_others(session_id, uri, {})
        assert raised.value.uri == PROCEDURE_ALREADY_EXISTS


def test_takeover_under_an_unknown_policy_is_refused() -> None:
    registrations, _ = shared_by(ALICE)
    for options in {"match": "regex"}, {"invoke": "any"}:
        with pytest.raises(WAMPError) as raised:
            registrations.held_by_others(BOB, URI, options)
        assert raised.value.uri == INVALID_ARGUMENT
