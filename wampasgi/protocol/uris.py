"""The syntax of URIs and of the patterns that subscriptions and registrations use to match URIs.

A URI consists of components separated by dots. The loose policy forbids white space, ``#`` and empty
components. The strict policy allows only lower-case letters, digits and ``_``. Patterns follow the same
policy but may have empty components: only the last one in a prefix (``"com.myapp."``), any in a wildcard.

Spec: Basic Profile, "URIs"; Advanced Profile, "Pattern-based Subscription" and "Pattern-based
Registrations".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from wampasgi.errors import ConfigurationError
from wampasgi.types import Match, URICheck

#: The match policies: the values of ``options.match`` in SUBSCRIBE and REGISTER.
MATCH_POLICIES: Final[tuple[Match, ...]] = ("exact", "prefix", "wildcard")

_CACHED_URIS: Final = 4096
# Peers choose the URIs, so the cache is also limited in bytes: longer URIs are not cached.
_CACHED_LENGTH: Final = 255


class _MatchCache(dict[str, bool]):
    """A cache of matches against a regular expression: ``cache[uri]`` is True or False.

    A dict with ``__missing__`` makes a hit a single bytecode instruction; ``lru_cache`` takes three times as
    long. A full cache is cleared, because most traffic uses few URIs, which are soon cached again.
    """

    __slots__ = ("_fullmatch",)

    def __init__(self, pattern: str) -> None:
        # fullmatch, because `$` also matches before a trailing newline.
        self._fullmatch = re.compile(pattern).fullmatch

    def __missing__(self, uri: str) -> bool:
        valid = self._fullmatch(uri) is not None
        if len(uri) <= _CACHED_LENGTH:
            if len(self) >= _CACHED_URIS:
                self.clear()
            self[uri] = valid
        return valid


# Possessive quantifiers prevent backtracking, so matching takes linear time for any input.
_CHECKS: Final[Mapping[URICheck, Mapping[Match, Mapping[str, bool]]]] = {
    "loose": {
        "exact": _MatchCache(r"(?:[^\s.#]++\.)*+[^\s.#]++"),
        "prefix": _MatchCache(r"(?:[^\s.#]++\.)*+[^\s.#]*+"),
        "wildcard": _MatchCache(r"[^\s#]*+"),
    },
    "strict": {
        "exact": _MatchCache(r"(?:[0-9a-z_]++\.)*+[0-9a-z_]++"),
        "prefix": _MatchCache(r"(?:[0-9a-z_]++\.)*+[0-9a-z_]*+"),
        "wildcard": _MatchCache(r"[0-9a-z_.]*+"),
    },
}

#: ``VALID_URIS[policy][uri]`` equals ``check_uri(uri, policy=policy)`` but is faster, for code that runs once
#: per message. Only subscription computes missing entries; ``get`` and ``in`` do not.
VALID_URIS: Final[Mapping[URICheck, Mapping[str, bool]]] = {
    policy: checks["exact"] for policy, checks in _CHECKS.items()
}


def check_uri(uri: str, *, policy: URICheck = "loose", allow_empty_components: bool = False) -> bool:
    """Return whether ``uri`` follows the URI rules of ``policy``."""
    return _CHECKS[policy]["wildcard" if allow_empty_components else "exact"][uri]


def check_pattern(uri: str, match: Match, policy: URICheck = "loose") -> bool:
    """Return whether ``uri`` is valid in a SUBSCRIBE or REGISTER with the match policy ``match``.

    Prefixes match by characters, so the last component may be incomplete or empty (``"com.myapp.ord"``,
    ``"com.myapp."``, ``""``). An empty component before the last would match no URI. A wildcard may have
    empty components anywhere; each matches exactly one component.
    """
    return _CHECKS[policy][match][uri]


_EMPTY_COMPONENTS: Final[Mapping[Match, str]] = {
    "exact": "no component may be empty",
    "prefix": "only the last component may be empty",
    "wildcard": "empty components match any component",
}


def require_pattern(where: str, uri: object, match: Match) -> None:
    """Raise ConfigurationError, prefixed with ``where``, if ``uri`` is not a URI or pattern for ``match``."""
    if match not in MATCH_POLICIES:
        raise ConfigurationError(
            f"{where}: match is {match!r}, it must be one of {', '.join(MATCH_POLICIES)}"
        )
    if not isinstance(uri, str) or not _CHECKS["loose"][match][uri]:
        raise ConfigurationError(
            f"{where}: {uri!r} is not a valid URI for match={match!r}: it must be a string of components "
            f"separated by dots, without white space or '#', and {_EMPTY_COMPONENTS[match]}"
        )


def is_reserved(uri: str) -> bool:
    """Return whether ``uri`` is reserved for WAMP itself: its first component is ``wamp``.

    Spec: Basic Profile, "URIs", "Reserved URIs".
    """
    return uri.startswith("wamp.") or uri == "wamp"
