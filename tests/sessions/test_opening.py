"""From a connection to the sessions of a realm, over a transport that is no WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from starlette.middleware import Middleware

from tests.memory_transport import MemoryTransport
from tests.wamp_client import ALL_ROLES
from tests.websocket import PATIENCE
from wampasgi import Application, Limits, Realm, Session
from wampasgi.adapters.event_loop import EventLoopBinding
from wampasgi.router.admission import Place
from wampasgi.serializers import SUBPROTOCOLS
from wampasgi.sessions.opening import SessionOpener
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send

pytestmark = pytest.mark.anyio

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE = 1, 2, 3, 4, 5, 6
CALL, RESULT = 48, 50
VIOLATION, INVALID_URI = "wamp.error.protocol_violation", "wamp.error.invalid_uri"
RUNTIME_ERROR, UNAVAILABLE = "wamp.error.runtime_error", "wamp.error.unavailable"
#: This transport has no close codes.
NO_CODE = None


class Connection:
    """The client's end of a connection that is being served."""

    def __init__(self, transport: MemoryTransport, served: anyio.Event) -> None:
        self.transport = transport
        self.served = served
        self.send = transport.send
        self.receive = transport.receive
        self.ask = transport.ask

    async def join(self, realm: str = "com.myapp", **details: Any) -> int:
        """Say HELLO, and return the session ID."""
        welcome = await self.ask(HELLO, realm, {"roles": ALL_ROLES, **details})
        assert welcome[0] == WELCOME, welcome
        session_id: int = welcome[1]
        return session_id

    async def close_reason(self) -> str:
        """Wait until the connection is closed and no task serves it any more; return the reason."""
        reason, code = await self.transport.wait_closed()
        assert code == NO_CODE
        with anyio.fail_after(PATIENCE):
            await self.served.wait()
        return reason


@asynccontextmanager
async def connect(
    app: Application,
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    subprotocol: str = "wamp.2.json",
    **scope: Any,
) -> AsyncIterator[Connection]:
    """Serve a connection whose scope type ASGI does not know, with the realms of an application."""
    opener = SessionOpener(
        app.realms.get,
        event_loop=EventLoopBinding(),
        limits=limits,
        uri_check="loose",
        check_request_ids=False,
    )
    transport, served = MemoryTransport(), anyio.Event()
    full_scope: Scope = {"type": "pigeon", "client": ("192.0.2.1", 50000), **scope}

    async def serve() -> None:
        pending = opener.enter(full_scope["client"])
        assert isinstance(pending, Place)
        await opener.serve(full_scope, transport, SUBPROTOCOLS[subprotocol], pending)
        served.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        yield Connection(transport, served)
        transport.hang_up()
        with anyio.fail_after(PATIENCE):
            await served.wait()


def app_with(*realms: Realm) -> Application:
    return Application(realms or [Realm("com.myapp")], allow_default_realm=False)


# Opening


async def test_hello_opens_a_session_over_any_transport() -> None:
    realm = Realm("com.myapp")
    app = app_with(realm)
    scopes: list[Scope] = []

    @realm.procedure("look")
    async def look(session: Session) -> str:
        scopes.append(session.connection.scope)
        assert session.connection.client is not None
        return session.connection.client.host

    async with connect(app, from_outside="kept") as connection:
        session_id = await connection.join(authid="ada")
        assert list(realm.sessions) == [session_id]
        assert await connection.ask(CALL, 1, {}, "look") == [RESULT, 1, {}, ["192.0.2.1"]]
    assert not realm.sessions

    [scope] = scopes
    assert (scope["type"], scope["from_outside"]) == ("wamp", "kept")
    assert scope["wamp.realm"] == "com.myapp"
    assert scope["wamp.hello"] == {"roles": ALL_ROLES, "authid": "ada"}
    assert scope["wamp.subprotocol"] == "wamp.2.json"
    assert scope["wamp.session"].id == session_id


async def test_next_hello_on_the_connection_may_be_for_another_realm() -> None:
    one, other = Realm("com.one"), Realm("com.other")
    async with connect(app_with(one, other)) as connection:
        first = await connection.join("com.one")
        assert await connection.ask(GOODBYE, {}, "wamp.close.close_realm") == [
            GOODBYE,
            {},
            "wamp.close.goodbye_and_out",
        ]
        second = await connection.join("com.other")

        assert first != second
        assert not one.sessions
        assert list(other.sessions) == [second]
        assert connection.transport.closed_with is None


