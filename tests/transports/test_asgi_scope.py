"""The scope of a connection: compared with that of uvicorn's own WebSocket for the same request."""

from __future__ import annotations

import queue
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.transports import differences
from tests.transports.application_server import (
    LIFESPAN_STATE,
    PATIENCE,
    ApplicationServer,
    Connection,
    Servers,
    running_servers,
)
from tests.transports.raw_websocket import handshake
from tests.transports.uvicorn_server import TRANSPORTS
from wampasgi.types import Receive, Scope, Send

PICOWS = [kind for kind in TRANSPORTS if kind != "uvicorn"]
HTTP = ["h11", "httptools"]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running_servers() as servers:
        yield servers


async def refuse(connection: Connection) -> Scope:
    """Return the scope and close before accepting, which ends the connection at once."""
    await connection.close()
    return connection.scope


def scope_of(server: ApplicationServer, request: bytes) -> Scope:
    """Send a request and return the scope of its connection."""
    served = server.serve(refuse)
    with server.raw(request):
        scope: Scope = served.outcome()
    return scope


def comparable(kind: str, scope: Scope) -> Scope:
    """Return a scope without port numbers, which differ, and without the known difference."""
    extensions = dict(scope["extensions"])
    for name in differences.ADDITIONAL_EXTENSIONS.on(kind):
        del extensions[name]
    addresses = {"client": scope["client"][:1], "server": scope["server"][:1]}
    return {**scope, **addresses, "extensions": extensions}


def raw_handshake(target: str = "/", *headers: bytes) -> bytes:
    """Build the request of a handshake with further headers, which may be repeated."""
    head = handshake(target).removesuffix(b"\r\n")
    return head + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


REQUESTS = {
    "plain": handshake(),
    "path": handshake("/chat/room"),
    "percent-encoded path": handshake("/a%20b/%2Fc%25"),
    "UTF-8 in the path": handshake("/caf%C3%A9/%E2%82%AC"),
    "invalid UTF-8 in the path": handshake("/%FF%FE"),
    "empty path segments": handshake("//chat///room/"),
    "path parameters": handshake("/chat;v=1,2/@me!"),
    "query": handshake("/chat?room=a%20b&room=c+d&empty="),
    "empty query": handshake("/chat?"),
    "question marks in the query": handshake("/?a?b??"),
    "repeated headers": raw_handshake("/", b"X-Tag: one", b"Cookie: a=1", b"x-tag: two", b"cookie: b=2"),
    "latin-1 in a header": raw_handshake("/", b"X-Name: caf\xe9 \xff"),
    "UTF-8 in a header": raw_handshake("/", "X-Name: café €".encode()),
    "whitespace around a header": raw_handshake("/", b"X-Name:  \t two words \t "),
    "empty header": raw_handshake("/", b"X-Empty:"),
    "upper case in a header": raw_handshake("/", b"X-NAME: VALUE"),
    "long cookie": raw_handshake("/", b"Cookie: session=" + b"s" * 4096),
    "one subprotocol": raw_handshake("/", b"Sec-WebSocket-Protocol: chat"),
    "several subprotocols": raw_handshake("/", b"Sec-WebSocket-Protocol: chat, superchat,v2.chat"),
    "subprotocols in several headers": raw_handshake(
        "/", b"Sec-WebSocket-Protocol: chat", b"Sec-WebSocket-Protocol: superchat , v2.chat"
    ),
    "extensions": raw_handshake("/", b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
    "origin": raw_handshake("/", b"Origin: https://example.com"),
}


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("kind", PICOWS)
def test_scope_is_that_of_uvicorns_own(servers: Servers, kind: str, request_name: str) -> None:
    request = REQUESTS[request_name]
    scopes = [comparable(each, scope_of(servers(each), request)) for each in ("uvicorn", kind)]

    assert scopes[1] == scopes[0]
    assert {key: type(value) for key, value in scopes[1].items()} == {
        key: type(value) for key, value in scopes[0].items()
    }


@pytest.mark.parametrize("http", HTTP)
def test_scope_has_every_field_of_the_specification(servers: Servers, kind: str, http: str) -> None:
    server = servers(kind, http=http)
    served = server.serve(refuse)
    request = raw_handshake(
        "/caf%C3%A9/a%2Fb?q=%C3%A9",
        b"X-Tag: caf\xe9",
        b"x-tag: two",
        b"Sec-WebSocket-Protocol: chat, superchat",
        b"Sec-WebSocket-Protocol: v2.chat",
    )
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(request)
        scope = served.outcome()
        client_address = client.getsockname()

    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": scope["asgi"]["spec_version"]},
        "http_version": "1.1",
        "scheme": "ws",
        "server": ("127.0.0.1", server.port),
        "client": client_address,
        "root_path": "",
        "path": "/café/a/b",
        "raw_path": b"/caf%C3%A9/a%2Fb",
        "query_string": b"q=%C3%A9",
        "headers": [
            (b"host", b"localhost"),
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            (b"sec-websocket-version", b"13"),
            (b"x-tag", b"caf\xe9"),
            (b"x-tag", b"two"),
            (b"sec-websocket-protocol", b"chat, superchat"),
            (b"sec-websocket-protocol", b"v2.chat"),
        ],
        "subprotocols": ["chat", "superchat", "v2.chat"],
        "state": LIFESPAN_STATE,
        "extensions": scope["extensions"],
    }
    assert set(scope["extensions"]) == {
        "websocket.http.response",
        *differences.ADDITIONAL_EXTENSIONS.on(kind),
    }
    assert scope["extensions"]["websocket.http.response"] == {}
    # 2.4: `send` raises OSError once the client has gone.
    assert scope["asgi"]["spec_version"] >= "2.4"


