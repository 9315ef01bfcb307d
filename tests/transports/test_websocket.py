"""The WebSocket transport: the events that it sends to an ASGI server, and those that it reads."""

from __future__ import annotations

from typing import Any

import pytest

from wampasgi import Limits
from wampasgi.adapters.event_loop import EventLoopBinding
from wampasgi.errors import RemoteProtocolError
from wampasgi.peers.transport import GONE, Disconnected
from wampasgi.serializers import SUBPROTOCOLS
from wampasgi.sessions.opening import SessionOpener
from wampasgi.transports.origins import OriginPolicy
from wampasgi.transports.websocket import WebSocketEndpoint, WebSocketTransport
from wampasgi.types import ASGIEvent, Scope

pytestmark = pytest.mark.anyio

TEXT, BINARY = SUBPROTOCOLS["wamp.2.json"], SUBPROTOCOLS["wamp.2.cbor"]
DENIAL_RESPONSE: dict[str, Any] = {"websocket.http.response": {}}


class Server:
    """The server's end of a WebSocket, which records the events that it is sent."""

    def __init__(self, *events: ASGIEvent) -> None:
        self.events = list(events)
        self.sent: list[ASGIEvent] = []
        #: The number of events that it takes before the client has gone, and the error that it raises then.
        self.takes: int | None = None
        self.error: Exception = OSError("the client has gone")

    async def receive(self) -> ASGIEvent:
        return self.events.pop(0)

    async def send(self, event: ASGIEvent) -> None:
        if self.takes is not None:
            if self.takes == 0:
                raise self.error
            self.takes -= 1
        self.sent.append(event)

    def transport(self, *, binary: bool = False) -> WebSocketTransport:
        return WebSocketTransport(self.receive, self.send, BINARY if binary else TEXT)


# Messages


@pytest.mark.parametrize(("binary", "data"), [(False, "[1]"), (True, b"\x81\x01")])
async def test_messages_are_text_or_binary_as_the_subprotocol_says(binary: bool, data: str | bytes) -> None:
    key = "bytes" if binary else "text"
    server = Server({"type": "websocket.receive", key: data})
    transport = server.transport(binary=binary)

    assert transport.data(await transport.receive_event()) == data
    await transport.write_one(data)
    await transport.write([data, data])

    assert server.sent == [{"type": "websocket.send", key: data}] * 3


@pytest.mark.parametrize(
    ("binary", "event", "text"),
    [
        (False, {"bytes": b"[1]"}, "wamp.2.json takes only text WebSocket messages"),
        (False, {"bytes": b"[1]", "text": None}, "wamp.2.json takes only text WebSocket messages"),
        (True, {"text": "[1]"}, "wamp.2.cbor takes only binary WebSocket messages"),
        (True, {"text": "[1]", "bytes": None}, "wamp.2.cbor takes only binary WebSocket messages"),
    ],
)
async def test_message_of_the_wrong_type_is_a_protocol_error(
    binary: bool, event: dict[str, Any], text: str
) -> None:
    transport = Server().transport(binary=binary)
    with pytest.raises(RemoteProtocolError, match=text):
        transport.data({"type": "websocket.receive", **event})
    # ABORT can still be sent.
    assert not transport.closed


@pytest.mark.parametrize(
    ("binary", "event", "data"),
    [(False, {"text": "", "bytes": None}, ""), (True, {"text": None, "bytes": b""}, b"")],
)
async def test_server_may_give_both_keys_and_one_of_them_empty(
    binary: bool, event: dict[str, Any], data: str | bytes
) -> None:
    assert Server().transport(binary=binary).data({"type": "websocket.receive", **event}) == data


@pytest.mark.parametrize(
    ("event", "code"), [({"code": 1001}, 1001), ({}, 1005), ({"code": None}, 1005), ({"code": 4711}, 4711)]
)
async def test_disconnect_has_a_code_and_closes_the_transport(event: dict[str, Any], code: int) -> None:
    server = Server()
    transport = server.transport()
    with pytest.raises(Disconnected) as raised:
        transport.data({"type": "websocket.disconnect", **event})
    await transport.write(["[1]"])
    await transport.close("com.myapp.reason")

    assert raised.value.code == code
    assert transport.closed
    assert server.sent == []


# Clients that have gone


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("after websocket.close")], ids=repr)
async def test_writing_ends_quietly_when_the_client_has_gone(error: Exception) -> None:
    server = Server()
    server.takes, server.error = 1, error
    transport = server.transport()

    await transport.write(["[1]", "[2]", "[3]"])
    assert transport.closed
    server.takes = None
    await transport.write(["[4]"])
    await transport.close("com.myapp.reason")

    assert server.sent == [{"type": "websocket.send", "text": "[1]"}]


async def test_writing_one_message_raises_when_the_client_has_gone() -> None:
    server = Server()
    server.takes = 0
    with pytest.raises(GONE):
        await server.transport().write_one("[1]")


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("after websocket.close")], ids=repr)
async def test_closing_ends_quietly_when_the_client_has_gone(error: Exception) -> None:
    server = Server()
    server.takes, server.error = 0, error
    transport = server.transport()

    await transport.close("com.myapp.reason")

    assert transport.closed


