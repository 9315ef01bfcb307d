"""How authenticators ask the functions of the application, and what becomes of their failures."""

from __future__ import annotations

import traceback
from collections.abc import Collection
from typing import Any

from wampasgi.errors import AUTHENTICATION_FAILED, AUTHORIZATION_DENIED, ConfigurationError, WAMPError
from wampasgi.injection.plan import HandlerPlan, Injection
from wampasgi.logs import about, logger_named
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.types import Handler

logger = logger_named("wampasgi.auth")

#: All that a client is told of why it is not let in.
FAILED = "authentication failed"

_HIDDEN = "[hidden]"


class AuthenticationHandler:
    """A function of the application that is asked about a session.

    ``handler`` is the function, sync or async, with injected arguments: ``session``, ``realm``, ``app``,
    those that ``arguments`` name, and ``Depends``. A realm gives the plan that it has made of it, so that
    its default args are injected as well. Raises ConfigurationError for a parameter that nothing can fill,
    and for an async generator function.
    """

    def __init__(self, handler: Handler | HandlerPlan, *arguments: str) -> None:
        if isinstance(handler, HandlerPlan):
            self._plan = handler
        else:
            provided = {"session": Session, "realm": None, "app": None, **dict.fromkeys(arguments)}
            self._plan = Injection(provided, {}).read(handler)
        if self._plan.kind == "async_generator":
            raise ConfigurationError(
                f"{self._plan.description} is an async generator function: it has to return its answer"
            )

    @property
    def name(self) -> str:
        """The function's dotted name."""
        return self._plan.name

    async def call(self, session: Session, **arguments: Any) -> Any:
        """Run the function for a session; raises what it raises."""
        realm = session.realm
        return await self._plan.call({"session": session, "realm": realm, "app": realm.app, **arguments})


async def identify(handler: AuthenticationHandler, session: Session) -> Any:
    """Ask for the identity of a session that has proven who it is.

    Raises WAMPError ``wamp.error.authorization_denied`` where it gets none.
    """
    identity = await handler.call(session)
    if identity is None:
        raise WAMPError(AUTHORIZATION_DENIED, f"{session.authid!r} may not join realm {session.realm_uri!r}")
    return identity


async def refuse_failed(
    error: Exception, *, by: str, session: Session, peer: Peer, secrets: Collection[str] = ()
) -> None:
    """Abort a session whose authenticator, ``by``, has raised an error.

    WAMPError ``wamp.error.authorization_denied`` is passed on to the client, with its first argument as the
    message. Everything else is logged, without the ``secrets``, and is
    ``wamp.error.authentication_failed`` to the client.
    """
    if isinstance(error, WAMPError) and error.uri == AUTHORIZATION_DENIED:
        logger.warning("%s denied %r", by, session, extra=about(session))
        text = error.args[0] if error.args and isinstance(error.args[0], str) else None
        await peer.refuse(AUTHORIZATION_DENIED, text)
        return
    # Not exc_info: an exception's text may quote what it was given, such as a ticket.
    told = "".join(traceback.format_exception(error))
    for secret in filter(None, secrets):
        for shown in {secret, repr(secret)[1:-1]}:
            told = told.replace(shown, _HIDDEN)
    logger.error("%s failed for %r\n%s", by, session, told, extra=about(session))
    await peer.refuse(AUTHENTICATION_FAILED, FAILED)
