"""From HELLO to WELCOME."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from wampasgi.protocol.challenges import cra_signature, derive_key
from wampasgi.protocol.messages import Abort, Authenticate, Challenge, Hello, Welcome
from wampasgi.testing.errors import ExpectationFailed, SessionAborted, parsed
from wampasgi.testing.session import WAMPSession
from wampasgi.testing.wire import Wire

#: Answers a Challenge (``method``, ``extra``) with the signature, or with the signature and
#: AUTHENTICATE.Extra.
OnChallenge: TypeAlias = Callable[[Challenge], str | tuple[str, Mapping[str, Any]]]

_ANSWERS = frozenset((Welcome.code, Abort.code, Challenge.code))


def client_roles() -> dict[str, Any]:
    """HELLO.Details.roles of the test client: all four, with what it does in each."""
    features = {
        "caller": ("call_canceling", "call_timeout", "caller_identification", "progressive_call_results"),
        "callee": ("caller_identification", "pattern_based_registration", "shared_registration"),
        "publisher": ("publisher_exclusion", "publisher_identification", "subscriber_blackwhite_listing"),
        "subscriber": ("pattern_based_subscription", "publisher_identification"),
    }
    return {role: {"features": dict.fromkeys(names, True)} for role, names in features.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """How a session introduces itself. See TestClient.wamp_session."""

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
            raise ValueError("ticket=, secret= and on_challenge= all answer a CHALLENGE: give one of them")

    def details(self) -> dict[str, Any]:
        """HELLO.Details."""
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
        """Say HELLO, answer challenges and return the session; raises SessionAborted for ABORT."""
        wire.begin_session(answers_goodbye=answers_goodbye)
        wire.send(Hello(self.realm, self.details()).to_list())
        while True:
            awaited = f"WELCOME to realm {self.realm!r}"
            message = parsed(wire.take(lambda raw: raw[0] in _ANSWERS, awaited))
            if isinstance(message, Welcome):
                return WAMPSession(wire, message)
            if isinstance(message, Abort):
                aborted = SessionAborted.of(message)
                aborted.add_note(f"waited for {awaited}")
                raise aborted
            assert isinstance(message, Challenge)
            wire.send(self._answer(message).to_list())

    def _answer(self, challenge: Challenge) -> Authenticate:
        if self.ticket is not None:
            return Authenticate(self.ticket, {})
        if self.secret is not None:
            return Authenticate(_signed(challenge, self.secret), {})
        if self.on_challenge is None:
            raise ExpectationFailed(
                f"waited for WELCOME to realm {self.realm!r}, but got {challenge!r}: "
                "answer it with ticket=, secret= or on_challenge="
            )
        answer = self.on_challenge(challenge)
        signature, extra = (answer, {}) if isinstance(answer, str) else answer
        return Authenticate(signature, dict(extra))


def _signed(challenge: Challenge, secret: str) -> str:
    """Sign as a client of WAMP-CRA does. Spec: Advanced Profile, "Challenge Response Authentication"."""
    extra = challenge.extra
    key = secret
    if "salt" in extra:
        key = derive_key(secret, extra["salt"], extra.get("iterations", 1000), extra.get("keylen", 32))
    return cra_signature(key, extra["challenge"])
