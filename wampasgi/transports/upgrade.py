"""The opening handshake of a WebSocket: the request, its ASGI scope, and the responses.

Spec: RFC 6455, section 4.2; ASGI, "WebSocket Connection Scope".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION: Final = b"13"

#: The characters of header names and values: RFC 9110, section 5.
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """A request for a WebSocket. The names of the headers are in lower case."""

    method: bytes
    target: bytes
    headers: Headers

    @classmethod
    def parse(cls, data: bytes) -> UpgradeRequest:
        """Parse a request as uvicorn's HTTP protocols write it, after they have parsed and checked it."""
        head, _, _ = data.partition(b"\r\n\r\n")
        request_line, *lines = head.split(b"\r\n")
        method, target, _ = request_line.split(b" ", 2)
        headers = []
        for line in lines:
            name, _, value = line.partition(b":")
            headers.append((name.lower(), value.strip(b" \t")))
        return cls(method, target, headers)

    def _values(self, wanted: bytes) -> list[bytes]:
        return [value for name, value in self.headers if name == wanted]

    @property
    def subprotocols(self) -> list[str]:
        """The subprotocols that the client offers, in its order of preference."""
        offers = b",".join(self._values(b"sec-websocket-protocol")).decode("latin-1").split(",")
        return [offer.strip() for offer in offers if offer.strip()]

    def refusal(self) -> tuple[HTTPStatus, str] | None:
        """Return the status and the text for a request that is no valid handshake, or None."""
        if self.method != b"GET":
            return HTTPStatus.BAD_REQUEST, "a WebSocket handshake is a GET request"
        if len(self._values(b"host")) != 1:
            return HTTPStatus.BAD_REQUEST, "a request must have one Host header"
        if self._values(b"sec-websocket-version") != [_VERSION]:
            return HTTPStatus.UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13"
        keys = self._values(b"sec-websocket-key")
        try:
            valid = len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16
        except binascii.Error:
            valid = False
        if not valid:
            return HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in Base64"
        return None

    def accept_token(self) -> bytes:
        """Return Sec-WebSocket-Accept of a valid handshake."""
        [key] = self._values(b"sec-websocket-key")
        return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())

    def scope(self, root_path: str) -> dict[str, Any]:
        """Return the fields of the ASGI scope that come from the request."""
        path, _, query = self.target.partition(b"?")
        return {
            "type": "websocket",
            "http_version": "1.1",
            "root_path": root_path,
            "path": root_path + unquote(path.decode("latin-1")),
            "raw_path": root_path.encode() + path,
            "query_string": query,
            "headers": list(self.headers),
            "subprotocols": self.subprotocols,
        }


def response(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes = b"") -> bytes:
    """Return an HTTP response as bytes. Raises RuntimeError for an invalid header."""
    try:
        phrase = HTTPStatus(status).phrase.encode()
    except ValueError:
        phrase = b""
    lines = [b"HTTP/1.1 %d %b" % (status, phrase)]
    for name, value in headers:
        if not _NAME.fullmatch(name) or _NOT_IN_VALUE.search(value):
            raise RuntimeError(f"invalid HTTP header {name!r}: {value!r}")
        lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join((*lines, b"", body))


def accept_response(request: UpgradeRequest, subprotocol: str | None, headers: Headers) -> bytes:
    """Return the response to a handshake that the application accepts."""
    upgrade = [
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-accept", request.accept_token()),
    ]
    if subprotocol:
        upgrade.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
    return response(HTTPStatus.SWITCHING_PROTOCOLS, (*upgrade, *headers))


def denial_response(status: int, headers: Headers, body: bytes) -> bytes:
    """Return a response that refuses a handshake, after which the connection is closed."""
    names = {name.lower() for name, _ in headers}
    defaults = [
        (b"date", formatdate(usegmt=True).encode()),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    return response(status, (*headers, *(default for default in defaults if default[0] not in names)), body)


def refusal_response(status: HTTPStatus, text: str) -> bytes:
    """Return the response to a request that is no valid handshake."""
    headers = [(b"sec-websocket-version", _VERSION)] if status is HTTPStatus.UPGRADE_REQUIRED else []
    return denial_response(status, headers, f"{text}\n".encode())
