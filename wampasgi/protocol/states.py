"""The lifecycle of a session as the router sees it, in one table.

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
    """Where a session stands.

    An ``IntEnum``, as :class:`Direction` is one: other members compute their hash in Python, each time.
    """

    CLOSED = 0
    """No session: before HELLO, after GOODBYE both ways, after ABORT while it was opened."""
    ESTABLISHING = 1
    """HELLO or AUTHENTICATE was received; WELCOME, CHALLENGE or ABORT is due."""
    CHALLENGING = 2
    """CHALLENGE was sent."""
    ESTABLISHED = 3
    """WELCOME was sent."""
    SHUTTING_DOWN = 4
    """We sent GOODBYE; whatever is received before the peer's is ignored."""
    CLOSING = 5
    """We received GOODBYE and owe ours."""
    FAILED = 6
    """We sent ABORT for what the peer did; nothing that it sends is looked at."""


class Direction(IntEnum):
    """Which way a message goes, seen from the router."""

    RECEIVED = 0
    SENT = 1


_Key: TypeAlias = tuple[SessionState, Direction, int]
_Table: TypeAlias = Mapping[_Key, SessionState]

_RECEIVED, _SENT = Direction.RECEIVED, Direction.SENT
_CLOSED, _FAILED = SessionState.CLOSED, SessionState.FAILED
_ESTABLISHING, _CHALLENGING = SessionState.ESTABLISHING, SessionState.CHALLENGING
_ESTABLISHED = SessionState.ESTABLISHED
_SHUTTING_DOWN, _CLOSING = SessionState.SHUTTING_DOWN, SessionState.CLOSING

_OPENING: Final = frozenset(
    message.code for message in (messages.Hello, messages.Welcome, messages.Challenge, messages.Authenticate)
)

#: What a client sends in a session, GOODBYE and ABORT aside.
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

#: What the router sends in a session, GOODBYE and ABORT aside.
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


def _staying(state: SessionState, direction: Direction, of: Iterable[type[Message]]) -> _Table:
    return {(state, direction, message.code): state for message in of}


_TRANSITIONS: Final[_Table] = {
    (_CLOSED, _RECEIVED, messages.Hello.code): _ESTABLISHING,
    # A client that gives up before it began: ABORT is never replied to.
    (_CLOSED, _RECEIVED, messages.Abort.code): _CLOSED,
    (_CLOSED, _SENT, messages.Abort.code): _FAILED,
    #
    (_ESTABLISHING, _SENT, messages.Welcome.code): _ESTABLISHED,
    (_ESTABLISHING, _SENT, messages.Challenge.code): _CHALLENGING,
    (_ESTABLISHING, _SENT, messages.Abort.code): _CLOSED,
    (_ESTABLISHING, _RECEIVED, messages.Abort.code): _CLOSED,
    #
    # The answer is examined as HELLO was: WELCOME, ABORT or one more CHALLENGE follows.
    (_CHALLENGING, _RECEIVED, messages.Authenticate.code): _ESTABLISHING,
    (_CHALLENGING, _RECEIVED, messages.Abort.code): _CLOSED,
    (_CHALLENGING, _SENT, messages.Abort.code): _CLOSED,
    #
    **_staying(_ESTABLISHED, _RECEIVED, _CLIENT_MESSAGES),
    **_staying(_ESTABLISHED, _SENT, _ROUTER_MESSAGES),
    (_ESTABLISHED, _RECEIVED, messages.Goodbye.code): _CLOSING,
    (_ESTABLISHED, _RECEIVED, messages.Abort.code): _CLOSED,
    (_ESTABLISHED, _SENT, messages.Goodbye.code): _SHUTTING_DOWN,
    (_ESTABLISHED, _SENT, messages.Abort.code): _FAILED,
    #
    **_staying(_SHUTTING_DOWN, _RECEIVED, MESSAGES.values()),
    (_SHUTTING_DOWN, _RECEIVED, messages.Goodbye.code): _CLOSED,
    (_SHUTTING_DOWN, _RECEIVED, messages.Abort.code): _CLOSED,
    (_SHUTTING_DOWN, _SENT, messages.Abort.code): _FAILED,
    #
    # What was under way before GOODBYE may still go out; the client ignores it.
    **_staying(_CLOSING, _SENT, _ROUTER_MESSAGES),
    (_CLOSING, _RECEIVED, messages.Abort.code): _CLOSED,
    (_CLOSING, _SENT, messages.Goodbye.code): _CLOSED,
    (_CLOSING, _SENT, messages.Abort.code): _FAILED,
    #
    **_staying(_FAILED, _RECEIVED, MESSAGES.values()),
}


def next_state(state: SessionState, direction: Direction, message_code: int) -> SessionState:
    """Return the state after a message, whose code is that of a known type.

    What the table does not have is a violation: RemoteProtocolError for a message received,
    LocalProtocolError for one to be sent.
    """
    try:
        return _TRANSITIONS[state, direction, message_code]
    except KeyError:
        pass
    name = MESSAGE_NAMES[message_code]
    if direction is Direction.SENT:
        raise LocalProtocolError(f"{name} must not be sent while the session is {state.name}")
    raise RemoteProtocolError(f"received {name} {_when(state, message_code)}")


def _when(state: SessionState, message_code: int) -> str:
    """Say why this message is not received in this state."""
    if state is SessionState.CHALLENGING:
        return "before the session was established: AUTHENTICATE has to answer CHALLENGE"
    if state is SessionState.CLOSING:
        return "after GOODBYE"
    if state is SessionState.ESTABLISHED:
        return "after the session was established" if message_code in _OPENING else "from a client"
    return "before the session was established"


#: The messages of a client that leave an established session as it is: nearly all there are.
STAYING: Final = frozenset(message.code for message in _CLIENT_MESSAGES)
