"""Registrations in the meta API."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.specification import ISO_8601_UTC, UNREGISTER, UNREGISTERED
from tests.wamp_client import announcing, clients, trusting_app
from wampasgi import Application, Realm

pytestmark = pytest.mark.anyio


# Listing registrations


async def test_registrations_are_listed_by_match_policy() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        before = await ann.call("wamp.registration.list")
        exact = [await ann.register("com.a"), await ann.register("com.b")]
        prefix = await ann.register("com.", match="prefix")
        wildcard = await ann.register("com..x", match="wildcard")

        after = await ann.call("wamp.registration.list")

        assert set(before) == set(after) == {"exact", "prefix", "wildcard"}
        assert after["exact"] == [*before["exact"], *exact]
        assert after["prefix"] == [*before["prefix"], prefix]
        assert after["wildcard"] == [*before["wildcard"], wildcard]


async def test_lookup_finds_a_registration_under_its_match_policy_only() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        exact = await ann.register("com.a")
        prefix = await ann.register("com.a", match="prefix")
        wildcard = await ann.register("com..x", match="wildcard", invoke="roundrobin")

        async def lookup(procedure: str, *options: Any) -> int | None:
            found: int | None = await ann.call("wamp.registration.lookup", procedure, *options)
            return found

        assert await lookup("com.a") == exact
        assert await lookup("com.a", {}) == exact
        assert await lookup("com.a", None) == exact
        assert await lookup("com.a", {"match": "exact", "invoke": "single"}) == exact
        assert await lookup("com.a", {"match": "prefix"}) == prefix
        assert await lookup("com..x", {"match": "wildcard"}) == wildcard
        assert await lookup("com.b.x") is None
        assert await lookup("com.a", {"match": "wildcard"}) is None


async def test_match_finds_the_registration_that_a_call_reaches() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        exact = await ann.register("com.a.x")
        short = await ann.register("com.", match="prefix")
        long = await ann.register("com.b.", match="prefix")
        wildcard = await ann.register("org..x", match="wildcard")

        expected = {"com.a.x": exact, "com.a.y": short, "com.b.x": long, "org.a.x": wildcard, "net.a": None}
        for procedure, registration_id in expected.items():
            assert await ann.call("wamp.registration.match", procedure) == registration_id


async def test_get_returns_the_details_of_a_registration() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        registration_id = await ann.register("com.", match="prefix", invoke="roundrobin")

        details = await ann.call("wamp.registration.get", registration_id)

        assert re.fullmatch(ISO_8601_UTC, details.pop("created"))
        assert details == {"id": registration_id, "uri": "com.", "match": "prefix", "invoke": "roundrobin"}
        single = await ann.register("com.a")
        assert (await ann.call("wamp.registration.get", single))["invoke"] == "single"


async def test_callees_of_a_registration_are_listed_and_counted() -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, bob]:
        registration_id = await ann.register("com.a", invoke="first")
        assert await bob.register("com.a", invoke="first") == registration_id

        callees = await ann.call("wamp.registration.list_callees", registration_id)

        assert callees == [ann.id, bob.id]
        assert await ann.call("wamp.registration.count_callees", registration_id) == 2


@pytest.mark.parametrize("name", ["get", "list_callees", "count_callees"])
async def test_unknown_registration_is_no_such_registration(name: str) -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        registration_id = await ann.register("com.a")
        await ann.request(UNREGISTER, registration_id)

        uri = await ann.call_error(f"wamp.registration.{name}", registration_id)
        assert uri == "wamp.error.no_such_registration"


async def test_callee_can_be_removed_from_a_registration() -> None:
    revocable = announcing("registration_revocation")
    async with clients(trusting_app(), "ann", revocable) as [ann, bob]:
        registration_id = await bob.register("com.a")

        args = registration_id, bob.id, "com.example.maintenance"
        assert await ann.call("wamp.registration.remove_callee", *args) is None

        revoked = {"registration": registration_id, "reason": "com.example.maintenance"}
        assert await bob.receive() == [UNREGISTERED, 0, revoked]
        assert await ann.call("wamp.registration.match", "com.a") is None


async def test_session_that_is_not_a_callee_cannot_be_removed() -> None:
    app = trusting_app()

    @app.procedure("com.own")
    async def own() -> None: ...

    async with clients(app, "ann", "bob") as [ann, bob]:
        registration_id = await ann.register("com.a")
        remove = "wamp.registration.remove_callee"
        assert await bob.call_error(remove, 10**6, ann.id) == "wamp.error.no_such_registration"
        assert await bob.call_error(remove, registration_id, bob.id) == "wamp.error.no_such_session"
        assert await bob.call_error(remove, registration_id, ann.id, "") == "wamp.error.invalid_uri"
        # Clients cannot remove the server as a callee.
        own_id = await bob.call("wamp.registration.lookup", "com.own")
        [server_id] = await bob.call("wamp.registration.list_callees", own_id)
        assert await bob.call_error(remove, own_id, server_id) == "wamp.error.no_such_session"
        assert await bob.call("wamp.registration.count_callees", registration_id) == 1
        assert await bob.call(remove, registration_id, ann.id, reason="com.example.reason") is None
        assert await bob.call_error(remove, registration_id, ann.id) == "wamp.error.no_such_registration"


# The server's own procedures are registrations, too


async def test_procedures_of_the_server_are_registrations_of_one_session() -> None:
    app = trusting_app()

    @app.procedure("com.own")
    async def own() -> str:
        return "own"

    @app.procedure("com.", match="prefix")
    async def below() -> str:
        return "below"

    async with clients(app, "ann") as [ann]:
        own_id = await ann.call("wamp.registration.match", "com.own")
        below_id = await ann.call("wamp.registration.match", "com.other")

        assert await ann.call("wamp.registration.lookup", "com.own") == own_id
        assert await ann.call("wamp.registration.lookup", "com.", {"match": "prefix"}) == below_id
        listed = await ann.call("wamp.registration.list")
        assert own_id in listed["exact"]
        assert listed["prefix"] == [below_id]
        details = await ann.call("wamp.registration.get", own_id)
        assert re.fullmatch(ISO_8601_UTC, details.pop("created"))
        assert details == {"id": own_id, "uri": "com.own", "match": "exact", "invoke": "single"}
        [server_id] = await ann.call("wamp.registration.list_callees", own_id)
        assert await ann.call("wamp.registration.list_callees", below_id) == [server_id]
        assert await ann.call("wamp.registration.count_callees", own_id) == 1
        # The server is not listed as a session.
        assert await ann.call("wamp.session.list") == [ann.id]


async def test_ids_of_the_servers_registrations_are_stable_and_unique() -> None:
    app = trusting_app()

    @app.procedure("com.own")
    async def own() -> None: ...

    async with clients(app, "ann", "bob") as [ann, bob]:
        own_id = await ann.call("wamp.registration.lookup", "com.own")
        client_id = await bob.register("com.client")

        async def other() -> None: ...

        app.default_realm.register("com.other", other)
        app.procedure("com.third")(other)
        async with clients(app, "cid") as [cid]:
            assert await cid.call("wamp.registration.lookup", "com.own") == own_id
            others = [await cid.call("wamp.registration.lookup", uri) for uri in ("com.other", "com.third")]
            assert len({own_id, client_id, *others}) == 4
            app.default_realm.unregister("com.other")
            assert await cid.call("wamp.registration.lookup", "com.other") is None
            assert await cid.call("wamp.registration.lookup", "com.own") == own_id


async def test_match_prefers_the_registration_that_a_call_would_reach() -> None:
    app = trusting_app()

    @app.procedure("com.own.", match="prefix")
    async def own() -> str:
        return "own"

    async with clients(app, "ann") as [ann]:
        exact = await ann.register("com.own.a")
        longer = await ann.register("com.own.b.", match="prefix")
        await ann.register("com.", match="prefix")

        assert await ann.call("wamp.registration.match", "com.own.a") == exact
        assert await ann.call("wamp.registration.match", "com.own.b.c") == longer
        own_id = await ann.call("wamp.registration.lookup", "com.own.", {"match": "prefix"})
        assert await ann.call("wamp.registration.match", "com.own.c") == own_id
        assert await ann.call("com.own.c") == "own"


async def test_regular_expressions_are_not_registrations() -> None:
    app = trusting_app()

    @app.procedure("com.*", match="regex")
    async def own() -> str:
        return "own"

    async with clients(app, "ann") as [ann]:
        assert await ann.call("wamp.registration.match", "com.a") is None
        listed = await ann.call("wamp.registration.list")
        assert (listed["prefix"], listed["wildcard"]) == ([], [])


async def test_meta_procedures_are_registered_on_the_realm() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        found = await ann.call("wamp.registration.match", "wamp.session.count")

        assert found == await ann.call("wamp.registration.lookup", "wamp.session.count")
        assert found in (await ann.call("wamp.registration.list"))["exact"]
        # A client's pattern does not match URIs of the router.
        await ann.register("", match="prefix")
        assert await ann.call("wamp.registration.match", "wamp.levitate") is None


async def test_private_registrations_match_no_call() -> None:
    app = Application()
    realm = Realm("private", client_procedures="session")
    realm.allow_all()
    app.add_realm(realm)
    async with clients(app, "ann", "bob", realm="private") as [ann, bob]:
        registration_id = await ann.register("com.a")
        assert await bob.register("com.a") == registration_id

        assert await ann.call("wamp.registration.lookup", "com.a") == registration_id
        assert await ann.call("wamp.registration.list_callees", registration_id) == [ann.id, bob.id]
        assert await ann.call("wamp.registration.match", "com.a") is None
