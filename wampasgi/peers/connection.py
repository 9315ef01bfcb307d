"""What a session knows of the connection it came over."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import URL, Address, Headers, QueryParams, State
from starlette.requests import HTTPConnection

from wampasgi.types import Scope


class Connection:
    """The opening request of a session's WebSocket, as a Starlette developer expects it.

    ``scope`` is the ASGI scope as the middleware outside left it.
    """

    __slots__ = ("_request", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._request: HTTPConnection | None = None

    @property
    def _http(self) -> HTTPConnection:
        if self._request is None:
            # Starlette refuses a scope of type "wamp"; a WebSocket's scope it is, underneath.
            self._request = HTTPConnection({**self.scope, "type": "websocket"})
        return self._request

    @property
    def headers(self) -> Headers:
        """The request's headers, case-insensitive."""
        return self._http.headers

    @property
    def cookies(self) -> dict[str, str]:
        """The request's cookies."""
        return self._http.cookies

    @property
    def query_params(self) -> QueryParams:
        """The parsed query string."""
        return self._http.query_params

    @property
    def url(self) -> URL:
        """The URL that the client opened."""
        return self._http.url

    @property
    def client(self) -> Address | None:
        """Host and port of the peer, None where the server does not tell."""
        return self._http.client

    @property
    def user(self) -> Any:
        """The user that Starlette's AuthenticationMiddleware found; raises AssertionError without it."""
        return self._http.user

    @property
    def auth(self) -> Any:
        """The credentials that AuthenticationMiddleware found; raises AssertionError without it."""
        return self._http.auth

    @property
    def session(self) -> dict[str, Any]:
        """The data of Starlette's SessionMiddleware; raises AssertionError without it."""
        return self._http.session

    @property
    def state(self) -> State:
        """State that the lifespan and outer middleware put into the scope."""
        return self._http.state

    @property
    def subprotocol(self) -> str:
        """The WebSocket subprotocol that was agreed on, such as ``wamp.2.json``."""
        return str(self.scope["wamp.subprotocol"])

    @property
    def transport_info(self) -> dict[str, Any]:
        """The connection in serverwamp's words.

        ``http_cookies`` (dict), ``http_headers_raw`` (list of pairs of bytes), ``peer_address`` (IP address
        or Unix path, None if unknown) and ``peer_certificate`` (the client's TLS certificate as PEM text,
        None if it sent none or the server does not tell).
        """
        client = self.scope.get("client")
        tls = (self.scope.get("extensions") or {}).get("tls") or {}
        chain = tls.get("client_cert_chain") or ()
        return {
            "http_cookies": self.cookies,
            "http_headers_raw": list(self.scope["headers"]),
            "peer_address": client[0] if client else None,
            "peer_certificate": next(iter(chain), None),
        }
