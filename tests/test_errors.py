from __future__ import annotations

import copy
import pickle

import pytest

from wampasgi import ConfigurationError, ConnectionClosed, InvalidArgument, SubscribeError, WAMPError
from wampasgi.errors import InvalidURI, RemoteProtocolError, UnserializableValue
from wampasgi.peers.transport import Disconnected
from wampasgi.testing import SessionAborted, SessionClosed


def test_str_of_a_wamp_error_has_its_uri_and_payload() -> None:
    assert str(WAMPError("com.app.error")) == "com.app.error"
    assert str(WAMPError("com.app.error", "a", b=1)) == "com.app.error: 'a', b=1"


@pytest.mark.parametrize(
    "error",
    [
        WAMPError("com.app.error", 1, key="value"),
        SubscribeError("com.app.full", 2),
        InvalidArgument("text", errors=[]),
        ConnectionClosed("wamp.close.close_realm", closed_by="client"),
        RemoteProtocolError("too large", uri="wamp.error.payload_size_exceeded"),
        InvalidURI("no URI", request_type=48, request_id=7, expects_answer=False),
        UnserializableValue("a set"),
        ConfigurationError("a mistake"),
        Disconnected(1006),
        SessionAborted("com.app.error", 1, details={"message": "why"}),
        SessionClosed("wamp.close.close_realm", "the session is over", code=1000),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_copied_and_pickled(error: Exception) -> None:
    error.add_note("a note")
    for twin in copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert (twin.args, vars(twin)) == (error.args, vars(error))


def test_subscribe_error_is_not_authorized_by_default() -> None:
    assert SubscribeError().uri == "wamp.error.not_authorized"


def test_connection_closed_is_a_connection_error_with_reason_and_side() -> None:
    error = ConnectionClosed("wamp.close.close_realm", closed_by="client")

    assert isinstance(error, ConnectionError)
    assert (error.reason, error.closed_by) == ("wamp.close.close_realm", "client")
    assert "client" in str(error)
