"""Authorization of a session's actions: by rules, then by the authorizer, then by the realm's default."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from wampasgi.errors import (
    AUTHORIZATION_FAILED,
    NOT_AUTHORIZED,
    OPTION_DISALLOWED_DISCLOSE_ME,
    ConfigurationError,
    WAMPError,
)
from wampasgi.injection.plan import HandlerPlan
from wampasgi.logs import about, logger_named, shown
from wampasgi.peers.session import Session
from wampasgi.router.interfaces import Authenticated
from wampasgi.router.permissions import DENIED, Permissions, Verdict
from wampasgi.types import Action, Match

logger = logger_named("wampasgi.router")

#: The maximum number of cached answers per session. The least recently used one is evicted first.
CACHED_ANSWERS = 1000

#: The maximum length of a cached URI. Clients choose URIs, so they could fill the memory with long ones.
_CACHED_LENGTH = 255

_Key: TypeAlias = tuple[Action, str, Match]


class Authorization:
    """Authorizes the actions of one realm's sessions.

    Explicit rules come first: the ``roles=`` of a route, then the most specific ``allow``. If there is no
    rule, the authorizer decides. It never permits disclosure. With ``cache``, a session reuses the
    authorizer's answer for requests with the same action, URI and match policy, whatever their options are.

    Raises ConfigurationError if the authorizer is an async generator function.
    """

    def __init__(
        self, permissions: Permissions, authorizer: HandlerPlan | None, *, cache: bool = False
    ) -> None:
        if authorizer is not None and authorizer.kind == "async_generator":
            raise ConfigurationError(
                f"{authorizer.description} is an async generator function: an authorizer must return a bool"
            )
        self._permissions = permissions
        self.authorizer = authorizer
        self._answers = _AnswerCache() if cache else None

    @property
    def silent(self) -> bool:
        """Return whether there are neither rules nor an authorizer, so that only the defaults count."""
        return self.authorizer is None and not self._permissions.given

    def allows_somebody(self, action: Action, uri: str, match: Match) -> bool:
        """Return whether the rules allow some role an action on a URI of the realm or a whole pattern."""
        return self._permissions.allows_somebody(action, uri, match)

    def by_rules(
        self,
        session: Authenticated,
        action: Action,
        uri: str,
        *,
        roles: frozenset[str] | None = None,
        match: Match = "exact",
        of_realm: bool = False,
    ) -> Verdict | None:
        """Return the verdict of the rules alone, or None if no rule matches.

        ``of_realm`` is set for the pattern of a handler of the realm: see Permissions.verdict.
        """
        verdict = self._permissions.verdict(action, uri, session.authrole, match=match, of_realm=of_realm)
        if roles is None:
            return verdict
        if session.authrole not in roles:
            return DENIED
        return Verdict(allowed=True, disclose=verdict is not None and verdict.disclose)

    async def decide(
        self,
        session: Session,
        action: Action,
        uri: str,
        options: Mapping[str, Any],
        provided: Mapping[str, Any],
        *,
        roles: frozenset[str] | None = None,
        match: Match = "exact",
        of_realm: bool = False,
    ) -> Verdict | None:
        """Return the verdict on one action, or None if neither a rule nor an authorizer decides.

        ``roles`` are the roles of the URI's route. If given, they alone decide if the action is allowed, and
        an ``allow`` rule that allows it, too, decides if the session may be disclosed. ``provided`` are the
        arguments for the authorizer. Raises WAMPError ``wamp.error.authorization_failed`` if the authorizer
        fails.
        """
        verdict = self.by_rules(session, action, uri, roles=roles, match=match, of_realm=of_realm)
        if verdict is not None or self.authorizer is None:
            return verdict
        if action == "takeover" and "action" not in self.authorizer.uses:
            # It cannot have meant this action, which allows more than registering does.
            return DENIED
        key = (action, uri, match)
        answer = None if self._answers is None else self._answers.get(session, key)
        if answer is None:
            answer = await self._ask(self.authorizer, session, options, provided, key)
            if self._answers is not None and len(uri) <= _CACHED_LENGTH:
                self._answers.put(session, key, answer)
        return Verdict(allowed=answer, disclose=False)

    async def _ask(
        self,
        authorizer: HandlerPlan,
        session: Session,
        options: Mapping[str, Any],
        provided: Mapping[str, Any],
        key: _Key,
    ) -> bool:
        action, uri, _ = key
        try:
            answer = await authorizer.call({**provided, "action": action, "uri": uri, "options": options})
            if not isinstance(answer, bool):
                raise TypeError(f"the authorizer returned {answer!r}: it must return True or False")
        except Exception as error:
            logger.exception(
                "%s failed for %s of %s by %r",
                authorizer.name,
                action,
                shown(uri),
                session,
                extra=about(session, uri),
            )
            raise WAMPError(AUTHORIZATION_FAILED) from error
        return answer


class _AnswerCache:
    """The answers of an authorizer, for each session."""

    def __init__(self) -> None:
        self._by_session: WeakKeyDictionary[Session, tuple[Any, OrderedDict[_Key, bool]]] = (
            WeakKeyDictionary()
        )

    def get(self, session: Session, key: _Key) -> bool | None:
        answers = self._answers_of(session)
        if key not in answers:
            return None
        answers.move_to_end(key)
        return answers[key]

    def put(self, session: Session, key: _Key, answer: bool) -> None:
        answers = self._answers_of(session)
        answers[key] = answer
        if len(answers) > CACHED_ANSWERS:
            answers.popitem(last=False)

    def _answers_of(self, session: Session) -> OrderedDict[_Key, bool]:
        identity, answers = self._by_session.get(session, (None, None))
        # The identity of an open session can change, and its rights with it.
        if answers is None or identity is not session.identity:
            answers = OrderedDict()
            self._by_session[session] = (session.identity, answers)
        return answers


def may_disclose(verdict: Verdict | None, action: Action, uri: str, options: Mapping[str, Any]) -> bool:
    """Return whether to disclose a caller or publisher, which requests it with the option ``disclose_me``.

    Raises WAMPError ``wamp.error.option_disallowed.disclose_me`` if it requests it and no rule permits it.
    Spec: Advanced Profile, "Caller Identification" and "Publisher Identification".
    """
    if not options.get("disclose_me", False):
        return False
    if verdict is None or not verdict.disclose:
        raise WAMPError(OPTION_DISALLOWED_DISCLOSE_ME, f"{action} of {uri!r} may not disclose this session")
    return True


def refusal(action: Action, uri: str) -> WAMPError:
    """Return the error for an action that is not allowed, ``wamp.error.not_authorized``."""
    preposition = "to " if action in ("subscribe", "publish") else ""
    return WAMPError(NOT_AUTHORIZED, f"this session may not {action} {preposition}{uri!r}")
