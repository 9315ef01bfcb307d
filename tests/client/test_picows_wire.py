"""The opening handshake with each package of the client's WebSocket, and the limits of picows."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.client.frame_server import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    Connection,
    close_frame,
    frame,
    frame_server,
    with_each_package,
)
from tests.client.proxy import proxy_to
from tests.clients.server_process import ServerProcess
from tests.specification import GOODBYE
from tests.transports.certificate import Certificate, create_certificate
from wampasgi.client import ConnectFailed, connect
from wampasgi.client.picows_transport import PicowsTransport
from wampasgi.client.wire import WireClosed
from wampasgi.errors import ConfigurationError
from wampasgi.serializers import SUBPROTOCOLS

pytestmark = pytest.mark.anyio

on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])

JSON = {name: SUBPROTOCOLS[name] for name in ("wamp.2.json", "wamp.2.json.batched")}


class Request:
    """A request, as far as the wire is concerned."""

    sent = False


def transport(url: str, *, subprotocol: str = "wamp.2.json", **options: Any) -> PicowsTransport:
    return PicowsTransport(url, subprotocols={subprotocol: SUBPROTOCOLS[subprotocol]}, **options)


async def refusal(url: str, package: Any = "picows", **options: Any) -> ConnectFailed:
    """Return the error of an attempt to connect."""
    with pytest.raises(ConnectFailed) as raised:
        async with connect(url, websocket=package, **options):
            pytest.fail("the session must not open")
    return raised.value


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return create_certificate(tmp_path)


def server_context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certfile, certificate.keyfile)
    return context


@pytest.fixture
def sockets_are_closed() -> Iterator[None]:
    """Fail a test that leaves a socket open."""
    before = open_sockets()
    yield
    assert open_sockets() <= before


def open_sockets() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd") if sys.platform == "linux" else ():
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            if target.startswith("socket:"):
                found.add(target)
    return found


# Options


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"websocket": "wsproto"}, "websocket is 'wsproto': pass 'websockets' or 'picows'"),
        ({"websocket": "picows", "compression": True}, "'picows' does not support compression=True"),
        ({"websocket": "picows", "headers": {"X-Name": "ü"}}, "the header 'X-Name' is not ASCII"),
        ({"websocket": "picows", "cookies": {"a": "ü"}}, "the header 'Cookie' is not ASCII"),
        ({"websocket": "picows", "proxy": "socks4a://a:1"}, "the proxy 'socks4a://a:1' is invalid"),
        ({"websocket": "picows", "proxy": "http://"}, "the proxy 'http://' is invalid"),
        ({"websocket": "picows", "proxy": "http://me:secret@host:x"}, "the URL of the proxy is invalid"),
        ({"websocket": "picows", "ssl": ssl.create_default_context()}, "ssl= needs a URL that begins"),
    ],
)
@on_asyncio
async def test_option_that_picows_does_not_have_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as raised:
        connect("ws://127.0.0.1:1/", **options)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["ws://me@127.0.0.1:1/", "ws://" + "a" * 64 + ".example/"])
@on_asyncio
async def test_url_that_cannot_be_sent_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is invalid"):
        connect(url, websocket="picows")


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_picows_is_refused_on_trio() -> None:
    client = connect("ws://127.0.0.1:1/", websocket="picows")

    with pytest.raises(ConfigurationError, match="websocket='picows' needs asyncio: leave it out on trio"):
        async with client:
            pytest.fail("the session must not open")


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        ("sys.modules['picows'] = None", "import of picows halted"),
        ("importlib.metadata.version = lambda name: '2.2.9'", "picows 2.2.9 is too old"),
    ],
)
def test_missing_picows_is_named_with_the_extra_to_install(prepare: str, problem: str) -> None:
    program = (
        f"import importlib.metadata, sys; {prepare}\n"
        "from wampasgi.client import connect\n"
        "connect('ws://127.0.0.1:1/')\n"
        "connect('ws://127.0.0.1:1/', websocket='picows')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    last = done.stderr.splitlines()[-1]
    assert "ConfigurationError: websocket='picows' needs the package picows 2.3 or newer" in last
    assert "pip install 'wampasgi[client-fast]'" in last
    assert problem in last


def test_picows_does_not_import_websockets() -> None:
    program = (
        "import sys; from wampasgi.client import connect\n"
        "connect('ws://127.0.0.1:1/', websocket='picows'); print('websockets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


# The request


@with_each_package
async def test_headers_and_path_are_sent(package: Any) -> None:
    requests: list[Connection] = []

    async def script(server: Connection) -> None:
        await server.read_request()
        requests.append(server)
        await server.respond("403 Forbidden")

    async with frame_server(script) as url:
        options: dict[str, Any] = {"cookies": {"a": "1", "b": "2"}, "headers": {"X-Name": "x"}}
        await refusal(
            f"{url.replace('//', '//me:p%40ss@')}a-path/ä?q=1&r=ö",
            package,
            serializers="json",
            batched=True,
            **options,
        )
    [request] = requests
    assert request.path == "/a-path/%C3%A4?q=1&r=%C3%B6"
    assert request.header("host") == url[5:-1]
    assert request.header("cookie") == "a=1; b=2"
    assert request.header("x-name") == "x"
    assert request.header("authorization") == f"Basic {base64.b64encode(b'me:p@ss').decode()}"
    assert request.header("sec-websocket-protocol") == "wamp.2.json.batched, wamp.2.json"
    assert request.header("sec-websocket-extensions") is None
    assert (request.header("user-agent") or "").startswith("wampasgi/")


@with_each_package
async def test_user_agent_can_be_replaced(package: Any) -> None:
    agents = []

    async def script(server: Connection) -> None:
        await server.read_request()
        agents.append(server.header("user-agent"))
        await server.respond("403 Forbidden")

    async with frame_server(script) as url:
        await refusal(url, package, headers={"user-agent": "mine/1"})
    assert agents == ["mine/1"]


# The answer


@with_each_package
@pytest.mark.parametrize(
    ("status", "retryable"),
    [(200, False), (401, False), (404, False), (503, True), (429, True), (599, False)],
)
async def test_http_status_is_named(
    status: int, retryable: bool, package: Any, sockets_are_closed: None
) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.respond(f"{status} Some Reason", body=b"x")

    async with frame_server(script) as url:
        error = await refusal(url, package)
    assert f"refused the WebSocket with HTTP status {status}" in str(error)
    assert error.retryable is retryable


@with_each_package
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"subprotocol": None}, "it accepted none of the subprotocols wamp.2.json"),
        ({"subprotocol": "chat"}, "unsupported subprotocol: chat"),
    ],
)
async def test_server_that_accepts_no_subprotocol_speaks_no_wamp(
    options: Any, problem: str, package: Any, sockets_are_closed: None
) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept(**options)
        assert await server.gone()

    async with frame_server(script) as url:
        error = await refusal(url, package, serializers="json")
    assert f"the server at {url} speaks no WAMP: {problem}" in str(error)
    assert not error.retryable


@with_each_package
async def test_extension_that_was_not_offered_is_refused(package: Any, sockets_are_closed: None) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept("Sec-WebSocket-Extensions: permessage-deflate")
        assert await server.gone()

    async with frame_server(script) as url:
        error = await refusal(url, package)
    assert "speaks no WAMP" in str(error)
    assert not error.retryable


GARBAGE = {
    "nothing": b"",
    "another protocol": b"220 mail.example.com ESMTP\r\n",
    "no text": b"\x00\xff\r\n\r\n",
    "half an answer": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web",
    "wrong key": b"HTTP/1.1 101 A\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: AAAA\r\n\r\n",
    "no upgrade": b"HTTP/1.1 101 A\r\n\r\n",
    "endless headers": b"HTTP/1.1 101 A\r\nA: " + 100_000 * b"a",
}


@with_each_package
@pytest.mark.parametrize("name", GARBAGE)
async def test_answer_that_is_no_handshake_is_named(
    name: str, package: Any, sockets_are_closed: None
) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        with contextlib.suppress(anyio.BrokenResourceError):
            await server.send(GARBAGE[name])

    async with frame_server(script) as url:
        error = await refusal(url, package)
    assert url in str(error)
    assert error.retryable


@with_each_package
async def test_reset_during_the_handshake_is_named(package: Any, sockets_are_closed: None) -> None:
    async def script(server: Connection) -> None:
        server.reset()

    async with frame_server(script) as url:
        error = await refusal(url, package)
    assert url in str(error)
    assert error.retryable


# Redirects


@with_each_package
async def test_redirect_to_the_same_server_is_followed(package: Any, sockets_are_closed: None) -> None:
    paths = []

    async def script(server: Connection) -> None:
        await server.read_request()
        paths.append((server.path, server.header("cookie"), server.header("x-name")))
        if server.number == 1:
            await server.respond("307 Temporary Redirect", "Location: ../other?a=b")
            return
        await server.accept()
        await server.frame()
        await server.send(frame([2, 1, {"roles": {"dealer": {}}}]))
        await server.frame()

    async with frame_server(script) as url:
        options: dict[str, Any] = {"cookies": {"a": "1"}, "headers": {"X-Name": "x"}, "websocket": package}
        async with connect(f"{url}here/ws", **options):
            pass
    assert paths == [("/here/ws", "a=1", "x"), ("/other?a=b", "a=1", "x")]


@with_each_package
async def test_other_server_gets_no_secrets_by_a_redirect(package: Any) -> None:
    headers = []

    async def second(server: Connection) -> None:
        await server.read_request()
        headers.append([server.header(name) for name in ("cookie", "authorization", "x-name")])
        await server.respond("403 Forbidden")

    async with frame_server(second) as other:

        async def first(server: Connection) -> None:
            await server.read_request()
            await server.respond("302 Found", f"Location: {other}")

        async with frame_server(first) as url:
            secrets: dict[str, Any] = {
                "cookies": {"a": "1"},
                "headers": {"Authorization": "Bearer x", "X-Name": "x"},
            }
            await refusal(url, package, **secrets)
            await refusal(url.replace("//", "//me:secret@"), package, headers={"X-Name": "x"})
    assert headers == [[None, None, "x"], [None, None, "x"]]


@with_each_package
@pytest.mark.parametrize(
    ("location", "problem"),
    [("/again", "more than 10 redirects"), (None, "HTTP status 302")],
)
async def test_redirect_that_leads_nowhere_is_named(
    location: str | None, problem: str, package: Any, sockets_are_closed: None
) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.respond("302 Found", *([f"Location: {location}"] if location else []))

    async with frame_server(script) as url:
        assert problem in str(await refusal(url, package))


@on_asyncio
@pytest.mark.parametrize("location", ["ftp://example.com/", "ws://me@example.com/", "ws://a:x/"])
async def test_redirect_to_an_invalid_url_is_named(location: str) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.respond("302 Found", f"Location: {location}")

    async with frame_server(script) as url:
        assert "it redirects to the invalid URL" in str(await refusal(url))


# Time and cancellation


@with_each_package
async def test_server_that_does_not_answer_is_given_up(package: Any, sockets_are_closed: None) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        assert await server.gone()

    async with frame_server(script) as url:
        error = await refusal(url, package, connect_timeout=0.05)
    assert f"waited 0.05 s for a WebSocket to {url}" in str(error)


@with_each_package
async def test_attempt_that_is_cancelled_leaves_no_connection(package: Any, sockets_are_closed: None) -> None:
    arrived = anyio.Event()

    async def script(server: Connection) -> None:
        await server.read_request()
        arrived.set()
        assert await server.gone()

    async def attempt(url: str) -> None:
        async with connect(url, websocket=package, connect_timeout=None):
            pytest.fail("the session must not open")

    async with frame_server(script) as url, anyio.create_task_group() as group:
        group.start_soon(attempt, url)
        await arrived.wait()
        group.cancel_scope.cancel()


@on_asyncio
async def test_task_that_is_cancelled_while_it_connects_ends(sockets_are_closed: None) -> None:
    arrived = anyio.Event()

    async def script(server: Connection) -> None:
        await server.read_request()
        arrived.set()
        assert await server.gone()

    async def attempt(url: str) -> None:
        async with transport(url).open(None):
            pytest.fail("the WebSocket must not open")

    async with frame_server(script) as url:
        task = asyncio.create_task(attempt(url))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@on_asyncio
async def test_cancellation_in_any_turn_leaves_no_socket(sockets_are_closed: None) -> None:
    opened = 0

    async def script(server: Connection) -> None:
        with contextlib.suppress(anyio.IncompleteRead, anyio.BrokenResourceError):
            await server.read_request()
            await server.accept()
        assert await server.gone()

    async def attempt(url: str) -> None:
        nonlocal opened
        async with transport(url).open(5):
            opened += 1
            await anyio.sleep_forever()

    async with frame_server(script) as url:
        turns = 0
        with anyio.fail_after(20):
            while not opened:
                async with anyio.create_task_group() as group:
                    group.start_soon(attempt, url)
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    group.cancel_scope.cancel()
                turns += 1 + turns // 16


# TLS and proxies


@with_each_package
async def test_tls_and_an_untrusted_certificate(
    server: ServerProcess, certificate: Certificate, package: Any, sockets_are_closed: None
) -> None:
    async with proxy_to(server.port, server_context(certificate)) as proxy:
        url = proxy.url.replace("ws:", "wss:")
        async with connect(url, ssl=certificate.client_context(), websocket=package) as session:
            assert await session.call("echo", "x" * 50_000) == "x" * 50_000
        error = await refusal(url, package)
        assert "is not trusted" in str(error)
        assert not error.retryable


@on_asyncio
async def test_attempt_that_is_cancelled_during_the_handshake_of_tls_leaves_no_connection(
    sockets_are_closed: None, caplog: pytest.LogCaptureFixture
) -> None:
    gc.collect()
    caplog.clear()

    async def script(server: Connection) -> None:
        assert await server.gone()

    async with frame_server(script) as url:
        error = await refusal(url.replace("ws:", "wss:"), connect_timeout=0.05)
    assert "waited 0.05 s" in str(error)
    del error
    gc.collect()
    assert "never retrieved" not in caplog.text


@with_each_package
@pytest.mark.parametrize(
    ("status", "problem"), [("403 Forbidden", "HTTP status 403"), ("302 Found", "non-secure|has no TLS")]
)
async def test_connection_with_tls_whose_handshake_failed_is_closed_at_once(
    status: str, problem: str, package: Any, certificate: Certificate, sockets_are_closed: None
) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.respond(status, "Location: ws://127.0.0.1:1/")
        assert await server.gone()

    async with frame_server(script, server_context(certificate)) as url:
        assert re.search(problem, str(await refusal(url, package, ssl=certificate.client_context())))


@on_asyncio
async def test_socket_is_closed_even_if_the_server_does_not_end_tls(
    certificate: Certificate, sockets_are_closed: None
) -> None:
    over = anyio.Event()

    async def script(server: Connection) -> None:
        await server.read_request()
        await server.respond("403 Forbidden")
        await over.wait()

    async with frame_server(script, server_context(certificate)) as url:
        before = open_sockets()
        await refusal(url, ssl=certificate.client_context())
        assert len(open_sockets() - before) <= 1  # that of the server
        over.set()


async def serve_session(server: Connection) -> None:
    """Serve a session until the client says GOODBYE."""
    await server.welcome()
    assert (await server.message())[0] == GOODBYE


@with_each_package
@pytest.mark.parametrize("source", ["option", "environment"])
async def test_http_proxy_is_used(source: str, package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = []

    async def proxy(server: Connection) -> None:
        await server.read_request()
        requests.append((server.path, server.header("proxy-authorization")))
        await server.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await serve_session(server)

    async with frame_server(proxy) as url:
        options: dict[str, Any] = {"websocket": package}
        proxy_url = url.replace("ws://", "http://me:secret@")
        if source == "option":
            options["proxy"] = proxy_url
        else:
            monkeypatch.setenv("ws_proxy", proxy_url)
        async with connect("ws://router.example/", **options):
            pass
    assert requests == [("router.example:80", f"Basic {base64.b64encode(b'me:secret').decode()}")]


@with_each_package
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_socks_proxy_is_used(scheme: str, package: Any) -> None:
    async def proxy(server: Connection) -> None:
        assert await server.read(3) == b"\x05\x01\x00"
        await server.send(b"\x05\x00")
        assert await server.read(10) == b"\x05\x01\x00\x01\xc0\x00\x02\x07\x00\x50"
        await server.send(b"\x05\x00\x00\x01" + bytes(6))
        await serve_session(server)

    async with frame_server(proxy) as url:
        options: dict[str, Any] = {"websocket": package, "proxy": url.replace("ws:", f"{scheme}:")}
        async with connect("ws://192.0.2.7/", **options):
            pass


@with_each_package
async def test_proxy_of_the_environment_can_be_left_out(
    package: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ws_proxy", "http://127.0.0.1:1/")

    async with frame_server(serve_session) as url:
        assert "there is no connection" in str(await refusal(url, package))
        async with connect(url, websocket=package, proxy=False):
            pass
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with connect(url, websocket=package):
            pass


@with_each_package
async def test_proxy_that_refuses_is_named(package: Any, sockets_are_closed: None) -> None:
    async def proxy(server: Connection) -> None:
        await server.read_request()
        await server.respond("407 Proxy Authentication Required")

    async with frame_server(proxy) as url:
        options: dict[str, Any] = {"proxy": url.replace("ws:", "http:")}
        error = await refusal("ws://router.example/", package, **options)
    assert "407" in str(error)
    assert error.retryable


@on_asyncio
@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["none", "end", "accepts"])
async def test_proxy_that_does_not_help_is_given_up(answer: bytes | None, sockets_are_closed: None) -> None:
    async def proxy(server: Connection) -> None:
        await server.read_request()
        if answer is not None:
            await server.send(answer)
        if answer != b"":
            assert await server.gone()

    async with frame_server(proxy) as url:
        options: dict[str, Any] = {"proxy": url.replace("ws:", "http:"), "connect_timeout": 0.05}
        assert "ws://router.example/" in str(await refusal("ws://router.example/", **options))


# The wire of picows


@on_asyncio
async def test_request_is_sent_only_if_its_message_may_have_left(sockets_are_closed: None) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept()
        assert await server.frame() == (TEXT, b"first")
        await server.send(close_frame(1000))
        assert await server.close_code() == 1000

    first, second = Request(), Request()
    async with frame_server(script) as url, transport(url).open(5) as wire:
        assert wire.put("first", first) is None
        with pytest.raises(WireClosed, match="with code 1000"):
            await wire.receive()
        with pytest.raises(WireClosed, match="with code 1000"):
            wire.put("second", second)
        wire.put_nowait("third")
        await wire.close()
    assert (first.sent, second.sent) == (True, False)


@on_asyncio
async def test_connection_that_is_left_is_closed(sockets_are_closed: None) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept()
        assert await server.gone()

    async with frame_server(script) as url:
        async with transport(url).open(5):
            pass
        with pytest.raises(ZeroDivisionError):
            async with transport(url).open(5):
                _ = 1 / 0


@on_asyncio
@pytest.mark.parametrize("subprotocol", JSON)
async def test_nothing_is_sent_after_a_violation_that_picows_finds(
    subprotocol: str, sockets_are_closed: None, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept(subprotocol=subprotocol)
        # The violation is handled in the turn of the first message.
        await server.send(frame(b"first"), frame(b"", opcode=0x3))
        assert await server.frame() == (CLOSE, b"\x03\xea" + b"Received frame with invalid opcode=0x3")

    gc.collect()
    caplog.clear()
    request = Request()
    async with frame_server(script) as url, transport(url, subprotocol=subprotocol).open(5) as wire:
        assert await wire.receive() == "first"
        with pytest.raises(WireClosed, match="with code 1002"):
            wire.put("late", request)
        wire.put_nowait("late")
        await wire.close()
        with pytest.raises(WireClosed, match="with code 1002"):
            await wire.receive()
    assert not request.sent
    del wire
    gc.collect()
    # asyncio would report an exception that nobody has asked for.
    assert "never retrieved" not in caplog.text


@on_asyncio
async def test_frames_after_a_violation_do_not_count(sockets_are_closed: None) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept(
            then=frame(b"a") + frame(b"\xff") + frame(b"b") + frame(b"c", opcode=PING) + close_frame(1000)
        )
        assert await server.close_code() == 1007

    async with frame_server(script) as url, transport(url).open(5) as wire:
        assert await wire.receive() == "a"
        with pytest.raises(WireClosed, match="with code 1007"):
            await wire.receive()


@on_asyncio
async def test_pong_with_a_reserved_bit_is_no_sign_of_life(sockets_are_closed: None) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept()
        opcode, payload = await server.frame()
        assert opcode == PING
        await server.send(frame(payload, opcode=PONG, reserved=0x40))
        assert await server.close_code() == 1002

    async with frame_server(script) as url, transport(url, ping_interval=0.05).open(5) as wire:
        with pytest.raises(WireClosed, match="with code 1002"):
            await wire.receive()


@on_asyncio
async def test_message_after_an_invalid_close_frame_does_not_count(sockets_are_closed: None) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept(then=close_frame(999))
        assert await server.close_code() == 1002
        await server.send(frame(b"late"), frame(b"later"))

    async with frame_server(script) as url, transport(url).open(5) as wire:
        with pytest.raises(WireClosed, match="with code 1002"):
            await wire.receive()


@on_asyncio
async def test_server_that_does_not_close_the_connection_is_aborted(
    monkeypatch: pytest.MonkeyPatch, sockets_are_closed: None
) -> None:
    monkeypatch.setattr("wampasgi.client.picows_wire._CLOSE_TIMEOUT", 0.05)

    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept()
        if server.number == 1:
            await server.send(close_frame(1001))
        assert await server.gone()

    async with frame_server(script) as url:
        async with transport(url).open(5) as wire:
            with pytest.raises(WireClosed, match="with code 1001"):
                await wire.run(lambda message: None)
        async with transport(url).open(5) as wire:
            with anyio.fail_after(2):
                await wire.close(4000, "ü" * 100)
            with pytest.raises(WireClosed, match=r"the connection was closed with code 4000 'ü{61}'"):
                await wire.receive()


@on_asyncio
@pytest.mark.parametrize("failing", ["1", "2"])
async def test_exception_of_the_receiver_is_raised_and_ends_the_reception(
    failing: str, sockets_are_closed: None
) -> None:
    received: list[Any] = []

    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept(then=frame(b"1"))
        assert await server.frame() == (TEXT, b"running")
        await server.send(frame(b"2"), frame(b"3"))
        while await server.frame() != (TEXT, b"after"):
            pass
        await server.send(*[frame(b"4")] * 100)
        assert await server.close_code() == 1000

    def receive(message: Any) -> None:
        received.append(message)
        wire.put_nowait("running")
        if message == failing:
            raise LookupError(message)

    async with frame_server(script) as url, transport(url).open(5) as wire:
        with pytest.raises(LookupError, match=failing):
            await wire.run(receive)
        wire.put_nowait("after")
        with anyio.fail_after(1):
            await wire.close()
    assert received == ["1", "2"][: int(failing)]


@on_asyncio
async def test_messages_that_nobody_takes_are_not_read(sockets_are_closed: None) -> None:
    sent = 0
    stuck = anyio.Event()

    async def script(server: Connection) -> None:
        nonlocal sent
        await server.read_request()
        await server.accept()
        with anyio.move_on_after(0.1):
            while sent < 2_000:
                sent += 1
                await server.send(frame(b"x" * 50_000))
        stuck.set()
        await server.send(frame(b"last"))
        assert await server.close_code() == 1000

    received = []

    def receive(message: Any) -> None:
        received.append(message)
        if message == "last":
            raise EOFError

    async with frame_server(script) as url, transport(url).open(5) as wire:
        await stuck.wait()
        assert 10 < sent < 1_000
        received.append(await wire.receive())
        with pytest.raises(EOFError):
            await wire.run(receive)
        await wire.close()
    assert len(received) == sent + 1


@on_asyncio
@pytest.mark.parametrize("subprotocol", JSON)
async def test_senders_wait_for_room_and_pings_are_answered_later(
    subprotocol: str, sockets_are_closed: None
) -> None:
    full, read_on = anyio.Event(), anyio.Event()
    size = 0

    async def script(server: Connection) -> None:
        nonlocal size
        await server.read_request()
        await server.accept(subprotocol=subprotocol)
        # The server stops reading when it has waited for this frame.
        _, payload = await server.frame()
        server.raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
        size = payload.count(b"x")
        await full.wait()
        pings = [frame(str(number).encode(), opcode=PING) for number in range(1_000)]
        await server.send(*pings, frame(b"pinged"))
        await read_on.wait()
        pongs: list[bytes] = []
        ended = False
        while not (pongs and ended):
            opcode, payload = await server.frame()
            if opcode == PONG:
                pongs.append(payload)
            else:
                size += payload.count(b"x")
                ended = b"end" in payload
        assert pongs == [b"999"]
        await server.send(close_frame(1000))

    async with frame_server(script) as url, transport(url, subprotocol=subprotocol).open(5) as wire:
        wire.put("begin")
        messages, stuck = 0, False
        while messages < 500 and not stuck:
            messages += 1
            waiting = wire.put("x" * 100_000)
            if waiting is not None:
                with anyio.move_on_after(0.1) as scope:
                    await waiting
                stuck = scope.cancelled_caught
        assert stuck
        full.set()
        assert await wire.receive() == "pinged"
        request = Request()
        waiting = wire.put("end", request)
        assert waiting is not None
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        # A batch waits for room; another message is in the transport's buffer.
        assert request.sent is (subprotocol == "wamp.2.json")
        read_on.set()
        await waiting
        with pytest.raises(WireClosed):
            await wire.receive()
    assert size == messages * 100_000


@on_asyncio
async def test_senders_that_wait_for_room_learn_of_the_end(sockets_are_closed: None) -> None:
    full = anyio.Event()

    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept()
        await server.frame()
        await full.wait()
        server.reset()

    async with frame_server(script) as url, transport(url).open(5) as wire:
        wire.put("begin")
        waiting = wire.put("x" * 50_000_000)
        assert waiting is not None
        full.set()
        with pytest.raises(WireClosed, match="the connection was lost"):
            await waiting


@on_asyncio
async def test_messages_of_one_turn_are_one_batch(sockets_are_closed: None) -> None:
    frames = []

    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept(subprotocol="wamp.2.json.batched")
        while True:
            opcode, payload = await server.frame()
            frames.append(payload)
            if opcode == CLOSE:
                await server.send(close_frame(1000))
                return

    requests = [Request() for _ in range(4)]
    batched = partial(transport, subprotocol="wamp.2.json.batched")
    async with frame_server(script) as url, batched(url).open(5) as wire:
        for number in range(3):
            assert wire.put(str(number), requests[number]) is None
        wire.put_nowait("3")
        assert not any(request.sent for request in requests)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [request.sent for request in requests] == [True, True, True, False]
        wire.put_nowait("4")
        await wire.close()
        with pytest.raises(WireClosed):
            wire.put("5", requests[3])
        wire.put_nowait("6")
    assert frames == [b"0\x1e1\x1e2\x1e3\x1e", b"4\x1e", b"\x03\xe8"]
    assert not requests[3].sent


@on_asyncio
async def test_long_batch_lets_its_sender_wait(sockets_are_closed: None) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept(subprotocol="wamp.2.json.batched")
        _, payload = await server.frame()
        assert payload.count(b"\x1e") == 65
        await server.close_code()

    batched = partial(transport, subprotocol="wamp.2.json.batched")
    async with frame_server(script) as url, batched(url).open(5) as wire:
        waits = [wire.put(str(number)) for number in range(65)]
        assert waits[:64] == [None] * 64
        assert waits[64] is not None
        await waits[64]
        await wire.close()


@on_asyncio
async def test_requests_of_a_batch_that_was_not_written_are_not_sent(sockets_are_closed: None) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        await server.accept(subprotocol="wamp.2.json.batched", then=close_frame(1001))
        await server.close_code()

    request = Request()
    batched = partial(transport, subprotocol="wamp.2.json.batched")
    async with frame_server(script) as url, batched(url).open(5) as wire:
        with contextlib.suppress(WireClosed):
            wire.put("late", request)
        with pytest.raises(WireClosed):
            await wire.receive()
    assert not request.sent
