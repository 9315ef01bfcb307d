"""Section 4 of RFC 6455: the opening handshake."""

from __future__ import annotations

import pytest

from tests.transports.differences import EXTENSION_IF_THE_CLIENT_OFFERS_COMPRESSION
from tests.transports.echo_client import EchoServer
from tests.transports.raw_websocket import KEY, TEXT, Frame, Response, accept_value, close_frame, frame
from tests.transports.rfc6455_differences import UNSUPPORTED_VERSION, WITHOUT_HOST

# 4.2.1 Reading the client's opening handshake


def test_valid_handshake_is_accepted(server: EchoServer) -> None:
    with server.connect() as connection:
        response = connection.shake_hands()

    assert response.status == 101
    assert response.headers["upgrade"].lower() == "websocket"
    assert response.headers["connection"].lower() == "upgrade"
    # The example of section 1.3.
    assert response.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert "sec-websocket-protocol" not in response.headers
    assert "sec-websocket-extensions" not in response.headers


@pytest.mark.parametrize(
    "key", ["x3JJHMbDL1EzLkh9GBhXDw==", "AAAAAAAAAAAAAAAAAAAAAA==", "/////////////////////w=="]
)
def test_accept_value_is_computed_from_the_key(server: EchoServer, key: str) -> None:
    with server.connect() as connection:
        response = connection.shake_hands({"Sec-WebSocket-Key": key})

    assert (response.status, response.headers["sec-websocket-accept"]) == (101, accept_value(key))


@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "upgrade,keep-alive"},
        {"Connection": "UPGRADE"},
        {"Upgrade": "WebSocket"},
        {"Upgrade": None, "UPGRADE": "WEBSOCKET"},
        {"Upgrade": None, "Connection": None, "upgrade": "websocket", "connection": "upgrade"},
        {"Sec-WebSocket-Key": None, "sec-websocket-key": KEY},
        {"Sec-WebSocket-Version": None, "SEC-WEBSOCKET-VERSION": "13"},
        {"Sec-WebSocket-Key": f"   {KEY}  "},
        {"Origin": "https://example.com"},
        {"Cookie": "a=b"},
    ],
    ids=str,
)
def test_headers_are_compared_without_case_and_lists_are_searched(
    server: EchoServer, headers: dict[str, str | None]
) -> None:
    with server.open(headers=headers) as connection:
        connection.send(frame(TEXT, b"hello"))

        assert connection.read_frame() == Frame(TEXT, b"hello")


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "abc",
        "AAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "!!!!!!!!!!!!!!!!!!!!!!==",
        f"{KEY}, {KEY}",
        f"{KEY}\r\nSec-WebSocket-Key: {KEY}",
    ],
    ids=[
        "missing",
        "empty",
        "short",
        "15 bytes",
        "17 bytes",
        "20 bytes",
        "unpadded",
        "not base64",
        "list",
        "two headers",
    ],
)
def test_handshake_without_a_valid_key_is_refused_with_400(server: EchoServer, key: str | None) -> None:
    with server.connect() as connection:
        response = connection.shake_hands({"Sec-WebSocket-Key": key})

        assert response.status == 400
        assert connection.read_to_end() == b""
        assert connection.record_now()["events"] == []


@pytest.mark.parametrize("version", ["0", "7", "8", "12", "14", "130", "x"])
def test_other_version_is_refused_with_the_supported_one(server: EchoServer, version: str) -> None:
    """Sections 4.2.2 and 4.4."""
    with server.connect() as connection:
        response = connection.shake_hands({"Sec-WebSocket-Version": version})

        assert status_and_version(response) == UNSUPPORTED_VERSION.on(server.kind)
        assert connection.read_to_end() == b""
        assert connection.record_now()["events"] == []


@pytest.mark.parametrize("version", [None, ""])
def test_handshake_without_a_version_is_refused(server: EchoServer, version: str | None) -> None:
    with server.connect() as connection:
        response = connection.shake_hands({"Sec-WebSocket-Version": version})

        assert response.status in (400, 426)
        assert connection.read_to_end() == b""
        assert connection.record_now()["events"] == []


def status_and_version(response: Response) -> tuple[int, str | None]:
    return response.status, response.headers.get("sec-websocket-version")


def test_handshake_without_a_host_is_refused(server: EchoServer) -> None:
    with server.connect() as connection:
        assert connection.shake_hands({"Host": None}).status == WITHOUT_HOST.on(server.kind)


