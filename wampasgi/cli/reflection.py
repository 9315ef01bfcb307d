"""Asks the router for descriptions of procedures and topics, which it may refuse to give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from wampasgi.cli.errors import nearest
from wampasgi.cli.failures import SuggestingError
from wampasgi.errors import NO_SUCH_PROCEDURE, WAMPError

if TYPE_CHECKING:
    from wampasgi.client import Session

#: The longest wait for a description, in seconds. A call works without one.
_TIMEOUT: Final = 5.0


async def describe(
    session: Session, kind: Literal["procedure", "topic"], uri: str
) -> Mapping[str, Any] | None:
    """Return the description of a procedure or topic with exactly this URI, or None."""
    answer = await _ask(session, f"wamp.reflection.{kind}.describe", uri)
    return answer if isinstance(answer, Mapping) else None


async def with_suggestions(session: Session, error: WAMPError, procedure: str) -> WAMPError:
    """Return an ERROR of a call, with similar names if there is no such procedure."""
    if error.uri != NO_SUCH_PROCEDURE:
        return error
    known = await _ask(session, "wamp.reflection.procedure.list")
    names = [name for name in known if isinstance(name, str)] if isinstance(known, list) else []
    suggestions = nearest(procedure, names)
    return SuggestingError(error, suggestions) if suggestions else error


async def _ask(session: Session, procedure: str, *args: Any) -> Any:
    try:
        return await session.call(procedure, *args, timeout=_TIMEOUT)
    except (WAMPError, TimeoutError):
        # Routers without reflection, and realms that do not allow it.
        return None
