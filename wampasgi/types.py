"""Type aliases for ASGI, messages and handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
ASGIEvent: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[ASGIEvent]]
Send: TypeAlias = Callable[[ASGIEvent], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Match: TypeAlias = Literal["exact", "prefix", "wildcard"]
Action: TypeAlias = Literal["call", "register", "publish", "subscribe", "takeover"]
URICheck: TypeAlias = Literal["loose", "strict"]

#: A WAMP message as the list that is serialized: ``[code, ...]``.
RawMessage: TypeAlias = list[Any]

#: A function of the application: a coroutine function, an async generator function or a plain function.
Handler: TypeAlias = Callable[..., Any]