async def test_next_hello_may_come_in_the_batch_of_the_goodbye_before_it() -> None:
    hello = f'[1,"com.myapp",{{"roles":{{"caller":{{}}}}}}]{chr(0x1E)}'
    goodbye = f'[6,{{}},"wamp.close.close_realm"]{chr(0x1E)}'
    batched = SUBPROTOCOLS["wamp.2.json.batched"]

    async with connect(app_with(), subprotocol="wamp.2.json.batched") as connection:
        connection.transport.send_data(hello + goodbye + hello + goodbye)
        codes: list[int] = []
        with anyio.fail_after(PATIENCE):
            while len(codes) < 4:
                await anyio.wait_all_tasks_blocked()
                written, connection.transport.written = connection.transport.written, []
                codes += [message[0] for data in written for message in batched.messages(data)]  # type: ignore[index]

    assert codes == [WELCOME, GOODBYE, WELCOME, GOODBYE]


async def test_session_that_the_server_closes_leaves_the_connection_to_the_next() -> None:
    realm = Realm("com.myapp")
    async with connect(app_with(realm)) as connection:
        first = await connection.join()
        await realm.sessions[first].close("com.myapp.enough")
        assert (await connection.receive())[0] == GOODBYE
        connection.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
        assert await connection.join() != first


async def test_connection_is_closed_after_the_goodbye_of_a_shutdown() -> None:
    realm = Realm("com.myapp")
    async with connect(app_with(realm)) as connection:
        session_id = await connection.join()
        await realm.sessions[session_id].close("wamp.close.system_shutdown")
        assert (await connection.receive())[0] == GOODBYE
        connection.send(GOODBYE, {}, "wamp.close.goodbye_and_out")

        assert await connection.close_reason() == "wamp.close.system_shutdown"


# Refusing


async def test_client_that_aborts_instead_of_joining_is_not_answered() -> None:
    async with connect(app_with()) as connection:
        connection.send(ABORT, {}, "com.myapp.changed_my_mind")

        assert await connection.close_reason() == "com.myapp.changed_my_mind"
        assert connection.transport.messages() == []


@pytest.mark.parametrize(
    ("message", "reason", "text"),
    [
        ([CALL, 1, {}, "com.myapp.procedure"], VIOLATION, "received CALL before the session was established"),
        ([CALL, 1, {}, "no good"], VIOLATION, "received CALL before the session was established"),
        ([GOODBYE, {}, "com.bye"], VIOLATION, "received GOODBYE before the session was established"),
        ([GOODBYE, {}, "no good"], VIOLATION, None),
        ([WELCOME, 1, {}], VIOLATION, "received WELCOME before the session was established"),
        ([AUTHENTICATE, "", {}], VIOLATION, "received AUTHENTICATE before the session was established"),
        ([HELLO, "no good", {"roles": {"caller": {}}}], INVALID_URI, None),
        ([HELLO, "com." + "x" * 1100, {"roles": {"caller": {}}}], INVALID_URI, None),
        ([HELLO, "com.myapp", {}], VIOLATION, None),
        ([HELLO, "com.myapp"], VIOLATION, None),
        ([4711], VIOLATION, None),
    ],
)
async def test_first_message_that_is_no_valid_hello_is_aborted(
    message: list[Any], reason: str, text: str | None
) -> None:
    async with connect(app_with()) as connection:
        code, details, uri = await connection.ask(*message)

        assert (code, uri) == (ABORT, reason)
        if text is not None:
            assert details == {"message": text}
        assert await connection.close_reason() == reason


async def test_data_of_the_wrong_kind_is_aborted() -> None:
    async with connect(app_with()) as connection:
        connection.transport.send_data(b"[]")
        assert (await connection.receive())[2] == VIOLATION
        assert await connection.close_reason() == VIOLATION


async def test_refusal_names_the_realm_that_does_not_exist() -> None:
    async with connect(app_with()) as connection:
        assert await connection.ask(HELLO, "com.other", {"roles": ALL_ROLES}) == [
            ABORT,
            {"message": "there is no realm 'com.other'"},
            "wamp.error.no_such_realm",
        ]
        assert await connection.close_reason() == "wamp.error.no_such_realm"


