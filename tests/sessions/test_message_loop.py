"""Sessions from HELLO to their end, over a WebSocket in memory."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from starlette.middleware import Middleware

from tests.specification import (
    ABORT,
    CALL,
    ERROR,
    GOODBYE,
    HELLO,
    PUBLISH,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    WELCOME,
)
from tests.wamp_client import ALL_ROLES, connect
from tests.websocket import PassesOn, open_websocket
from wampasgi import Application, Limits, Realm, Session
from wampasgi.protocol.ids import MAX_ID
from wampasgi.types import ASGIEvent, Receive, Scope, Send

pytestmark = pytest.mark.anyio


def violation(text: str) -> list[Any]:
    return [ABORT, {"message": text}, "wamp.error.protocol_violation"]


async def test_welcome_has_a_random_id_and_the_identity() -> None:
    app = Application()

    async with connect(app) as one, connect(app) as other:
        code, session_id, details = await one.join("any.realm")
        other_id = (await other.join())[1]

    assert code == WELCOME
    assert 1 <= session_id <= MAX_ID
    assert session_id != other_id
    assert details["realm"] == "any.realm"
    assert details["authrole"] == "anonymous"
    assert details["authmethod"] == "anonymous"


async def test_goodbye_is_answered_and_hello_may_follow_on_the_same_connection() -> None:
    async with connect(Application()) as websocket:
        first = await websocket.join()
        answer = await websocket.ask(GOODBYE, {}, "wamp.close.close_realm")
        second = await websocket.join()

    assert answer == [GOODBYE, {}, "wamp.close.goodbye_and_out"]
    assert first[1] != second[1]


async def test_abort_of_the_client_closes_the_websocket_without_an_answer() -> None:
    async with connect(Application()) as websocket:
        await websocket.join()
        await websocket.send(ABORT, {}, "wamp.error.whatever")

        assert (await websocket.closed())["code"] == 1000


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([[CALL, 1, {}, "a.b"]], "received CALL before the session was established"),
        ([[HELLO, "r", {"roles": ALL_ROLES}]] * 2, "received HELLO after the session was established"),
    ],
)
async def test_message_at_the_wrong_time_aborts_with_protocol_violation(
    messages: list[list[Any]], text: str
) -> None:
    async with connect(Application()) as websocket:
        for message in messages:
            await websocket.send(*message)
        answers = [await websocket.receive() for _ in messages]
        close = await websocket.closed()

    assert answers[-1] == violation(text)
    assert close["code"] == 1002


@pytest.mark.parametrize(
    "frame",
    ["", "{", "[]", "{}", '"text"', "[48]", "[4711, 1]", '[48, 0, {}, "a"]', '[48, 1, [], "a"]', "[true]"],
)
async def test_malformed_frame_aborts_its_session_alone(frame: str) -> None:
    app = Application()

    @app.procedure("echo")
    async def echo(value: str) -> str:
        return value

    async with connect(app) as bad, connect(app) as good:
        await bad.join()
        await good.join()
        await bad.send_frame(frame)
        answer = await bad.receive()
        close = await bad.closed()

        assert await good.ask(CALL, 1, {}, "echo", ["still here"]) == [RESULT, 1, {}, ["still here"]]

    assert answer[0] == ABORT
    assert answer[2] == "wamp.error.protocol_violation"
    assert close["code"] == 1002


async def test_binary_frame_on_a_text_subprotocol_aborts() -> None:
    async with connect(Application()) as websocket:
        await websocket.join()
        await websocket.send_frame(b"\x90")

        assert await websocket.receive() == violation("wamp.2.json takes only text WebSocket messages")


async def test_message_over_the_size_limit_aborts_with_payload_size_exceeded() -> None:
    async with connect(Application(limits=Limits(message_size=200))) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, {}, "a.b", ["x" * 200])

        assert (await websocket.receive())[2] == "wamp.error.payload_size_exceeded"


async def test_hello_with_an_incorrect_realm_uri_is_aborted_with_invalid_uri() -> None:
    async with connect(Application()) as websocket:
        answer = await websocket.ask(HELLO, "no good", {"roles": ALL_ROLES})

    assert (answer[0], answer[2]) == (ABORT, "wamp.error.invalid_uri")


async def test_request_with_an_incorrect_uri_is_refused_alone() -> None:
    async with connect(Application()) as websocket:
        await websocket.join()
        call = await websocket.ask(CALL, 1, {}, "not good")
        subscribe = await websocket.ask(SUBSCRIBE, 2, {}, "a..b")
        await websocket.send(PUBLISH, 3, {}, "a b")
        publish = await websocket.ask(PUBLISH, 4, {"acknowledge": True}, "a b")

    assert (call[:3], call[4]) == ([ERROR, CALL, 1], "wamp.error.invalid_uri")
    assert (subscribe[:3], subscribe[4]) == ([ERROR, SUBSCRIBE, 2], "wamp.error.invalid_uri")
    assert (publish[:3], publish[4]) == ([ERROR, PUBLISH, 4], "wamp.error.invalid_uri")


async def test_strict_uri_check_refuses_a_uri_that_the_loose_one_accepts() -> None:
    for uri_check, error in ("loose", "wamp.error.no_such_procedure"), ("strict", "wamp.error.invalid_uri"):
        async with connect(Application(uri_check=uri_check)) as websocket:  # type: ignore[arg-type]
            await websocket.join()
            assert (await websocket.ask(CALL, 1, {}, "Upper.Case"))[4] == error


async def test_request_ids_may_be_any_by_default() -> None:
    app = Application()
    app.allow("t", "subscribe")

    async with connect(app) as websocket:
        await websocket.join()

        assert (await websocket.ask(SUBSCRIBE, 4711, {}, "t"))[:2] == [SUBSCRIBED, 4711]
        assert (await websocket.ask(CALL, 17, {}, "nothing"))[:3] == [ERROR, CALL, 17]


async def test_checked_request_ids_must_be_one_sequence_from_one() -> None:
    app = Application(check_request_ids=True)
    app.allow("t", "subscribe", "publish")

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.ask(SUBSCRIBE, 1, {}, "t")
        await websocket.ask(PUBLISH, 2, {"acknowledge": True}, "t")
        await websocket.ask(CALL, 3, {}, "bad uri")
        answer = await websocket.ask(CALL, 5, {}, "nothing")

    assert answer == violation("request ID 5 is out of sequence, expected 4")


async def test_request_id_still_in_flight_is_refused_for_that_request_alone() -> None:
    app = Application()
    release = anyio.Event()

    @app.procedure("wait")
    async def wait() -> str:
        await release.wait()
        return "done"

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, {}, "wait")
        refused = await websocket.ask(CALL, 1, {}, "wait")
        release.set()
        result = await websocket.receive()

    assert refused == [ERROR, CALL, 1, {}, "wamp.error.invalid_argument", ["request id 1 is still in flight"]]
    assert result == [RESULT, 1, {}, ["done"]]


async def test_client_that_never_says_hello_is_dropped() -> None:
    async with connect(Application(limits=Limits(handshake_timeout=0.05))) as websocket:
        answer = await websocket.receive()
        await websocket.closed()

    assert (answer[0], answer[2]) == (ABORT, "wamp.error.timeout")


async def test_unknown_realm_is_aborted_without_a_default_realm() -> None:
    app = Application([Realm("known")], allow_default_realm=False)

    async with connect(app) as websocket:
        answer = await websocket.ask(HELLO, "unknown", {"roles": ALL_ROLES})
        await websocket.closed()
    async with connect(app) as websocket:
        await websocket.join("known")

    assert (answer[0], answer[2]) == (ABORT, "wamp.error.no_such_realm")


async def test_disconnect_before_hello_ends_quietly(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="wampasgi"):
        async with connect(Application()) as websocket:
            await websocket.disconnect()
            await websocket.wait_served()

    assert not caplog.records


@pytest.mark.parametrize(
    "error", [OSError("it has gone"), RuntimeError("Unexpected ASGI message 'websocket.send'")], ids=str
)
@pytest.mark.parametrize("middleware", [[], [Middleware(PassesOn)]], ids=["direct", "middleware"])
async def test_session_ends_quietly_when_its_server_accepts_no_more_messages(
    error: Exception, middleware: list[Middleware], caplog: pytest.LogCaptureFixture
) -> None:
    app = Application([Realm("open", middleware=middleware)])
    app.realms["open"].allow_all()
    closed = False

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_if_open(event: ASGIEvent) -> None:
            if closed:
                raise error
            await send(event)

        await app(scope, receive, send_if_open)

    async with connect(server) as websocket:
        await websocket.join("open")
        await websocket.ask(SUBSCRIBE, 1, {}, "news")
        closed = True
        await app.realms["open"].publish("news", 1)
        await app.realms["open"].publish("news", 2)
        await websocket.send(CALL, 2, {}, "wamp.session.count")
        await anyio.wait_all_tasks_blocked()
        await websocket.disconnect()
        await websocket.wait_served()

    assert caplog.records == []
    assert not app.realms["open"].sessions


async def test_handshake_without_a_common_subprotocol_is_refused_with_a_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_websocket(Application(), subprotocols=["mqtt"]) as websocket:
        answer = await websocket.receive_event()

    assert answer["type"] == "websocket.close"
    assert "it offers the subprotocols [mqtt], the server speaks [wamp.2.json" in caplog.text


async def test_refused_handshake_has_an_explanation_if_the_server_can_answer_http() -> None:
    extensions: dict[str, Any] = {"websocket.http.response": {}}

    async with open_websocket(Application(), subprotocols=[], extensions=extensions) as websocket:
        start = await websocket.receive_event()
        body = await websocket.receive_event()

    assert start["status"] == 400
    assert b"wamp.2.json" in body["body"]


async def test_refused_handshake_lists_the_subprotocols_of_the_application() -> None:
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    app = Application(serializers=["cbor"])

    async with open_websocket(app, subprotocols=["wamp.2.json"], extensions=extensions) as websocket:
        await websocket.receive_event()
        body = await websocket.receive_event()

    assert body["body"].endswith(b" wamp.2.cbor, wamp.2.cbor.batched.\n")


async def test_client_preference_decides_among_subprotocols() -> None:
    offered = ["wamp.2.unknown", "wamp.2.msgpack", "wamp.2.json"]

    async with open_websocket(Application(), subprotocols=offered) as websocket:
        accepted = await websocket.receive_event()

    assert accepted["subprotocol"] == "wamp.2.msgpack"


async def test_close_from_the_application_sends_goodbye_and_ends_on_the_answer() -> None:
    app = Application()
    ended = anyio.Event()

    @app.procedure("end_me")
    async def end_me(session: Session) -> None:
        await session.close("com.app.enough", "see you")

    async def lifespan(session: Session) -> AsyncIterator[None]:
        yield
        ended.set()

    app.add_session_lifespan_handler(lifespan)

    async with connect(app) as websocket:
        await websocket.join()
        goodbye = await websocket.ask(CALL, 1, {}, "end_me")
        # Messages before the client's GOODBYE are ignored.
        await websocket.send(CALL, 2, {}, "end_me")
        await websocket.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
        with anyio.fail_after(5):
            await ended.wait()
        welcome = await websocket.join()

    assert goodbye == [GOODBYE, {"message": "see you"}, "com.app.enough"]
    assert welcome[0] == WELCOME


async def test_client_that_does_not_answer_goodbye_is_closed_after_the_close_timeout() -> None:
    app = Application(limits=Limits(close_timeout=0.05))

    async with connect(app) as websocket:
        await websocket.join()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app.close_sessions)
            assert (await websocket.receive())[0] == GOODBYE
            await websocket.closed()


async def test_close_sessions_closes_every_session_and_waits_for_their_end() -> None:
    realm = Realm("other")
    app = Application([realm])
    torn_down = []

    async def lifespan(session: Session) -> AsyncIterator[None]:
        yield
        torn_down.append(session.realm_uri)

    app.add_session_lifespan_handler(lifespan)
    realm.add_session_lifespan_handler(lifespan)

    async with connect(app) as one, connect(app) as two:
        await one.join("one")
        await two.join("other")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app.close_sessions, "wamp.close.system_shutdown")
            for websocket in one, two:
                assert await websocket.receive() == [GOODBYE, {}, "wamp.close.system_shutdown"]
                await websocket.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
        assert sorted(torn_down) == ["one", "other"]
        for websocket in one, two:
            assert (await websocket.closed())["code"] == 1012


async def test_session_data_is_a_mapping() -> None:
    app = Application()
    seen: list[Any] = []

    @app.procedure("remember")
    async def remember(session: Session) -> None:
        session["name"] = "Ada"
        session["age"] = 36
        del session["age"]
        seen.extend([session["name"], "name" in session, "age" in session, list(session), len(session)])
        seen.append(session.get("nothing", "default"))

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.ask(CALL, 1, {}, "remember")

    assert seen == ["Ada", True, False, ["name"], 1, "default"]


async def test_realm_lists_its_sessions() -> None:
    realm = Realm("r")
    app = Application([realm])

    async with connect(app) as websocket:
        session_id = (await websocket.join("r"))[1]
        assert list(realm.sessions) == [session_id]
        assert realm.sessions[session_id].is_open
    assert not realm.sessions


async def test_register_is_refused_and_unregister_finds_no_registration() -> None:
    async with connect(Application()) as websocket:
        await websocket.join()
        register = await websocket.ask(64, 1, {}, "com.app.proc")
        unregister = await websocket.ask(66, 2, 17)

    assert (register[:3], register[4]) == ([ERROR, 64, 1], "wamp.error.not_authorized")
    assert (unregister[:3], unregister[4]) == ([ERROR, 66, 2], "wamp.error.no_such_registration")


@pytest.mark.parametrize("message", [[70, 1, {}], [ERROR, 68, 1, {}, "com.app.error"]])
async def test_answer_to_an_unknown_invocation_aborts(message: list[Any]) -> None:
    async with connect(Application()) as websocket:
        await websocket.join()
        answer = await websocket.ask(*message)

    assert (answer[0], answer[2]) == (ABORT, "wamp.error.protocol_violation")


async def test_slow_reader_is_disconnected_without_delaying_others() -> None:
    app = Application(limits=Limits(outbound_messages=10, close_timeout=0.05))
    app.allow("news", "subscribe")

    async with connect(app, buffer_size=1) as slow, connect(app) as quick:
        for websocket in slow, quick:
            await websocket.join()
            await websocket.ask(SUBSCRIBE, 1, {}, "news")
        for number in range(50):
            await app.publish("news", number)
        received = [(await quick.receive())[4][0] for _ in range(50)]
        # The session ends although the client does not read any more.
        await slow.wait_served()
        assert len(app.default_realm.sessions) == 1

    assert received == list(range(50))


async def test_session_that_is_over_gets_no_events() -> None:
    app = Application()
    sessions: list[Session] = []

    async def lifespan(session: Session) -> AsyncIterator[None]:
        sessions.append(session)
        yield

    app.add_session_lifespan_handler(lifespan)
    async with connect(app) as websocket:
        await websocket.join()

    with pytest.raises(ConnectionError, match="closed by the client"):
        await sessions[0].send_event("t", ("x",))


async def test_reason_that_is_too_long_for_a_close_frame_is_truncated() -> None:
    async with connect(Application()) as websocket:
        await websocket.join()
        await websocket.send(ABORT, {}, "com.app." + "é" * 100)
        reason = (await websocket.closed())["reason"]

    assert reason.startswith("com.app.é")
    assert len(reason.encode()) <= 123


@pytest.mark.logs_failure
async def test_welcome_that_cannot_be_serialized_aborts_the_session(caplog: pytest.LogCaptureFixture) -> None:
    app = Application()

    async def authenticate(session: Session) -> None:
        await session.mark_authenticated(authextra={"unserializable": object()})

    app.set_authentication_handler(authenticate)

    async with connect(app) as websocket:
        answer = await websocket.ask(HELLO, "r", {"roles": ALL_ROLES})
        close = await websocket.closed()

    assert answer == [ABORT, {}, "wamp.error.runtime_error"]
    assert close["code"] == 1011
    assert "object" in caplog.text


async def test_client_that_does_not_read_its_welcome_is_dropped() -> None:
    app = Application(limits=Limits(handshake_timeout=0.05, close_timeout=0.05))

    async with connect(app, buffer_size=0) as websocket:
        await websocket.send(HELLO, "r", {"roles": ALL_ROLES})
        await websocket.wait_served()


async def test_message_size_is_counted_in_bytes_and_a_realm_may_have_its_own() -> None:
    app = Application([Realm("small", limits=Limits(message_size=200))], limits=Limits(message_size=1000))

    for realm, text, too_large in [
        ("small", "x" * 100, False),
        ("small", "x" * 200, True),
        ("other", "x" * 200, False),
        ("other", "\u20ac" * 350, True),
    ]:
        async with connect(app) as websocket:
            await websocket.join(realm)
            await websocket.send_frame(f'[48, 1, {{}}, "nothing", ["{text}"]]')
            answer = await websocket.receive()

        expected = "wamp.error.payload_size_exceeded" if too_large else "wamp.error.no_such_procedure"
        assert expected in answer