@pytest.mark.xfail(reason="uvicorn's HTTP protocol passes on each request as HTTP/1.1")
def test_handshake_over_http_1_0_is_refused(server: EchoServer) -> None:
    with server.connect() as connection:
        connection.send(connection.handshake().replace(b"HTTP/1.1", b"HTTP/1.0", 1))

        assert connection.read_response().status != 101


@pytest.mark.parametrize(
    "headers", [{"Upgrade": None}, {"Upgrade": "h2c"}, {"Connection": "keep-alive"}], ids=str
)
def test_request_that_asks_for_no_websocket_is_an_http_request(
    server: EchoServer, headers: dict[str, str | None]
) -> None:
    with server.connect() as connection:
        response = connection.shake_hands(headers)

        # That of the application's part for HTTP.
        assert (response.status, response.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD"])
def test_other_method_than_get_is_refused(server: EchoServer, method: str) -> None:
    with server.connect() as connection:
        connection.send(connection.handshake().replace(b"GET", method.encode(), 1))
        response = connection.read_response()

        assert response.status in (400, 405)
        assert connection.record_now()["events"] == []


# 4.2.2 Sending the server's opening handshake


@pytest.mark.parametrize(
    "offer", ["chat", "chat, superchat", "chat,superchat", "chat\r\nSec-WebSocket-Protocol: superchat"]
)
def test_response_has_the_selected_subprotocol(server: EchoServer, offer: str) -> None:
    with server.connect() as connection:
        response = connection.shake_hands({"Sec-WebSocket-Protocol": offer})

    assert (response.status, response.headers["sec-websocket-protocol"]) == (101, "chat")


@pytest.mark.parametrize("offer", ["x-unheard-of", "x-unheard-of; a=1, other"])
def test_unknown_extension_is_not_negotiated(server: EchoServer, offer: str) -> None:
    with server.connect() as connection:
        response = connection.shake_hands({"Sec-WebSocket-Extensions": offer})

    assert response.status == 101
    assert "sec-websocket-extensions" not in response.headers


@pytest.mark.parametrize("offer", ["permessage-deflate", "permessage-deflate; client_max_window_bits"])
def test_compression(server: EchoServer, offer: str) -> None:
    with server.connect() as connection:
        response = connection.shake_hands({"Sec-WebSocket-Extensions": offer})

    extension, _, _ = response.headers.get("sec-websocket-extensions", "").partition(";")
    assert extension == EXTENSION_IF_THE_CLIENT_OFFERS_COMPRESSION.on(server.kind)


def test_server_may_refuse_with_403(server: EchoServer) -> None:
    with server.connect("refuse") as connection:
        assert connection.shake_hands().status == 403
        assert connection.read_to_end() == b""


def test_server_may_refuse_with_another_response(server: EchoServer) -> None:
    with server.connect("deny") as connection:
        response = connection.shake_hands()

        assert (response.status, response.body) == (451, b"for laws")
        assert "upgrade" not in response.headers
        assert connection.read_to_end() == b""


# 4.1 "the client MUST wait for a response from the server before sending any further data"


@pytest.mark.parametrize("count", [1, 300])
def test_frames_that_arrive_before_the_response_are_handled_after_it(server: EchoServer, count: int) -> None:
    messages = [str(number).ljust(200).encode() for number in range(count)]
    with server.connect("accept_later") as connection:
        connection.send(connection.handshake())
        connection.record("called")
        connection.send(*(frame(TEXT, message) for message in messages))
        connection.note("released")

        assert connection.read_response().status == 101
        assert [connection.read_frame().payload for _ in messages] == messages


def test_frames_in_the_packet_of_the_request_are_lost_without_harm(server: EchoServer) -> None:
    """uvicorn's HTTP protocol keeps nothing behind the request that it passes on."""
    with server.connect() as connection:
        connection.send(connection.handshake(), frame(TEXT, b"early"))
        assert connection.read_response().status == 101
        connection.send(frame(TEXT, b"late"))
        assert connection.read_frame() == Frame(TEXT, b"late")
        connection.send(close_frame())

        assert connection.messages() == ["late"]


def test_handshake_may_arrive_byte_by_byte(server: EchoServer) -> None:
    with server.connect() as connection:
        connection.send_bytewise(connection.handshake())
        assert connection.read_response().status == 101
        connection.send_bytewise(frame(TEXT, b"hello"))

        assert connection.read_frame() == Frame(TEXT, b"hello")