async def test_realm_is_looked_for_anew_for_each_hello() -> None:
    async with connect(app_with()) as connection:
        await connection.join()
        await connection.ask(GOODBYE, {}, "wamp.close.close_realm")
        assert (await connection.ask(HELLO, "com.other", {"roles": ALL_ROLES}))[0] == ABORT
        assert await connection.close_reason() == "wamp.error.no_such_realm"


async def test_session_over_a_limit_of_its_realm_is_refused_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    realm = Realm("com.myapp", limits=Limits(sessions=1))
    app = app_with(realm)
    async with connect(app) as first, connect(app) as second:
        await first.join()
        refused = await second.ask(HELLO, "com.myapp", {"roles": ALL_ROLES})
        assert refused[2] == await second.close_reason() == UNAVAILABLE
        assert "the limit sessions of 1" in refused[1]["message"]
        counted = realm.metrics()["sessions"]
        await first.ask(GOODBYE, {}, "wamp.close.close_realm")
        # There is room again, on the same connection and on others.
        await first.join()

    assert counted == {"open": 1, "opening": 0, "joined": 1, "refused": 1, "aborted": 1}
    assert "is refused on realm 'com.myapp': this realm has reached the limit sessions of 1" in caplog.text
    assert realm.metrics()["sessions"]["open"] == realm.metrics()["sessions"]["opening"] == 0


async def test_session_that_is_still_being_opened_is_not_open() -> None:
    realm = Realm("com.myapp")
    reached, release = anyio.Event(), anyio.Event()

    async def authenticate(session: Session) -> None:
        reached.set()
        await release.wait()
        await session.mark_authenticated()

    realm.set_authentication_handler(authenticate)
    async with connect(app_with(realm)) as connection:
        connection.send(HELLO, "com.myapp", {"roles": ALL_ROLES})
        with anyio.fail_after(PATIENCE):
            await reached.wait()
        assert not realm.sessions
        assert realm.metrics()["sessions"]["opening"] == 1
        release.set()
        assert (await connection.receive())[0] == WELCOME
        assert realm.metrics()["sessions"]["opening"] == 0


# The time that a handshake may take


def silent_from_the_start(connection: Connection) -> None:
    """Say nothing at all."""


def silent_after_hello(connection: Connection) -> None:
    connection.send(HELLO, "com.myapp", {"roles": ALL_ROLES, "authmethods": ["ticket"], "authid": "ada"})


@pytest.mark.parametrize("behave", [silent_from_the_start, silent_after_hello])
async def test_client_that_opens_no_session_in_time_is_aborted(
    behave: Callable[[Connection], None], caplog: pytest.LogCaptureFixture
) -> None:
    realm = Realm("com.myapp")

    async def identify(ticket: str) -> str:
        raise AssertionError("there is no ticket")

    realm.set_ticket_authenticator(identify)
    async with connect(app_with(realm), limits=Limits(handshake_timeout=0.05)) as connection:
        behave(connection)
        messages = [await connection.receive()]
        if behave is silent_after_hello:
            assert messages[0][0] == CHALLENGE
            messages.append(await connection.receive())

        text = "no session within the limit handshake_timeout of 0.05 s"
        assert messages[-1] == [ABORT, {"message": text}, "wamp.error.timeout"]
        assert await connection.close_reason() == "wamp.error.timeout"

    assert "did not open a session in time" in caplog.text
    assert realm.metrics()["sessions"]["aborted"] == (1 if behave is silent_after_hello else 0)
    assert realm.metrics()["sessions"]["opening"] == 0


async def test_time_for_the_handshake_begins_anew_after_goodbye() -> None:
    async with connect(app_with(), limits=Limits(handshake_timeout=0.05)) as connection:
        await connection.join()
        # An open session has no such limit.
        with anyio.move_on_after(0.1):
            await connection.receive()
        await connection.ask(GOODBYE, {}, "wamp.close.close_realm")
        assert (await connection.receive())[2] == "wamp.error.timeout"


@pytest.mark.parametrize("joined", [False, True])
async def test_client_that_does_not_read_its_refusal_is_dropped_after_the_close_timeout(joined: bool) -> None:
    realm = Realm("com.myapp", limits=Limits(close_timeout=0.02))
    limits = Limits(close_timeout=0.02)
    async with connect(app_with(realm), limits=limits) as connection:
        if joined:
            await connection.join()
        connection.transport.stop_reading()
        connection.send(4711)
        with anyio.fail_after(PATIENCE):
            await connection.served.wait()

        assert connection.transport.written == []


