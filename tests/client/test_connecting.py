"""Opening and leaving sessions: wrong options, servers that are no routers, and clean ends."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.client.proxy import proxy_to
from tests.client.scripted_router import ROLES, Peer, ScriptedRouter
from tests.client.served_app import app
from tests.clients.server_process import ServerProcess
from tests.specification import ABORT, CLOSE_REALM, GOODBYE, HELLO
from tests.transports.certificate import create_certificate
from wampasgi import Application, Realm, WAMPError
from wampasgi.client import Client, ConnectFailed, ConnectionClosed, JoinRefused, Retry, connect
from wampasgi.errors import ConfigurationError
from wampasgi.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def tcp_server(handle: Callable[[anyio.abc.SocketStream], Any]) -> AsyncIterator[str]:
    """Run a TCP server, and return the URL of a WebSocket on it."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port: int = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        yield f"ws://127.0.0.1:{port}/"
        group.cancel_scope.cancel()


# Options


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://example.com/ws", r"has the scheme 'http': use 'ws://example.com/ws'"),
        ("https://example.com/ws", r"has the scheme 'https': use 'wss://example.com/ws'"),
        ("ftp://example.com/", r"must begin with ws:// or wss://"),
        ("localhost:8000", r"must begin with ws:// or wss://"),
        ("", r"must begin with ws:// or wss://"),
        ("ws://", r"has no host"),
        ("ws:///path", r"has no host"),
        ("ws://host:port/", r"is invalid"),
        ("ws://host:99999/", r"is invalid"),
        ("ws://host/#part", r"has a fragment"),
        (8000, r"pass a text"),
    ],
)
async def test_wrong_url_is_refused_at_once(url: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        connect(url)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"serializers": "xml"}, "unknown serializer 'xml'"),
        ({"serializers": []}, "the list of serializers is empty"),
        ({"retry": 3}, "retry is 3: pass a Retry"),
        ({"timeout": 0}, "timeout=0: it must be positive"),
        ({"connect_timeout": -1.0}, "connect_timeout=-1.0: it must be positive"),
        ({"path": "/ws"}, "path: only a connection with app= has this option"),
        ({"app": app}, "pass either the URL of a server or app="),
        (
            {"headers": {"X-Bad": "a\r\nb"}},
            "^the header 'X-Bad' or its value has a character that is not allowed$",
        ),
        ({"cookies": {"a": "b\n"}}, "^the header 'Cookie' or its value has a character that is not allowed$"),
        ({"realm": "no realm"}, "'no realm' is not a valid realm"),
    ],
)
async def test_wrong_option_is_refused_at_once(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        connect("ws://127.0.0.1:1/", **options)


async def test_unknown_option_is_refused_with_the_known_ones() -> None:
    options: Any = {"url_prefix": "x"}

    with pytest.raises(TypeError, match=r"unknown options url_prefix: the known ones are .*realm"):
        connect("ws://127.0.0.1:1/", **options)


async def test_option_of_websockets_is_refused_in_memory() -> None:
    with pytest.raises(ConfigurationError, match="compression: only a connection with a URL has this option"):
        connect(app=app, compression=True)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"initial": 0}, "initial must be positive"),
        ({"initial": 5, "maximum": 1}, "at most maximum"),
        ({"factor": 0.5}, "factor at least 1"),
        ({"initial": float("nan")}, "initial must be positive"),
        ({"attempts": 0}, "use at least 1, or retry=None"),
    ],
)
async def test_wrong_retry_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Retry(**options)


async def test_delays_grow_to_the_maximum_with_jitter() -> None:
    retry = Retry(initial=1, factor=2, maximum=10)

    assert [retry.delay(failures, 1) for failures in range(6)] == [1, 2, 4, 8, 10, 10]
    assert [retry.delay(failures, 0) for failures in range(3)] == [0.5, 1, 2]
    assert retry.delay(10**6, 1) == 10
    assert 0.5 <= retry.delay(0) <= 1


# Servers that are no routers