async def test_error_that_does_not_mean_a_lost_client_is_raised() -> None:
    server = Server()
    server.takes, server.error = 0, LookupError("broken middleware")
    transport = server.transport()
    with pytest.raises(LookupError):
        await transport.write(["[1]"])
    with pytest.raises(LookupError):
        await transport.close()


# Closing


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("", 1000),
        ("com.myapp.enough", 1000),
        ("wamp.close.goodbye_and_out", 1000),
        ("wamp.close.killed", 1000),
        ("wamp.error.no_such_realm", 1000),
        ("wamp.close.system_shutdown", 1012),
        ("wamp.error.protocol_violation", 1002),
        ("wamp.error.payload_size_exceeded", 1009),
        ("wamp.error.runtime_error", 1011),
    ],
)
async def test_close_code_is_that_of_the_reason(reason: str, code: int) -> None:
    server = Server()
    transport = server.transport()
    await transport.close(reason)

    assert server.sent == [{"type": "websocket.close", "code": code, "reason": reason}]
    assert transport.closed


async def test_code_that_is_given_counts_and_the_websocket_is_closed_once() -> None:
    server = Server()
    transport = server.transport()
    await transport.close("wamp.error.protocol_violation", code=4000)
    await transport.close("wamp.error.runtime_error")
    await transport.write(["[1]"])

    assert server.sent == [
        {"type": "websocket.close", "code": 4000, "reason": "wamp.error.protocol_violation"}
    ]


@pytest.mark.parametrize(
    ("reason", "left"),
    [
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        # Characters of two, three and four bytes, cut within the last.
        ("x" * 121 + "é", "x" * 121 + "é"),
        ("x" * 122 + "é", "x" * 122),
        ("x" * 121 + "\u20ac", "x" * 121),
        ("x" * 120 + "\u20acx", "x" * 120 + "\u20ac"),
        ("x" * 120 + "\U0001f426", "x" * 120),
        ("é" * 100, "é" * 61),
    ],
)
async def test_reason_is_cut_to_123_bytes_between_two_characters(reason: str, left: str) -> None:
    server = Server()
    await server.transport().close(reason)

    [closed] = server.sent
    assert closed["reason"] == left
    assert len(left.encode()) <= 123


# Accepting


def endpoint() -> WebSocketEndpoint:
    """An endpoint without any realm."""
    opener = SessionOpener(
        lambda _: None,
        event_loop=EventLoopBinding(),
        limits=Limits(),
        uri_check="loose",
        check_request_ids=False,
    )
    subprotocols = {one.name: one for one in (TEXT, BINARY)}
    return WebSocketEndpoint(opener, subprotocols=subprotocols, origins=OriginPolicy("same-origin"))


async def serve(server: Server, offered: list[str] | None, **scope: Any) -> None:
    full_scope: Scope = {"type": "websocket", "client": ("192.0.2.1", 50000), **scope}
    if offered is not None:
        full_scope["subprotocols"] = offered
    server.events.insert(0, {"type": "websocket.connect"})
    await endpoint()(full_scope, server.receive, server.send)


async def test_websocket_is_accepted_with_its_subprotocol_and_served() -> None:
    hello = BINARY.serializer.encode([1, "com.myapp", {"roles": {"caller": {}}}])
    server = Server({"type": "websocket.receive", "bytes": hello})
    await serve(server, ["chat", "wamp.2.cbor", "wamp.2.json"])

    accepted, refused, closed = server.sent
    assert accepted == {"type": "websocket.accept", "subprotocol": "wamp.2.cbor"}
    assert BINARY.messages(refused["bytes"])[0][2] == "wamp.error.no_such_realm"  # type: ignore[index]
    assert closed["reason"] == "wamp.error.no_such_realm"


@pytest.mark.parametrize("offered", [["chat"], [], None], ids=str)
@pytest.mark.parametrize("scope", [{}, {"extensions": None}, {"extensions": {"tls": {}}}], ids=str)
async def test_websocket_without_a_common_subprotocol_is_closed_before_it_is_accepted(
    offered: list[str] | None, scope: dict[str, Any]
) -> None:
    server = Server()
    await serve(server, offered, **scope)

    assert server.sent == [{"type": "websocket.close", "code": 1002, "reason": "no common subprotocol"}]


async def test_refused_handshake_is_answered_400_with_the_subprotocols_if_the_server_can_do_so() -> None:
    server = Server()
    await serve(server, ["chat"], extensions=DENIAL_RESPONSE)

    assert server.sent == [
        {
            "type": "websocket.http.response.start",
            "status": 400,
            "headers": [(b"content-type", b"text/plain; charset=utf-8")],
        },
        {
            "type": "websocket.http.response.body",
            "body": b"This is a WAMP endpoint. Offer one of the WebSocket subprotocols "
            b"wamp.2.json, wamp.2.cbor.\n",
        },
    ]


async def test_offered_subprotocols_cannot_forge_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    await serve(Server(), ["chat\nERROR all is lost", "x" * 5000])

    [record] = caplog.records
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 1000
