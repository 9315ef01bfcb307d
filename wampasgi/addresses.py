"""The address of a client, for the log and for the limits that count clients by address."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

_MAX_TEXT: Final = 60

# Some proxies add the port: 192.0.2.1:5000 or [2001:db8::1]:5000.
_WITH_PORT: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]+)?")


def client_address(client: Sequence[Any] | None) -> str | None:
    """Return the address of a client: an IP address in its usual form, or another text in quotes.

    ``client`` comes from the ASGI scope. Behind a proxy, the server replaces it by the address that the proxy
    forwards, if it is configured to trust the proxy. Such a text may be chosen by the client, so anything but
    an IP address is escaped and truncated. None means that the address is unknown, for example on a Unix
    socket.
    """
    if not client or not client[0]:
        return None
    host = str(client[0])
    with_port = _WITH_PORT.fullmatch(host)
    if with_port is not None:
        host = with_port[1] or with_port[2]
    try:
        if ":" not in host:
            return str(IPv4Address(host))
        # Without the zone, as in fe80::1%eth0, because it can be any text.
        address = IPv6Address(host.partition("%")[0])
    except ValueError:
        return repr(host[:_MAX_TEXT])
    return str(address.ipv4_mapped or address)


def network_of(address: str | None) -> str | None:
    """Return the network that counts as one client: an IPv4 address, or a /64 of IPv6.

    ``address`` comes from ``client_address``. A client that has one address of a /64 usually has all of them.
    """
    if address is None or ":" not in address or address[0] in "'\"":
        return address
    return str(IPv6Address(int(IPv6Address(address)) >> 64 << 64))
