"""The application's authentication handlers, and the answer to a failed one."""

from __future__ import annotations

import traceback
from collections.abc import Collection
from typing import Any, ClassVar

from wampasgi.auth.login import FAILED, login_of
from wampasgi.auth.results import WrongResult, check_annotation
from wampasgi.errors import AUTHENTICATION_FAILED, AUTHORIZATION_DENIED, ConfigurationError, WAMPError
from wampasgi.injection.plan import HandlerPlan, Injection
from wampasgi.logs import about, logger_named
from wampasgi.peers.identity import NOT_IDENTITIES, Identity, identity_mistake
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.types import Handler

logger = logger_named("wampasgi.auth")

_HIDDEN = "[hidden]"


class AuthenticationHandler:
    """A function of the application that takes part in the authentication of a session.

    ``handler`` is the function, sync or async. Its injected arguments are ``session``, ``realm``, ``app``,
    the ones named by ``arguments``, and ``Depends``. Pass a realm's plan instead of the function to inject
    the realm's default args, too. ``expected`` completes the sentence "it must return ...". Raises
    ConfigurationError for a parameter that nothing can fill, for an async generator function, and for a
    function that is annotated to return a bool, because True would not let the client in.
    """

    _wrong: ClassVar[tuple[type, ...]] = (bool,)

    def __init__(self, handler: Handler | HandlerPlan, *arguments: str, expected: str) -> None:
        if isinstance(handler, HandlerPlan):
            self._plan = handler
        else:
            provided = {"session": Session, "realm": None, "app": None, **dict.fromkeys(arguments)}
            self._plan = Injection(provided, {}).read(handler)
        #: The right result, as part of a sentence.
        self.expected = expected
        if self._plan.kind == "async_generator":
            raise ConfigurationError(
                f"{self._plan.description} is an async generator function, but must return its result:"
                " use return instead of yield"
            )
        check_annotation(self._plan.function, self.description, wrong=self._wrong, expected=expected)

    @property
    def name(self) -> str:
        """The function's dotted name."""
        return self._plan.name

    @property
    def description(self) -> str:
        """The function's dotted name, file and line."""
        return self._plan.description

    async def call(self, session: Session, **arguments: Any) -> Any:
        """Run the function for a session, and return its result or raise its error."""
        realm = session.realm
        return await self._plan.call({"session": session, "realm": realm, "app": realm.app, **arguments})


class IdentityHandler(AuthenticationHandler):
    """A function of the application that returns the identity of a session, or None to refuse it.

    Raises ConfigurationError like AuthenticationHandler, and if the annotation names another class whose
    objects are not identities.
    """

    _wrong = NOT_IDENTITIES

    def __init__(self, handler: Handler | HandlerPlan, *arguments: str) -> None:
        super().__init__(
            handler,
            *arguments,
            expected="an object that represents the user, such as an Identity, or None to refuse the session",
        )

    async def find(self, session: Session, **arguments: Any) -> Any:
        """Return the identity of a session, or None. Raises WrongResult for a result that is neither."""
        identity = await self.call(session, **arguments)
        mistake = None if identity is None else identity_mistake(identity)
        if mistake is not None:
            raise WrongResult(self.description, mistake, self.expected)
        return identity

    async def require(self, session: Session) -> Any:
        """Return the identity of a session whose proof is valid.

        Raises WAMPError ``wamp.error.authorization_denied`` if the function returns None.
        """
        identity = await self.find(session)
        if identity is None:
            text = f"{session.authid!r} may not join realm {session.realm_uri!r}"
            raise WAMPError(AUTHORIZATION_DENIED, text)
        return identity


def authid_of(identity: object, proven: str | None) -> str | None:
    """Return the authid that an identity names, or by default the one that the client has proven."""
    named = identity.authid if isinstance(identity, Identity) else None
    return named or proven


async def refuse_failed(
    error: Exception, *, by: str, session: Session, peer: Peer, secrets: Collection[str] = ()
) -> None:
    """Abort a session because its authenticator, named ``by``, has raised an error.

    For WAMPError ``wamp.error.authorization_denied``, ABORT has this reason and the error's first argument
    as its message. Other errors are logged, with ``secrets`` hidden, and ABORT has the reason
    ``wamp.error.authentication_failed``. A WrongResult is logged without a traceback, as it names the
    function.
    """
    if isinstance(error, WAMPError) and error.uri == AUTHORIZATION_DENIED:
        text = error.args[0] if error.args and isinstance(error.args[0], str) else None
        await login_of(session).refuse("denied", AUTHORIZATION_DENIED, text)
        return
    login_of(session).note_fault()
    if isinstance(error, WrongResult):
        logger.error("%s refused %r: %s", by, session, error, extra=about(session))
        await peer.refuse(AUTHENTICATION_FAILED, FAILED)
        return
    # Formatted here instead of with exc_info, because a traceback may quote a secret such as a ticket.
    text_of_error = "".join(traceback.format_exception(error))
    for secret in filter(None, secrets):
        for shown in {secret, repr(secret)[1:-1]}:
            text_of_error = text_of_error.replace(shown, _HIDDEN)
    logger.error("%s failed for %r\n%s", by, session, text_of_error, extra=about(session))
    await peer.refuse(AUTHENTICATION_FAILED, FAILED)