async def test_client_that_hangs_up_before_hello_is_sent_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with connect(app_with()) as connection:
        connection.transport.hang_up()
        with anyio.fail_after(PATIENCE):
            await connection.served.wait()

    assert connection.transport.written == []
    assert connection.transport.closed_with is None
    assert not caplog.records


# Realms that fail


class Failing:
    """A middleware that fails before it lets a session through, or after the session has ended."""

    def __init__(self, app: ASGIApp, when: str) -> None:
        self.app = app
        self.when = when

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.when == "before":
            raise LookupError("broken middleware")
        await self.app(scope, receive, send)
        raise LookupError("broken middleware")


class FailingToSend:
    """A middleware that fails when the first message is sent through it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def failing(event: ASGIEvent) -> None:
            raise LookupError("broken middleware")

        await self.app(scope, receive, failing)


class Returning:
    """A middleware that returns without calling the app."""

    def __init__(self, app: ASGIApp) -> None:
        pass

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        return


@pytest.mark.logs_failure
async def test_middleware_that_fails_before_the_session_is_open_gives_abort(
    caplog: pytest.LogCaptureFixture,
) -> None:
    realm = Realm("com.myapp", middleware=[Middleware(Failing, when="before")])
    async with connect(app_with(realm)) as connection:
        assert await connection.ask(HELLO, "com.myapp", {"roles": ALL_ROLES}) == [ABORT, {}, RUNTIME_ERROR]
        assert await connection.close_reason() == RUNTIME_ERROR

    assert "broken middleware" in caplog.text
    assert realm.metrics()["sessions"] == {
        "open": 0,
        "opening": 0,
        "joined": 0,
        "refused": 0,
        "aborted": 1,
    }


@pytest.mark.logs_failure
async def test_abort_bypasses_a_middleware_that_fails_to_send() -> None:
    realm = Realm("com.myapp", middleware=[Middleware(FailingToSend)])
    async with connect(app_with(realm)) as connection:
        assert await connection.ask(HELLO, "com.myapp", {"roles": ALL_ROLES}) == [ABORT, {}, RUNTIME_ERROR]
        assert await connection.close_reason() == RUNTIME_ERROR


@pytest.mark.logs_failure
async def test_middleware_that_fails_after_the_session_has_ended_leaves_its_ending_as_it_was() -> None:
    realm = Realm("com.myapp", middleware=[Middleware(Failing, when="after")])
    async with connect(app_with(realm)) as connection:
        await connection.join()
        assert (await connection.ask(GOODBYE, {}, "wamp.close.close_realm"))[0] == GOODBYE
        await connection.join()
        connection.send(ABORT, {}, "com.myapp.enough")
        assert await connection.close_reason() == "com.myapp.enough"

    assert connection.transport.messages() == []
    assert not realm.sessions


async def test_middleware_that_returns_without_calling_the_app_ends_the_connection() -> None:
    realm = Realm("com.myapp", middleware=[Middleware(Returning)])
    async with connect(app_with(realm)) as connection:
        connection.send(HELLO, "com.myapp", {"roles": ALL_ROLES})
        assert await connection.close_reason() == RUNTIME_ERROR

    assert connection.transport.messages() == []
    assert realm.metrics()["sessions"]["opening"] == 0


@pytest.mark.logs_failure
async def test_realm_with_an_invalid_configuration_refuses_new_sessions(
    caplog: pytest.LogCaptureFixture,
) -> None:
    realm = Realm("com.myapp")
    app = app_with(realm)
    async with connect(app) as early, connect(app) as late:
        await early.join()

        @realm.procedure("impossible")
        async def impossible(session: Session, database: object) -> None: ...

        @realm.authorizer
        async def may(database: object) -> bool:
            return True

        refused = await late.ask(HELLO, "com.myapp", {"roles": ALL_ROLES})
        assert refused == [ABORT, {}, RUNTIME_ERROR]
        assert await late.close_reason() == RUNTIME_ERROR
        # The session that was open is served as before.
        assert (await early.ask(CALL, 1, {}, "impossible"))[4] == "wamp.error.no_such_procedure"

    assert "set_default_arg" in caplog.text
