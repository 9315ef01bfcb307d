"""The identity of a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationDetails:
    """The result of authentication, which WELCOME reports; roles are checked against ``authrole``.

    Spec: Advanced Profile, "Authentication", "WELCOME.Details".
    """

    authid: str | None = None
    authrole: str | None = None
    authmethod: str | None = None
    authprovider: str | None = None
    authextra: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity with WAMP's attributes, to be returned by an authenticator.

    ``user`` is any object of the application. WELCOME reports ``authid``, ``authrole`` and ``authextra`` to
    the client. ``roles=`` and ``allow`` are checked against ``authrole``.
    """

    user: Any = None
    authid: str | None = None
    authrole: str | None = None
    authextra: Mapping[str, Any] | None = None
