from __future__ import annotations

from typing import Any

import pytest

from wampasgi.errors import RemoteProtocolError
from wampasgi.protocol.messages import MESSAGES, Event, Invocation, Result, Welcome
from wampasgi.protocol.router_messages import parse_from_router, state_after
from wampasgi.protocol.states import SessionState

ROLES: dict[str, Any] = {"broker": {"features": {"event_history": True}}, "dealer": {}}

IDENTIFIED: dict[str, Any] = {"trustlevel": 0, "x_unknown": [1]}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            [36, 1, 2, {"publisher": 5, "publisher_authid": "ann", "topic": "a.b", **IDENTIFIED}, [1]],
            Event(1, 2, {"publisher": 5, "publisher_authid": "ann", "topic": "a.b", **IDENTIFIED}, [1]),
        ),
        (
            [68, 1, 2, {"caller": 5, "caller_authrole": "user", "procedure": "a.b", **IDENTIFIED}],
            Invocation(1, 2, {"caller": 5, "caller_authrole": "user", "procedure": "a.b", **IDENTIFIED}),
        ),
        (
            [50, 1, {"callee": 2**53, "callee_authid": "bob"}],
            Result(1, {"callee": 2**53, "callee_authid": "bob"}),
        ),
        ([2, 1, {"roles": ROLES, "authid": "ann"}], Welcome(1, {"roles": ROLES, "authid": "ann"})),
        ([2, 1, {"roles": {"dealer": {}}}], Welcome(1, {"roles": {"dealer": {}}})),
    ],
    ids=str,
)
def test_details_of_a_router_are_accepted(raw: list[Any], message: Any) -> None:
    assert parse_from_router(raw) == message


def test_detail_that_is_null_counts_as_unknown() -> None:
    details = {"publisher": None, "publisher_authid": None, "trustlevel": None}

    assert parse_from_router([36, 1, 2, details]) == Event(1, 2, details)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ([36, 1, 2, {"publisher": 0}], r"EVENT\.Details\.publisher must be a session ID, got 0"),
        ([36, 1, 2, {"publisher": True}], r"EVENT\.Details\.publisher must be a session ID"),
        ([36, 1, 2, {"topic": "a b"}], r"EVENT\.Details\.topic must be a URI, got 'a b'"),
        ([68, 1, 2, {"caller_authid": 7}], r"INVOCATION\.Details\.caller_authid must be a string, got 7"),
        ([68, 1, 2, {"trustlevel": "1"}], r"INVOCATION\.Details\.trustlevel must be an integer"),
        ([50, 1, {"callee": []}], r"RESULT\.Details\.callee must be a session ID, got list"),
        ([2, 1, {"roles": {}}], r"WELCOME\.Details\.roles must contain at least one of broker, dealer"),
        ([2, 1, {"roles": {"broker": None}}], r"WELCOME\.Details\.roles\.broker must be a dict"),
        ([2, 1, {"roles": ROLES, "authrole": 1}], r"WELCOME\.Details\.authrole must be a string"),
    ],
    ids=str,
)
def test_invalid_detail_is_named(raw: list[Any], field: str) -> None:
    with pytest.raises(RemoteProtocolError, match=field):
        parse_from_router(raw)


def test_only_messages_of_routers_are_allowed_in_a_session() -> None:
    def is_allowed(code: int) -> bool:
        try:
            state_after(SessionState.ESTABLISHED, code)
        except RemoteProtocolError:
            return False
        return True

    assert {message.__name__ for code, message in MESSAGES.items() if is_allowed(code)} == {
        *("Abort", "Goodbye", "Error", "Published", "Subscribed", "Unsubscribed", "Event"),
        *("Result", "Registered", "Unregistered", "Invocation", "Interrupt"),
    }
