"""Checks of the messages that a router sends, for clients.

``parse`` checks the form of each message. A client also relies on the details that a router adds, such as the
publisher of an event, so they are checked here. ``parse`` itself does not check them, because the router that
uses it never receives them.

Spec: Basic Profile, "Messages"; Advanced Profile, "Publisher Identification", "Caller Identification",
"Publication Trust Levels".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wampasgi.errors import LocalProtocolError, RemoteProtocolError
from wampasgi.protocol import messages
from wampasgi.protocol.ids import is_id
from wampasgi.protocol.messages import MESSAGE_NAMES, Message, Welcome
from wampasgi.protocol.options import PASSTHRU_RULES, Rule, Rules
from wampasgi.protocol.parsing import parse
from wampasgi.protocol.states import Direction, SessionState, next_state
from wampasgi.protocol.uris import VALID_URIS

_STR: Final = Rule(str, "a string")
_ID: Final = Rule(int, "a session ID", is_id)
_URI: Final = Rule(str, "a URI", lambda value: VALID_URIS["loose"][value])
_TRUST: Final = Rule(int, "an integer, 0 or more", lambda value: value >= 0)

_EVENT: Final[Rules] = {
    **PASSTHRU_RULES,
    "topic": _URI,
    "publisher": _ID,
    "publisher_authid": _STR,
    "publisher_authrole": _STR,
    "trustlevel": _TRUST,
}
_INVOCATION: Final[Rules] = {
    **PASSTHRU_RULES,
    "procedure": _URI,
    "caller": _ID,
    "caller_authid": _STR,
    "caller_authrole": _STR,
    "trustlevel": _TRUST,
}
_RESULT: Final[Rules] = {
    **PASSTHRU_RULES,
    "callee": _ID,
    "callee_authid": _STR,
    "callee_authrole": _STR,
}
_WELCOME: Final[Rules] = {
    "realm": _STR,
    "authid": _STR,
    "authrole": _STR,
    "authmethod": _STR,
    "authprovider": _STR,
    "authextra": Rule(dict, "a dict"),
}

#: The rules for the Details of a message, by type code.
_DETAILS: Final[Mapping[int, Rules]] = {
    messages.Event.code: _EVENT,
    messages.Invocation.code: _INVOCATION,
    messages.Result.code: _RESULT,
}

_ROUTER_ROLES: Final = ("broker", "dealer")


def parse_from_router(raw: object) -> Message:
    """Parse and check a message that a router sent.

    Raises RemoteProtocolError, whose text names the message and the field.
    """
    message = parse(raw)
    rules = _DETAILS.get(message.code)
    if rules is not None:
        details = getattr(message, "details", None)
        if details:
            _check(MESSAGE_NAMES[message.code], details, rules)
    elif isinstance(message, Welcome):
        _check_welcome(message)
    return message


def state_after(state: SessionState, code: int) -> SessionState:
    """Return the state of a client's session after a message from the router.

    Raises RemoteProtocolError if the router must not send the message in this state.
    """
    try:
        return next_state(state, Direction.SENT, code)
    except LocalProtocolError:
        situation = state.name.lower().replace("_", " ")
        raise RemoteProtocolError(
            f"a router must not send {MESSAGE_NAMES[code]} while the session is {situation}"
        ) from None


def _check(name: str, details: dict[str, Any], rules: Rules) -> None:
    for key, value in details.items():
        rule = rules.get(key)
        # Routers written in JavaScript send null for an unknown attribute.
        if rule is not None and value is not None and not rule.holds(value):
            raise RemoteProtocolError(
                f"{name}.Details.{key} must be {rule.expected}, got {_described(value)}"
            )


def _check_welcome(welcome: Welcome) -> None:
    _check("WELCOME", welcome.details, _WELCOME)
    roles = welcome.details.get("roles")
    if not isinstance(roles, dict) or not any(role in roles for role in _ROUTER_ROLES):
        raise RemoteProtocolError("WELCOME.Details.roles must contain at least one of broker, dealer")
    for role in _ROUTER_ROLES:
        if role not in roles:
            continue
        attributes = roles[role]
        features = attributes.get("features") if isinstance(attributes, dict) else None
        if not isinstance(attributes, dict) or not isinstance(features, dict | None):
            raise RemoteProtocolError(f"WELCOME.Details.roles.{role} must be a dict with a dict of features")


def _described(value: object) -> str:
    return repr(value)[:60] if isinstance(value, str | int) else type(value).__name__
