"""The syntax of URIs and of the patterns that subscriptions and registrations match URIs with.

A URI is a series of components, separated by dots. The loose policy forbids white space, ``#`` and empty
components; the strict policy allows lower-case letters, digits and ``_`` alone. Patterns follow the same
policy but may have empty components: a prefix its last one (``"com.myapp."``), a wildcard any.

Spec: Basic Profile, "URIs"; Advanced Profile, "Pattern-based Subscription" and "Pattern-based
Registrations".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from wampasgi.errors import ConfigurationError
from wampasgi.types import Match, URICheck

#: The match policies, as ``options.match`` of SUBSCRIBE and REGISTER names them.
MATCH_POLICIES: Final[tuple[Match, ...]] = ("exact", "prefix", "wildcard")

_CACHED_URIS: Final = 4096
# Peers choose the URIs, so the cache is bounded in bytes too: what is longer is checked each time.
_CACHED_LENGTH: Final = 255


class _Checks(dict[str, bool]):
    """Whether a string keeps the rules of a pattern, by subscript: ``checks[uri]``.

    The answers stay here, so that a hit is one step of the interpreter; an ``lru_cache`` takes three times as
    long. When it is full it is emptied: nearly all traffic is about few URIs, which are soon back.
    """

    __slots__ = ("_fullmatch",)

    def __init__(self, pattern: str) -> None:
        # fullmatch, because `$` would also match before a newline at the end.
        self._fullmatch = re.compile(pattern).fullmatch

    def __missing__(self, uri: str) -> bool:
        valid = self._fullmatch(uri) is not None
        if len(uri) <= _CACHED_LENGTH:
            if len(self) >= _CACHED_URIS:
                self.clear()
            self[uri] = valid
        return valid


# Possessive quantifiers: no input, however long, makes the expression go back and try again.
_CHECKS: Final[Mapping[URICheck, Mapping[Match, Mapping[str, bool]]]] = {
    "loose": {
        "exact": _Checks(r"(?:[^\s.#]++\.)*+[^\s.#]++"),
        "prefix": _Checks(r"(?:[^\s.#]++\.)*+[^\s.#]*+"),
        "wildcard": _Checks(r"[^\s#]*+"),
    },
    "strict": {
        "exact": _Checks(r"(?:[0-9a-z_]++\.)*+[0-9a-z_]++"),
        "prefix": _Checks(r"(?:[0-9a-z_]++\.)*+[0-9a-z_]*+"),
        "wildcard": _Checks(r"[0-9a-z_.]*+"),
    },
}

#: ``VALID_URIS[policy][uri]``: what :func:`check_uri` answers without empty components, for code that runs
#: per message. A look-up computes the answer where it is not there yet; ``get`` and ``in`` do not.
VALID_URIS: Final[Mapping[URICheck, Mapping[str, bool]]] = {
    policy: checks["exact"] for policy, checks in _CHECKS.items()
}


def check_uri(uri: str, *, policy: URICheck = "loose", allow_empty_components: bool = False) -> bool:
    """Tell whether ``uri`` keeps the URI rules of ``policy``."""
    return _CHECKS[policy]["wildcard" if allow_empty_components else "exact"][uri]


def check_pattern(uri: str, match: Match, policy: URICheck = "loose") -> bool:
    """Tell whether ``uri`` can be subscribed to or registered with the match policy ``match``.

    A prefix is compared character by character, so its last component may be part of one, or empty
    (``"com.myapp.ord"``, ``"com.myapp."``, ``""``); an empty one before the last could match no URI. A
    wildcard may have empty components anywhere; each stands for exactly one component.
    """
    return _CHECKS[policy][match][uri]


_EMPTY_COMPONENTS: Final[Mapping[Match, str]] = {
    "exact": "are not empty",
    "prefix": "are not empty, but for the last,",
    "wildcard": "are empty where any one fits",
}


def require_pattern(where: str, uri: object, match: Match) -> None:
    """Raise ConfigurationError, ``where`` first, for what is no URI or pattern of URIs under ``match``."""
    if match not in MATCH_POLICIES:
        raise ConfigurationError(
            f"{where}: match is {match!r}, it must be one of {', '.join(MATCH_POLICIES)}"
        )
    if not isinstance(uri, str) or not _CHECKS["loose"][match][uri]:
        raise ConfigurationError(
            f"{where}: {uri!r} is no valid URI for match={match!r}: it is text whose components, parted by "
            f"dots, {_EMPTY_COMPONENTS[match]} and hold neither white space nor '#'"
        )


def is_reserved(uri: str) -> bool:
    """Tell whether ``uri`` belongs to WAMP itself: its first component is ``wamp``.

    Spec: Basic Profile, "URIs", "Reserved URIs".
    """
    return uri.startswith("wamp.") or uri == "wamp"
