"""The Session object, as handlers use it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.wamp_client import ALL_ROLES, connect
from wampasgi import Application, ConnectionClosed, Identity, Session

pytestmark = pytest.mark.anyio


async def test_identity_of_an_open_session_can_change_but_not_its_role() -> None:
    app = Application()
    seen: list[Any] = []

    @app.procedure("become")
    async def become(session: Session) -> None:
        await session.mark_authenticated(Identity("new user", authrole="admin"))
        seen.extend([session.identity, session.authrole])

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.ask(48, 1, {}, "become")

    assert seen == ["new user", "anonymous"]


async def test_session_has_the_details_of_its_authentication() -> None:
    app = Application()
    seen: list[Any] = []

    def note(session: Session) -> None:
        seen.append((session.authmethod, session.authprovider, session.authextra))

    async def authenticate(session: Session, ticket: str) -> Identity:
        note(session)
        return Identity("ann", authextra={"theme": "dark"})

    app.set_ticket_authenticator(authenticate)
    app.procedure("note")(note)

    async with connect(app) as websocket:
        hello = {"roles": ALL_ROLES, "authmethods": ["ticket"], "authextra": {"theme": "light"}}
        await websocket.ask(1, "r", hello)
        await websocket.ask(5, "sesame", {})
        await websocket.ask(48, 1, {}, "note")

    assert seen == [(None, None, None), ("ticket", "dynamic", {"theme": "dark"})]


async def test_open_session_can_be_aborted() -> None:
    app = Application()

    @app.procedure("abort_me")
    async def abort_me(session: Session) -> None:
        await session.abort("com.app.enough", message="no more")

    async with connect(app) as websocket:
        await websocket.join()
        assert await websocket.ask(48, 1, {}, "abort_me") == [3, {"message": "no more"}, "com.app.enough"]
        await websocket.closed()


async def test_close_aborts_a_session_that_is_not_open_yet() -> None:
    app = Application()

    async def authenticate(session: Session) -> None:
        await session.close("com.app.closed_today", "come tomorrow")

    app.set_authentication_handler(authenticate)

    async with connect(app) as websocket:
        answer = await websocket.ask(1, "r", {"roles": ALL_ROLES})

    assert answer == [3, {"message": "come tomorrow"}, "com.app.closed_today"]


async def test_disconnect_closes_the_connection_without_goodbye() -> None:
    app = Application()
    reasons: list[str] = []

    @app.procedure("disconnect_me")
    async def disconnect_me(session: Session, uri: str | None = None) -> None:
        await session.disconnect(*([] if uri is None else [uri]))
        with pytest.raises(ConnectionClosed) as closed:
            await session.send_event("news")
        reasons.append(closed.value.reason)

    for args, reason, code in (
        ([], "wamp.close.system_shutdown", 1012),
        (["com.app.moved"], "com.app.moved", 1000),
    ):
        async with connect(app) as client:
            await client.join()
            await client.send(48, 1, {}, "disconnect_me", args)
            assert await client.closed() == {"type": "websocket.close", "code": code, "reason": reason}
            await client.wait_served()
        assert reasons.pop() == reason


async def test_disconnect_aborts_a_session_that_is_not_open_yet() -> None:
    app = Application()

    async def authenticate(session: Session) -> None:
        await session.disconnect("com.app.moved")

    app.set_authentication_handler(authenticate)

    async with connect(app) as client:
        assert await client.ask(1, "r", {"roles": ALL_ROLES}) == [3, {}, "com.app.moved"]


async def test_session_of_the_server_cannot_be_closed_or_sent_events() -> None:
    app = Application()
    seen: list[Any] = []

    @app.procedure("look")
    async def look(session: Session) -> None:
        await session.close()
        await session.abort()
        await session.disconnect()
        seen.extend([session.is_open, await session.send_event("t"), bool(session)])

    await app.call("look")

    assert seen == [False, False, True]


async def test_repr_shows_the_identity_of_the_session() -> None:
    app = Application()
    shown: list[str] = []

    @app.procedure("show")
    async def show(session: Session) -> None:
        shown.append(repr(session))

    async with connect(app) as websocket:
        session_id = (await websocket.join("r"))[1]
        await websocket.ask(48, 1, {}, "show")

    assert shown[0].startswith(f"<Session {session_id} on realm 'r' authid='")
    assert shown[0].endswith("role='anonymous'>")


@pytest.mark.parametrize(
    ("client", "expected"),
    [(("2001:DB8::1", 50000), "2001:db8::1"), (("testclient", 1), "'testclient'"), (None, None)],
)
async def test_client_address_is_the_one_in_the_scope(client: Any, expected: str | None) -> None:
    app = Application()

    @app.procedure("address")
    async def address(session: Session) -> str | None:
        return session.client_address

    async with connect(app, client=client) as websocket:
        await websocket.join()
        assert await websocket.call("address") == expected
    assert await app.call("address") is None


async def test_send_event_waits_for_a_slow_client() -> None:
    app = Application()
    app.allow("t", "subscribe")
    sent = []

    @app.procedure("flood")
    async def flood(session: Session) -> None:
        for number in range(100):
            await session.send_event("t", [number])
            sent.append(number)

    async with connect(app, buffer_size=1) as websocket:
        await websocket.join()
        await websocket.ask(32, 1, {}, "t")
        await websocket.send(48, 2, {}, "flood")
        await anyio.wait_all_tasks_blocked()
        at_first = len(sent)
        received = [await websocket.receive() for _ in range(101)]

    assert at_first < 10
    assert [message[4][0] for message in received[:-1]] == list(range(100))


async def test_reason_to_end_a_session_must_be_a_valid_uri() -> None:
    app = Application()
    problems: list[str] = []

    @app.procedure("end_me")
    async def end_me(session: Session) -> None:
        for end in session.close, session.abort, session.disconnect, app.close_sessions:
            with pytest.raises(ValueError, match="'too bad' is not a valid URI") as raised:
                await end("too bad")
            problems.append(str(raised.value))

    async with connect(app) as websocket:
        await websocket.join()
        assert await websocket.ask(48, 1, {}, "end_me") == [50, 1, {}]

    assert len(problems) == 4
