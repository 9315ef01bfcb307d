"""Raw messages and frames on a connection of the test client, and the expected ends of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from starlette.types import Receive, Scope, Send

from tests.testing.apps import scripted
from wampasgi import Application, Session
from wampasgi.serializers import SUBPROTOCOLS
from wampasgi.testing import ExpectationFailed, SessionClosed, TestClient, WAMPSession


@pytest.mark.parametrize(
    "data",
    [b"\xd8\x1c\x81\xd8\x1d\x00", b"\x81" * 10_000, b"\x9a\xff\xff\xff\xff", b"\xa2\x61a\x01\x61a\x01"],
)
def test_invalid_cbor_without_a_request_aborts_the_session(client: TestClient, data: bytes) -> None:
    with client.wamp_connect(subprotocol="wamp.2.cbor") as connection:
        connection.send_frame(data)

        abort = connection.expect_abort("wamp.error.protocol_violation")
        assert abort.details["message"].startswith(("malformed CBOR: ", "unsupported value in CBOR: "))
        connection.expect_close(1002)


def test_connection_serves_a_second_session(client: TestClient) -> None:
    with client.wamp_connect() as connection:
        with client.wamp_session("one", connection=connection) as first:
            assert first.call("math.add", 1) == 1
        with client.wamp_session("two", connection=connection, timeout=4) as second:
            assert second.call("math.add", 2) == 2

    assert first.id != second.id


@pytest.mark.parametrize("then", [WAMPSession.expect_goodbye, WAMPSession.settle])
def test_raw_goodbye_counts_as_goodbye_of_the_session(
    client: TestClient, then: Callable[[WAMPSession], object]
) -> None:
    with client.wamp_connect() as connection:
        with client.wamp_session(connection=connection) as session:
            session.send_raw([6, {}, "com.app.leaving"])
            then(session)
        with client.wamp_session(connection=connection) as again:
            assert again.call("math.add", 1) == 1


def test_goodbye_can_be_left_unanswered(client: TestClient) -> None:
    with client.wamp_session(answers_goodbye=False) as session:
        session.start_call("session.close")
        session.expect_goodbye("com.app.closing")
        session.send_raw([48, session.next_request_id(), {}, "math.add"])
        session.send_raw([6, {}, "wamp.close.goodbye_and_out"])

        with client.wamp_session(connection=session) as again:
            assert again.call("math.add", 1) == 1
            assert again.id != session.id


def test_disconnecting_waits_for_the_handlers(app: Application, client: TestClient) -> None:
    ended = []

    async def lifespan(session: Session) -> AsyncIterator[None]:
        yield
        ended.append(session.id)

    app.add_session_lifespan_handler(lifespan)
    with client.wamp_session() as session:
        session.disconnect()

        assert ended == [session.id]
        with pytest.raises(SessionClosed, match="the test closed the WebSocket") as caught:
            session.call("math.add", 1)
        with pytest.raises(SessionClosed, match="waited for a message, but the test closed"):
            session.receive_raw()
    assert caught.value.closed_by == "client"


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
def test_raw_messages_can_be_sent_and_received(client: TestClient, subprotocol: str) -> None:
    with client.wamp_connect(subprotocol=subprotocol) as connection:
        connection.send_raw([1, "default", {"roles": {"caller": {}}}])
        assert connection.receive_raw()[0] == 2
        connection.send_raw([48, 1, {}, "math.add", [1, 2]], [48, 2, {}, "math.add", [3, 4]])

        answers = [connection.receive_raw(), connection.receive_raw()]

    assert sorted(answers) == [[50, 1, {}, [3]], [50, 2, {}, [7]]]


def test_batch_is_sent_in_one_frame() -> None:
    frames = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "wamp.2.json.batched"})
        frames.append((await receive())["text"])

    with TestClient(app).wamp_connect(subprotocol="wamp.2.json.batched") as connection:
        connection.send_raw([1], [2])
        connection.expect_close()

    assert frames == ["[1]\x1e[2]\x1e"]


def test_raw_requests_and_calls_can_be_mixed(session: WAMPSession) -> None:
    session.send_raw([48, session.next_request_id(), {}, "math.add", [20, 2]])

    assert session.call("math.add", 1) == 1
    assert session.receive_raw()[3] == [22]


@pytest.mark.parametrize(
    ("frame", "problem"),
    [("[1,", "malformed JSON"), (b"[]", "takes only text"), ("[99]", "no message type with code 99")],
)
def test_invalid_frame_is_sent_unchecked(client: TestClient, frame: str | bytes, problem: str) -> None:
    with client.wamp_connect() as connection:
        connection.send_frame(frame)

        assert problem in connection.expect_abort("wamp.error.protocol_violation").details["message"]
        assert connection.expect_close(1002).code == 1002


def test_session_can_expect_an_abort(session: WAMPSession) -> None:
    session.send_raw([1, "default", {}])

    session.expect_abort("wamp.error.protocol_violation")
    session.expect_close()


@pytest.mark.parametrize(
    ("expect", "text"),
    [
        (lambda session: session.expect_abort("com.app.full"), "expected ABORT com.app.full, but got Abort"),
        (lambda session: session.expect_goodbye(), "expected GOODBYE, but got Abort"),
        (
            lambda session: session.expect_close(1011),
            r"code 1011, but it was 1000 'com.app.banned'; not taken",
        ),
    ],
)
def test_unexpected_end_of_the_session_is_quoted(
    session: WAMPSession, expect: Callable[[WAMPSession], object], text: str
) -> None:
    session.start_call("session.abort")

    with pytest.raises(ExpectationFailed, match=text):
        expect(session)
    if not session.over:
        session.expect_abort()


def test_closed_websocket_instead_of_an_abort_is_quoted() -> None:
    with TestClient(scripted("[50, 1, {}]", close=1011)).wamp_connect() as connection:
        connection.send_raw([0])

        with pytest.raises(ExpectationFailed, match=r"ABORT, but .* code 1011 .*\n  RESULT \[50, 1, \{\}\]"):
            connection.expect_abort()


def test_invalid_abort_is_quoted() -> None:
    with TestClient(scripted('[3, "details"]')).wamp_connect() as connection:
        connection.send_raw([1])

        with pytest.raises(ExpectationFailed, match=r"invalid message, ABORT \[3, 'details'\]: ABORT"):
            connection.expect_abort()
