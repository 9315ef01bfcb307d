"""The permission rules of a realm: the roles that may call, register, publish or subscribe to URIs.

``realm.allow`` and ``realm.allow_all`` add rules. If no rule applies, the realm asks its authorizer and then
falls back to its default.
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

# The prefix of the router's own URIs.
_RESERVED: Final = "wamp."


def roles_of(roles: str | Collection[str] | None, where: str = "roles") -> frozenset[str] | None:
    """Normalize one role, several roles, or None for everybody.

    Raises ConfigurationError for anything else and for an empty collection, which would shut out everybody.
    Its message begins with ``where``.
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
    """A decision: whether the action is allowed, and whether the session may be disclosed if it asks."""

    allowed: bool
    disclose: bool


#: The refusal of an action, which never discloses the session.
DENIED: Final = Verdict(allowed=False, disclose=False)
_EVERYTHING: Final = Verdict(allowed=True, disclose=True)


class Permissions:
    """The rules of one realm.

    For an action on a URI, the most specific rule for this action that matches this URI decides: the exact
    rule, else the longest prefix, else the best wildcard by the specification's ranking for registrations.
    This has three consequences:

    - Rules for one action never affect another: a rule for ``publish`` does not change ``subscribe``.
    - Rules on the same URI under the same match policy are equally specific and add up.
    - **A rule for one role shuts out the others.** ``allow("com.chat.", "publish", match="prefix")`` lets
      everybody publish below ``com.chat.``. With ``allow("com.chat.news", "publish", role="editor")`` in
      addition, only editors may publish to that one topic.

    Any prefix outranks any wildcard, and ``allow_all`` is the least specific rule of all. Apart from
    ``allow_all``, only rules whose URI begins with ``wamp.`` apply to the router's own URIs, so that
    ``allow("", "call", match="prefix")`` allows no meta procedure.
    """

    def __init__(self) -> None:
        self._application: dict[Action, URIMap[_Grant]] = {action: URIMap() for action in ACTIONS}
        self._reserved: dict[Action, URIMap[_Grant]] = {action: URIMap() for action in ACTIONS}
        self._fallback: Verdict | None = None
        # The arguments of all calls of allow(), for copies.
        self._rules: list[tuple[str, tuple[Action, ...], Match, frozenset[str] | None, bool]] = []
        #: True if there are any rules.
        self.given = False

    def allow(
        self,
        uri: str,
        *actions: Action,
        match: Match = "exact",
        role: str | Collection[str] | None = None,
        disclose: bool = False,
    ) -> None:
        """Allow actions on a URI or URI pattern: call, register, publish, subscribe, takeover.

        ``takeover`` allows the option ``force_reregister`` of REGISTER, which itself needs ``register``.
        ``role`` is the authrole that the rule is for, or several; None is for everybody. ``disclose`` also
        allows callers and publishers to be disclosed if they ask for it.

        Raises ConfigurationError for a missing or unknown action, an unknown match policy, a URI that is
        invalid under its policy, and an empty role or collection of roles.
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
        """Allow everybody every action on every URI, including the router's own, and disclosure.

        Any other rule is more specific and takes precedence for the requests that it matches.
        """
        self._fallback = _EVERYTHING
        self.given = True

    def patterns(self, action: Action) -> list[tuple[Match, str]]:
        """Return the patterns that ``allow`` allows an action on, without those of the router's own URIs."""
        grants = self._application[action]
        return [(grant.match, grant.uri) for grant in grants if grant.match != "exact"]

    def copy(self) -> Permissions:
        """Return an independent copy, to which further rules can be added."""
        copied = Permissions()
        for uri, actions, match, roles, disclose in self._rules:
            copied.allow(uri, *actions, match=match, role=roles, disclose=disclose)
        if self._fallback is not None:
            copied.allow_all()
        return copied

    def allows_somebody(self, action: Action, uri: str, match: Match) -> bool:
        """Return whether the rules allow a session of some role an action on a URI or a whole pattern.

        URIs of the realm are meant, not those of the router.
        """
        rules = self._application[action]
        if match == "exact":
            best = rules.best(uri)
            return self._fallback is not None if best is None else best.allows_somebody
        covering = [grant for grant in rules if covers(grant.match, grant.uri, match, uri)]
        return self._fallback is not None or any(grant.allows_somebody for grant in covering)

    def verdict(
        self,
        action: Action,
        uri: str,
        role: str | None,
        *,
        match: Match = "exact",
        of_realm: bool = False,
    ) -> Verdict | None:
        """Return the decision of the rules for a session with this authrole, or None if no rule applies.

        ``match`` is the policy under which the session wants to subscribe or register. A session may only use
        a pattern if it is allowed every URI that the pattern can match; otherwise patterns would bypass the
        rules. So one rule must cover the whole pattern, and no more specific rule may refuse this role a part
        of it. If no rule covers the pattern, any rule that refuses a part of it decides. With ``of_realm``,
        the rules for the router's own URIs do not count: the pattern is that of a handler of the realm, which
        never matches them.
        """
        if match == "exact" or (match == "wildcard" and "" not in uri.split(".")):
            rules = self._reserved if is_reserved(uri) else self._application
            grant = rules[action].best(uri)
            return self._fallback if grant is None else grant.verdict(role)
        if of_realm or not overlaps("prefix", _RESERVED, match, uri):
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
    """The verdicts of the rules on one URI under one match policy, for one action."""

    __slots__ = ("_everybody", "_roles", "match", "uri")

    def __init__(self, match: Match, uri: str) -> None:
        self.match = match
        self.uri = uri
        self._everybody = DENIED
        self._roles: dict[str | None, Verdict] = {}

    def extend(self, roles: Collection[str] | None, added: Verdict) -> None:
        """Add the verdict of a further rule; ``roles`` is None if the rule is for everybody."""
        if roles is None:
            self._everybody = _either(self._everybody, added)
        for role in self._roles if roles is None else roles:
            self._roles[role] = _either(self.verdict(role), added)

    @property
    def allows_somebody(self) -> bool:
        return any(verdict.allowed for verdict in (self._everybody, *self._roles.values()))

    def verdict(self, role: str | None) -> Verdict:
        return self._roles.get(role, self._everybody)


def _reserved_part(match: Match, uri: str) -> str:
    """Narrow a pattern to the router's own URIs, which it must overlap."""
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
    """Raise ConfigurationError for a rule that cannot mean what its author intended."""
    if not actions:
        raise ConfigurationError(f"allow({uri!r}) names no action: give one or more of {', '.join(ACTIONS)}")
    for action in actions:
        if action not in ACTIONS:
            raise ConfigurationError(
                f"allow({uri!r}): unknown action {action!r}; use one of {', '.join(ACTIONS)}"
            )
    require_pattern(f"allow({uri!r})", uri, match)