def test_header_over_8_kib_is_taken_only_by_picows(servers: Servers, kind: str) -> None:
    server = servers(kind)
    served = server.serve(refuse)
    with server.raw(raw_handshake("/", b"Cookie: session=" + b"s" * 9000)) as client:
        if differences.HEADER_OVER_8_KIB_IS_TAKEN.on(kind):
            assert client.read_response().status == 403
            assert len(dict(served.outcome()["headers"])[b"cookie"]) > 9000
        else:
            # Not even an error: the client waits until its own timeout.
            assert client.frame_within(0.2) is None


def test_root_path_is_a_prefix_of_the_paths(servers: Servers, kind: str) -> None:
    scope = scope_of(servers(kind, root_path="/api"), handshake("/caf%C3%A9?q"))

    assert scope["root_path"] == "/api"
    assert scope["path"] == "/api/café"
    assert scope["raw_path"] == b"/api/caf%C3%A9"
    assert scope["query_string"] == b"q"


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", *(["::1"] if _has_ipv6() else [])])
def test_addresses_are_those_of_the_socket(servers: Servers, kind: str, host: str) -> None:
    server = servers(kind, host=host)
    served = server.serve(refuse)
    with socket.create_connection((host, server.port)) as client:
        client.sendall(handshake())
        scope = served.outcome()

        assert scope["client"] == client.getsockname()[:2]
        assert scope["server"] == (host, server.port)


def test_unix_socket_has_a_path_and_no_client(servers: Servers, kind: str, tmp_path: Path) -> None:
    path = str(tmp_path / "uvicorn.socket")
    server = servers(kind, uds=path)
    served = server.serve(refuse)
    with pytest.raises(InvalidStatus, match="403"):
        server.visit("/chat")
    scope = served.outcome()

    assert scope["server"] == (path, None)
    assert scope["client"] is None
    assert scope["path"] == "/chat"


@pytest.mark.parametrize(
    ("options", "client", "scheme"),
    [
        ({}, ("192.0.2.7", 0), "wss"),
        ({"forwarded_allow_ips": "*"}, ("192.0.2.7", 0), "wss"),
        ({"forwarded_allow_ips": "192.0.2.1"}, None, "ws"),
        ({"proxy_headers": False}, None, "ws"),
    ],
    ids=["local proxy", "any proxy", "another proxy", "ignored"],
)
def test_proxy_headers_of_trusted_proxies_replace_client_and_scheme(
    servers: Servers, kind: str, options: dict[str, Any], client: tuple[str, int] | None, scheme: str
) -> None:
    request = raw_handshake("/", b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-Proto: https")
    scope = scope_of(servers(kind, **options), request)

    assert scope["scheme"] == scheme
    if client is None:
        assert scope["client"][0] == "127.0.0.1"
    else:
        assert scope["client"] == client


def test_state_of_the_lifespan_is_copied_for_each_connection(servers: Servers, kind: str) -> None:
    async def application(connection: Connection) -> dict[str, Any]:
        state = connection.scope["state"]
        before = dict(state)
        state["added"] = True
        await connection.close()
        return {**before, "shared is the same object": state["shared"] is LIFESPAN_STATE["shared"]}

    server = servers(kind)
    served = server.serve(application)
    for _ in range(2):
        with pytest.raises(InvalidStatus):
            server.visit()
        assert served.outcome() == {**LIFESPAN_STATE, "shared is the same object": True}


def test_applications_of_asgi_2_are_served(servers: Servers, kind: str) -> None:
    scopes: queue.Queue[Scope] = queue.Queue()

    def application(scope: Scope) -> Callable[[Receive, Send], Awaitable[None]]:
        async def instance(receive: Receive, send: Send) -> None:
            scopes.put(scope)
            await receive()
            await send({"type": "websocket.close"})

        return instance

    server = servers(kind, app=application, lifespan="off")
    with pytest.raises(InvalidStatus, match="403"):
        server.visit()

    scope = scopes.get(timeout=PATIENCE)
    assert scope["asgi"]["version"] == "2.0"
    assert scope["state"] == {}
