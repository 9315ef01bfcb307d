"""Sessions of the test client, from opening to the end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.testing.apps import SOON, Backend
from wampasgi import Application, ConnectionClosed, Event, Session, WAMPRoute
from wampasgi.serializers import SUBPROTOCOLS
from wampasgi.testing import SessionAborted, SessionClosed, TestClient, Timeout, WAMPSession, WebSocketClose


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
def test_session_speaks_every_subprotocol(client: TestClient, subprotocol: str) -> None:
    with client.wamp_session(subprotocol=subprotocol) as session:
        events = session.subscribe("chat")
        publication_id = session.publish("chat", "hi", acknowledge=True, options={"exclude_me": False}, n=1)

        assert session.subprotocol == subprotocol
        assert session.call("math.add", 2, b=3) == 5
        assert events.next() == Event("chat", ["hi"], {"n": 1}, publication_id or 0)


def test_leaving_a_session_sends_goodbye_and_waits_for_its_handlers(backend: Backend) -> None:
    app = Application()
    ended = []

    async def lifespan(session: Session) -> AsyncIterator[None]:
        yield
        await anyio.sleep(0.01)
        ended.append(session.id)

    app.add_session_lifespan_handler(lifespan)

    with TestClient(app, backend=backend).wamp_session() as session:
        assert ended == []

    assert ended == [session.id]
    assert session.over


def test_settle_does_not_take_the_goodbye_of_the_server(session: WAMPSession) -> None:
    events = session.subscribe("chat")
    session.start_call("session.close")

    events.assert_none()
    events.assert_none()

    session.expect_goodbye("com.app.closing")
    with pytest.raises(Timeout, match="nothing else arrived"):
        session.receive_raw(timeout=SOON)


def test_goodbye_returns_the_answer(session: WAMPSession) -> None:
    assert session.goodbye().reason == "wamp.close.goodbye_and_out"
    assert session.over

    with pytest.raises(SessionClosed, match="it ended with GOODBYE"):
        session.call("math.add", 1)
    with pytest.raises(SessionClosed):
        session.goodbye()


def test_abort_from_the_server_ends_a_wait(session: WAMPSession) -> None:
    with pytest.raises(SessionAborted, match=r"com.app.banned \(go away\)") as caught:
        session.call("session.abort")

    assert "waited for the result of CALL [" in caught.value.__notes__[0]
    assert session.expect_close(1000) == WebSocketClose(1000, "com.app.banned")


def test_goodbye_from_the_server_ends_a_wait(session: WAMPSession) -> None:
    with pytest.raises(
        ConnectionClosed, match=r"waited for the result of CALL \[.*the server said Goodbye\("
    ) as caught:
        session.call("session.close")

    assert (caught.value.reason, caught.value.closed_by) == ("com.app.closing", "server")


def test_unexpected_abort_is_raised_when_the_session_is_left(client: TestClient) -> None:
    def be_aborted() -> None:
        with client.wamp_session() as session:
            session.start_call("session.abort")
            session.settle()

    with pytest.raises(SessionAborted, match=r"com.app.banned"):
        be_aborted()


def test_goodbye_from_the_server_is_answered_while_the_test_is_busy(backend: Backend) -> None:
    wamp = Application()

    async def close_all(request: Request) -> PlainTextResponse:
        with anyio.fail_after(2):
            await wamp.close_sessions("com.app.maintenance")
        return PlainTextResponse("closed")

    web = Starlette(routes=[Route("/close", close_all, methods=["POST"]), WAMPRoute("/ws", wamp)])
    with TestClient(web, path="/ws", backend=backend) as client, client.wamp_session() as session:
        assert client.post("/close").text == "closed"
        assert session.expect_goodbye().reason == "com.app.maintenance"


def test_leaving_a_session_after_a_goodbye_from_the_server_raises_nothing(client: TestClient) -> None:
    with client.wamp_session() as session:
        session.start_call("session.close")
        session.settle()

    assert session.over


def test_exception_in_a_test_closes_the_websocket_without_goodbye(
    app: Application, client: TestClient
) -> None:
    with pytest.raises(ZeroDivisionError), client.wamp_session():
        raise ZeroDivisionError

    assert not app.default_realm.sessions
