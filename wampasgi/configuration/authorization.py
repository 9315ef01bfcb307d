"""Whether a session may do what it asks for: rules, then the authorizer, then the realm's default."""

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
from wampasgi.router.permissions import DENIED, Permissions, Verdict
from wampasgi.types import Action, Match

logger = logger_named("wampasgi.router")

#: The authorizer's answers that are kept for each session; the one that was used longest ago goes first.
CACHED_ANSWERS = 1000

#: Longer URIs are asked about each time: clients choose them.
_CACHED_LENGTH = 255

_Key: TypeAlias = tuple[Action, str, Match]


class Authorization:
    """Decides for one realm.

    An explicit rule decides first: the ``roles=`` of a route, then the most specific ``allow``. Where there
    is none, the authorizer is asked; it permits no disclosure. With ``cache`` its answer holds for the whole
    session and for all requests with the same action, URI and match policy, whatever their options are.
    Raises ConfigurationError for an authorizer that is an async generator function.
    """

    def __init__(
        self, permissions: Permissions, authorizer: HandlerPlan | None, *, cache: bool = False
    ) -> None:
        if authorizer is not None and authorizer.kind == "async_generator":
            raise ConfigurationError(
                f"{authorizer.description} is an async generator function: an authorizer has to return a bool"
            )
        self._permissions = permissions
        self.authorizer = authorizer
        self._answers = _Answers() if cache else None

    @property
    def silent(self) -> bool:
        """Whether there are neither rules nor an authorizer, so that defaults decide alone."""
        return self.authorizer is None and not self._permissions.given

    def by_rules(
        self,
        session: Session,
        action: Action,
        uri: str,
        *,
        roles: frozenset[str] | None = None,
        match: Match = "exact",
    ) -> Verdict | None:
        """What ``decide`` gives without asking the authorizer, None where no rule speaks."""
        verdict = self._permissions.verdict(action, uri, session.authrole, match=match)
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
    ) -> Verdict | None:
        """The verdict on one action; None where neither a rule nor an authorizer speaks.

        ``roles`` are those of the URI's route; they decide alone whether the action is allowed, and an
        ``allow`` that allows it, too, whether the session may be disclosed. ``provided`` is what the
        authorizer can get injected. Raises WAMPError ``wamp.error.authorization_failed`` where the authorizer
        fails.
        """
        verdict = self.by_rules(session, action, uri, roles=roles, match=match)
        if verdict is not None or self.authorizer is None:
            return verdict
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
                raise TypeError(f"an authorizer returns True or False, this one returned {answer!r}")
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


class _Answers:
    """What an authorizer has answered, by session."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Session, tuple[Any, OrderedDict[_Key, bool]]] = WeakKeyDictionary()

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
        identity, answers = self._of.get(session, (None, None))
        # An open session may be given another identity, and with it other rights.
        if answers is None or identity is not session.identity:
            answers = OrderedDict()
            self._of[session] = (session.identity, answers)
        return answers


def may_disclose(verdict: Verdict | None, action: Action, uri: str, options: Mapping[str, Any]) -> bool:
    """Whether a caller or publisher is disclosed: it has asked for it with ``disclose_me``, and may be.

    Raises WAMPError ``wamp.error.option_disallowed.disclose_me`` where it has asked and no rule permits it.
    Spec: Advanced Profile, "Caller Identification" and "Publisher Identification".
    """
    if not options.get("disclose_me", False):
        return False
    if verdict is None or not verdict.disclose:
        raise WAMPError(OPTION_DISALLOWED_DISCLOSE_ME, f"{action} of {uri!r} may not disclose this session")
    return True


def refusal(action: Action, uri: str) -> WAMPError:
    """The error for an action that is not allowed."""
    preposition = "to " if action in ("subscribe", "publish") else ""
    return WAMPError(NOT_AUTHORIZED, f"this session may not {action} {preposition}{uri!r}")
