"""What the router asks of a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Authenticated(Protocol):
    """As whom a session was authenticated."""

    @property
    def authid(self) -> str | None:
        """The authid that WELCOME gave it."""

    @property
    def authrole(self) -> str | None:
        """The authrole that WELCOME gave it."""


class SessionDetails(Authenticated, Protocol):
    """As whom a session was authenticated, and what it announced."""

    @property
    def details(self) -> Mapping[str, Any]:
        """HELLO.Details, its roles and features among them."""
