"""Explicit rules of a realm: which role may call, register, publish or subscribe to which URIs.

These are what ``realm.allow`` and ``realm.allow_all`` collect. Where no rule speaks, the realm asks its
authorizer and then falls back to its default.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, get_args

from wampasgi.errors import ConfigurationError
from wampasgi.protocol.uris import is_reserved, require_pattern
from wampasgi.router.matching import URIMap, covers, overlaps, specificity
from wampasgi.types import Action, Match

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)

# How the router's own URIs begin.
_RESERVED: Final = "wamp."


def roles_of(roles: str | Collection[str] | None, where: str = "roles") -> frozenset[str] | None:
    """Normalise what takes one role, several, or None for everybody.

    Raises ConfigurationError, ``where`` first, for anything else, and for an empty collection: it would shut
    out everybody.
    """
    if roles is None:
        return None
    given: object = (roles,) if isinstance(roles, str) else roles
    named = frozenset(given) if isinstance(given, Collection) else frozenset()
    if not named or not all(isinstance(name, str) and name for name in named):
        raise ConfigurationError(
            f"{where} is {roles!r}: give a non-empty str or several, or leave it out to allow everybody"
        )
    return named


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules decide: whether the action is allowed, and also disclosing the session on request."""

    allowed: bool
    disclose: bool


#: The refusal; nobody is disclosed who is refused.
DENIED: Final = Verdict(allowed=False, disclose=False)
_EVERYTHING: Final = Verdict(allowed=True, disclose=True)


class Permissions:
    """The rules of one realm.

    For an action on a URI, the most specific of the rules that name this action and match this URI decides:
    an exact one, else the longest prefix, else the wildcard that is best by the specification's rule for
    registrations. Three things follow:

    - rules for one action never touch another one: a rule about ``publish`` leaves ``subscribe`` where it
      was;
    - rules that are equally specific, which is rules on the same URI under the same match policy, add up;
    - **a rule for one role shuts out the others**. ``allow("com.chat.", "publish", match="prefix")`` lets
      everybody publish below ``com.chat.``, and with ``allow("com.chat.news", "publish", role="editor")``
      nobody but editors to that one topic.

    A prefix always outranks a wildcard, however short it is; ``allow_all`` is the least specific rule of all.
    The router's own URIs, those that begin with ``wamp.``, are reached only by rules that begin so, too, and
    by ``allow_all``: ``allow("", "call", match="prefix")`` opens no meta procedure.
    """

    def __init__(self) -> None:
        self._application: dict[Action, URIMap[_Grant]] = {action: URIMap() for action in ACTIONS}
        self._reserved: dict[Action, URIMap[_Grant]] = {action: URIMap() for action in ACTIONS}
        self._fallback: Verdict | None = None
        # The rules as they were given, for copies.
        self._rules: list[tuple[str, tuple[Action, ...], Match, frozenset[str] | None, bool]] = []
        #: Whether there is any rule.
        self.given = False

    def allow(
        self,
        uri: str,
        *actions: Action,
        match: Match = "exact",
        role: str | Collection[str] | None = None,
        disclose: bool = False,
    ) -> None:
        """Allow actions (``call``, ``register``, ``publish``, ``subscribe``) on a URI or URI pattern.

        ``role`` is the authrole, or the authroles, that the rule is for; None is for everybody. ``disclose``
        also lets callers and publishers be disclosed when they ask for it.

        Raises ConfigurationError for no or an unknown action, an unknown match policy, a URI that does not
        fit its policy, and for no or an empty role.
        """
        _check_rule(uri, actions, match)
        roles = roles_of(role, f"allow({uri!r}): role")
        self._rules.append((uri, actions, match, roles, disclose))
        self.given = True
        rules = self._reserved if is_reserved(uri) else self._application
        for action in actions:
            grant = rules[action].get(match, uri)
            if grant is None:
                grant = _Grant(match, uri)
                rules[action].add(match, uri, grant)
            grant.extend(roles, Verdict(allowed=True, disclose=disclose))

    def allow_all(self) -> None:
        """Allow everybody everything: every action on every URI, the router's own included, and disclosure.

        Any other rule is more specific and decides for what it matches.
        """
        self._fallback = _EVERYTHING
        self.given = True

    def copy(self) -> Permissions:
        """Return the same rules, to which others can be added."""
        copied = Permissions()
        for uri, actions, match, roles, disclose in self._rules:
            copied.allow(uri, *actions, match=match, role=roles, disclose=disclose)
        if self._fallback is not None:
            copied.allow_all()
        return copied

    def verdict(
        self, action: Action, uri: str, role: str | None, *, match: Match = "exact"
    ) -> Verdict | None:
        """Return what the rules decide for a session with this authrole, None where no rule speaks.

        ``match`` is the policy under which the session asks to subscribe or register. To use a pattern it
        must be allowed all that the pattern can match, or else a pattern would be the way around every rule.
        So one rule has to cover the whole of it, and no rule that comes before that one (or, where none
        covers it, no rule at all) may refuse this role a part of it: then the verdict is a refusal.
        """
        if match == "exact" or (match == "wildcard" and "" not in uri.split(".")):
            rules = self._reserved if is_reserved(uri) else self._application
            grant = rules[action].best(uri)
            return self._fallback if grant is None else grant.verdict(role)
        if not overlaps("prefix", _RESERVED, match, uri):
            return self._pattern_verdict(self._application[action], match, uri, role)
        reserved_part = _reserved_part(match, uri)
        reserved = self._pattern_verdict(self._reserved[action], match, reserved_part, role)
        if uri == reserved_part:
            return reserved
        return _both(self._pattern_verdict(self._application[action], match, uri, role), reserved)

    def _pattern_verdict(
        self, rules: URIMap[_Grant], match: Match, uri: str, role: str | None
    ) -> Verdict | None:
        relevant = [grant for grant in rules if overlaps(grant.match, grant.uri, match, uri)]
        relevant.sort(key=lambda grant: specificity(grant.match, grant.uri), reverse=True)
        for grant in relevant:
            verdict = grant.verdict(role)
            if not verdict.allowed or covers(grant.match, grant.uri, match, uri):
                return verdict
        return self._fallback


