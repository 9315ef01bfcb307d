from __future__ import annotations

import itertools

import pytest

from wampasgi.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from wampasgi.protocol.messages import MESSAGE_NAMES, MESSAGES
from wampasgi.protocol.states import Direction, SessionState, next_state

CODES = {name: code for code, name in MESSAGE_NAMES.items()}

CLIENT_MESSAGES = [
    "PUBLISH",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "CALL",
    "CANCEL",
    "REGISTER",
    "UNREGISTER",
    "YIELD",
    "ERROR",
]
ROUTER_MESSAGES = [
    "PUBLISHED",
    "SUBSCRIBED",
    "UNSUBSCRIBED",
    "EVENT",
    "RESULT",
    "REGISTERED",
    "UNREGISTERED",
    "INVOCATION",
    "INTERRUPT",
    "ERROR",
]
ALL_MESSAGES = sorted(CODES)
NOT_ESTABLISHED = (SessionState.CLOSED, SessionState.ESTABLISHING, SessionState.CHALLENGING)


def walk(*steps: str, state: SessionState = SessionState.CLOSED) -> SessionState:
    """Return the state after steps such as ``"received HELLO"``."""
    for step in steps:
        direction, message = step.split()
        state = next_state(state, Direction[direction.upper()], CODES[message])
    return state


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        (["received HELLO"], "ESTABLISHING"),
        (["received HELLO", "sent ABORT"], "CLOSED"),
        (["received HELLO", "received ABORT"], "CLOSED"),
        (["received HELLO", "sent WELCOME"], "ESTABLISHED"),
        (["received HELLO", "sent CHALLENGE"], "CHALLENGING"),
        (["received HELLO", "sent CHALLENGE", "sent ABORT"], "CLOSED"),
        (["received HELLO", "sent CHALLENGE", "received ABORT"], "CLOSED"),
        (["received HELLO", "sent CHALLENGE", "received AUTHENTICATE"], "ESTABLISHING"),
        (["received HELLO", "sent CHALLENGE", "received AUTHENTICATE", "sent ABORT"], "CLOSED"),
        (["received HELLO", "sent CHALLENGE", "received AUTHENTICATE", "sent WELCOME"], "ESTABLISHED"),
        # two factors
        (["received HELLO", *["sent CHALLENGE", "received AUTHENTICATE"] * 2, "sent WELCOME"], "ESTABLISHED"),
        (["received HELLO", "sent WELCOME", "received GOODBYE"], "CLOSING"),
        (["received HELLO", "sent WELCOME", "received GOODBYE", "sent EVENT"], "CLOSING"),
        (["received HELLO", "sent WELCOME", "received GOODBYE", "sent GOODBYE"], "CLOSED"),
        (["received HELLO", "sent WELCOME", "received GOODBYE", "received ABORT"], "CLOSED"),
        (["received HELLO", "sent WELCOME", "sent GOODBYE"], "SHUTTING_DOWN"),
        (["received HELLO", "sent WELCOME", "sent GOODBYE", "received GOODBYE"], "CLOSED"),
        (["received HELLO", "sent WELCOME", "sent GOODBYE", "received ABORT"], "CLOSED"),
        (["received HELLO", "sent WELCOME", "received ABORT"], "CLOSED"),
        (["received HELLO", "sent WELCOME", "sent ABORT"], "FAILED"),
        # a new session on the same connection
        (
            ["received HELLO", "sent WELCOME", "received GOODBYE", "sent GOODBYE", "received HELLO"],
            "ESTABLISHING",
        ),
        # the client gives up before HELLO
        (["received ABORT"], "CLOSED"),
        # an invalid message before HELLO
        (["sent ABORT"], "FAILED"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, list) else value,
)
def test_lifecycle_follows_the_state_chart(steps: list[str], end: str) -> None:
    assert walk(*steps).name == end


@pytest.mark.parametrize("message", CLIENT_MESSAGES)
def test_established_session_accepts_client_messages(message: str) -> None:
    assert walk(f"received {message}", state=SessionState.ESTABLISHED) is SessionState.ESTABLISHED


@pytest.mark.parametrize("message", ROUTER_MESSAGES)
def test_established_session_sends_router_messages(message: str) -> None:
    assert walk(f"sent {message}", state=SessionState.ESTABLISHED) is SessionState.ESTABLISHED


