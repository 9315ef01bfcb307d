from __future__ import annotations

from typing import Any

import pytest
from starlette.middleware import Middleware

from tests.auth.peers import use_ticket, wire
from tests.specification import ABORT, CHALLENGE, NO_MATCHING_AUTH_METHOD, WELCOME
from wampasgi import Application, Realm, Session
from wampasgi.auth import AnonymousMiddleware, TransportAuthenticationMiddleware

pytestmark = pytest.mark.anyio


async def nobody(session: Session) -> None:
    return None


async def answer_to(realm: Realm, **details: Any) -> list[Any]:
    async with wire(Application([realm])) as client:
        return await client.hello(**details)


@pytest.mark.parametrize(
    "details", [{}, {"authmethods": ["anonymous"]}, {"authmethods": ["ticket"]}], ids=str
)
async def test_realm_without_authenticators_accepts_anonymous_sessions(details: dict[str, Any]) -> None:
    first, second = [await answer_to(Realm("office"), authid="root", **details) for _ in range(2)]

    assert first[0] == second[0] == WELCOME
    assert first[2]["authrole"] == first[2]["authmethod"] == "anonymous"
    assert first[2]["authprovider"] == "static"
    assert first[2]["authid"] not in ("root", second[2]["authid"])


async def test_realm_with_an_authenticator_refuses_anonymous_sessions() -> None:
    by_ticket, by_transport = Realm("office"), Realm("office")
    use_ticket(by_ticket)
    by_transport.add_transport_authenticator(nobody)
    by_middleware = Realm(
        "office", middleware=[Middleware(TransportAuthenticationMiddleware, authenticators=[nobody])]
    )
    for realm in by_ticket, by_transport, by_middleware:
        answer = await answer_to(realm, authmethods=["anonymous"])
        assert (answer[0], answer[2]) == (ABORT, NO_MATCHING_AUTH_METHOD)


@pytest.mark.parametrize(
    ("details", "code", "method"),
    [
        ({}, WELCOME, "anonymous"),
        ({"authmethods": []}, WELCOME, "anonymous"),
        ({"authmethods": ["anonymous"]}, WELCOME, "anonymous"),
        ({"authmethods": ["anonymous", "ticket"]}, WELCOME, "anonymous"),
        ({"authmethods": ["wampcra", "anonymous"]}, WELCOME, "anonymous"),
        ({"authmethods": ["ticket", "anonymous"]}, CHALLENGE, "ticket"),
        ({"authmethods": ["wampcra"]}, ABORT, None),
    ],
    ids=str,
)
async def test_allow_anonymous_adds_a_method_to_the_others(
    details: dict[str, Any], code: int, method: str | None
) -> None:
    realm = Realm("office", allow_anonymous=True)
    use_ticket(realm)

    answer = await answer_to(realm, authid="joe", **details)

    assert answer[0] == code
    if code == WELCOME:
        assert answer[2]["authmethod"] == answer[2]["authrole"] == method
        assert answer[2]["authid"] != "joe"
    elif code == CHALLENGE:
        assert answer[1] == method


async def test_anonymous_access_comes_after_transport_authenticators() -> None:
    realm = Realm("office", allow_anonymous=True)
    realm.add_transport_authenticator(nobody)

    assert (await answer_to(realm))[2]["authmethod"] == "anonymous"


async def test_realm_without_authenticators_refuses_all_sessions_if_allow_anonymous_is_false() -> None:
    answer = await answer_to(Realm("office", allow_anonymous=False))

    assert (answer[0], answer[2]) == (ABORT, NO_MATCHING_AUTH_METHOD)


async def test_anonymous_middleware_does_not_change_authenticated_sessions() -> None:
    async def somebody(session: Session) -> str:
        return "somebody"

    middleware = [
        Middleware(TransportAuthenticationMiddleware, authenticators=[somebody]),
        Middleware(AnonymousMiddleware),
    ]
    welcome = await answer_to(Realm("office", middleware=middleware))

    assert welcome[2]["authmethod"] == "transport"
