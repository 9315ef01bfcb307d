"""The limits on the number of sessions of a realm, in total and from one address."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import Any

from wampasgi.limits import Limits


class Admission:
    """Counts the sessions of one realm, including sessions that are still being opened.

    Otherwise a client could open any number of them by never answering a challenge.
    """

    __slots__ = ("_by_address", "refused", "sessions")

    def __init__(self) -> None:
        self._by_address: dict[str, int] = {}
        #: The current number of sessions.
        self.sessions = 0
        #: The number of sessions refused so far.
        self.refused = 0

    def enter(self, client: Sequence[Any] | None, limits: Limits) -> Place | str:
        """Count a session and return its place, or return the reason for refusing it.

        ``client`` comes from the ASGI scope. Clients without a known address, for example on a Unix socket,
        count only towards the total.
        """
        address = _address(client)
        refusal = self._refusal(address, limits)
        if refusal is not None:
            self.refused += 1
            return refusal
        self.sessions += 1
        if address is not None:
            self._by_address[address] = self._by_address.get(address, 0) + 1
        return Place(self, address)

    def remove(self, address: str | None) -> None:
        """Stop counting a session that was admitted; its ``Place`` calls this once."""
        self.sessions -= 1
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _refusal(self, address: str | None, limits: Limits) -> str | None:
        if limits.sessions is not None and self.sessions >= limits.sessions:
            return f"this realm has reached the limit sessions of {limits.sessions}"
        if (
            limits.sessions_per_address is not None
            and address is not None
            and self._by_address.get(address, 0) >= limits.sessions_per_address
        ):
            return (
                f"this realm has reached the limit sessions_per_address of {limits.sessions_per_address} "
                f"for this address"
            )
        return None


class Place:
    """The place of one session among those that are counted."""

    __slots__ = ("_address", "_admission")

    def __init__(self, admission: Admission, address: str | None) -> None:
        self._admission: Admission | None = admission
        self._address = address

    def leave(self) -> None:
        """Stop counting the session; does nothing the second time."""
        if self._admission is not None:
            self._admission.remove(self._address)
            self._admission = None


def _address(client: Sequence[Any] | None) -> str | None:
    if not client or not client[0]:
        return None
    host = str(client[0])
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host)
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    # A client that has one address of a /64 usually has all of them.
    return str(IPv6Address(int(address) >> 64 << 64))
