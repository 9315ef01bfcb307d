"""The limits on sessions and on connections without a session, in total and from one address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from wampasgi.addresses import client_address, network_of
from wampasgi.limits import Limits


@dataclass(frozen=True, slots=True)
class Counted:
    """What an Admission counts: who has the limits, and their names in Limits."""

    owner: str
    total: str
    per_address: str


SESSIONS: Final = Counted("this realm", "sessions", "sessions_per_address")
PENDING_CONNECTIONS: Final = Counted("this server", "pending_connections", "pending_connections_per_address")


class Admission:
    """Counts the sessions of one realm, including sessions that are still being opened, or connections.

    Otherwise a client could open any number of them by never answering a challenge.
    """

    __slots__ = ("_by_address", "_counted", "admitted", "refused")

    def __init__(self, counted: Counted = SESSIONS) -> None:
        self._counted = counted
        self._by_address: dict[str, int] = {}
        #: The current number of sessions or connections.
        self.admitted = 0
        #: The number refused so far.
        self.refused = 0

    def enter(self, client: Sequence[Any] | None, limits: Limits) -> Place | str:
        """Count one and return its place, or return the reason for refusing it.

        ``client`` comes from the ASGI scope. Clients without a known address, for example on a Unix socket,
        count only towards the total.
        """
        address = network_of(client_address(client))
        refusal = self._refusal(address, limits)
        if refusal is not None:
            self.refused += 1
            return refusal
        self.add(address)
        return Place(self, address)

    def add(self, address: str | None) -> None:
        """Count one, even beyond the limits; its ``Place`` calls this."""
        self.admitted += 1
        if address is not None:
            self._by_address[address] = self._by_address.get(address, 0) + 1

    def remove(self, address: str | None) -> None:
        """Stop counting one; its ``Place`` calls this."""
        self.admitted -= 1
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _refusal(self, address: str | None, limits: Limits) -> str | None:
        counted = self._counted
        total: int | None = getattr(limits, counted.total)
        per_address: int | None = getattr(limits, counted.per_address)
        if total is not None and self.admitted >= total:
            return f"{counted.owner} has reached the limit {counted.total} of {total}"
        if (
            per_address is not None
            and address is not None
            and self._by_address.get(address, 0) >= per_address
        ):
            return (
                f"{counted.owner} has reached the limit {counted.per_address} of {per_address} "
                f"for this address"
            )
        return None


class Place:
    """The place of one session or connection among those that are counted."""

    __slots__ = ("_address", "_admission", "_counted", "pending")

    def __init__(self, admission: Admission, address: str | None) -> None:
        self._admission = admission
        self._address = address
        self._counted = True
        #: The place of the session's connection among those without a session.
        self.pending: Place | None = None

    def session_opens(self) -> None:
        """Let the connection leave its place among those without a session."""
        if self.pending is not None:
            self.pending.leave()

    def leave(self) -> None:
        """Stop being counted; does nothing the second time."""
        if self._counted:
            self._counted = False
            self._admission.remove(self._address)

    def come_back(self) -> None:
        """Be counted again, even beyond the limits."""
        if not self._counted:
            self._counted = True
            self._admission.add(self._address)
