"""Roles of procedures, which registrations of clients must not bypass, over a WebSocket in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.restricted_topics import accept
from tests.specification import NOT_AUTHORIZED, REGISTER, REGISTERED
from tests.wamp_client import clients, trust_hello
from wampasgi import Application, Realm, RPCRouteSet

pytestmark = pytest.mark.anyio


def prefix_procedure(app: Application) -> None:
    app.procedure("users.", match="prefix", roles="admin")(accept)


def wildcard_procedure(app: Application) -> None:
    app.procedure("users.", match="wildcard", roles="admin")(accept)


def regex_procedure(app: Application) -> None:
    app.procedure(r"users\.\w+", match="regex", roles="admin")(accept)


def prefix_procedure_of_a_set(app: Application) -> None:
    procedures = RPCRouteSet()
    procedures.prefix_route("users.", roles="admin")(accept)
    app.add_routes(procedures)


def prefix_procedure_at_run_time(app: Application) -> None:
    app.register("users.", accept, match="prefix", roles="admin")


def regex_procedure_at_run_time(app: Application) -> None:
    app.register(r"users\.\w+", accept, match="regex", roles="admin")


RESTRICTED_PROCEDURES = [
    prefix_procedure,
    wildcard_procedure,
    regex_procedure,
    prefix_procedure_of_a_set,
    prefix_procedure_at_run_time,
    regex_procedure_at_run_time,
]


def plugin_app() -> Application:
    app = Application()
    app.add_transport_authenticator(trust_hello)
    app.allow("users", "register", "call", match="prefix")
    return app


@pytest.mark.parametrize("add_procedure", RESTRICTED_PROCEDURES)
@pytest.mark.parametrize("role", ["admin", "plugin"])
async def test_client_cannot_take_the_calls_of_a_procedure_with_roles(
    add_procedure: Callable[[Application], None], role: str
) -> None:
    app = plugin_app()
    add_procedure(app)

    async with clients(app, f"eve/{role}", "root/admin", "bob/member") as (eve, root, bob):
        assert await eve.request_error(REGISTER, {}, "users.delete") == NOT_AUTHORIZED
        await root.call("users.delete")
        assert await bob.call_error("users.delete") == NOT_AUTHORIZED


@pytest.mark.parametrize(
    ("procedure", "match", "pattern", "pattern_match"),
    [
        ("users.", "prefix", "users.delete", "prefix"),
        ("users.", "wildcard", "users.", "prefix"),
        ("users..delete", "wildcard", "users.a.delete", "wildcard"),
        ("users..", "wildcard", "users..delete", "wildcard"),
        (r"users\.\w+", "regex", "users.", "prefix"),
        (r"users\.\w+", "regex", "users.", "wildcard"),
    ],
)
async def test_client_cannot_take_calls_with_a_pattern(
    procedure: str, match: Any, pattern: str, pattern_match: str
) -> None:
    app = plugin_app()
    app.procedure(procedure, match=match, roles="admin")(accept)

    async with clients(app, "eve") as [eve]:
        refused = await eve.request_error(REGISTER, {"match": pattern_match}, pattern)

    assert refused == NOT_AUTHORIZED


@pytest.mark.parametrize(
    ("procedure", "match", "pattern", "pattern_match"),
    [
        ("users.delete", "exact", "users.", "prefix"),
        ("users.delete", "exact", "users.delete", "wildcard"),
        ("users.secret.", "prefix", "users.", "prefix"),
        ("users.secret.", "prefix", "users..x", "wildcard"),
        ("users..delete", "wildcard", "users..create", "wildcard"),
        ("users..delete", "wildcard", "users.delete", "exact"),
        (r"users\.\d+", "regex", "users.x", "exact"),
    ],
)
async def test_client_may_register_a_pattern_that_takes_no_restricted_call(
    procedure: str, match: Any, pattern: str, pattern_match: str
) -> None:
    app = plugin_app()
    app.procedure(procedure, match=match, roles="admin")(accept)

    async with clients(app, "eve") as [eve]:
        await eve.register(pattern, match=pattern_match)


async def test_client_may_register_below_a_pattern_without_roles() -> None:
    app = plugin_app()
    app.procedure("users.", match="prefix")(accept)
    app.procedure("", match="prefix", roles="admin")(accept)

    async with clients(app, "plugin") as [plugin]:
        await plugin.register("users.find")


async def test_client_procedures_of_a_session_cannot_take_calls_and_stay_possible() -> None:
    realm = Realm("desk", client_procedures="session")
    app = Application([realm])
    realm.procedure("ui.", match="prefix", roles="admin")(accept)

    async with clients(app, {}, realm="desk") as [client]:
        await client.register("ui.confirm")
        assert await client.call_error("ui.confirm") == NOT_AUTHORIZED


@pytest.mark.parametrize("match", ["prefix", "regex"])
async def test_restricted_procedure_added_at_run_time_revokes_registrations_that_take_its_calls(
    match: Any,
) -> None:
    app = plugin_app()

    async with clients(app, "plugin", "bob/member", "root/admin") as (plugin, bob, root):
        assert (await plugin.request(REGISTER, {}, "users.find"))[0] == REGISTERED
        await plugin.register("users", match="prefix")
        app.register("users." if match == "prefix" else r"users\..*", accept, match=match, roles="admin")
        assert await bob.call_error("users.find") == NOT_AUTHORIZED
        await root.call("users.find")


async def test_new_configuration_revokes_registrations_that_take_restricted_calls() -> None:
    app = plugin_app()

    async with clients(app, "plugin") as [plugin]:
        await plugin.register("users.find")
        prefix_procedure(app)
        async with clients(app, "bob/member", "root/admin") as (bob, root):
            assert await bob.call_error("users.find") == NOT_AUTHORIZED
            await root.call("users.find")
