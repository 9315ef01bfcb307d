"""Advanced Profile, "Pattern-based Registrations"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.clients import (
    BASIC_ROLES,
    CALL,
    INVALID_URI,
    INVOCATION,
    NO_SUCH_PROCEDURE,
    PROCEDURE,
    REGISTER,
    RESULT,
    UNREGISTER,
    UNREGISTERED,
    YIELD,
    assert_error,
    assert_nothing_came,
    asyncio_only,
    joined,
    open_router,
    register,
    roles,
)
from wampasgi import Application

pytestmark = pytest.mark.anyio

PATTERNS = roles("pattern_based_registration")


async def called(app: Application, registered: dict[str, str], uris: list[str]) -> list[str | None]:
    """Which of the registrations, given with their policies, each of the URIs is routed to."""
    routed: list[str | None] = []
    async with joined(app, BASIC_ROLES, PATTERNS) as [caller, callee]:
        by_id: dict[int, str] = {}
        for number, (uri, match) in enumerate(registered.items(), 1):
            by_id[await register(callee, uri, number, match=match)] = uri
        for number, uri in enumerate(uris, 1):
            await caller.send(CALL, number, {}, uri)
            await assert_nothing_came_to(caller, routed)
            if callee.arrived():
                invocation = await callee.receive()
                routed.append(by_id[invocation[2]])
                expected = {} if registered[by_id[invocation[2]]] == "exact" else {"procedure": uri}
                assert invocation[3] == expected
                await callee.send(YIELD, invocation[1], {})
                assert await caller.receive() == [RESULT, number, {}]
    return routed


async def assert_nothing_came_to(caller: Any, routed: list[str | None]) -> None:
    """Wait until the dealer has decided; a call that it refused is answered by then."""
    answer = await caller.ask(66, 4711, 2**53)
    if answer[1] == CALL:
        assert answer[4] == NO_SUCH_PROCEDURE, answer
        routed.append(None)
        answer = await caller.receive()
    assert answer[:3] == [8, 66, 4711]


@asyncio_only
async def test_prefix_matches_whatever_begins_with_it() -> None:
    prefix = "com.myapp.myobject1"
    matching = [
        "com.myapp.myobject1.myprocedure1",
        "com.myapp.myobject1-mysubobject1",
        "com.myapp.myobject1.mysubobject1.myprocedure1",
        "com.myapp.myobject1",
    ]
    others = ["com.myapp.myobject2", "com.myapp.myobject"]

    assert await called(open_router(), {prefix: "prefix"}, matching + others) == [prefix] * 4 + [None] * 2


@asyncio_only
async def test_wildcard_matches_exactly_one_component() -> None:
    wildcard = "com.myapp..myprocedure1"
    matching = ["com.myapp.myobject1.myprocedure1", "com.myapp.myobject2.myprocedure1"]
    others = [
        "com.myapp.myobject1.myprocedure1.mysubprocedure1",
        "com.myapp.myobject1.myprocedure2",
        "com.myapp2.myobject1.myprocedure1",
        "com.myapp.myprocedure1",
    ]

    assert (
        await called(open_router(), {wildcard: "wildcard"}, matching + others) == [wildcard] * 2 + [None] * 4
    )


@asyncio_only
async def test_exact_registration_matches_nothing_else() -> None:
    uris = ["com.myapp", "com.myapp.a", "com.myap", "com.Myapp"]

    assert await called(open_router(), {"com.myapp": "exact"}, uris) == ["com.myapp", None, None, None]


async def test_best_registration_is_found_by_the_algorithm_of_the_specification() -> None:
    registered = {
        "a1.b2.c3.d4.e55": "exact",
        "a1.b2.c3": "prefix",
        "a1.b2.c3.d4": "prefix",
        "a1.b2..d4.e5": "wildcard",
        "a1.b2.c33..e5": "wildcard",
        "a1.b2..d4.e5..g7": "wildcard",
        "a1.b2..d4..f6.g7": "wildcard",
    }
    calls = {
        "a1.b2.c3.d4.e55": "a1.b2.c3.d4.e55",
        "a1.b2.c3.d98.e74": "a1.b2.c3",
        "a1.b2.c3.d4.e325": "a1.b2.c3.d4",
        "a1.b2.c55.d4.e5": "a1.b2..d4.e5",
        "a1.b2.c88.d4.e5.f6.g7": "a1.b2..d4.e5..g7",
        "a2.b2.c2.d2.e2": None,
    }
    # The specification's remaining example, a1.b2.c33.d4.e5, has a prefix match, a1.b2.c3: see below.
    assert await called(open_router(), registered, list(calls)) == list(calls.values())


async def test_longer_first_portion_of_a_wildcard_wins() -> None:
    registered = {"a1.b2..d4.e5": "wildcard", "a1.b2.c33..e5": "wildcard", "a1...d4": "wildcard"}

    assert await called(open_router(), registered, ["a1.b2.c33.d4.e5"]) == ["a1.b2.c33..e5"]


@asyncio_only
async def test_wildcard_with_more_components_before_the_first_empty_one_wins() -> None:
    registered = {"a1...d4": "wildcard", "a1.b2..d4": "wildcard"}

    assert await called(open_router(), registered, ["a1.b2.c3.d4", "a1.x.c3.d4"]) == ["a1.b2..d4", "a1...d4"]


@asyncio_only
async def test_any_prefix_wins_over_any_wildcard() -> None:
    registered = {"a1": "prefix", "a1.b2..d4": "wildcard"}

    assert await called(open_router(), registered, ["a1.b2.c3.d4"]) == ["a1"]


async def test_call_is_routed_to_one_registration_only() -> None:
    async with joined(open_router(), BASIC_ROLES, PATTERNS, PATTERNS) as [caller, exact, pattern]:
        await register(exact)
        await register(pattern, "com.myapp", match="prefix")
        await caller.send(CALL, 1, {}, PROCEDURE)
        assert (await exact.receive())[0] == INVOCATION
        await assert_nothing_came(exact)
        assert pattern.arrived() == 0


async def test_same_uri_under_another_policy_is_another_registration() -> None:
    async with joined(open_router(), PATTERNS) as [callee]:
        ids = [
            await register(callee, "com.myapp.a", number, match=match)
            for number, match in enumerate(["exact", "prefix", "wildcard"], 1)
        ]
        assert len(set(ids)) == 3
        for match in "exact", "prefix", "wildcard":
            answer = await callee.ask(REGISTER, 9, {"match": match}, "com.myapp.a")
            assert_error(answer, REGISTER, 9, "wamp.error.procedure_already_exists")
        assert await callee.ask(UNREGISTER, 10, ids[1]) == [UNREGISTERED, 10]


async def test_subset_of_a_pattern_cannot_be_unregistered() -> None:
    async with joined(open_router(), BASIC_ROLES, PATTERNS) as [caller, callee]:
        await register(callee, "com.myapp", 1, match="prefix")
        exact = await register(callee, "com.myapp.a", 2)
        await callee.ask(UNREGISTER, 3, exact)
        await caller.send(CALL, 1, {}, "com.myapp.a")
        assert (await callee.receive())[3] == {"procedure": "com.myapp.a"}


@asyncio_only
@pytest.mark.parametrize(
    ("match", "uri", "valid"),
    [
        ("exact", "com..a", False),
        ("exact", "com.", False),
        ("exact", "", False),
        ("prefix", "com.myapp.", True),
        ("prefix", "com.my", True),
        ("prefix", "", True),
        ("prefix", "com.my app", False),
        ("prefix", "com.#", False),
        ("wildcard", "com..a", True),
        ("wildcard", ".a", True),
        ("wildcard", "a.", True),
        ("wildcard", "..", True),
        ("wildcard", "", True),
        ("wildcard", "com.a", True),
        ("wildcard", "com.. a", False),
        ("wildcard", "com..#", False),
    ],
)
async def test_empty_components_are_allowed_where_they_denote_a_pattern(
    match: str, uri: str, valid: bool
) -> None:
    async with joined(open_router(), PATTERNS) as [client]:
        for code in REGISTER, 32:
            answer = await client.ask(code, 1, {"match": match}, uri)
            if valid:
                assert answer[:2] == [code + 1, 1]
            else:
                assert_error(answer, code, 1, INVALID_URI)


@asyncio_only
@pytest.mark.parametrize("match", ["", "Prefix", "regex"])
async def test_unknown_policy_is_refused(match: str) -> None:
    async with joined(open_router(), PATTERNS) as [client]:
        for code in REGISTER, 32:
            answer = await client.ask(code, 1, {"match": match}, PROCEDURE)
            assert_error(answer, code, 1, "wamp.error.invalid_argument")
