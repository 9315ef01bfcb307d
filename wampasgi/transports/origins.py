"""The check of the Origin header, which tells the web site that opens a WebSocket in a browser.

A browser lets every page open a WebSocket to every server, and sends the server's cookies with it. The page
cannot change the Origin header. Other clients than browsers send any origin, or none: the check protects the
users of browsers, and does not replace authentication.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv6Address
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from wampasgi.errors import ConfigurationError
from wampasgi.logs import shown
from wampasgi.types import Scope

#: The origins whose pages may connect; see Application.
AllowedOrigins: TypeAlias = Literal["same-origin", "*"] | Collection[str]

_SAME: Final = "same-origin"
_ANY: Final = "*"
#: The origin of sandboxed frames, and of local files in some browsers.
_NULL: Final = "null"

_HOST: Final = r"(\[[0-9a-f:.]+\]|[a-z0-9._-]*)"
_PORT: Final = r"(?::([0-9]{1,5}))?"
_ORIGIN_PATTERN: Final = re.compile(rf"([a-z][a-z0-9+.-]*)://{_HOST}{_PORT}")
_HOST_PATTERN: Final = re.compile(rf"{_HOST}(?::([0-9]{{0,5}}))?")
_MAX_PORT: Final = 65535
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """A parsed origin (RFC 6454). ``port`` is the default port of the scheme if the origin names none."""

    scheme: str
    host: str
    port: int | None


def parse_origin(text: str) -> Origin | None:
    """Return a serialized origin in a form that can be compared; None for an invalid one, and for ``null``.

    A trailing dot is part of the host: for browsers, ``example.com.`` is another site than ``example.com``.
    """
    found = _ORIGIN_PATTERN.fullmatch(text.lower())
    if found is None:
        return None
    scheme, host, port = found[1], _normal_host(found[2]), found[3]
    # Only files have no host.
    if host is None or (not host and scheme != "file"):
        return None
    if port is None:
        return Origin(scheme, host, _DEFAULT_PORTS.get(scheme))
    return Origin(scheme, host, int(port)) if _is_port(port) else None


def is_same_origin(origin: Origin, host: str, *, secure: bool) -> bool:
    """Return whether a page of ``origin`` came from the server that the client has connected to.

    ``host`` is the Host header. ``secure`` says that the server has received the handshake over TLS. Over
    TLS, the origin must be https, because anyone on the network can forge pages of an http origin. Without
    TLS, it may be https as well: then a proxy in front of the server has terminated TLS.
    """
    if origin.scheme not in _DEFAULT_PORTS or (secure and origin.scheme != "https"):
        return False
    found = _HOST_PATTERN.fullmatch(host.lower())
    if found is None or (found[2] and not _is_port(found[2])):
        return False
    # The scheme in the scope may be the proxy's. The browser has used the one of the page.
    port = int(found[2]) if found[2] else _DEFAULT_PORTS[origin.scheme]
    return (_normal_host(found[1]), port) == (origin.host, origin.port)


def _normal_host(host: str) -> str | None:
    if not host.startswith("["):
        return host
    try:
        return f"[{IPv6Address(host[1:-1]).compressed}]"
    except ValueError:
        return None


def _is_port(text: str) -> bool:
    return 0 < int(text) <= _MAX_PORT


class OriginPolicy:
    """The decision which origins may connect.

    ``allowed`` is ``"same-origin"``, ``"*"`` or a collection of origins, in which ``"same-origin"`` and
    ``"null"`` may occur, too. Raises ConfigurationError for an invalid value.
    """

    def __init__(self, allowed: AllowedOrigins) -> None:
        entries = _entries(allowed)
        self._any = _ANY in entries
        self._same = _SAME in entries
        self._null = _NULL in entries
        self._exact: set[Origin] = set()
        # Origins whose subdomains may connect; the host begins with a dot.
        self._parents: list[Origin] = []
        for entry in entries:
            if entry not in (_ANY, _SAME, _NULL):
                self._add(entry)

    def _add(self, entry: str) -> None:
        parent = "://*." in entry
        origin = parse_origin(entry.replace("://*.", "://", 1))
        if origin is None or (parent and not _is_name(origin.host)):
            raise ConfigurationError(
                f"allowed_origins contains {entry!r}, which is not an origin: write it as "
                f"'https://example.com', 'http://localhost:5173' or 'https://*.example.com', without a path. "
                f"International names are written in their ASCII form, 'https://xn--...'"
            )
        if origin.scheme in ("ws", "wss"):
            raise ConfigurationError(
                f"allowed_origins contains {entry!r}: the scheme of an origin is that of the page, "
                f"http or https"
            )
        if parent:
            self._parents.append(origin._replace(host=f".{origin.host}"))
        else:
            self._exact.add(origin)

    def refusal(self, scope: Scope) -> str | None:
        """Return why a handshake is refused, for the log; None if it is allowed.

        ``scope`` is the scope of the WebSocket. A handshake without an Origin header is not a browser's.
        """
        if self._any or not (origins := _header(scope, b"origin")):
            return None
        if len(origins) > 1:
            return f"it has {len(origins)} Origin headers"
        hosts = _header(scope, b"host")
        host = hosts[0] if len(hosts) == 1 else None
        if self._allows(origins[0], host, secure=scope.get("scheme") in ("wss", "https")):
            return None
        where = f"Host: {shown(host)}, over {scope.get('scheme', 'ws')}"
        return (
            f"its origin {shown(origins[0])} is not allowed ({where}). If it is a page of yours, add "
            f'its origin to Application(allowed_origins=["same-origin", ...]). If a proxy is in front of the '
            f"server, let it pass on the Host header with the port"
        )

    def _allows(self, text: str, host: str | None, *, secure: bool) -> bool:
        if text == _NULL:
            return self._null
        origin = parse_origin(text)
        if origin is None:
            return False
        if self._same and host is not None and is_same_origin(origin, host, secure=secure):
            return True
        return origin in self._exact or any(_is_below(origin, parent) for parent in self._parents)


def _entries(allowed: Any) -> frozenset[str]:
    if isinstance(allowed, str):
        if allowed in (_SAME, _ANY):
            return frozenset((allowed,))
    elif isinstance(allowed, Collection) and all(isinstance(entry, str) for entry in allowed):
        return frozenset(allowed)
    raise ConfigurationError(
        f"allowed_origins is {allowed!r}: it must be 'same-origin', '*' or a list of origins, "
        f"such as ['same-origin', 'https://example.com']"
    )


def _header(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope.get("headers", ()) if key == name]


def _is_name(host: str) -> bool:
    """Return whether a host is a name that can have subdomains, and not an address."""
    return not host.startswith(("[", ".")) and not host.rsplit(".", 1)[-1].isdigit()


def _is_below(origin: Origin, parent: Origin) -> bool:
    return (
        origin.host.endswith(parent.host)
        and origin.host != parent.host
        and (origin.scheme, origin.port) == (parent.scheme, parent.port)
    )
