"""Type aliases of ASGI and of handlers; nothing here runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
ASGIEvent: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[ASGIEvent]]
Send: TypeAlias = Callable[[ASGIEvent], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Match: TypeAlias = Literal["exact", "prefix", "wildcard"]
Action: TypeAlias = Literal["call", "register", "publish", "subscribe"]
URICheck: TypeAlias = Literal["loose", "strict"]

#: A WAMP message as it stands on the wire: ``[code, ...]``.
RawMessage: TypeAlias = list[Any]

#: A user's function: coroutine function, async generator function or plain function.
Handler: TypeAlias = Callable[..., Any]
