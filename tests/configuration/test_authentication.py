"""The decorators for authenticators, which stand beside the methods that set them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.auth.peers import (
    CRAClient,
    CryptosignClient,
    SCRAMClient,
    TicketClient,
    authenticate,
    check_ticket,
    find_identity,
    find_keys,
    find_pbkdf2_credential,
    find_requirement,
    wire,
)
from tests.specification import ABORT, WELCOME
from wampasgi import Application, ConfigurationError, Identity, Realm, Session

PAIRS = [
    ("cra_requirement", "cra_identity", find_requirement, CRAClient),
    ("scram_credential", "scram_identity", find_pbkdf2_credential, SCRAMClient),
    ("cryptosign_keys", "cryptosign_identity", find_keys, CryptosignClient),
]


def decorator(target: Application | Realm, name: str) -> Callable[[Any], Any]:
    found: Callable[[Any], Any] = getattr(target, name)
    return found


@pytest.mark.anyio
async def test_transport_authenticators_can_be_decorated() -> None:
    app = Application()

    @app.transport_authenticator
    def by_header(session: Session) -> Identity | None:
        name = session.connection.headers.get("x-name")
        return Identity(authid=name) if name else None

    @app.transport_authenticator
    def by_default(session: Session) -> Identity:
        return Identity(authid="guest")

    async with wire(app) as client:
        welcome = await client.hello()

    assert (welcome[0], welcome[2]["authid"]) == (WELCOME, "guest")
    assert callable(by_header)


@pytest.mark.anyio
async def test_ticket_authenticator_can_be_decorated() -> None:
    realm = Realm("office")
    assert realm.ticket_authenticator(check_ticket) is check_ticket

    async with wire(Application([realm])) as client:
        assert (await authenticate(client, TicketClient("joe")))[0] == WELCOME


@pytest.mark.anyio
async def test_authentication_handler_can_be_decorated() -> None:
    app = Application()

    @app.authentication_handler
    async def refuse(session: Session) -> None:
        await session.abort("com.example.closed")

    async with wire(app) as client:
        assert await client.hello() == [ABORT, {}, "com.example.closed"]
    assert callable(refuse)


@pytest.mark.anyio
@pytest.mark.parametrize("identity_first", [False, True])
@pytest.mark.parametrize(("first", "second", "find", "client_class"), PAIRS)
async def test_two_functions_of_a_method_can_be_decorated(
    first: str, second: str, find: Any, client_class: Any, identity_first: bool
) -> None:
    realm = Realm("office")
    given = [(first, find), (second, find_identity)]
    for name, function in reversed(given) if identity_first else given:
        assert decorator(realm, name)(function) is function

    async with wire(Application([realm])) as client:
        assert (await authenticate(client, client_class("joe")))[0] == WELCOME


@pytest.mark.parametrize(("first", "second", "find", "_"), PAIRS)
def test_one_of_two_functions_fails_at_startup(first: str, second: str, find: Any, _: Any) -> None:
    for given, function, missing in ((first, find, second), (second, find_identity, first)):
        realm = Realm("office")
        decorator(realm, given)(function)

        with pytest.raises(ConfigurationError, match=rf"{given} .* decorate the other one with {missing}"):
            Application([realm]).check()


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("ticket_authenticator", check_ticket),
        ("authentication_handler", check_ticket),
        *[(first, find) for first, _, find, _ in PAIRS],
        *[(second, find_identity) for _, second, _, _ in PAIRS],
    ],
)
def test_second_function_of_a_kind_is_refused(name: str, function: Any) -> None:
    realm = Realm("office")
    decorator(realm, name)(function)

    with pytest.raises(ConfigurationError, match=f"{name} .* the realm already has"):
        decorator(realm, name)(function)


def test_decorator_does_not_replace_functions_that_were_set() -> None:
    realm = Realm("office")
    realm.set_cra_handlers(find_requirement, find_identity)

    with pytest.raises(ConfigurationError, match=r"cra_identity .* already has functions for the method"):
        realm.cra_identity(find_identity)


def test_functions_that_are_set_replace_those_that_were_decorated() -> None:
    realm = Realm("office")
    realm.cra_requirement(find_requirement)
    realm.set_cra_handlers(find_requirement, find_identity)

    Application([realm]).check()


@pytest.mark.parametrize(
    "name", ["transport_authenticator", "ticket_authenticator", "authentication_handler", "cra_identity"]
)
def test_object_that_is_not_callable_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} got 'ann', which is not callable"):
        decorator(Realm("office"), name)("ann")
