"""Waits of the test client: timeouts, and applications that end or break them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from tests.testing.apps import SOON, WELCOME, Backend, no_threads_left, scripted
from wampasgi import Application, Limits, Session
from wampasgi.testing import ExpectationFailed, SessionClosed, TestClient, Timeout, WAMPSession


def test_timeout_names_the_expected_message_and_quotes_the_others(session: WAMPSession) -> None:
    events = session.subscribe("chat")
    session.publish("chat", "x" * 300, acknowledge=True, options={"exclude_me": False})
    news = session.subscribe("news")

    with pytest.raises(Timeout) as caught:
        news.next(timeout=SOON)

    text = str(caught.value)
    assert text.startswith(
        f"waited 0.1 s for an event of 'news' (subscription {news.subscription_id}); not taken so far:"
    )
    assert f"\n  EVENT [36, {events.subscription_id}, " in text
    assert text.endswith("xxx ...")


def test_timeout_quotes_a_limited_number_of_messages(session: WAMPSession) -> None:
    session.subscribe("chat")
    for number in range(30):
        session.publish("chat", number, options={"exclude_me": False})
    session.settle()

    with pytest.raises(Timeout, match=r"and 10 more$"):
        session.expect_goodbye(timeout=SOON)


def test_timeout_of_the_session_limits_its_waits(client: TestClient) -> None:
    with client.wamp_session(timeout=SOON) as session:
        with pytest.raises(Timeout, match=r"waited 0.1 s for the result of CALL \[.*nothing else arrived"):
            session.call("forever")
        with pytest.raises(Timeout, match=r"waited 0.1 s for the end of the WebSocket"):
            session.expect_close()


def test_application_that_ignores_a_closed_websocket_times_out(backend: Backend) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "subprotocol": "wamp.2.json"})
        await anyio.sleep_forever()

    with (
        pytest.raises(
            Timeout, match=r"waited 0.1 s for the application's return after the WebSocket was closed"
        ),
        TestClient(app, timeout=SOON, backend=backend).wamp_connect(),
    ):
        pass


def test_handler_that_outlives_its_session_times_out(backend: Backend) -> None:
    app = Application(limits=Limits(teardown_timeout=5 * SOON))

    async def lifespan(session: Session) -> AsyncIterator[None]:
        yield
        await anyio.sleep_forever()

    app.add_session_lifespan_handler(lifespan)

    with (
        no_threads_left(),
        pytest.raises(Timeout, match=r"waited 0.1 s for the application's return") as caught,
        TestClient(app, timeout=SOON, backend=backend).wamp_session(),
    ):
        pass

    assert "Then the end of the application's WebSocket took longer than 0.1 s" in caught.value.__notes__[0]


@pytest.mark.parametrize("awaited", ["call", "send"])
def test_handler_that_blocks_the_event_loop_times_out(
    app: Application, backend: Backend, awaited: str
) -> None:
    released = threading.Event()

    @app.procedure("block")
    async def block() -> None:
        released.wait(20)

    def call_it() -> None:
        with TestClient(app, timeout=SOON, backend=backend) as client, client.wamp_session() as session:
            pending = session.start_call("block")
            if awaited == "send":
                session.call("math.add", 1)
            pending.result()

    with no_threads_left():
        with pytest.raises(Timeout) as caught:
            call_it()
        released.set()

    notes = caught.value.__notes__
    assert any("Then the application's shutdown took longer than 0.1 s" in note for note in notes)


def test_closed_websocket_ends_a_wait(backend: Backend) -> None:
    app = scripted(WELCOME, "[33, 1, 5]", "[36, 5, 6, {}]", close=1011)

    with TestClient(app, backend=backend).wamp_session() as session:
        session.subscribe("chat")
        with pytest.raises(SessionClosed) as caught:
            session.call("math.add", 1)
        with pytest.raises(SessionClosed, match="the server closed the WebSocket with code 1011"):
            session.publish("chat")

    assert (caught.value.code, caught.value.reason, caught.value.closed_by) == (
        1011,
        "that was all",
        "server",
    )
    assert "waited for the result of CALL [" in str(caught.value)
    assert "\n  EVENT [36, 5, 6, {}]" in str(caught.value)


def test_exception_of_the_application_ends_a_wait_and_is_raised_when_the_session_is_left(
    backend: Backend,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await scripted(WELCOME, None)(scope, receive, send)
        raise ZeroDivisionError("broken app")

    with (
        pytest.raises(ZeroDivisionError, match="broken app"),
        TestClient(app, backend=backend).wamp_session() as session,
        pytest.raises(SessionClosed, match=r"the application failed with ZeroDivisionError\('broken app'\)"),
    ):
        session.call("math.add", 1)


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        ("[50,", "an invalid frame: malformed JSON"),
        ("{}", r"an invalid frame: a message must be a list \[code, ...\], got {}"),
        ('["x"]', "an invalid frame"),
    ],
)
def test_invalid_frame_from_the_server_ends_a_wait(frame: str, problem: str) -> None:
    with (
        TestClient(scripted(WELCOME, frame, '[6, {}, "a.b"]')).wamp_session() as session,
        pytest.raises(ExpectationFailed, match=rf"waited for the result of(.|\n)*{problem}"),
    ):
        session.call("math.add", 1)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ('[50, 1, "details"]', r"RESULT \[50, 1, 'details'\]: RESULT.Details"),
        ('[50, 1, {"callee": "me"}]', r"RESULT .*: RESULT.Details.callee must be a session ID, got 'me'"),
        ('[50, 1, {"progress": true}]', "the call did not ask for progressive results"),
        ("[50, 2, {}]", "RESULT.Request must be the ID of a pending CALL, got 2"),
        ("[36, 5, 6, {}]", "EVENT.Subscription must be the ID of a subscription of this session, got 5"),
        ("[68, 1, 5, {}]", "INVOCATION.Registration must be the ID of a registration"),
        ('[4, "ticket", {}]', "a router must not send CHALLENGE while the session is established"),
        ("[99]", "there is no message type with code 99"),
    ],
)
def test_message_that_the_protocol_does_not_allow_ends_a_wait(message: str, problem: str) -> None:
    with (
        TestClient(scripted(WELCOME, message, '[6, {}, "a.b"]')).wamp_session() as session,
        pytest.raises(ExpectationFailed, match=rf"the server sent an invalid message, .*{problem}"),
    ):
        session.call("math.add", 1)


def test_messages_that_nothing_waits_for_are_kept_if_the_test_sends_raw_messages() -> None:
    with TestClient(scripted(WELCOME, "[36, 5, 6, {}]", '[6, {}, "a.b"]')).wamp_session() as session:
        session.send_raw([32, session.next_request_id(), {}, "chat"])

        assert session.receive_raw() == [36, 5, 6, {}]
