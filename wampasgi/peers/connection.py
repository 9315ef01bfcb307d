"""The connection of a session, with the interface of a Starlette request."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import URL, Address, Headers, QueryParams, State
from starlette.requests import HTTPConnection

from wampasgi.types import Scope


class Connection:
    """The opening request of a session's WebSocket, with the attributes of a Starlette request.

    ``scope`` is the ASGI scope as the outer middleware left it.
    """

    __slots__ = ("_request", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._request: HTTPConnection | None = None

    @property
    def http(self) -> HTTPConnection:
        """The request as Starlette's HTTPConnection, for functions that take one."""
        if self._request is None:
            # Starlette refuses the type "wamp"; apart from it, this is the scope of a WebSocket.
            self._request = HTTPConnection({**self.scope, "type": "websocket"})
        return self._request

    @property
    def headers(self) -> Headers:
        """The request's headers, case-insensitive."""
        return self.http.headers

    @property
    def cookies(self) -> dict[str, str]:
        """The request's cookies."""
        return self.http.cookies

    @property
    def query_params(self) -> QueryParams:
        """The parsed query string."""
        return self.http.query_params

    @property
    def path_params(self) -> dict[str, Any]:
        """The values of the parameters in the path of the route, such as ``{team}``, converted."""
        return self.http.path_params

    @property
    def url(self) -> URL:
        """The URL that the client opened."""
        return self.http.url

    @property
    def client(self) -> Address | None:
        """The host and port of the client; None if the server does not provide them."""
        return self.http.client

    @property
    def user(self) -> Any:
        """The user that Starlette's AuthenticationMiddleware set. Raises AssertionError without it."""
        return self.http.user

    @property
    def auth(self) -> Any:
        """The credentials that AuthenticationMiddleware set. Raises AssertionError without it."""
        return self.http.auth

    @property
    def session(self) -> dict[str, Any]:
        """The data of Starlette's SessionMiddleware. Raises AssertionError without it."""
        return self.http.session

    @property
    def state(self) -> State:
        """The state that the lifespan and outer middleware put into the scope."""
        return self.http.state

    @property
    def subprotocol(self) -> str:
        """The negotiated WebSocket subprotocol, such as ``wamp.2.json``."""
        return str(self.scope["wamp.subprotocol"])

    @property
    def transport_info(self) -> dict[str, Any]:
        """The connection in serverwamp's format.

        ``http_cookies`` (dict), ``http_headers_raw`` (list of pairs of bytes), ``peer_address`` (IP address
        or Unix path, None if unknown) and ``peer_certificate`` (the client's TLS certificate as PEM text,
        None if it sent none or the server does not provide it).
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
