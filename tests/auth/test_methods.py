"""Behaviour that all challenge methods share, tested with clients written from the specification."""

from __future__ import annotations

import logging

import pytest
from starlette.middleware import Middleware

from tests.auth.peers import METHODS, PROOFS, SECRET, Method, authenticate, wire
from tests.specification import ABORT, AUTHENTICATE, AUTHENTICATION_FAILED, CALL, CHALLENGE, WELCOME
from wampasgi import Application, Realm
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send

pytestmark = pytest.mark.anyio

each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
each_proof = pytest.mark.parametrize("method", PROOFS.values(), ids=PROOFS)
each_format = pytest.mark.parametrize("subprotocol", ["wamp.2.json", "wamp.2.msgpack"])


@each_format
@each_method
async def test_client_that_knows_the_secret_joins(method: Method, subprotocol: str) -> None:
    async with wire(method.app(), subprotocol) as client:
        welcome = await authenticate(client, method.client("joe"))
        answer = await client.ask(CALL, 1, {}, "whoami")

    assert welcome[0] == WELCOME, welcome
    details = welcome[2]
    assert details["authid"] == "joe"
    assert details["authrole"] == "clerk"
    assert details["authmethod"] == method.name
    assert details["authprovider"] == method.authprovider
    assert details["authextra"]["greeting"] == "hello"
    assert answer[3] == ["joe", "clerk", {"name": "joe"}]


@each_format
@each_method
async def test_wrong_secret_and_unknown_user_get_the_same_answer(method: Method, subprotocol: str) -> None:
    app = method.app()
    answers = []
    for client in method.client("joe", "wrong"), method.client("nobody"), method.client("nobody", "wrong"):
        async with wire(app, subprotocol) as connection:
            answers.append(await authenticate(connection, client))
            await connection.closed()

    assert answers == [[ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]] * 3


@each_method
async def test_denied_client_with_a_wrong_secret_does_not_learn_that_it_is_denied(method: Method) -> None:
    async with wire(method.app()) as client:
        answer = await authenticate(client, method.client("denied", "wrong"))

    assert answer == [ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]


@each_method
async def test_logs_do_not_contain_the_secret(method: Method, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    app = method.app()
    for authid in ("joe", "denied", "nobody"):
        async with wire(app) as connection:
            await authenticate(connection, method.client(authid))
    async with wire(app) as connection:
        await authenticate(connection, method.client("joe", "a wrong secret"))

    assert SECRET not in caplog.text
    assert "a wrong secret" not in caplog.text
    assert "authentication failed from 192.0.2.1 on realm 'office': authid 'joe'" in caplog.text


@each_method
async def test_next_session_on_the_same_connection_must_authenticate_again(method: Method) -> None:
    async with wire(method.app()) as connection:
        assert (await authenticate(connection, method.client("joe")))[0] == WELCOME
        assert (await connection.ask(6, {}, "wamp.close.close_realm"))[0] == 6
        assert (await authenticate(connection, method.client("joe", "wrong")))[2] == AUTHENTICATION_FAILED


@each_method
async def test_middleware_of_the_realm_sees_the_handshake(method: Method) -> None:
    seen: list[int] = []

    class Watch:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def watched_receive() -> ASGIEvent:
                event = await receive()
                if event["type"] == "wamp.message":
                    seen.append(event["message"][0])
                return event

            async def watched_send(event: ASGIEvent) -> None:
                seen.append(event["message"][0])
                await send(event)

            await self._app(scope, watched_receive, watched_send)

    realm = Realm("office", middleware=[Middleware(Watch)])
    method.use(realm)
    async with wire(Application([realm])) as connection:
        assert (await authenticate(connection, method.client("joe")))[0] == WELCOME

    assert seen == [CHALLENGE, AUTHENTICATE, WELCOME]


@each_proof
async def test_challenge_does_not_reveal_if_the_user_is_known(method: Method) -> None:
    app = method.app()
    challenges = []
    for authid in ("joe", "nobody"):
        async with wire(app) as connection:
            challenge = await connection.hello(**method.client(authid).hello())
            assert challenge[:2] == [CHALLENGE, method.name]
            challenges.append(challenge[2])

    known, unknown = challenges
    assert list(known) == list(unknown)
    for name in ("kdf", "iterations", "memory", "keylen", "channel_binding"):
        assert known.get(name) == unknown.get(name)
    for name in ("salt", "challenge"):
        assert type(known.get(name)) is type(unknown.get(name))
    if "salt" in known:
        assert len(known["salt"]) == len(unknown["salt"])
        assert known["salt"] != unknown["salt"]


@each_proof
async def test_salt_of_an_unknown_user_is_constant(method: Method) -> None:
    app = method.app()
    salts: dict[str, set[str | None]] = {"nobody": set(), "no one": set()}
    for authid in ("joe", "nobody", "no one", "nobody"):
        async with wire(app) as connection:
            challenge = await connection.hello(**method.client(authid).hello())
            salts.setdefault(authid, set()).add(challenge[2].get("salt"))

    assert len(salts["nobody"]) == 1
    if salts["nobody"] != {None}:
        assert salts["nobody"] != salts["no one"]
