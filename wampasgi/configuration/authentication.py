"""The authentication settings of a realm, and the methods that change them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, NamedTuple

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


class _Pair(NamedTuple):
    """A method with two functions, and the decorators for them."""

    method: str
    decorators: tuple[str, str]


_CRA: Final = _Pair("wampcra", ("cra_requirement", "cra_identity"))
_SCRAM: Final = _Pair("wamp-scram", ("scram_credential", "scram_identity"))
_CRYPTOSIGN: Final = _Pair("cryptosign", ("cryptosign_keys", "cryptosign_identity"))


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
        #: The decorated functions of each method with two functions, by their decorators.
        self.decorated: dict[str, dict[str, Handler]] = {}
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

    def transport_authenticator(self, authenticator: H) -> H:
        """Decorate an authenticator for ``add_transport_authenticator``."""
        self.add_transport_authenticator(authenticator)
        return authenticator

    def set_ticket_authenticator(self, authenticator: Handler) -> None:
        """Authenticate sessions by a ticket: ``async fn(session, ticket)`` returns an identity or None.

        The session gets the authid of the returned ``Identity``, otherwise a random one. The authid that the
        client claims is ``session.authid``; return it only if the ticket belongs to it.
        """
        require_function("set_ticket_authenticator", authenticator)
        self._set_challenge_method(
            "ticket", lambda injection: TicketMethod(injection.read(authenticator, {"ticket": None}))
        )

    def ticket_authenticator(self, authenticator: H) -> H:
        """Decorate the authenticator for ``set_ticket_authenticator``.

        Raises ConfigurationError if the realm already has one.
        """
        self._require_no_method("ticket_authenticator", "ticket", authenticator)
        self.set_ticket_authenticator(authenticator)
        return authenticator

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

    def cra_requirement(self, requirement: H) -> H:
        """Decorate the function that finds the requirement of an authid, as for ``set_cra_handlers``.

        ``cra_identity`` decorates the other function; starting the application without it raises
        ConfigurationError. So does a second function of the same kind, at once.
        """
        return self._add_to_pair(_CRA, requirement, is_first=True, complete=self.set_cra_handlers)

    def cra_identity(self, identity: H) -> H:
        """Decorate the function that returns the identity of a session. See ``cra_requirement``."""
        return self._add_to_pair(_CRA, identity, is_first=False, complete=self.set_cra_handlers)

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

    def scram_credential(self, credential: H) -> H:
        """Decorate the function that finds the credential of an authid, as for ``set_scram_handlers``.

        ``scram_identity`` decorates the other function; starting the application without it raises
        ConfigurationError. So does a second function of the same kind, at once.
        """
        return self._add_to_pair(_SCRAM, credential, is_first=True, complete=self.set_scram_handlers)

    def scram_identity(self, identity: H) -> H:
        """Decorate the function that returns the identity of a session. See ``scram_credential``."""
        return self._add_to_pair(_SCRAM, identity, is_first=False, complete=self.set_scram_handlers)

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

    def cryptosign_keys(self, keys: H) -> H:
        """Decorate the function that finds the public keys of an authid, as for ``set_cryptosign_handlers``.

        ``cryptosign_identity`` decorates the other function; starting the application without it raises
        ConfigurationError. So does a second function of the same kind, at once.
        """
        return self._add_to_pair(_CRYPTOSIGN, keys, is_first=True, complete=self.set_cryptosign_handlers)

    def cryptosign_identity(self, identity: H) -> H:
        """Decorate the function that returns the identity of a session. See ``cryptosign_keys``."""
        return self._add_to_pair(_CRYPTOSIGN, identity, is_first=False, complete=self.set_cryptosign_handlers)

    def add_challenge_method(self, method: ChallengeMethod) -> None:
        """Add an authentication method of your own, which implements ``auth.ChallengeMethod``.

        It calls its functions itself, so they do not get the default args of the realm.
        """
        self._set_challenge_method(method.name, lambda injection: method)

    def _set_challenge_method(self, name: str, make: Callable[[Injection], ChallengeMethod]) -> None:
        self.settings.decorated.pop(name, None)
        self.settings.challenge_methods[name] = make
        self.settings.changed()

    def _require_no_method(self, decorator: str, name: str, handler: Handler) -> None:
        require_function(decorator, handler)
        if name in self.settings.challenge_methods:
            raise ConfigurationError(
                f"{decorator} {describe(handler)}: the realm already has functions for the method {name!r}"
            )

    def _add_to_pair(
        self, pair: _Pair, handler: H, *, is_first: bool, complete: Callable[[Handler, Handler], None]
    ) -> H:
        """Add one of the two functions of a method; ``complete`` sets the method when both are known."""
        decorator, missing = pair.decorators if is_first else pair.decorators[::-1]
        found = self.settings.decorated.get(pair.method, {})
        if not found:
            self._require_no_method(decorator, pair.method, handler)
        require_function(decorator, handler)
        if decorator in found:
            raise ConfigurationError(
                f"{decorator} {describe(handler)}: the realm already has {describe(found[decorator])}"
            )
        found = {**found, decorator: handler}
        if missing in found:
            complete(*(found[name] for name in pair.decorators))
        else:

            def incomplete(injection: Injection) -> ChallengeMethod:
                raise ConfigurationError(
                    f"{decorator} {describe(handler)} is one of two functions: decorate the other one with "
                    f"{missing}"
                )

            self._set_challenge_method(pair.method, incomplete)
        self.settings.decorated[pair.method] = found
        return handler

    def set_authentication_handler(self, handler: Handler) -> None:
        """Replace all other authentication with ``async fn(session)``.

        It must await ``session.mark_authenticated(...)`` or ``session.abort(...)``.
        """
        require_function("set_authentication_handler", handler)
        self.settings.authentication_handler = handler
        self.settings.changed()

    def authentication_handler(self, handler: H) -> H:
        """Decorate the handler for ``set_authentication_handler``.

        Raises ConfigurationError if the realm already has one.
        """
        require_function("authentication_handler", handler)
        if self.settings.authentication_handler is not None:
            raise ConfigurationError(
                f"authentication_handler {describe(handler)}: the realm already has "
                f"{describe(self.settings.authentication_handler)}"
            )
        self.set_authentication_handler(handler)
        return handler

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
