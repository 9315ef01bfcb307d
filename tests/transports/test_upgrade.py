from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import pytest

from tests.transports.raw_websocket import KEY, accept_value, handshake
from wampasgi.transports.upgrade import (
    Headers,
    UpgradeRequest,
    accept_response,
    denial_response,
    refusal_response,
    response,
)


def request(target: str = "/", headers: Mapping[str, str | None] | None = None) -> UpgradeRequest:
    return UpgradeRequest.parse(handshake(target, headers))


def parsed(data: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return the status line, the headers and the body of a response."""
    head, _, body = data.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.removeprefix(" ")) for name, _, value in (line.partition(":") for line in lines)]
    return status_line, headers, body


# The request


def test_request_is_parsed_with_header_names_in_lower_case() -> None:
    data = b"GET /a?b=c HTTP/1.1\r\nHost: example\r\nX-Tag:\t two words \r\nx-empty:\r\nX-Tag: a: b\r\n\r\n"

    assert UpgradeRequest.parse(data) == UpgradeRequest(
        b"GET",
        b"/a?b=c",
        [(b"host", b"example"), (b"x-tag", b"two words"), (b"x-empty", b""), (b"x-tag", b"a: b")],
    )


def test_frames_behind_the_request_are_not_headers() -> None:
    assert UpgradeRequest.parse(handshake() + b"\x81\x80: \r\n") == request()


@pytest.mark.parametrize(
    ("lines", "subprotocols"),
    [
        ([], []),
        ([""], []),
        (["wamp.2.json"], ["wamp.2.json"]),
        (["wamp.2.cbor, wamp.2.json"], ["wamp.2.cbor", "wamp.2.json"]),
        (["a,b ,\tc,, ,d"], ["a", "b", "c", "d"]),
        (["a, b", "c"], ["a", "b", "c"]),
        (["\xe9"], ["\xe9"]),
    ],
)
def test_subprotocols_of_all_headers_are_offered_in_order(lines: list[str], subprotocols: list[str]) -> None:
    headers = [(b"sec-websocket-protocol", line.encode("latin-1")) for line in lines]
    assert UpgradeRequest(b"GET", b"/", headers).subprotocols == subprotocols


# Refusals


def test_valid_handshake_is_not_refused() -> None:
    assert request().refusal() is None


@pytest.mark.parametrize("method", [b"POST", b"HEAD", b"OPTIONS", b"get"])
def test_other_methods_than_get_are_refused(method: bytes) -> None:
    refused = UpgradeRequest(method, b"/", request().headers)
    assert refused.refusal() == (HTTPStatus.BAD_REQUEST, "a WebSocket handshake is a GET request")


@pytest.mark.parametrize("hosts", [0, 2])
def test_request_must_have_exactly_one_host(hosts: int) -> None:
    headers = [*request(headers={"Host": None}).headers, *[(b"host", b"example")] * hosts]
    refused = UpgradeRequest(b"GET", b"/", headers)
    assert refused.refusal() == (HTTPStatus.BAD_REQUEST, "a request must have one Host header")


@pytest.mark.parametrize("version", [None, "", "8", "12", "14", "013", "13, 8"])
def test_other_versions_than_13_are_refused(version: str | None) -> None:
    refused = request(headers={"Sec-WebSocket-Version": version})
    assert refused.refusal() == (HTTPStatus.UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13")


def test_version_must_not_come_twice() -> None:
    refused = UpgradeRequest(b"GET", b"/", [*request().headers, (b"sec-websocket-version", b"13")])
    assert refused.refusal() == (HTTPStatus.UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13")


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "c2hvcnQ=",
        # 15 and 17 bytes.
        "MTIzNDU2Nzg5MDEyMzQ1",
        "MTIzNDU2Nzg5MDEyMzQ1Njc=",
        KEY[:-1],
        KEY[:-2] + "*=",
        " ".join(KEY),
        "\xe9" * 24,
    ],
)
def test_key_must_be_16_bytes_in_base64(key: str | None) -> None:
    refused = request(headers={"Sec-WebSocket-Key": key})
    assert refused.refusal() == (HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in Base64")


def test_key_must_not_come_twice() -> None:
    refused = UpgradeRequest(b"GET", b"/", [*request().headers, (b"sec-websocket-key", KEY.encode())])
    assert refused.refusal() == (HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in Base64")


# The scope


def test_scope_has_the_fields_of_the_request() -> None:
    asked = request("/a%20b/%E2%82%AC?x=%201&y", {"Sec-WebSocket-Protocol": "one, two", "X-Tag": "t"})
    scope = asked.scope("/app")

    assert scope["type"] == "websocket"
    assert scope["http_version"] == "1.1"
    assert scope["root_path"] == "/app"
    assert scope["path"] == "/app/a b/€"
    assert scope["raw_path"] == b"/app/a%20b/%E2%82%AC"
    assert scope["query_string"] == b"x=%201&y"
    assert scope["subprotocols"] == ["one", "two"]
    assert (b"x-tag", b"t") in scope["headers"]
    assert (b"host", b"localhost") in scope["headers"]


def test_scope_without_a_query_or_a_root_path() -> None:
    scope = request("/").scope("")

    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("", "/", b"/")
    assert scope["query_string"] == b""


def test_query_may_have_question_marks() -> None:
    scope = request("/a?b?c").scope("")
    assert (scope["path"], scope["query_string"]) == ("/a", b"b?c")


def test_applications_may_change_the_headers_of_their_scope() -> None:
    asked = request()
    asked.scope("")["headers"].clear()
    assert asked.scope("")["headers"] == list(asked.headers)


# Responses


def test_accepted_handshake_is_answered_with_the_value_for_its_key() -> None:
    status_line, headers, body = parsed(accept_response(request(), None, []))

    assert status_line == "HTTP/1.1 101 Switching Protocols"
    assert dict(headers) == {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-accept": accept_value(),
    }
    assert body == b""


def test_accepted_handshake_has_the_subprotocol_and_the_headers_of_the_application() -> None:
    added = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=\xe9")]
    _, headers, _ = parsed(accept_response(request(), "wamp.2.json", added))

    assert ("sec-websocket-protocol", "wamp.2.json") in headers
    assert headers[-2:] == [("set-cookie", "a=1"), ("set-cookie", "b=\xe9")]


def test_denial_has_status_body_and_default_headers() -> None:
    status_line, headers, body = parsed(denial_response(403, [], b"no\r\n\r\nyou"))

    assert status_line == "HTTP/1.1 403 Forbidden"
    assert body == b"no\r\n\r\nyou"
    found = dict(headers)
    date = found.pop("date")
    assert date.endswith(" GMT")
    assert abs(datetime.now(UTC) - parsedate_to_datetime(date)) < timedelta(minutes=1)
    assert found == {
        "content-type": "text/plain; charset=utf-8",
        "content-length": "9",
        "connection": "close",
    }


@pytest.mark.parametrize("name", [b"content-type", b"Content-Length", b"DATE", b"Connection"])
def test_header_of_the_application_replaces_the_default(name: bytes) -> None:
    _, headers, _ = parsed(denial_response(401, [(name, b"chosen")], b""))
    values = [value for found, value in headers if found.lower() == name.decode().lower()]

    assert values == ["chosen"]
    assert len(headers) == 4


def test_status_without_a_name_has_an_empty_phrase() -> None:
    assert parsed(denial_response(499, [], b""))[0] == "HTTP/1.1 499 "


def test_refusal_has_a_text() -> None:
    status_line, headers, body = parsed(refusal_response(HTTPStatus.BAD_REQUEST, "one Host, please"))

    assert status_line == "HTTP/1.1 400 Bad Request"
    assert body == b"one Host, please\n"
    assert "sec-websocket-version" not in dict(headers)


def test_refusal_of_a_version_names_the_supported_one() -> None:
    status_line, headers, _ = parsed(refusal_response(HTTPStatus.UPGRADE_REQUIRED, "13"))

    assert status_line == "HTTP/1.1 426 Upgrade Required"
    assert dict(headers)["sec-websocket-version"] == "13"


INVALID: list[tuple[bytes, bytes]] = [
    (b"", b"value"),
    (b"a b", b"value"),
    (b"a:", b"value"),
    (b"a\r\nb", b"value"),
    (b"a\n", b"value"),
    (b"\xe9", b"value"),
    *((b"name", b"a" + bytes((code,)) + b"b") for code in (0, 8, 10, 11, 13, 31, 127)),
    (b"name", b"\n"),
]


@pytest.mark.parametrize("header", INVALID, ids=repr)
def test_invalid_header_raises(header: tuple[bytes, bytes]) -> None:
    headers: Headers = [(b"x-first", b"valid"), header]
    with pytest.raises(RuntimeError, match="invalid HTTP header"):
        response(200, headers)
    with pytest.raises(RuntimeError, match="invalid HTTP header"):
        accept_response(request(), None, headers)
    with pytest.raises(RuntimeError, match="invalid HTTP header"):
        denial_response(403, headers, b"")


@pytest.mark.parametrize("subprotocol", ["wamp\r\nx: y", "a\0"])
def test_subprotocol_cannot_add_a_header(subprotocol: str) -> None:
    with pytest.raises(RuntimeError, match="invalid HTTP header"):
        accept_response(request(), subprotocol, [])


@pytest.mark.parametrize("value", [b"", b"a\tb", b" ", b"\x80\xff", b"!~"], ids=repr)
def test_valid_header_is_sent_as_it_is(value: bytes) -> None:
    name = b"!#$%&'*+-.^_`|~09azAZ"
    assert response(200, [(name, value)], b"body") == (
        b"HTTP/1.1 200 OK\r\n" + name + b": " + value + b"\r\n\r\nbody"
    )