async def test_missing_server_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(ConnectFailed, match=f"there is no connection to {url}") as raised:
            async with connect(url):
                pytest.fail("the session must not open")
    assert raised.value.retryable


async def test_server_that_does_not_answer_is_given_up() -> None:
    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    async with tcp_server(handle) as url:
        with pytest.raises(ConnectFailed, match=r"waited 0\.1 s for a WebSocket to ws:"):
            async with connect(url, connect_timeout=0.1):
                pytest.fail("the session must not open")


@pytest.mark.parametrize("answer", [b"220 mail.example.com ESMTP\r\n", b"\x00\xff\x00", b""])
async def test_server_that_speaks_no_http_is_named(answer: bytes) -> None:
    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            if answer:
                await stream.send(answer)

    async with tcp_server(handle) as url:
        with pytest.raises(ConnectFailed, match=url):
            async with connect(url, connect_timeout=2):
                pytest.fail("the session must not open")


@pytest.mark.parametrize(
    ("status", "retryable"), [(401, False), (403, False), (404, False), (503, True), (429, True)]
)
async def test_http_status_is_named(status: int, retryable: bool) -> None:
    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())

    async with tcp_server(handle) as url:
        with pytest.raises(ConnectFailed, match=f"refused the WebSocket with HTTP status {status}") as raised:
            async with connect(url):
                pytest.fail("the session must not open")
    assert raised.value.retryable is retryable


async def test_websocket_without_wamp_is_named(server: ServerProcess) -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()

    with pytest.raises(ConnectFailed, match="speaks no WAMP") as raised:
        async with connect(app=ScriptedRouter(script, subprotocol=None)):
            pytest.fail("the session must not open")
    assert not raised.value.retryable


async def test_application_that_fails_is_the_cause() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("no database")

    with pytest.raises(ConnectFailed, match="refused the WebSocket") as raised:
        async with connect(app=broken):
            pytest.fail("the session must not open")
    assert isinstance(raised.value.__cause__, LookupError)


async def test_application_that_does_not_accept_is_given_up() -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    with pytest.raises(ConnectFailed, match=r"waited 0\.05 s for silent in memory to accept"):
        async with connect(app=silent, connect_timeout=0.05):
            pytest.fail("the session must not open")


async def test_router_that_sends_no_welcome_is_given_up() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect(HELLO)
        await peer.receive()

    with pytest.raises(ConnectFailed, match=r"waited 0\.05 s for WELCOME from"):
        async with connect(app=ScriptedRouter(script), connect_timeout=0.05):
            pytest.fail("the session must not open")


async def test_router_that_closes_before_welcome_is_named() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect(HELLO)
        await peer.close(1008, "go away")

    with pytest.raises(ConnectFailed, match=r"no WELCOME from .*with code 1008 'go away'"):
        async with connect(app=ScriptedRouter(script)):
            pytest.fail("the session must not open")


async def test_missing_realm_is_refused() -> None:
    closed = Application([Realm("other")], allow_default_realm=False)

    with pytest.raises(JoinRefused, match=r"on realm 'missing': wamp\.error\.no_such_realm") as raised:
        async with connect(app=closed, realm="missing"):
            pytest.fail("the session must not open")
    assert (raised.value.uri, raised.value.realm) == ("wamp.error.no_such_realm", "missing")


# Ends


async def test_leaving_says_goodbye_and_lets_the_router_answer() -> None:
    received: list[list[Any]] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        received.append(await peer.receive())
        await peer.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
        received.extend(await peer.until_gone())

    router = ScriptedRouter(script)
    states: list[str] = []
    async with connect(app=router, on_state=states.append) as session:
        assert session.state == "open"
    assert received == [[GOODBYE, {}, CLOSE_REALM]]
    assert states == ["open", "closed"]
    assert not router.failures


async def test_leaving_does_not_wait_long_for_a_router_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wampasgi.client.supervisor._GOODBYE_TIMEOUT", 0.05)

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.expect(GOODBYE)
        await peer.receive()

    with anyio.fail_after(4):
        async with connect(app=ScriptedRouter(script)):
            pass


