"""Who a session is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationDetails:
    """What WELCOME says of who the session is, and what roles are checked against.

    Spec: Advanced Profile, "Authentication", "WELCOME.Details".
    """

    authid: str | None = None
    authrole: str | None = None
    authmethod: str | None = None
    authprovider: str | None = None
    authextra: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity with WAMP's attributes, for an authenticator to return.

    ``user`` is any object of the application's; ``authid``, ``authrole`` and ``authextra`` are what WELCOME
    tells the client, and ``authrole`` is what ``roles=`` and ``allow`` are checked against.
    """

    user: Any = None
    authid: str | None = None
    authrole: str | None = None
    authextra: Mapping[str, Any] | None = None
