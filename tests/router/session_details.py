"""The identity and the announced features of a session, for tests without sessions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Authentication:
    authmethod: str | None = "ticket"
    authprovider: str | None = "static"


@dataclass
class Details:
    authid: str | None = None
    authrole: str | None = None
    authentication: Authentication = field(default_factory=Authentication)
    details: dict[str, Any] = field(default_factory=dict)