async def test_goodbye_of_the_router_is_answered_and_ends_the_session() -> None:
    received: list[list[Any]] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.send(GOODBYE, {}, "com.example.enough")
        received.append(await peer.receive())
        received.extend(await peer.until_gone())

    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        with pytest.raises(ConnectionClosed, match=r"closed by the server: com\.example\.enough"):
            await session.wait_closed()
        with pytest.raises(ConnectionClosed) as raised:
            await session.call("any")
    assert (raised.value.reason, raised.value.closed_by) == ("com.example.enough", "server")
    assert received == [[GOODBYE, {}, "wamp.close.goodbye_and_out"]]
    assert router.peers == 1


async def test_abort_of_the_router_ends_the_session() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.receive()
        await peer.send(ABORT, {"message": "no"}, "com.example.enough")
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        with pytest.raises(ConnectionClosed, match=r"com\.example\.enough"):
            await session.call("any")
    assert router.peers == 1


async def test_pending_calls_fail_when_the_session_is_left() -> None:
    errors: list[Exception] = []

    async def call(session: Any) -> None:
        try:
            await session.call("wait", "left")
        except ConnectionClosed as error:
            errors.append(error)

    async with anyio.create_task_group() as group, connect(app=app) as session:
        group.start_soon(call, session)
        await anyio.wait_all_tasks_blocked()
    assert [str(error) for error in errors] == [f"session closed by the client: {CLOSE_REALM}"]


async def test_exception_of_the_block_leaves_it_unchanged(server: ServerProcess) -> None:
    both: tuple[Any, ...] = ({"app": app}, {"url": server.url})
    for options in both:
        with pytest.raises(ZeroDivisionError):
            async with connect(**options):
                _ = 1 / 0


async def test_cancellation_leaves_the_block(server: ServerProcess) -> None:
    both: tuple[Any, ...] = ({"app": app}, {"url": server.url})
    for options in both:
        with anyio.move_on_after(0.1) as scope:
            async with connect(**options) as session:
                await session.call("wait", "canceled block")
        assert scope.cancelled_caught


async def test_cancellation_while_connecting_leaves_no_task() -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.receive()

    with anyio.move_on_after(0.05) as scope:
        async with connect(app=ScriptedRouter(script)):
            pytest.fail("the session must not open")
    assert scope.cancelled_caught


async def test_client_cannot_be_entered_twice_at_a_time() -> None:
    client = Client(app=app)
    async with client as first:
        with pytest.raises(RuntimeError, match="is connected already"):
            async with client:
                pytest.fail("the session must not open")
        assert await first.call("math.add", 1) == 1
    async with client as second:
        assert await second.call("math.add", 2) == 2


async def test_message_over_the_size_limit_of_the_client_loses_the_connection(server: ServerProcess) -> None:
    states: list[str] = []
    async with connect(server.url, max_size=10_000, on_state=states.append, retry=None) as session:
        with pytest.raises(ConnectionError):
            await session.call("echo", "x" * 20_000)
    assert states == ["open", "closed"]


async def test_hello_announces_roles_and_takes_further_details() -> None:
    hellos: list[list[Any]] = []

    async def script(peer: Peer) -> None:
        hellos.append(await peer.welcome(authid="me", authrole="user", authmethod="anonymous", realm="r"))
        await peer.until_gone()

    async with connect(
        app=ScriptedRouter(script), realm="r", authid="me", hello={"agent": "test"}
    ) as session:
        assert (session.realm, session.id, session.authid, session.authrole) == ("r", 1, "me", "user")
        assert session.details["roles"] == ROLES
    [[_, realm, details]] = hellos
    assert (realm, details["authid"], details["agent"]) == ("r", "me", "test")
    assert set(details["roles"]) == {"caller", "callee", "publisher", "subscriber"}
    assert details["roles"]["caller"]["features"]["call_canceling"] is True


async def test_callbacks_that_fail_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(state: str) -> None:
        raise LookupError(state)

    with caplog.at_level(logging.ERROR, logger="wampasgi.client"):
        async with connect(app=app, on_state=fail) as session:
            assert await session.call("math.add", 1) == 1
    assert "on_state failed for 'open'" in caplog.text


