"""Advanced Profile, "Pattern-based Registrations"."""

from __future__ import annotations

import pytest

from tests.conformance.vocabulary import PROCEDURE, between_workers
from tests.specification import (
    CALL,
    INVALID_ARGUMENT,
    INVALID_URI,
    INVOCATION,
    NO_SUCH_PROCEDURE,
    PROCEDURE_ALREADY_EXISTS,
    REGISTER,
    RESULT,
    SUBSCRIBE,
    UNREGISTER,
    UNREGISTERED,
)
from tests.wamp_client import BASIC, announcing, clients, open_app

pytestmark = pytest.mark.anyio

PATTERNS = announcing("pattern_based_registration")


async def check_routing(registered: dict[str, str], calls: dict[str, str | None]) -> None:
    """Check which registration each called URI is routed to.

    Registrations are given with their match policies, calls with the URI of a registration or None.
    """
    async with clients(open_app(), BASIC, PATTERNS) as [caller, callee]:
        ids = {uri: await callee.register(uri, match=match) for uri, match in registered.items()}
        for request_id, (uri, registration) in enumerate(calls.items(), 1):
            await caller.send(CALL, request_id, {}, uri)
            if registration is None:
                await caller.expect_error(CALL, request_id, NO_SUCH_PROCEDURE)
                continue
            invocation = await callee.answer_invocation()
            assert invocation[2] == ids[registration]
            assert invocation[3] == ({} if registered[registration] == "exact" else {"procedure": uri})
            assert await caller.receive() == [RESULT, request_id, {}]
        await callee.expect_nothing()


@between_workers
async def test_prefix_matches_every_uri_that_begins_with_it() -> None:
    prefix = "com.myapp.myobject1"
    calls = {
        "com.myapp.myobject1.myprocedure1": prefix,
        "com.myapp.myobject1-mysubobject1": prefix,
        "com.myapp.myobject1.mysubobject1.myprocedure1": prefix,
        "com.myapp.myobject1": prefix,
        "com.myapp.myobject2": None,
        "com.myapp.myobject": None,
    }
    await check_routing({prefix: "prefix"}, calls)


@between_workers
async def test_wildcard_matches_exactly_one_component() -> None:
    wildcard = "com.myapp..myprocedure1"
    calls = {
        "com.myapp.myobject1.myprocedure1": wildcard,
        "com.myapp.myobject2.myprocedure1": wildcard,
        "com.myapp.myobject1.myprocedure1.mysubprocedure1": None,
        "com.myapp.myobject1.myprocedure2": None,
        "com.myapp2.myobject1.myprocedure1": None,
        "com.myapp.myprocedure1": None,
    }
    await check_routing({wildcard: "wildcard"}, calls)


@between_workers
async def test_exact_registration_matches_no_other_uri() -> None:
    calls = {"com.myapp": "com.myapp", "com.myapp.a": None, "com.myap": None, "com.Myapp": None}
    await check_routing({"com.myapp": "exact"}, calls)


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
    # Another example of the specification, a1.b2.c33.d4.e5, has a prefix match, a1.b2.c3: see below.
    calls = {
        "a1.b2.c3.d4.e55": "a1.b2.c3.d4.e55",
        "a1.b2.c3.d98.e74": "a1.b2.c3",
        "a1.b2.c3.d4.e325": "a1.b2.c3.d4",
        "a1.b2.c55.d4.e5": "a1.b2..d4.e5",
        "a1.b2.c88.d4.e5.f6.g7": "a1.b2..d4.e5..g7",
        "a2.b2.c2.d2.e2": None,
    }
    await check_routing(registered, calls)


async def test_longer_first_portion_of_a_wildcard_wins() -> None:
    registered = {"a1.b2..d4.e5": "wildcard", "a1.b2.c33..e5": "wildcard", "a1...d4": "wildcard"}
    await check_routing(registered, {"a1.b2.c33.d4.e5": "a1.b2.c33..e5"})


@between_workers
async def test_wildcard_with_more_components_before_the_first_empty_one_wins() -> None:
    registered = {"a1...d4": "wildcard", "a1.b2..d4": "wildcard"}
    await check_routing(registered, {"a1.b2.c3.d4": "a1.b2..d4", "a1.x.c3.d4": "a1...d4"})


@between_workers
async def test_any_prefix_wins_over_any_wildcard() -> None:
    await check_routing({"a1": "prefix", "a1.b2..d4": "wildcard"}, {"a1.b2.c3.d4": "a1"})


async def test_call_is_routed_to_one_registration_only() -> None:
    async with clients(open_app(), BASIC, PATTERNS, PATTERNS) as [caller, exact, pattern]:
        await exact.register(PROCEDURE)
        await pattern.register("com.myapp", match="prefix")
        await caller.send(CALL, 1, {}, PROCEDURE)
        await exact.expect(INVOCATION)
        await exact.expect_nothing()
        assert await pattern.settled() == 0


async def test_same_uri_under_another_policy_is_another_registration() -> None:
    async with clients(open_app(), PATTERNS) as [callee]:
        policies = "exact", "prefix", "wildcard"
        ids = [await callee.register("com.myapp.a", match=match) for match in policies]
        assert len(set(ids)) == 3
        for match in policies:
            error = await callee.request_error(REGISTER, {"match": match}, "com.myapp.a")
            assert error == PROCEDURE_ALREADY_EXISTS
        assert await callee.ask(UNREGISTER, 10, ids[1]) == [UNREGISTERED, 10]


async def test_subset_of_a_pattern_cannot_be_unregistered() -> None:
    async with clients(open_app(), BASIC, PATTERNS) as [caller, callee]:
        await callee.register("com.myapp", match="prefix")
        exact = await callee.register("com.myapp.a")
        await callee.request(UNREGISTER, exact)
        await caller.send(CALL, 1, {}, "com.myapp.a")
        assert (await callee.expect(INVOCATION))[3] == {"procedure": "com.myapp.a"}


@between_workers
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
async def test_empty_components_are_allowed_if_they_denote_a_pattern(
    match: str, uri: str, valid: bool
) -> None:
    async with clients(open_app(), PATTERNS) as [client]:
        for code in REGISTER, SUBSCRIBE:
            await client.send(code, 1, {"match": match}, uri)
            if valid:
                assert (await client.receive())[:2] == [code + 1, 1]
            else:
                await client.expect_error(code, 1, INVALID_URI)


@between_workers
@pytest.mark.parametrize("match", ["", "Prefix", "regex"])
async def test_unknown_policy_is_refused(match: str) -> None:
    async with clients(open_app(), PATTERNS) as [client]:
        for code in REGISTER, SUBSCRIBE:
            assert await client.request_error(code, {"match": match}, PROCEDURE) == INVALID_ARGUMENT
