"""The state machine of a session, from the router's point of view, as one table.

Spec: Basic Profile, "Sessions" (the state chart) and "Protocol Errors".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final, TypeAlias

from wampasgi.errors import LocalProtocolError, RemoteProtocolError
from wampasgi.protocol import messages
from wampasgi.protocol.messages import MESSAGE_NAMES, MESSAGES, Message


class SessionState(IntEnum):
    """The state of a session.

    This and :class:`Direction` are ``IntEnum`` classes because members of other enums compute their hash in
    Python on each lookup.
    """

    CLOSED = 0
    """No session: before HELLO, after both GOODBYEs, and after an ABORT that ended the handshake."""
    ESTABLISHING = 1
    """HELLO or AUTHENTICATE was received. The router must send WELCOME, CHALLENGE or ABORT."""
    CHALLENGING = 2
    """CHALLENGE was sent."""
    ESTABLISHED = 3
    """WELCOME was sent."""
    SHUTTING_DOWN = 4
    """The router sent GOODBYE and ignores all messages until the peer's GOODBYE."""
    CLOSING = 5
    """GOODBYE was received. The router must answer it."""
    FAILED = 6
    """The router sent ABORT and ignores all further messages."""


class Direction(IntEnum):
    """The direction of a message, from the router's point of view."""

    RECEIVED = 0
    SENT = 1


_Key: TypeAlias = tuple[SessionState, Direction, int]
_Table: TypeAlias = Mapping[_Key, SessionState]

_RECEIVED, _SENT = Direction.RECEIVED, Direction.SENT
_CLOSED, _FAILED = SessionState.CLOSED, SessionState.FAILED
_ESTABLISHING, _CHALLENGING = SessionState.ESTABLISHING, SessionState.CHALLENGING
_ESTABLISHED = SessionState.ESTABLISHED
_SHUTTING_DOWN, _CLOSING = SessionState.SHUTTING_DOWN, SessionState.CLOSING

_OPENING_CODES: Final = frozenset(
    message.code for message in (messages.Hello, messages.Welcome, messages.Challenge, messages.Authenticate)
)

#: The messages that a client sends during a session, except GOODBYE and ABORT.
_CLIENT_MESSAGES: Final = (
    messages.Publish,
    messages.Subscribe,
    messages.Unsubscribe,
    messages.Call,
    messages.Cancel,
    messages.Register,
    messages.Unregister,
    messages.Yield,
    messages.Error,
)

#: The messages that the router sends during a session, except GOODBYE and ABORT.
_ROUTER_MESSAGES: Final = (
    messages.Published,
    messages.Subscribed,
    messages.Unsubscribed,
    messages.Event,
    messages.Result,
    messages.Registered,
    messages.Unregistered,
    messages.Invocation,
    messages.Interrupt,
    messages.Error,
)


def _self_transitions(state: SessionState, direction: Direction, of: Iterable[type[Message]]) -> _Table:
    return {(state, direction, message.code): state for message in of}


_TRANSITIONS: Final[_Table] = {
    (_CLOSED, _RECEIVED, messages.Hello.code): _ESTABLISHING,
    # The client gave up before HELLO. ABORT is never answered.
    (_CLOSED, _RECEIVED, messages.Abort.code): _CLOSED,
    (_CLOSED, _SENT, messages.Abort.code): _FAILED,
    #
    (_ESTABLISHING, _SENT, messages.Welcome.code): _ESTABLISHED,
    (_ESTABLISHING, _SENT, messages.Challenge.code): _CHALLENGING,
    (_ESTABLISHING, _SENT, messages.Abort.code): _CLOSED,
    (_ESTABLISHING, _RECEIVED, messages.Abort.code): _CLOSED,
    #
    # As after HELLO, the router sends WELCOME, ABORT or another CHALLENGE.
    (_CHALLENGING, _RECEIVED, messages.Authenticate.code): _ESTABLISHING,
    (_CHALLENGING, _RECEIVED, messages.Abort.code): _CLOSED,
    (_CHALLENGING, _SENT, messages.Abort.code): _CLOSED,
    #
    **_self_transitions(_ESTABLISHED, _RECEIVED, _CLIENT_MESSAGES),
    **_self_transitions(_ESTABLISHED, _SENT, _ROUTER_MESSAGES),
    (_ESTABLISHED, _RECEIVED, messages.Goodbye.code): _CLOSING,
    (_ESTABLISHED, _RECEIVED, messages.Abort.code): _CLOSED,
    (_ESTABLISHED, _SENT, messages.Goodbye.code): _SHUTTING_DOWN,
    (_ESTABLISHED, _SENT, messages.Abort.code): _FAILED,
    #
    **_self_transitions(_SHUTTING_DOWN, _RECEIVED, MESSAGES.values()),
    (_SHUTTING_DOWN, _RECEIVED, messages.Goodbye.code): _CLOSED,
    (_SHUTTING_DOWN, _RECEIVED, messages.Abort.code): _CLOSED,
    (_SHUTTING_DOWN, _SENT, messages.Abort.code): _FAILED,
    #
    # Messages that were queued before GOODBYE may still be sent. The client ignores them.
    **_self_transitions(_CLOSING, _SENT, _ROUTER_MESSAGES),
    (_CLOSING, _RECEIVED, messages.Abort.code): _CLOSED,
    (_CLOSING, _SENT, messages.Goodbye.code): _CLOSED,
    (_CLOSING, _SENT, messages.Abort.code): _FAILED,
    #
    **_self_transitions(_FAILED, _RECEIVED, MESSAGES.values()),
}


def next_state(state: SessionState, direction: Direction, message_code: int) -> SessionState:
    """Return the state after a message. ``message_code`` must be a known type code.

    A message that the table does not allow raises RemoteProtocolError if it was received and
    LocalProtocolError if it was to be sent.
    """
    try:
        return _TRANSITIONS[state, direction, message_code]
    except KeyError:
        pass
    name = MESSAGE_NAMES[message_code]
    if direction is Direction.SENT:
        raise LocalProtocolError(f"{name} must not be sent while the session is {state.name}")
    raise RemoteProtocolError(f"received {name} {_describe_situation(state, message_code)}")


def _describe_situation(state: SessionState, message_code: int) -> str:
    """Describe the situation in which the message is not allowed."""
    if state is SessionState.CHALLENGING:
        return "before the session was established: CHALLENGE must be answered with AUTHENTICATE"
    if state is SessionState.CLOSING:
        return "after GOODBYE"
    if state is SessionState.ESTABLISHED:
        return "after the session was established" if message_code in _OPENING_CODES else "from a client"
    return "before the session was established"


#: The type codes of client messages that do not change the state of an established session.
STAYING: Final = frozenset(message.code for message in _CLIENT_MESSAGES)
