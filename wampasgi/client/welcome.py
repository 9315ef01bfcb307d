"""The identity that a router has given to a session."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class WelcomedSession(ABC):
    """A session with the details of its WELCOME."""

    @property
    @abstractmethod
    def details(self) -> Mapping[str, Any]:
        """WELCOME.Details of the latest connection."""

    @property
    def authid(self) -> str | None:
        """The authid that the router has assigned."""
        return self.details.get("authid")

    @property
    def authrole(self) -> str | None:
        """The role that the router has assigned."""
        return self.details.get("authrole")

    @property
    def authmethod(self) -> str | None:
        """The authentication method that was used."""
        return self.details.get("authmethod")
