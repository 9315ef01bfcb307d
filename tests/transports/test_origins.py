"""Tests of the origin check: the decision as a table, and the answers to handshakes."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import WebSocketDenialResponse

from tests.wamp_client import connect
from tests.websocket import open_websocket
from wampasgi import Application, ConfigurationError
from wampasgi.testing import TestClient
from wampasgi.transports.origins import Origin, OriginPolicy, parse_origin


def scope(*origins: str, host: str | list[str] | None = None, scheme: str = "ws") -> dict[str, Any]:
    hosts = [host] if isinstance(host, str) else host or []
    headers = [(b"host", value.encode()) for value in hosts]
    headers += [(b"origin", value.encode("latin-1")) for value in origins]
    return {"type": "websocket", "scheme": scheme, "headers": headers}


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://example.com", Origin("https", "example.com", 443)),
        ("http://example.com", Origin("http", "example.com", 80)),
        ("HTTPS://Example.COM:8443", Origin("https", "example.com", 8443)),
        ("http://127.0.0.1:8000", Origin("http", "127.0.0.1", 8000)),
        ("http://[::1]:8000", Origin("http", "[::1]", 8000)),
        ("http://[0:0:0:0:0:0:0:1]", Origin("http", "[::1]", 80)),
        ("https://example.com.", Origin("https", "example.com.", 443)),
        ("https://my_host", Origin("https", "my_host", 443)),
        ("chrome-extension://abcdef", Origin("chrome-extension", "abcdef", None)),
        ("file://", Origin("file", "", None)),
        ("null", None),
        ("", None),
        ("example.com", None),
        ("https://", None),
        ("https://example.com/", None),
        ("https://example.com/path", None),
        ("https://user@example.com", None),
        ("https://example.com:", None),
        ("https://example.com:0", None),
        ("https://example.com:65536", None),
        ("https://example.com:port", None),
        ("https://example.com, https://evil.example", None),
        ("https://example.com https://evil.example", None),
        ("https://example.com\n", None),
        ("https://[::1", None),
        ("https://[::g]", None),
        ("https://[1.2.3.4]", None),
        ("https://*.example.com", None),
        ("https://b\xfccher.example", None),
        ("https://example.com:\u0661", None),
    ],
)
def test_origin_is_parsed(text: str, origin: Origin | None) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    ("scheme", "host", "origin"),
    [
        ("ws", "example.com", "http://example.com"),
        ("ws", "example.com:80", "http://example.com"),
        ("ws", "example.com", "http://example.com:80"),
        ("ws", "example.com:", "http://example.com"),
        ("ws", "localhost:8000", "http://localhost:8000"),
        ("ws", "EXAMPLE.com", "http://example.COM"),
        ("ws", "[::1]:8000", "http://[::1]:8000"),
        ("ws", "[::1]", "http://[0:0::1]"),
        ("ws", "example.com.", "http://example.com."),
        ("wss", "example.com", "https://example.com"),
        ("wss", "example.com:443", "https://example.com"),
        ("wss", "example.com:8443", "https://example.com:8443"),
        ("https", "example.com", "https://example.com"),
        # Behind a proxy that has terminated TLS.
        ("ws", "example.com", "https://example.com"),
        ("ws", "example.com:443", "https://example.com"),
        ("ws", "example.com:8443", "https://example.com:8443"),
    ],
)
def test_same_origin_is_allowed_by_default(scheme: str, host: str, origin: str) -> None:
    assert OriginPolicy("same-origin").refusal(scope(origin, host=host, scheme=scheme)) is None


@pytest.mark.parametrize(
    ("scheme", "host", "origin"),
    [
        ("ws", "example.com", "http://evil.example"),
        ("ws", "example.com", "http://www.example.com"),
        ("ws", "www.example.com", "http://example.com"),
        ("ws", "example.com", "http://example.com.evil.example"),
        ("ws", "example.com", "http://evil-example.com"),
        ("ws", "example.com", "http://example.com."),
        ("ws", "example.com.", "http://example.com"),
        ("ws", "example.com:8000", "http://example.com"),
        ("ws", "example.com", "http://example.com:8000"),
        ("ws", "127.0.0.1:8000", "http://localhost:8000"),
        ("ws", "[::1]:8000", "http://[::2]:8000"),
        # A proxy has terminated TLS at port 443.
        ("ws", "example.com:80", "https://example.com"),
        # Anyone on the network can forge pages of an http origin.
        ("wss", "example.com", "http://example.com"),
        ("wss", "example.com:80", "http://example.com"),
        ("ws", "example.com", "null"),
        ("ws", "null", "null"),
        ("ws", "example.com", ""),
        ("ws", "", ""),
        ("ws", "", "file://"),
        ("ws", "", "http://"),
        ("ws", "example.com", "chrome-extension://example.com"),
        ("ws", "example.com", "ws://example.com"),
        ("ws", "example.com", "example.com"),
        ("ws", "user@example.com", "http://example.com"),
        ("ws", "evil.example, example.com", "http://example.com"),
        ("ws", "example.com:99999", "http://example.com:99999"),
        ("ws", "[::g]", "http://[::g]"),
    ],
)
def test_other_origins_are_refused_by_default(scheme: str, host: str, origin: str) -> None:
    refusal = OriginPolicy("same-origin").refusal(scope(origin, host=host, scheme=scheme))

    assert refusal is not None
    assert repr(origin) in refusal
    assert repr(host) in refusal


def test_same_origin_needs_one_host_header() -> None:
    policy = OriginPolicy("same-origin")

    assert policy.refusal(scope("http://example.com")) is not None
    assert policy.refusal(scope("http://example.com", host=["example.com", "example.com"])) is not None


@pytest.mark.parametrize("allowed", ["same-origin", ["same-origin", "https://example.com"]])
def test_several_origins_are_refused(allowed: Any) -> None:
    refusal = OriginPolicy(allowed).refusal(
        scope("https://example.com", "https://example.com", host="example.com")
    )

    assert refusal == "it has 2 Origin headers"


@pytest.mark.parametrize("allowed", ["same-origin", "*", [], ["https://example.com"]])
def test_handshake_without_an_origin_is_allowed(allowed: Any) -> None:
    assert OriginPolicy(allowed).refusal(scope(host="example.com")) is None
    assert OriginPolicy(allowed).refusal(scope()) is None


@pytest.mark.parametrize("allowed", ["*", ["*"], ["*", "https://example.com"]])
def test_asterisk_allows_all_origins(allowed: Any) -> None:
    policy = OriginPolicy(allowed)

    for origins in (["https://evil.example"], ["null"], ["gibberish"], ["http://a", "http://b"]):
        assert policy.refusal(scope(*origins, host="example.com")) is None


@pytest.mark.parametrize(
    ("entry", "origin", "allowed"),
    [
        ("https://example.com", "https://example.com", True),
        ("https://example.com", "https://example.com:443", True),
        ("https://EXAMPLE.com:443", "https://example.com", True),
        ("https://example.com", "http://example.com", False),
        ("https://example.com", "https://example.com:8443", False),
        ("https://example.com", "https://www.example.com", False),
        ("https://example.com", "https://example.com.", False),
        ("https://example.com:8443", "https://example.com:8443", True),
        ("https://example.com:8443", "https://example.com", False),
        ("http://[::1]:5173", "http://[0::1]:5173", True),
        ("https://*.example.com", "https://a.example.com", True),
        ("https://*.example.com", "https://a.b.Example.com", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://*.example.com", "https://.example.com", False),
        ("https://*.example.com", "https://evil-example.com", False),
        ("https://*.example.com", "https://a.example.com.evil.example", False),
        ("https://*.example.com", "http://a.example.com", False),
        ("https://*.example.com", "https://a.example.com:8443", False),
        ("https://*.example.com:8443", "https://a.example.com:8443", True),
        ("http://*.localhost:5173", "http://shop.localhost:5173", True),
        ("chrome-extension://abcdef", "chrome-extension://abcdef", True),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("file://", "file://", True),
        ("null", "null", True),
        ("null", "file://", False),
        ("https://example.com", "null", False),
        # Only the listed origins count.
        ("https://example.com", "http://here.example", False),
        ("same-origin", "http://here.example", True),
    ],
)
def test_list_allows_its_origins(entry: str, origin: str, allowed: bool) -> None:
    refusal = OriginPolicy([entry]).refusal(scope(origin, host="here.example"))

    assert (refusal is None) is allowed


def test_listed_origin_needs_no_host_header() -> None:
    assert OriginPolicy(["https://example.com"]).refusal(scope("https://example.com")) is None


def test_empty_list_refuses_all_origins() -> None:
    assert OriginPolicy([]).refusal(scope("http://example.com", host="example.com")) is not None


@pytest.mark.parametrize(
    "entry",
    [
        "example.com",
        "https://example.com/",
        "https://example.com/app",
        "https://",
        "https://*",
        "https://*.",
        "https://*.*.example.com",
        "https://shop-*.example.com",
        "https://*.10.0.0.1",
        "https://*.[::1]",
        "*.example.com",
        "*://example.com",
        "http://localhost:*",
        "https://b\xfccher.example",
        "",
        " https://example.com",
    ],
)
def test_entry_that_is_no_origin_is_refused(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="which is not an origin") as refused:
        Application(allowed_origins=[entry])

    assert repr(entry) in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "scheme"), [("wss://example.com", "https"), ("ws://*.example.com:8000", "http")]
)
def test_entry_with_the_scheme_of_a_websocket_is_refused(entry: str, scheme: str) -> None:
    with pytest.raises(ConfigurationError, match=f"scheme of an origin is that of the page, .*{scheme}"):
        Application(allowed_origins=[entry])


@pytest.mark.parametrize("allowed", ["https://example.com", "", None, True, 7, [7]])
def test_value_that_is_no_list_of_origins_is_refused(allowed: Any) -> None:
    with pytest.raises(ConfigurationError, match="it must be 'same-origin', '\\*' or a list of origins"):
        Application(allowed_origins=allowed)


# Handshakes

EVIL = [(b"host", b"example.com"), (b"origin", b"https://evil.example")]


@pytest.mark.anyio
async def test_refused_origin_gets_403_if_the_server_can_send_a_response(
    caplog: pytest.LogCaptureFixture,
) -> None:
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    async with open_websocket(Application(), headers=EVIL, extensions=extensions) as websocket:
        start = await websocket.receive_event()
        body = await websocket.receive_event()
        await websocket.wait_served()

    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
    assert body["body"].startswith(b"Pages of this origin may not connect.")
    assert not body.get("more_body", False)
    [line] = caplog.messages
    assert "'https://evil.example' is not allowed (Host: 'example.com', over ws)" in line
    assert 'Application(allowed_origins=["same-origin", ...])' in line


@pytest.mark.anyio
async def test_refused_origin_is_closed_before_accept_if_the_server_cannot_send_a_response() -> None:
    async with open_websocket(Application(), headers=EVIL) as websocket:
        closed = await websocket.closed()
        await websocket.wait_served()

    assert closed["code"] == 1008


@pytest.mark.anyio
async def test_allowed_origin_joins() -> None:
    async with connect(Application(allowed_origins=["https://evil.example"]), headers=EVIL) as client:
        await client.join()


def test_test_client_connects_with_the_origin_of_its_base_url() -> None:
    with TestClient(Application()) as client:
        with client.wamp_session():
            pass
        with client.wamp_session(headers={"origin": "http://testserver"}):
            pass
        with (
            pytest.raises(WebSocketDenialResponse, match="403"),
            client.wamp_session(headers={"origin": "http://evil.example"}),
        ):
            pytest.fail("the WebSocket was accepted")
