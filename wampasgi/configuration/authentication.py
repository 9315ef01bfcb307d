"""The authentication settings of a realm, and the methods that change them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from wampasgi.auth import (
    ChallengeMethod,
    CRAAuthRequirement,
    CRAMethod,
    CryptosignMethod,
    SCRAMCredential,
    SCRAMMethod,
    TicketMethod,
)
from wampasgi.configuration.routes import H
from wampasgi.errors import ConfigurationError
from wampasgi.injection.callables import require_function
from wampasgi.injection.plan import Injection, describe
from wampasgi.types import Handler


def _require_functions(where: str, *functions: object) -> None:
    for function in functions:
        require_function(where, function)


class AuthenticationSettings:
    """The authentication settings of a realm.

    ``changed`` is called after each change. ``mock_secret`` returns the realm's key for mock challenges,
    which all its workers share.
    """

    def __init__(self, changed: Callable[[], None], mock_secret: Callable[[], bytes]) -> None:
        self.changed = changed
        self.mock_secret = mock_secret
        self.transport_authenticators: list[Handler] = []
        #: A factory for each challenge method, by its name. Called when the settings are compiled.
        self.challenge_methods: dict[str, Callable[[Injection], ChallengeMethod]] = {}
        self.authentication_handler: Handler | None = None
        self.authentication_failed_handler: Handler | None = None


class ConfiguresAuthentication(ABC):
    """The methods that configure the authentication of a realm."""

    @property
    @abstractmethod
    def settings(self) -> AuthenticationSettings:
        """The settings that the methods below change."""

    def add_transport_authenticator(self, authenticator: Handler) -> None:
        """Authenticate sessions by their connection: ``async fn(session)`` returns an identity or None.

        Several authenticators are tried in the order in which they were added, until one returns an identity.
        """
        require_function("add_transport_authenticator", authenticator)
        self.settings.transport_authenticators.append(authenticator)
        self.settings.changed()

    def set_ticket_authenticator(self, authenticator: Handler) -> None:
        """Authenticate sessions by a ticket: ``async fn(session, ticket)`` returns an identity or None.

        The session gets the authid of the returned ``Identity``, otherwise a random one. The authid that the
        client claims is ``session.authid``; return it only if the ticket belongs to it.
        """
        require_function("set_ticket_authenticator", authenticator)
        self._set_challenge_method(
            "ticket", lambda injection: TicketMethod(injection.read(authenticator, {"ticket": None}))
        )

    def set_cra_handlers(
        self,
        requirement: Handler,
        identity: Handler,
        *,
        unknown: CRAAuthRequirement | None = None,
        mock_secret: bytes | None = None,
    ) -> None:
        """Authenticate sessions by WAMP-CRA: clients sign a challenge with a secret that is never sent.

        ``async requirement(session)`` returns the CRAAuthRequirement of ``session.authid``, or None if the
        authid is unknown. ``async identity(session)`` is called when the signature is verified. If it returns
        None, the session is denied with ``wamp.error.authorization_denied``. For ``unknown`` and
        ``mock_secret``, see ``CRAMethod``.
        """
        _require_functions("set_cra_handlers", requirement, identity)
        mocking = mock_secret or self.settings.mock_secret
        self._set_challenge_method(
            "wampcra",
            lambda injection: CRAMethod(
                injection.read(requirement),
                injection.read(identity),
                unknown=unknown,
                mock_secret=mocking,
            ),
        )

    def set_scram_handlers(
        self,
        credential: Handler,
        identity: Handler,
        *,
        unknown: SCRAMCredential | None = None,
        mock_secret: bytes | None = None,
    ) -> None:
        """Authenticate sessions by WAMP-SCRAM: the password is neither sent nor stored.

        ``async credential(session)`` returns the SCRAMCredential of ``session.authid``, as created by
        ``scram_credential``, or None if the authid is unknown. ``async identity(session)`` is called when the
        proof is verified. If it returns None, the session is denied with ``wamp.error.authorization_denied``.
        For ``unknown`` and ``mock_secret``, see ``SCRAMMethod``.
        """
        _require_functions("set_scram_handlers", credential, identity)
        mocking = mock_secret or self.settings.mock_secret
        self._set_challenge_method(
            "wamp-scram",
            lambda injection: SCRAMMethod(
                injection.read(credential),
                injection.read(identity),
                unknown=unknown,
                mock_secret=mocking,
            ),
        )

    def set_cryptosign_handlers(self, keys: Handler, identity: Handler) -> None:
        """Authenticate sessions by their Ed25519 key. Needs ``wampasgi[cryptosign]``.

        ``async keys(session)`` returns the public keys of ``session.authid``, in hex.
        ``async identity(session)`` is called when the signature is verified. If it returns None, the session
        is denied with ``wamp.error.authorization_denied``.
        """
        _require_functions("set_cryptosign_handlers", keys, identity)
        self._set_challenge_method(
            "cryptosign",
            lambda injection: CryptosignMethod(injection.read(keys), injection.read(identity)),
        )

    def add_challenge_method(self, method: ChallengeMethod) -> None:
        """Add an authentication method of your own, which implements ``auth.ChallengeMethod``.

        It calls its functions itself, so they do not get the default args of the realm.
        """
        self._set_challenge_method(method.name, lambda injection: method)

    def _set_challenge_method(self, name: str, make: Callable[[Injection], ChallengeMethod]) -> None:
        self.settings.challenge_methods[name] = make
        self.settings.changed()

    def set_authentication_handler(self, handler: Handler) -> None:
        """Replace all other authentication with ``async fn(session)``.

        It must await ``session.mark_authenticated(...)`` or ``session.abort(...)``.
        """
        require_function("set_authentication_handler", handler)
        self.settings.authentication_handler = handler
        self.settings.changed()

    def on_authentication_failed(self, handler: H) -> H:
        """Decorate the function to run when a client has failed to authenticate.

        It can be sync or async, and have the parameters ``failure``, an AuthenticationFailure, ``session``
        and ``dropped``. It runs when the client has been refused, for one failure at a time. At most 100
        failures wait for it; further ones are dropped, and ``dropped`` is their number since the last call.
        Waiting and handler have ``Limits.teardown_timeout`` seconds. Its exceptions are logged.

        Clients that have no method in common with the realm, and errors of the application, are no failures.
        Raises ConfigurationError if the realm already has such a handler.
        """
        require_function("on_authentication_failed", handler)
        if self.settings.authentication_failed_handler is not None:
            raise ConfigurationError(
                f"on_authentication_failed {describe(handler)}: the realm already has "
                f"{describe(self.settings.authentication_failed_handler)}"
            )
        self.settings.authentication_failed_handler = handler
        self.settings.changed()
        return handler