class _Grant:
    """What the rules on one URI under one match policy allow to whom, for one action."""

    __slots__ = ("_everybody", "_roles", "match", "uri")

    def __init__(self, match: Match, uri: str) -> None:
        self.match = match
        self.uri = uri
        self._everybody = DENIED
        self._roles: dict[str | None, Verdict] = {}

    def extend(self, roles: Collection[str] | None, added: Verdict) -> None:
        """Add what one more rule allows, ``roles`` being None where it is for everybody."""
        if roles is None:
            self._everybody = _either(self._everybody, added)
        for role in self._roles if roles is None else roles:
            self._roles[role] = _either(self.verdict(role), added)

    def verdict(self, role: str | None) -> Verdict:
        return self._roles.get(role, self._everybody)


def _reserved_part(match: Match, uri: str) -> str:
    """Return the pattern for those of a pattern's URIs that are the router's own; there are some."""
    if uri.startswith(_RESERVED):
        return uri
    return _RESERVED if match == "prefix" else _RESERVED.removesuffix(".") + uri


def _either(one: Verdict, other: Verdict) -> Verdict:
    return Verdict(allowed=one.allowed or other.allowed, disclose=one.disclose or other.disclose)


def _both(one: Verdict | None, other: Verdict | None) -> Verdict | None:
    for verdict in one, other:
        if verdict is not None and not verdict.allowed:
            return verdict
    if one is None or other is None:
        return None
    return Verdict(allowed=True, disclose=one.disclose and other.disclose)


def _check_rule(uri: str, actions: Collection[str], match: Match) -> None:
    """Raise ConfigurationError for a rule that could never say what its author meant."""
    if not actions:
        raise ConfigurationError(f"allow({uri!r}) names no action: name some of {', '.join(ACTIONS)}")
    for action in actions:
        if action not in ACTIONS:
            raise ConfigurationError(
                f"allow({uri!r}): unknown action {action!r}, the actions are {', '.join(ACTIONS)}"
            )
    require_pattern(f"allow({uri!r})", uri, match)
