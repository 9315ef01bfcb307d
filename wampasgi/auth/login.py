"""One session's authentication: its delay, its failure, and who is told about it."""

from __future__ import annotations

import logging
from typing import Final

import anyio

from wampasgi.addresses import network_of
from wampasgi.auth.failed_logins import MAX_WAITING, FailedLogins, LoginAttempt
from wampasgi.auth.failures import AuthenticationFailure, FailureReason
from wampasgi.errors import AUTHENTICATION_FAILED, AUTHORIZATION_DENIED, UNAVAILABLE, RemoteProtocolError
from wampasgi.logs import about, escaped, logger_named, shown
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.peers.transport import Disconnected
from wampasgi.protocol.messages import Abort

#: Has nothing but the lines about failed authentications, so that other tools can read them.
logger = logger_named("wampasgi.auth.failures")

#: The text of ABORT; it does not reveal the reason.
FAILED: Final = "authentication failed"

# The reasons that may be a guess.
_GUESSES: Final = frozenset({"wrong_proof", "unknown_authid"})

# The reasons of ABORT for a failed authentication.
_REFUSALS: Final = (AUTHENTICATION_FAILED, AUTHORIZATION_DENIED)

# The part of the time left for the handshake that a delay may take. The rest is for verifying the proof.
_FOR_DELAY: Final = 0.8


class Login:
    """The authentication of one session, from HELLO until it has succeeded or failed.

    ``Session.login`` keeps it until WELCOME. ``failed_logins`` are the ones of the realm.
    """

    __slots__ = (
        "_attempt",
        "_authid",
        "_failed_logins",
        "_over",
        "_peer",
        "_session",
        "challenged",
        "failure",
        "method",
        "proven",
    )

    def __init__(self, session: Session, peer: Peer, failed_logins: FailedLogins) -> None:
        self._session = session
        self._peer = peer
        self._failed_logins = failed_logins
        # The attempt to log in, while the client waits or its proof is verified, and its authid.
        self._attempt: LoginAttempt | None = None
        self._authid: str | None = None
        # True if nothing more is to be noted.
        self._over = False
        #: The method that was tried last.
        self.method = "none"
        #: True while the client has to answer CHALLENGE.
        self.challenged = False
        #: True if the client's proof is valid, so that it can only be denied.
        self.proven = False
        #: The failure to tell the application about.
        self.failure: AuthenticationFailure | None = None

    async def admit(self) -> bool:
        """Wait as long as earlier failures demand, and return whether to verify the client's proof.

        A right proof waits like a wrong one. If too many logins wait already, the session is refused with
        ``wamp.error.unavailable``. If the client gives up meanwhile, the session has ended. Call ``end`` in
        any case.
        """
        peer = self._peer
        self._authid = self._session.authid
        attempt = self._attempt = self._failed_logins.attempt(self._authid, self._network, peer.limits)
        if attempt.must_wait(anyio.current_time()):
            await self._wait_for_others(attempt)
        delay = attempt.delay(anyio.current_time(), time_left=self._time_left)
        if delay is None or attempt.must_wait(anyio.current_time()):
            text = (
                f"too many logins failed: this realm has reached the limit authentication_failures of"
                f" {peer.limits.authentication_failures} for this authid and address, try again later"
            )
            await self.refuse("limited", UNAVAILABLE, text)
        elif delay:
            peer.counts.delayed_logins += 1
            await self._wait(delay)
        if peer.ending is not None:
            return False
        attempt.begin()
        return True

    @property
    def _time_left(self) -> float:
        return max(0.0, self._peer.handshake.deadline - anyio.current_time()) * _FOR_DELAY

    async def _wait_for_others(self, attempt: LoginAttempt) -> None:
        """Wait for the results of other logins, unless too many wait already."""
        if self._failed_logins.waiting >= MAX_WAITING:
            return
        self._failed_logins.waiting += 1
        try:
            with anyio.move_on_after(self._time_left):
                while attempt.must_wait(anyio.current_time()):
                    await attempt.change()
        finally:
            self._failed_logins.waiting -= 1

    async def _wait(self, delay: float) -> None:
        self._failed_logins.waiting += 1
        try:
            # Reading notices that the client has gone. It has nothing to send but ABORT.
            with anyio.move_on_after(delay):
                message = await self._peer.answer()
                if isinstance(message, Abort):
                    self._peer.cut(message.reason, ended_by="client")
        except Disconnected:
            self._peer.cut(AUTHENTICATION_FAILED, ended_by="client")
        except RemoteProtocolError:
            self.note("invalid_answer")
            raise
        finally:
            self._failed_logins.waiting -= 1

    @property
    def is_verifying(self) -> bool:
        """Return whether the client has sent a proof that is not known to be valid."""
        return self._attempt is not None and not self.proven

    def end(self) -> None:
        """End the attempt to log in: the proof was verified, or is not going to be."""
        if self._attempt is not None:
            self._attempt.end(anyio.current_time())
            self._attempt = None

    @property
    def _network(self) -> str | None:
        return network_of(self._session.client_address)

    def succeed(self) -> None:
        """Forget the failures of the authid from this address, if the client has proven that it owns it."""
        self._over = True
        if self._attempt is not None and self._session.authid == self._authid:
            self._attempt.succeeded()

    async def refuse(
        self, reason: FailureReason, uri: str = AUTHENTICATION_FAILED, text: str | None = FAILED
    ) -> None:
        """Note a failure, and abort the session."""
        self.note(reason)
        await self._peer.refuse(uri, text)

    def note(self, reason: FailureReason) -> None:
        """Log and count the failure of a session that is aborted, unless one was noted before."""
        if self._over:
            return
        self._over = True
        session, peer = self._session, self._peer
        failures = peer.counts.authentication_failures
        failures[self.method, reason] = failures.get((self.method, reason), 0) + 1
        self._log(reason)
        if reason == "no_method":
            return
        if reason in _GUESSES and self._attempt is not None:
            self._attempt.failed(anyio.current_time())
        # Now, because a client that does not read could make the ABORT take long.
        self.end()
        self.failure = AuthenticationFailure(
            realm_uri=session.realm_uri,
            authid=session.authid,
            method=self.method,
            reason=reason,
            client_address=session.client_address,
            connection=session.connection,
        )

    def _log(self, reason: FailureReason) -> None:
        session = self._session
        fields = {"wamp_authid": session.authid and escaped(session.authid), "wamp_method": self.method}
        logger.log(
            # A client without credentials guesses nothing, and may be any visitor of a site.
            logging.INFO if reason == "no_method" else logging.WARNING,
            "authentication failed from %s on realm %s: authid %s, method %s, reason %s",
            session.client_address,
            shown(session.realm_uri),
            shown(session.authid),
            self.method,
            reason,
            extra={**about(session), **fields, "wamp_reason": reason},
        )

    def note_fault(self) -> None:
        """Note that the session is aborted because of an error of the application, which is logged."""
        self._over = True

    def conclude(self, *, timed_out: bool) -> None:
        """Note a failure that no authenticator has noted, now that the session has ended before WELCOME.

        The application may have aborted it, or the client has not answered CHALLENGE in time.
        """
        ending = self._peer.ending
        if timed_out and self.challenged:
            self.note("timeout")
        elif ending is not None and ending.ended_by == "server" and ending.reason in _REFUSALS:
            self.note("denied")


def login_of(session: Session) -> Login:
    """Return the authentication of a session that was not opened yet."""
    login = session.login
    assert isinstance(login, Login)
    return login
