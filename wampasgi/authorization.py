"""Whether a session may do what it asks for: rules, then the authorizer, then the realm's default."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from wampasgi.errors import AUTHORIZATION_FAILED, NOT_AUTHORIZED, WAMPError
from wampasgi.handlers import HandlerPlan
from wampasgi.permissions import DENIED, Permissions, Verdict
from wampasgi.session import Session
from wampasgi.types import Action, Match

logger = logging.getLogger("wampasgi.router")

_ALLOWED = Verdict(allowed=True, disclose=False)


class Authorization:
    """Decides for one realm.

    An explicit rule decides first: the ``roles=`` of a route, then the most specific ``allow``. Where there
    is none, the authorizer is asked; it permits no disclosure.
    """

    def __init__(self, permissions: Permissions, authorizer: HandlerPlan | None) -> None:
        self._permissions = permissions
        self._authorizer = authorizer

    @property
    def silent(self) -> bool:
        """Whether there are neither rules nor an authorizer, so that defaults decide alone."""
        return self._authorizer is None and not self._permissions

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

        ``roles`` are those of the URI's route, ``provided`` what the authorizer can get injected. Raises
        WAMPError ``wamp.error.authorization_failed`` where the authorizer fails.
        """
        if roles is not None:
            return _ALLOWED if session.authrole in roles else DENIED
        verdict = self._permissions.verdict(action, uri, session.authrole, match=match)
        if verdict is not None or self._authorizer is None:
            return verdict
        values = {**provided, "action": action, "uri": uri, "options": options}
        try:
            answer = await self._authorizer.call(values)
            if not isinstance(answer, bool):
                raise TypeError(f"an authorizer returns True or False, this one returned {answer!r}")
        except Exception as error:
            logger.exception("%s failed for %s of %s by %r", self._authorizer.name, action, uri, session)
            raise WAMPError(AUTHORIZATION_FAILED) from error
        return _ALLOWED if answer else DENIED


def refusal(action: Action, uri: str) -> WAMPError:
    """The error for an action that is not allowed."""
    return WAMPError(NOT_AUTHORIZED, f"this session may not {action} {uri!r}")