@pytest.mark.parametrize("message", sorted({*ALL_MESSAGES} - {*CLIENT_MESSAGES, "GOODBYE", "ABORT"}))
def test_established_session_refuses_other_messages(message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^received {message} "):
        walk(f"received {message}", state=SessionState.ESTABLISHED)


# The cases in the specification, "Protocol Errors", that concern the state of the session.
@pytest.mark.parametrize("message", ["WELCOME", "HELLO", "CHALLENGE"])
def test_opening_messages_after_the_session_was_established_are_violations(message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^received {message} after the session was established$"):
        walk(f"received {message}", state=SessionState.ESTABLISHED)


@pytest.mark.parametrize("state", NOT_ESTABLISHED)
@pytest.mark.parametrize(
    "message",
    [
        "GOODBYE",
        "ERROR",
        "SUBSCRIBED",
        "UNSUBSCRIBED",
        "PUBLISHED",
        "RESULT",
        "REGISTERED",
        "UNREGISTERED",
        "INVOCATION",
    ],
)
def test_session_messages_before_the_session_was_established_are_violations(
    message: str, state: SessionState
) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^received {message} before the session was established"):
        walk(f"received {message}", state=state)


@pytest.mark.parametrize("state", NOT_ESTABLISHED)
@pytest.mark.parametrize("message", CLIENT_MESSAGES)
def test_requests_before_the_session_was_established_are_violations(
    message: str, state: SessionState
) -> None:
    with pytest.raises(RemoteProtocolError, match="before the session was established"):
        walk(f"received {message}", state=state)


def test_second_hello_is_a_violation_in_every_state_but_closed() -> None:
    for state in (SessionState.ESTABLISHING, SessionState.CHALLENGING, SessionState.ESTABLISHED):
        with pytest.raises(RemoteProtocolError, match="received HELLO"):
            walk("received HELLO", state=state)


def test_second_authenticate_is_a_violation() -> None:
    state = walk("received HELLO", "sent CHALLENGE", "received AUTHENTICATE")

    with pytest.raises(RemoteProtocolError, match="received AUTHENTICATE"):
        walk("received AUTHENTICATE", state=state)


def test_only_authenticate_answers_challenge() -> None:
    with pytest.raises(RemoteProtocolError, match="CHALLENGE must be answered with AUTHENTICATE"):
        walk("received CALL", state=SessionState.CHALLENGING)


@pytest.mark.parametrize("message", sorted({*ALL_MESSAGES} - {"ABORT"}))
def test_only_abort_is_accepted_after_goodbye(message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^received {message} after GOODBYE$"):
        walk(f"received {message}", state=SessionState.CLOSING)


@pytest.mark.parametrize("message", sorted({*ALL_MESSAGES} - {"GOODBYE", "ABORT"}))
def test_everything_but_goodbye_and_abort_is_ignored_while_shutting_down(message: str) -> None:
    assert walk(f"received {message}", state=SessionState.SHUTTING_DOWN) is SessionState.SHUTTING_DOWN


@pytest.mark.parametrize("message", ALL_MESSAGES)
def test_everything_is_ignored_after_the_session_was_aborted(message: str) -> None:
    assert walk(f"received {message}", state=SessionState.FAILED) is SessionState.FAILED


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("CLOSED", "WELCOME"),
        ("CLOSED", "GOODBYE"),
        ("ESTABLISHING", "EVENT"),
        ("CHALLENGING", "WELCOME"),
        ("ESTABLISHED", "WELCOME"),
        ("ESTABLISHED", "CALL"),
        ("SHUTTING_DOWN", "EVENT"),
        ("SHUTTING_DOWN", "GOODBYE"),
        ("CLOSING", "WELCOME"),
        ("FAILED", "ABORT"),
        ("FAILED", "EVENT"),
    ],
)
def test_sending_a_message_that_is_not_allowed_is_a_local_error(state: str, message: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"{message} must not be sent while the session is {state}"):
        walk(f"sent {message}", state=SessionState[state])


def test_every_message_is_handled_in_every_state() -> None:
    for state, direction, code in itertools.product(SessionState, Direction, MESSAGES):
        mistake = RemoteProtocolError if direction is Direction.RECEIVED else LocalProtocolError
        try:
            assert next_state(state, direction, code) in SessionState
        except ProtocolError as error:
            answer = error
        else:
            continue
        assert type(answer) is mistake
        assert MESSAGE_NAMES[code] in str(answer)
