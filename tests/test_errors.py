from __future__ import annotations

import copy
import pickle

from wampasgi import ConnectionClosed, InvalidArgument, SubscribeError, WAMPError


def test_str_of_a_wamp_error_has_its_uri_and_payload() -> None:
    assert str(WAMPError("com.app.error")) == "com.app.error"
    assert str(WAMPError("com.app.error", "a", b=1)) == "com.app.error: 'a', b=1"


def test_wamp_errors_can_be_copied_and_pickled() -> None:
    for error in (
        WAMPError("com.app.error", 1, key="value"),
        SubscribeError("com.app.full", 2),
        InvalidArgument("text", errors=[]),
    ):
        for twin in copy.copy(error), pickle.loads(pickle.dumps(error)):
            assert type(twin) is type(error)
            assert (twin.uri, twin.args, twin.kwargs) == (error.uri, error.args, error.kwargs)


def test_subscribe_error_is_not_authorized_by_default() -> None:
    assert SubscribeError().uri == "wamp.error.not_authorized"


def test_connection_closed_is_a_connection_error_with_reason_and_side() -> None:
    error = ConnectionClosed("wamp.close.close_realm", closed_by="client")

    assert isinstance(error, ConnectionError)
    assert (error.reason, error.closed_by) == ("wamp.close.close_realm", "client")
    assert "client" in str(error)
