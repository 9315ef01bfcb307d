"""The application's authentication handlers, and the answer to a failed one."""

from __future__ import annotations

import traceback
from collections.abc import Collection
from typing import Any, ClassVar, Final

from starlette.exceptions import HTTPException

from wampasgi.auth.login import FAILED, Login, login_of
from wampasgi.auth.results import WrongResult, check_annotation
from wampasgi.errors import (
    AUTHENTICATION_FAILED,
    AUTHORIZATION_DENIED,
    NOT_AUTHORIZED,
    ConfigurationError,
    WAMPError,
)
from wampasgi.injection.plan import HandlerPlan, Injection
from wampasgi.logs import about, logger_named
from wampasgi.peers.http_errors import wamp_error_of
from wampasgi.peers.identity import NOT_IDENTITIES, Identity, identity_mistake
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.protocol.uris import check_uri, is_reserved
from wampasgi.types import Handler

logger = logger_named("wampasgi.auth")

_HIDDEN = "[hidden]"

#: The reasons with which authenticators may refuse a client, besides URIs of the application.
REFUSALS: Final = (AUTHENTICATION_FAILED, AUTHORIZATION_DENIED, NOT_AUTHORIZED)

#: The lowest status of an HTTPException that is not the client's failure.
_SERVER_ERROR: Final = 500

_HTTP_REFUSALS: Final = {401: AUTHENTICATION_FAILED, 403: AUTHORIZATION_DENIED}


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
        if isinstance(session.login, Login):
            session.login.proven = True
        identity = await self.find(session)
        if identity is None:
            text = f"{session.authid!r} may not join realm {session.realm_uri!r}"
            raise WAMPError(AUTHORIZATION_DENIED, text)
        return identity


def authid_of(identity: object, proven: str | None) -> str | None:
    """Return the authid that an identity names, or by default the one that the client has proven."""
    named = identity.authid if isinstance(identity, Identity) else None
    return named or proven


def _refusal_of(error: Exception) -> WAMPError | None:
    """Return the refusal that an authenticator meant by an exception, or None for a fault.

    The errors of the specification, other than REFUSALS, come from something that the authenticator has
    used, such as a call of a procedure.
    """
    if isinstance(error, HTTPException) and error.status_code in _HTTP_REFUSALS:
        return WAMPError(_HTTP_REFUSALS[error.status_code], error.detail)
    refusal = wamp_error_of(error)
    if refusal is None or not check_uri(refusal.uri):
        return None
    return refusal if refusal.uri in REFUSALS or not is_reserved(refusal.uri) else None


async def refuse_failed(
    error: Exception, *, by: str, session: Session, peer: Peer, secrets: Collection[str] = ()
) -> None:
    """Abort a session because its authenticator, named ``by``, has raised an error.

    A WAMPError with a URI of the application, or with one of REFUSALS, refuses the client: ABORT has its URI
    as the reason, and its first argument as the message. So does an HTTPException of code that HTTP and WAMP
    share; with a status of 500 or higher, it is not a failure of the client. Other errors are logged, with
    ``secrets`` hidden, and ABORT has the reason ``wamp.error.authentication_failed``. A WrongResult is logged
    without a traceback, as it names the function.
    """
    refusal = _refusal_of(error)
    if refusal is not None:
        text = refusal.args[0] if refusal.args and isinstance(refusal.args[0], str) else None
        login = login_of(session)
        if isinstance(error, HTTPException) and error.status_code >= _SERVER_ERROR:
            login.note_fault()
            await peer.refuse(refusal.uri, text)
            return
        # A proof that was not accepted counts as a guess, unless the authenticator says otherwise.
        denied = not login.is_verifying or (error is refusal and refusal.uri == AUTHORIZATION_DENIED)
        await login.refuse("denied" if denied else "wrong_proof", refusal.uri, text)
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
