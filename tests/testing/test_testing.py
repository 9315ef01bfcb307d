from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import anyio
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import WebSocketDenialResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from wampasgi import (
    Application,
    ConnectionClosed,
    CRAAuthRequirement,
    Event,
    Identity,
    Limits,
    Realm,
    RPCProgressReport,
    RPCResult,
    Session,
    TopicRouteSet,
    WAMPError,
    WAMPRoute,
    derive_key,
)
from wampasgi.serializers import JSON, SUBPROTOCOLS
from wampasgi.testing import (
    ExpectationFailed,
    OnChallenge,
    SessionAborted,
    SessionClosed,
    TestClient,
    Timeout,
    WAMPSession,
    WebSocketClose,
)
from wampasgi.types import ASGIApp

Backend = Literal["asyncio", "trio"]

#: A short timeout, in seconds, for messages that must not arrive.
SOON = 0.1

WELCOME = '[2, 7, {"roles": {}}]'


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    name: Backend = request.param
    return name


@pytest.fixture
def app() -> Application:
    app = Application()
    app.default_realm.allow_all()

    @app.procedure("math.add")
    async def add(a: int, b: int = 0) -> int:
        return a + b

    @app.procedure("echo")
    async def echo(*args: Any, **kwargs: Any) -> RPCResult:
        return RPCResult(args, kwargs)

    @app.procedure("fail")
    async def fail() -> None:
        raise WAMPError("com.app.full", 3, room="a")

    @app.procedure("count")
    async def count(until: int) -> AsyncIterator[Any]:
        for number in range(until):
            yield RPCProgressReport(number)
        yield until

    @app.procedure("forever")
    async def forever() -> AsyncIterator[Any]:
        yield RPCProgressReport("begun")
        await anyio.sleep_forever()
        yield None

    @app.procedure("session.abort")
    async def abort(session: Session) -> None:
        await session.abort("com.app.banned", "go away")

    @app.procedure("session.close")
    async def close(session: Session) -> None:
        await session.close("com.app.closing")
        await anyio.sleep_forever()

    return app


@pytest.fixture
def client(app: Application, backend: Backend) -> Iterator[TestClient]:
    with TestClient(app, backend=backend) as client:
        yield client


@pytest.fixture
def session(client: TestClient) -> Iterator[WAMPSession]:
    with client.wamp_session() as session:
        yield session