async def test_secrets_in_the_url_are_not_shown() -> None:
    client = connect("ws://joe:sesame@127.0.0.1:1/path?token=sesame")

    with pytest.raises(ConnectFailed) as raised:
        async with client:
            pytest.fail("the session must not open")
    assert "sesame" not in f"{client!r} {raised.value}"
    assert "ws://127.0.0.1:1/path?..." in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://joe:sesame@host/?token=sesame",
        "redis://joe:sesame@host/?next=ws://sesame",
        "joe:sesame@host",
        "ws://joe:sesame@host:port/",
        "ws://joe:sesame@[::1/",
        "ws://joe:sesame@/",
        "ws://joe:sesame@host/#part",
    ],
)
async def test_secrets_in_a_wrong_url_are_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        connect(url)
    assert "sesame" not in str(raised.value)


async def test_callback_that_is_a_coroutine_function_is_refused() -> None:
    async def changed(_: Any) -> None:
        pass

    for name in "on_state", "on_error":
        options: Any = {name: changed}
        with pytest.raises(ConfigurationError, match=f"{name} is .*pass a plain function"):
            connect(app=app, **options)


class Failed(WAMPError, uri="com.example.failed"):
    code: int


class Unfitting(WAMPError, uri="com.example.failed"):
    other: int


async def test_error_is_raised_as_its_class(caplog: pytest.LogCaptureFixture) -> None:
    async with connect(app=app, errors=[Failed]) as session:
        with pytest.raises(Failed) as raised:
            await session.call("fail", "because")
        assert (raised.value.args, raised.value.code) == (("because",), 7)
        with pytest.raises(WAMPError, match="no_such_procedure"):
            await session.call("no.such.procedure")
    async with connect(app=app, errors=[Unfitting]) as session:
        with pytest.raises(WAMPError, match=r"com\.example\.failed") as plain:
            await session.call("fail", "because")
        assert type(plain.value) is WAMPError
    assert "Unfitting does not fit the ERROR 'com.example.failed'" in caplog.text
    with pytest.raises(ConfigurationError, match="pass subclasses of WAMPError with uri="):
        connect(app=app, errors=[WAMPError])


async def test_tls_with_a_certificate_of_ones_own(server: ServerProcess, tmp_path: Path) -> None:
    certificate = create_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certfile, certificate.keyfile)
    async with proxy_to(server.port, context) as proxy:
        url = proxy.url.replace("ws:", "wss:")
        async with connect(url, ssl=certificate.client_context()) as session:
            assert await session.call("math.add", 1, 2) == 3
        with pytest.raises(ConnectFailed, match=r"certificate of the server at .* is not trusted") as raised:
            async with connect(url):
                pytest.fail("the session must not open")
        assert not raised.value.retryable
    with pytest.raises(ConfigurationError, match="ssl= needs a URL that begins with wss://"):
        connect("ws://127.0.0.1:1/", ssl=context)


async def test_session_that_was_left_refuses_requests_and_can_be_cleaned_up() -> None:
    async with connect(app=app) as session:
        events = session.subscribe("left.topic")
        await events.__aenter__()
        registration = await session.register("left.procedure", lambda: None)
        subscription = await session.subscribe("left.topic", lambda: None)

    requests: list[Callable[[], Any]] = [
        lambda: session.call("math.add", 1),
        lambda: session.publish("any.topic"),
        lambda: session.publish("any.topic", acknowledge=True),
        lambda: session.register("any.procedure", lambda: None),
        lambda: session.subscribe("any.topic", lambda: None),
        lambda: session.subscribe("any.topic").__aenter__(),
        lambda: session.call_progress("count", 1).__aenter__(),
        lambda: events.next(),
    ]
    for request in requests:
        with pytest.raises(ConnectionClosed, match="closed by the client"):
            await request()
    await events.__aexit__(None, None, None)
    await subscription.unsubscribe()
    await registration.unregister()
    await session.close()
    await session.wait_closed()
