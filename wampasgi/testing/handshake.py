"""The opening handshake of a session, from HELLO to WELCOME."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeAlias

from wampasgi.client.core import SessionCore, hello_details
from wampasgi.client.credentials import Credentials, Login
from wampasgi.errors import ConfigurationError, RemoteProtocolError
from wampasgi.protocol.messages import Abort, Challenge, Welcome
from wampasgi.testing.arrival import Arrival
from wampasgi.testing.errors import ExpectationFailed, SessionAborted, message_of
from wampasgi.testing.exchange import Core
from wampasgi.testing.wire import Wire

#: Takes a Challenge, with ``method`` and ``extra``, and returns the signature, or the signature and
#: AUTHENTICATE.Extra.
OnChallenge: TypeAlias = Callable[[Challenge], str | tuple[str, Mapping[str, Any]]]


def open_session(
    wire: Wire, realm: str, credentials: Credentials, hello: Mapping[str, Any], *, answers_goodbye: bool
) -> tuple[Core, Welcome]:
    """Send HELLO and answer challenges. Return the core of the session and WELCOME.

    ``hello`` are entries of HELLO.Details to add or to replace. Raises SessionAborted for ABORT, and
    ExpectationFailed for a challenge that the credentials do not answer.
    """
    core: Core = SessionCore()
    login = Login(credentials)
    description = f"WELCOME to realm {realm!r}"
    wire.begin_session(core, answers_goodbye=answers_goodbye)
    wire.send_in_session(core.hello(realm, hello_details({**login.details(), **hello})))
    while True:
        message = message_of(wire.take(_is_of_handshake, description))
        if isinstance(message, Welcome):
            _check(login, message)
            return core, message
        if isinstance(message, Abort):
            aborted = SessionAborted.of(message)
            aborted.add_note(f"waited for {description}")
            raise aborted
        assert isinstance(message, Challenge)
        wire.send_in_session(core.authenticate(*_answer(login, message, description)))


def _is_of_handshake(arrival: Arrival) -> bool:
    return isinstance(arrival.message, Welcome | Abort | Challenge) or arrival.problem is not None


def _answer(login: Login, challenge: Challenge, description: str) -> tuple[str, dict[str, Any]]:
    got = f"waited for {description}, but got {challenge!r}"
    try:
        answer = login.answer(challenge)
    except (ConfigurationError, RemoteProtocolError) as error:
        raise ExpectationFailed(f"{got}: {error}") from error
    if not isinstance(answer, tuple):
        if isinstance(answer, Coroutine):
            answer.close()
        raise ConfigurationError("on_challenge is a coroutine function: the test client needs a plain one")
    return answer


def _check(login: Login, welcome: Welcome) -> None:
    try:
        login.check(welcome)
    except RemoteProtocolError as error:
        raise ExpectationFailed(f"the server sent {welcome!r}: {error.message}") from error
