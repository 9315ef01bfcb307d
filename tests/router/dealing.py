"""Helpers for tests of the dealer: sessions with different features, and short forms of its methods."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Any

from wampasgi.protocol.ids import SequentialIds
from wampasgi.protocol.messages import Call, Cancel, Error, Message, Register, Registered, Yield
from wampasgi.router.call_messages import Outgoing
from wampasgi.router.dealer import Dealer

PROCEDURE = "com.myapp.procedure"
#: Session IDs.
CALLER, CALLEE, SECOND, THIRD = 10, 11, 12, 13

UNAVAILABLE = "wamp.error.unavailable"

#: The attributes of a payload in passthru mode.
PPT: dict[str, Any] = {
    "ppt_scheme": "wamp",
    "ppt_serializer": "cbor",
    "ppt_cipher": "aes256gcm",
    "ppt_keyid": "k",
}

CALLER_FEATURES = ["progressive_call_invocations", "progressive_call_results", "payload_passthru_mode"]
CALLEE_FEATURES = [
    *CALLER_FEATURES,
    "call_canceling",
    "call_timeout",
    "registration_revocation",
]


@dataclass
class Client:
    authid: str | None = None
    authrole: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


def client(
    authid: str | None = None,
    authrole: str | None = None,
    *,
    caller: Iterable[str] = CALLER_FEATURES,
    callee: Iterable[str] = CALLEE_FEATURES,
) -> Client:
    roles = {
        "caller": {"features": dict.fromkeys(caller, True)},
        "callee": {"features": dict.fromkeys(callee, True)},
    }
    return Client(authid, authrole, {"roles": roles})


def new_dealer(
    *, private_registrations: bool = False, random_index: int = 0, overloaded: Container[int] = ()
) -> Dealer:
    return Dealer(
        next_registration_id=SequentialIds(101).for_entry,
        random_index=lambda length: min(random_index, length - 1),
        overloaded=overloaded.__contains__,
        private_registrations=private_registrations,
    )


def register(dealer: Dealer, session_id: int, procedure: str = PROCEDURE, **options: Any) -> int:
    """Register and return the registration ID."""
    [(recipient, answer)] = dealer.register(session_id, Register(1, options, procedure))
    assert isinstance(answer, Registered), answer
    assert recipient == session_id
    return answer.registration_id


def call(
    dealer: Dealer,
    session_id: int,
    request_id: int = 1,
    procedure: str = PROCEDURE,
    *args: Any,
    now: float = 0,
    disclose: bool = False,
    only: int | None = None,
    **options: Any,
) -> list[Outgoing]:
    message = Call(request_id, options, procedure, list(args) or None)
    return dealer.call(session_id, message, now=now, disclose=disclose, only=only)


def answer(
    dealer: Dealer, session_id: int, invocation_id: int, *args: Any, now: float = 0, **options: Any
) -> list[Outgoing]:
    return dealer.yield_result(session_id, Yield(invocation_id, options, list(args) or None), now=now)


def wire(outgoing: list[Outgoing]) -> list[tuple[int, list[Any]]]:
    """The messages as on the wire, without the texts of errors, which are for humans."""
    return [(recipient, _without_text(message)) for recipient, message in outgoing]


def _without_text(message: Message) -> list[Any]:
    raw = message.to_list()
    if raw[0] == 8 and raw[4].startswith("wamp.error.") and len(raw) == 6:
        return raw[:5]
    return raw


def dealer_of(caller: Any = None, *callees: Any, overloaded: Container[int] = (), **options: Any) -> Dealer:
    """A dealer with a caller, and callees from 11 on that share a registration with these options."""
    dealer = new_dealer(overloaded=overloaded)
    dealer.add_session(CALLER, caller or client())
    for session_id, callee in enumerate(callees or [client()], CALLEE):
        dealer.add_session(session_id, callee)
        register(dealer, session_id, **({"invoke": "first"} if len(callees) > 1 else {}) | options)
    return dealer


def may_continue(dealer: Dealer, request_id: int, procedure: str = PROCEDURE) -> bool:
    return dealer.sessions[CALLER].may_continue(Call(request_id, {}, procedure))


def error(dealer: Dealer, session_id: int, invocation_id: int, uri: str, *args: Any, **details: Any) -> Any:
    return dealer.error(session_id, Error(68, invocation_id, details, uri, list(args)))


def cancel(dealer: Dealer, mode: str | None, request_id: int = 1) -> Any:
    return dealer.cancel(CALLER, Cancel(request_id, {} if mode is None else {"mode": mode}))
