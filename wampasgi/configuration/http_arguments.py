"""Arguments for code that HTTP and WAMP share, which takes Starlette's objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import HTTPConnection, Request
from starlette.websockets import WebSocket

from wampasgi.injection.dependencies import ClassArgument
from wampasgi.peers.session import Session


def http_connection(session: Session) -> HTTPConnection:
    """Return the request that opened the session's WebSocket.

    Raises RuntimeError if the realm itself is the caller.
    """
    return session.connection.http


#: The arguments, by the class that a parameter is annotated with. Dependencies can be shared with HTTP, and
#: most of them read only headers and cookies. A handler is not shared: its author can take the connection.
HTTP_ARGUMENTS: Final[Mapping[type[Any], ClassArgument]] = {
    HTTPConnection: ClassArgument(http_connection),
    Request: ClassArgument(http_connection, only_in_dependencies=True),
    WebSocket: ClassArgument(http_connection, only_in_dependencies=True),
}