def scripted(*answers: str | None, close: int | None = None) -> ASGIApp:
    """Return an app that answers each message with the next text, or not at all for None.

    Then it closes the WebSocket with the code ``close``, or returns.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "wamp.2.json"})
        for answer in answers:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return
            if answer is not None:
                await send({"type": "websocket.send", "text": answer})
        if close is not None:
            await send({"type": "websocket.close", "code": close, "reason": "that was all"})

    return app


@contextmanager
def no_threads_left(patience: float = 5) -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(patience)
    assert set(threading.enumerate()) <= before


# Sessions


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
def test_session_speaks_every_subprotocol(client: TestClient, subprotocol: str) -> None:
    with client.wamp_session(subprotocol=subprotocol) as session:
        events = session.subscribe("chat")
        publication_id = session.publish("chat", "hi", acknowledge=True, options={"exclude_me": False}, n=1)

        assert session.subprotocol == subprotocol
        assert session.call("math.add", 2, b=3) == 5
        assert events.next() == Event("chat", ["hi"], {"n": 1}, publication_id or 0)


class ReversedText:
    name = "reversed"
    binary = False

    def encode(self, message: list[Any]) -> str:
        return JSON.encode(message)[::-1]

    def decode(self, data: str | bytes) -> object:
        assert isinstance(data, str)
        return JSON.decode(data[::-1])


def test_client_takes_the_serializers_of_a_wrapped_application() -> None:
    app = Application(serializers=[ReversedText()])

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    with (
        TestClient(outer, serializers=[ReversedText()]) as client,
        client.wamp_session(subprotocol="wamp.2.reversed") as session,
    ):
        assert session.subprotocol == "wamp.2.reversed"


def test_value_that_a_custom_serializer_cannot_encode_fails_one_call() -> None:
    class NoBytes(ReversedText):
        def encode(self, message: list[Any]) -> str:
            if message[-1] == [b"x"]:
                raise KeyError("no bytes")
            return super().encode(message)

    app = Application(serializers=[NoBytes()])

    @app.procedure("raw")
    async def raw() -> bytes:
        return b"x"

    @app.procedure("text")
    async def text() -> str:
        return "x"

    with TestClient(app) as client, client.wamp_session(subprotocol="wamp.2.reversed") as session:
        with pytest.raises(WAMPError, match=r"wamp\.error\.runtime_error"):
            session.call("raw")
        assert session.call("text") == "x"


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


def test_server_chooses_among_the_offered_subprotocols(client: TestClient) -> None:
    with client.wamp_session(subprotocol=["wamp.2.unheard", "wamp.2.msgpack", "wamp.2.json"]) as session:
        assert session.subprotocol == "wamp.2.msgpack"


def test_session_has_the_details_of_welcome(client: TestClient) -> None:
    with client.wamp_session("com.example", authid="ann") as session:
        assert session.id in client_realm(client).sessions
        assert session.details["realm"] == "com.example"
        assert (session.authid, session.authrole) == (session.details["authid"], "anonymous")


def client_realm(client: TestClient) -> Realm:
    application = client.app
    assert isinstance(application, Application)
    return application.default_realm


def test_hello_has_the_client_roles_and_extra_details(app: Application, client: TestClient) -> None:
    @app.procedure("hello")
    async def hello(session: Session) -> RPCResult:
        return RPCResult([dict(session.details)])

    with client.wamp_session(hello={"agent": "my-test"}, authid="ann", authmethods=["anonymous"]) as session:
        details = session.call("hello")

    assert (details["agent"], details["authid"], details["authmethods"]) == ("my-test", "ann", ["anonymous"])
    assert set(details["roles"]) == {"caller", "callee", "publisher", "subscriber"}
    assert details["roles"]["caller"]["features"]["progressive_call_results"] is True


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


def test_sessions_share_an_event_loop_if_the_client_is_not_entered(
    app: Application, backend: Backend
) -> None:
    client = TestClient(app, backend=backend)

    with client.wamp_session() as one, client.wamp_session() as other:
        events = other.subscribe("chat")
        one.publish("chat", "hi")

        assert events.next().args == ["hi"]
    assert client.portal is None


def test_http_handler_publishes_to_a_session(backend: Backend) -> None:
    wamp = Application()
    topics = TopicRouteSet()

    @topics.route("orders.created")
    async def orders() -> None: ...

    wamp.add_routes(topics)
    api = FastAPI(routes=[WAMPRoute("/ws", wamp), Mount("/wamp", wamp)])

    @api.post("/orders")
    async def create() -> int:
        return await wamp.publish("orders.created", 1)

    with (
        TestClient(api, path="/ws", backend=backend) as client,
        client.wamp_session() as session,
        client.wamp_session(path="/wamp/") as mounted,
    ):
        events, others = session.subscribe("orders.created"), mounted.subscribe("orders.created")
        publication_id = client.post("/orders").json()

        assert events.next().publication_id == publication_id
        assert others.next().publication_id == publication_id


def test_lifespan_of_the_application_runs_while_the_client_is_entered(backend: Backend) -> None:
    steps = []

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        steps.append("startup")
        yield
        steps.append("shutdown")

    with TestClient(Application(lifespan=lifespan), backend=backend) as client, client.wamp_session():
        assert steps == ["startup"]

    assert steps == ["startup", "shutdown"]


def test_headers_and_cookies_reach_the_session(app: Application, backend: Backend) -> None:
    @app.procedure("request")
    async def request(session: Session) -> dict[str, Any]:
        connection = session.connection
        return {
            "cookies": connection.cookies,
            "who": connection.headers["x-who"],
            "query": connection.query_params["q"],
        }

    client = TestClient(app, backend=backend, cookies={"a": "1", "b": "1"})
    with client.wamp_session(path="/?q=3", headers={"X-Who": "ann"}, cookies={"b": "2"}) as session:
        assert session.call("request").kwargs == {"cookies": {"a": "1", "b": "2"}, "who": "ann", "query": "3"}


def test_connection_serves_a_second_session(client: TestClient) -> None:
    with client.wamp_connect() as connection:
        with client.wamp_session("one", connection=connection) as first:
            assert first.call("math.add", 1) == 1
        with client.wamp_session("two", connection=connection, timeout=4) as second:
            assert second.call("math.add", 2) == 2

    assert first.id != second.id


# Authentication


@pytest.fixture
def guarded(backend: Backend) -> TestClient:
    realm = Realm("guarded")

    async def authenticate(session: Session, ticket: str) -> Identity | None:
        return Identity(authid="ann", authrole="staff") if ticket == "secret" else None

    realm.set_ticket_authenticator(authenticate)
    return TestClient(Application([realm], allow_default_realm=False), backend=backend)


def test_ticket_answers_the_challenge(guarded: TestClient) -> None:
    with guarded.wamp_session("guarded", ticket="secret") as session:
        assert (session.authid, session.authrole) == ("ann", "staff")


@pytest.mark.parametrize(
    "answer", [lambda challenge: "secret", lambda challenge: ("secret", {"method": challenge.method})]
)
def test_challenge_is_answered_by_a_function(guarded: TestClient, answer: OnChallenge) -> None:
    with guarded.wamp_session("guarded", authmethods=["ticket"], on_challenge=answer) as session:
        assert session.authid == "ann"


@pytest.mark.parametrize(
    ("realm", "ticket", "uri", "text"),
    [
        ("guarded", "guess", "wamp.error.authentication_failed", "authentication failed"),
        ("guarded", None, "wamp.error.no_matching_auth_method", "no authentication method"),
        ("elsewhere", None, "wamp.error.no_such_realm", "there is no realm 'elsewhere'"),
    ],
)
def test_refused_session_raises_the_reason_and_message_of_abort(
    guarded: TestClient, realm: str, ticket: str | None, uri: str, text: str
) -> None:
    with pytest.raises(SessionAborted, match=text) as caught, guarded.wamp_session(realm, ticket=ticket):
        pass

    assert caught.value.uri == uri
    assert text in (caught.value.message or "")
    assert caught.value.details == {"message": caught.value.message}


def test_abort_without_a_message_shows_its_payload() -> None:
    client = TestClient(scripted('[3, {}, "com.app.full", [3], {"details": "none"}]'))

    with pytest.raises(SessionAborted, match=r"com.app.full: 3, details='none'\n"), client.wamp_session():
        pass


def test_unanswered_challenge_names_the_arguments_that_answer_it(guarded: TestClient) -> None:
    with (
        pytest.raises(ExpectationFailed, match=r"got Challenge\(.*ticket=, secret= or on_challenge="),
        guarded.wamp_session("guarded", authmethods=["ticket"]),
    ):
        pass


@pytest.mark.parametrize("salt", [None, "pepper"])
def test_secret_signs_the_challenge(backend: Backend, salt: str | None) -> None:
    realm = Realm("signed")
    key = "secret" if salt is None else derive_key("secret", salt, 10, 16)

    async def requirement(session: Session) -> CRAAuthRequirement:
        return CRAAuthRequirement(key, "member", "local", salt=salt, iterations=10, keylen=16)

    async def identity(session: Session) -> str:
        return "Ann"

    realm.set_cra_handlers(requirement, identity)
    client = TestClient(Application([realm]), backend=backend)

    with client.wamp_session("signed", authid="ann", secret="secret") as session:
        assert (session.authid, session.authrole) == ("ann", "member")
    with (
        pytest.raises(SessionAborted, match="authentication_failed"),
        client.wamp_session("signed", authid="ann", secret="guess"),
    ):
        pass


def test_ticket_and_on_challenge_together_are_refused(guarded: TestClient) -> None:
    with (
        pytest.raises(ValueError, match="pass only one of them"),
        guarded.wamp_session("guarded", ticket="secret", on_challenge=lambda challenge: "secret"),
    ):
        pass


# Calls


@pytest.mark.parametrize(
    ("args", "kwargs", "result"),
    [
        ((), {}, None),
        ((1,), {}, 1),
        ((1, 2), {}, RPCResult((1, 2))),
        ((), {"a": 1}, RPCResult((), {"a": 1})),
    ],
)
def test_call_returns_the_result(
    session: WAMPSession, args: tuple[Any, ...], kwargs: dict[str, Any], result: object
) -> None:
    assert session.call("echo", *args, **kwargs) == result


def test_call_raises_the_error(session: WAMPSession) -> None:
    with pytest.raises(WAMPError) as caught:
        session.call("fail")

    assert (caught.value.uri, caught.value.args, caught.value.kwargs) == ("com.app.full", (3,), {"room": "a"})
    assert "procedure='fail'" in caught.value.__notes__[0]


def test_progress_is_reported_before_the_result(session: WAMPSession) -> None:
    reports: list[int] = []

    assert session.call("count", 3, on_progress=reports.append) == 3
    assert reports == [0, 1, 2]


def test_call_without_on_progress_gets_no_progress(session: WAMPSession) -> None:
    pending = session.start_call("count", 3)

    with pytest.raises(ExpectationFailed, match=r"progress of Call\(.*but got the final answer Result"):
        pending.next_progress()
    assert pending.result() == 3


def test_results_of_started_calls_can_be_taken_in_any_order(session: WAMPSession) -> None:
    first = session.start_call("count", 2, options={"receive_progress": True})
    second = session.start_call("math.add", 40, 2)

    assert second.result() == 42
    assert (first.next_progress(), first.next_progress()) == (0, 1)
    assert (first.result(), first.result()) == (2, 2)


@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait"])
def test_call_is_cancelled(session: WAMPSession, mode: Literal["skip", "kill", "killnowait"]) -> None:
    pending = session.start_call("forever", on_progress=lambda report: None)
    assert pending.next_progress() == "begun"

    pending.cancel(mode)

    for _ in range(2):
        with pytest.raises(WAMPError, match=r"wamp.error.canceled"):
            pending.result()


def test_call_options_are_sent(session: WAMPSession) -> None:
    with pytest.raises(WAMPError, match=r"wamp.error.timeout"):
        session.call("forever", options={"timeout": 10})


# Events


def test_each_subscription_gets_its_events_in_order(
    app: Application, client: TestClient, session: WAMPSession
) -> None:
    chat, news, all_of_it = (
        session.subscribe("chat"),
        session.subscribe("news"),
        session.subscribe("", match="prefix"),
    )
    with client.wamp_session() as other:
        other.publish("chat", 1)
        other.publish("news", 2)
        other.publish("chat", 3, acknowledge=True)

    assert session.call("math.add", 1) == 1
    assert news.next().args == [2]
    assert [event.args for event in chat] == [[1], [3]]
    # The prefix also matches the router's meta events about these sessions and subscriptions.
    published = [(event.topic, event.args) for event in all_of_it if not event.topic.startswith("wamp.")]
    assert published == [("chat", [1]), ("news", [2]), ("chat", [3])]


def test_iteration_waits_for_events_published_by_a_subscriber(app: Application, client: TestClient) -> None:
    @app.subscriber("readings")
    async def on_reading(value: int) -> None:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        await app.publish("alarms", value)

    with client.wamp_session() as session:
        alarms = session.subscribe("alarms")
        session.publish("readings", 99)

        assert [event.args for event in alarms] == [[99]]


def test_assert_none_passes_without_events(session: WAMPSession) -> None:
    events = session.subscribe("chat")
    session.publish("chat", "to others")

    events.assert_none()


def test_assert_none_quotes_an_unexpected_event(session: WAMPSession) -> None:
    events = session.subscribe("chat")
    session.publish("chat", "to me", options={"exclude_me": False})

    with pytest.raises(ExpectationFailed, match=r"no event of 'chat', but got\n  Event\(.*'to me'"):
        events.assert_none()


def test_unsubscribed_session_gets_no_more_events(client: TestClient, session: WAMPSession) -> None:
    events = session.subscribe("chat")
    session.publish("chat", "before", options={"exclude_me": False})
    events.unsubscribe()
    session.publish("chat", "after", options={"exclude_me": False})

    assert [event.args for event in events] == [["before"]]
    with pytest.raises(WAMPError, match=r"wamp.error.no_such_subscription"):
        events.unsubscribe()


def test_refused_subscription_and_publication_raise_the_error(backend: Backend) -> None:
    with TestClient(Application(), backend=backend).wamp_session() as session:
        with pytest.raises(WAMPError, match=r"wamp.error.not_authorized"):
            session.subscribe("secret", options={"get_retained": True})
        with pytest.raises(WAMPError, match=r"wamp.error.not_authorized"):
            session.publish("secret", acknowledge=True)
        assert session.publish("secret") is None


def test_events_can_be_read_after_goodbye(session: WAMPSession) -> None:
    events = session.subscribe("chat")
    session.publish("chat", "last", acknowledge=True, options={"exclude_me": False})
    session.goodbye()

    assert [event.args for event in events] == [["last"]]
    events.assert_none()


def test_settle_does_not_take_the_goodbye_of_the_server(session: WAMPSession) -> None:
    events = session.subscribe("chat")
    session.start_call("session.close")

    events.assert_none()
    events.assert_none()

    session.expect_goodbye("com.app.closing")
    with pytest.raises(Timeout, match="nothing else arrived"):
        session.receive_raw(timeout=SOON)


# The end


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

    assert "waited for the result of Call(" in caught.value.__notes__[0]
    assert session.expect_close(1000) == WebSocketClose(1000, "com.app.banned")


def test_goodbye_from_the_server_ends_a_wait(session: WAMPSession) -> None:
    with pytest.raises(
        ConnectionClosed, match=r"waited for the result of Call\(.*the server said Goodbye\("
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


def test_exception_in_a_test_closes_the_websocket_without_goodbye(
    app: Application, client: TestClient
) -> None:
    with pytest.raises(ZeroDivisionError), client.wamp_session():
        raise ZeroDivisionError

    assert not app.default_realm.sessions


def test_leaving_the_client_closes_open_sessions(app: Application, backend: Backend) -> None:
    client = TestClient(app, backend=backend)
    client.__enter__()
    session = client.wamp_session()
    session.__enter__()

    client.__exit__(None, None, None)

    assert not app.default_realm.sessions
    assert session.__exit__(None, None, None) is not True


def test_client_cannot_be_entered_while_it_has_sessions(app: Application, backend: Backend) -> None:
    client = TestClient(app, backend=backend)

    with client.wamp_session(), pytest.raises(RuntimeError, match="before it opens its first WAMP session"):
        client.__enter__()


# Raw messages


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


# Timeouts


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
        with pytest.raises(Timeout, match=r"waited 0.1 s for the result of Call\(.*nothing else arrived"):
            session.call("forever")
        with pytest.raises(Timeout, match=r"waited 0.1 s for the end of the WebSocket"):
            session.expect_close()


def test_server_that_does_not_answer_hello_times_out(backend: Backend) -> None:
    client = TestClient(scripted(None, None, None), timeout=SOON, backend=backend)

    with (
        pytest.raises(Timeout, match=r"waited 0.1 s for WELCOME to realm 'com.example'"),
        client.wamp_session("com.example"),
    ):
        pass


def test_server_that_does_not_accept_times_out(backend: Backend) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    with (
        pytest.raises(Timeout, match=r"waited 0.1 s for the application to accept the WebSocket at '/a'"),
        TestClient(app, timeout=SOON, backend=backend).wamp_connect(path="/a"),
    ):
        pass


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


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
def test_lifespan_that_hangs_times_out(backend: Backend, phase: str) -> None:
    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        if phase == "startup":
            await anyio.sleep_forever()
        yield
        await anyio.sleep(2)

    # Long enough for a startup that does not hang, even on a busy machine.
    client = TestClient(Application(lifespan=lifespan), timeout=0.5, backend=backend)
    with (
        no_threads_left(),
        pytest.raises(Timeout, match=rf"^the application's {phase} took longer than 0.5 s"),
        client,
    ):
        pass


def test_client_leaves_no_threads(app: Application, backend: Backend) -> None:
    with no_threads_left(patience=0):
        with TestClient(app, backend=backend) as client, client.wamp_session() as session:
            session.call("math.add", 1)
        with TestClient(app, backend=backend).wamp_session() as session:
            session.call("math.add", 1)


# Servers that misbehave


def test_closed_websocket_ends_a_wait(backend: Backend) -> None:
    app = scripted(WELCOME, "[36, 5, 6, {}]", close=1011)

    with TestClient(app, backend=backend).wamp_session() as session:
        with pytest.raises(SessionClosed) as caught:
            session.call("math.add", 1)
        with pytest.raises(SessionClosed, match="the server closed the WebSocket with code 1011"):
            session.publish("chat")

    assert (caught.value.code, caught.value.reason, caught.value.closed_by) == (
        1011,
        "that was all",
        "server",
    )
    assert "waited for the result of Call(" in str(caught.value)
    assert "\n  EVENT [36, 5, 6, {}]" in str(caught.value)


def test_application_that_returns_without_closing_has_close_code_1006(backend: Backend) -> None:
    with TestClient(scripted(WELCOME), backend=backend).wamp_session() as session:
        assert session.expect_close(1006).reason == "the application returned without closing"


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


def test_exception_in_the_handshake_is_raised(backend: Backend) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("broken app")

    with (
        pytest.raises(ZeroDivisionError, match="broken app"),
        TestClient(app, backend=backend).wamp_connect(),
    ):
        pass


def test_application_that_returns_before_accepting_is_reported() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    with (
        pytest.raises(ExpectationFailed, match="neither accepted nor refused the WebSocket at '/'"),
        TestClient(app).wamp_connect(),
    ):
        pass


@pytest.mark.parametrize("chosen", [None, "wamp.2.msgpack", "graphql-ws"])
def test_application_that_accepts_another_subprotocol_is_reported(chosen: str | None) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "subprotocol": chosen})
        await send({"type": "websocket.send", "text": "hello"})

    with (
        pytest.raises(ExpectationFailed, match=rf"offered wamp.2.json, with subprotocol {chosen!r}"),
        TestClient(app).wamp_connect(),
    ):
        pass


def test_refused_handshake_quotes_the_response(client: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as denied, client.wamp_connect(subprotocol="wamp.1"):
        pass

    assert denied.value.status_code == 400
    assert "offered wamp.1: 400 This is a WAMP endpoint" in denied.value.__notes__[0]


def test_wrong_path_is_named(app: Application) -> None:
    client = TestClient(Starlette(routes=[WAMPRoute("/ws", app)]))

    with pytest.raises(WebSocketDisconnect) as refused, client.wamp_session(path="/wss"):
        pass

    assert "'/wss', offered wamp.2.json: close code 1000" in refused.value.__notes__[0]


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


def test_invalid_message_from_the_server_is_quoted() -> None:
    with (
        TestClient(scripted(WELCOME, '[50, 1, "details"]', '[6, {}, "a.b"]')).wamp_session() as session,
        pytest.raises(
            ExpectationFailed, match=r"invalid message, RESULT \[50, 1, 'details'\]: RESULT.Details"
        ),
    ):
        session.call("math.add", 1)


def test_application_that_sends_after_closing_gets_an_error(backend: Backend) -> None:
    raised: list[Exception] = []
    received: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "wamp.2.json"})
        for event in (
            {"type": "websocket.http.response.start"},
            {"type": "websocket.close"},
            {"type": "websocket.send", "text": "[]"},
        ):
            try:
                await send(event)
            except RuntimeError as error:
                raised.append(error)
        received.extend([(await receive())["type"], (await receive())["type"]])

    with TestClient(app, backend=backend).wamp_connect() as connection:
        connection.expect_close(1000)

    assert [str(error) for error in raised] == [
        "the application sent 'websocket.http.response.start' on an accepted WebSocket",
        "the application sent 'websocket.send' after 'websocket.close'",
    ]
    assert received == ["websocket.disconnect", "websocket.disconnect"]


def test_application_that_sends_after_a_disconnect_gets_an_os_error(backend: Backend) -> None:
    raised: list[OSError] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "wamp.2.json"})
        assert (await receive()) == {"type": "websocket.disconnect", "code": 4000, "reason": "bye"}
        try:
            await send({"type": "websocket.send", "text": "[]"})
        except OSError as error:
            raised.append(error)

    with TestClient(app, backend=backend).wamp_connect() as connection:
        connection.disconnect(4000, "bye")

    assert str(raised[0]) == "the client has closed the WebSocket"


def test_http_works_as_in_starlette(backend: Backend) -> None:
    async def hello(request: Request) -> JSONResponse:
        return JSONResponse({"who": request.query_params["who"]})

    client = TestClient(Starlette(routes=[Route("/", hello)]), backend=backend)

    assert client.get("/", params={"who": "ann"}).json() == {"who": "ann"}
