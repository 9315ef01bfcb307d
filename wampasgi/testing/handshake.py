"""The opening handshake of a session, from HELLO to WELCOME."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from wampasgi.client.credentials import cra_response
from wampasgi.protocol.messages import Abort, Authenticate, Challenge, Hello, Welcome
from wampasgi.testing.errors import ExpectationFailed, SessionAborted, parse_message
from wampasgi.testing.session import WAMPSession
from wampasgi.testing.wire import Wire

#: Takes a Challenge, with ``method`` and ``extra``, and returns the signature, or the signature and
#: AUTHENTICATE.Extra.
OnChallenge: TypeAlias = Callable[[Challenge], str | tuple[str, Mapping[str, Any]]]

_ANSWERS = frozenset((Welcome.code, Abort.code, Challenge.code))


def client_roles() -> dict[str, Any]:
    """Return HELLO.Details.roles of the test client, with the features of each role."""
    features = {
        "caller": ("call_canceling", "call_timeout", "caller_identification", "progressive_call_results"),
        "callee": ("caller_identification", "pattern_based_registration", "shared_registration"),
        "publisher": ("publisher_exclusion", "publisher_identification", "subscriber_blackwhite_listing"),
        "subscriber": ("pattern_based_subscription", "publisher_identification"),
    }
    return {role: {"features": dict.fromkeys(names, True)} for role, names in features.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """The arguments of an opening handshake. See TestClient.wamp_session."""

    realm: str
    hello: Mapping[str, Any] = field(default_factory=dict)
    authid: str | None = None
    authmethods: Sequence[str] | None = None
    ticket: str | None = None
    secret: str | None = None
    on_challenge: OnChallenge | None = None

    def __post_init__(self) -> None:
        answers = (self.ticket, self.secret, self.on_challenge)
        if sum(answer is not None for answer in answers) > 1:
            raise ValueError("ticket=, secret= and on_challenge= all answer CHALLENGE: pass only one of them")

    def details(self) -> dict[str, Any]:
        """Return HELLO.Details."""
        methods = self.authmethods
        if methods is None and self.ticket is not None:
            methods = ["ticket"]
        if methods is None and self.secret is not None:
            methods = ["wampcra"]
        details: dict[str, Any] = {"roles": client_roles()}
        if self.authid is not None:
            details["authid"] = self.authid
        if methods is not None:
            details["authmethods"] = list(methods)
        return {**details, **self.hello}

    def open(self, wire: Wire, *, answers_goodbye: bool = True) -> WAMPSession:
        """Send HELLO, answer challenges and return the session. Raises SessionAborted for ABORT."""
        wire.begin_session(answers_goodbye=answers_goodbye)
        wire.send(Hello(self.realm, self.details()).to_list())
        while True:
            description = f"WELCOME to realm {self.realm!r}"
            message = parse_message(wire.take(lambda raw: raw[0] in _ANSWERS, description))
            if isinstance(message, Welcome):
                return WAMPSession(wire, message)
            if isinstance(message, Abort):
                aborted = SessionAborted.of(message)
                aborted.add_note(f"waited for {description}")
                raise aborted
            assert isinstance(message, Challenge)
            wire.send(self._answer(message).to_list())

    def _answer(self, challenge: Challenge) -> Authenticate:
        if self.ticket is not None:
            return Authenticate(self.ticket, {})
        if self.secret is not None:
            return Authenticate(cra_response(challenge.extra, self.secret), {})
        if self.on_challenge is None:
            raise ExpectationFailed(
                f"waited for WELCOME to realm {self.realm!r}, but got {challenge!r}: "
                "answer it with ticket=, secret= or on_challenge="
            )
        answer = self.on_challenge(challenge)
        signature, extra = (answer, {}) if isinstance(answer, str) else answer
        return Authenticate(signature, dict(extra))
