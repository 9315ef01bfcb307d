from __future__ import annotations

import copy
import pickle
from typing import Any, ClassVar, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel

from wampasgi import (
    Application,
    ConfigurationError,
    ConnectionClosed,
    InvalidArgument,
    SubscribeError,
    WAMPError,
)
from wampasgi.errors import InvalidURI, RemoteProtocolError, UnserializableValue
from wampasgi.peers.transport import Disconnected
from wampasgi.testing import SessionAborted, SessionClosed, TestClient


class Account(BaseModel):
    number: int


class BankError(WAMPError):
    account: Account


class LimitExceeded(WAMPError, uri="com.bank.limit"):
    limit: int
    currency: str = "EUR"
    checked: ClassVar[bool] = True
    _internal: int


class DailyLimitExceeded(LimitExceeded):
    day: str
    limit: int = 100


class Blocked(BankError, uri="com.bank.blocked"):
    since: UUID | None = None


class Closed(WAMPError, uri="com.bank.closed"):
    pass


class Refused(SubscribeError, uri="com.bank.refused"):
    reason: str


class BadAmount(InvalidArgument, uri="com.bank.bad_amount"):
    amount: float


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
        DailyLimitExceeded("text", day="today"),
        Closed(1, reason="any"),
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


# Errors with declared fields


def test_error_with_fields_has_its_uri_payload_and_attributes() -> None:
    error = LimitExceeded("not today", limit=5)
    assert (error.uri, error.args) == ("com.bank.limit", ("not today",))
    assert error.kwargs == {"limit": 5, "currency": "EUR"}
    assert (error.limit, error.currency) == (5, "EUR")
    assert str(error) == "com.bank.limit: 'not today', limit=5, currency='EUR'"


def test_field_overrides_its_default() -> None:
    assert LimitExceeded(limit=5, currency="CHF").kwargs == {"limit": 5, "currency": "CHF"}


def test_fields_of_base_classes_come_first_and_keep_their_place() -> None:
    assert LimitExceeded.fields() == ("limit", "currency")
    assert DailyLimitExceeded.fields() == ("limit", "currency", "day")
    error = DailyLimitExceeded(day="today")
    assert (error.uri, error.kwargs) == (
        "com.bank.limit",
        {"limit": 100, "currency": "EUR", "day": "today"},
    )


def test_field_that_is_declared_again_keeps_its_default() -> None:
    class Foreign(LimitExceeded, uri="com.bank.foreign"):
        currency: str
        limit: int = 7

    assert Foreign().kwargs == {"limit": 7, "currency": "EUR"}


def test_base_class_without_a_uri_declares_fields() -> None:
    account = Account(number=1)
    assert Blocked.fields() == ("account", "since")
    assert Blocked(account=account).kwargs == {"account": account, "since": None}
    # It is an ordinary error itself.
    assert BankError.fields() == ()
    assert BankError("com.bank.other", 1, any=2).kwargs == {"any": 2}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, r"misses the fields \['limit'\]"),
        ({"limit": 1, "amount": 2, "a": 3}, r"has no fields \['a', 'amount'\]"),
    ],
)
def test_error_with_missing_or_unknown_fields_is_refused(fields: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=f"^LimitExceeded {problem}$"):
        LimitExceeded(**fields)


def test_error_without_fields_takes_any_payload() -> None:
    error = Closed(1, until=2)
    assert (error.uri, error.args, error.kwargs) == ("com.bank.closed", (1,), {"until": 2})


def test_declared_uri_replaces_that_of_a_base_class() -> None:
    refused = Refused("text", reason="full")
    assert (refused.uri, refused.args, refused.kwargs) == ("com.bank.refused", ("text",), {"reason": "full"})
    assert Refused(reason="full").args == ()
    bad = BadAmount(amount=1.5)
    assert (bad.uri, bad.args, bad.kwargs) == ("com.bank.bad_amount", (), {"amount": 1.5})


@pytest.mark.parametrize("uri", ["", "com bank", "com.bank#1", "com..bank", ".com", "com.", "com.bank\n", 5])
def test_error_with_an_invalid_uri_cannot_be_declared(uri: Any) -> None:
    with pytest.raises(TypeError, match="is not a valid error URI"):
        type("Invalid", (WAMPError,), {}, uri=uri)


@pytest.mark.parametrize("name", ["uri", "args", "kwargs", "fields", "add_note", "with_traceback"])
def test_field_cannot_have_the_name_of_an_attribute_of_all_errors(name: str) -> None:
    with pytest.raises(TypeError, match=f"must not be named '{name}'"):
        type("Invalid", (WAMPError,), {"__annotations__": {name: int}}, uri="com.bank.invalid")


@pytest.mark.parametrize("default", [[], {}, set()])
def test_field_cannot_have_a_default_that_all_errors_share(default: object) -> None:
    with pytest.raises(TypeError, match="all errors would share the default of 'values'"):
        type(
            "Invalid",
            (WAMPError,),
            {"__annotations__": {"values": list}, "values": default},
            uri="com.bank.a",
        )


def test_error_needs_a_uri_if_its_class_declares_none() -> None:
    with pytest.raises(TypeError, match="BankError needs the error URI as its first argument"):
        BankError(account=Account(number=1))


def test_client_gets_the_fields_of_an_error_in_their_json_form(backend: Literal["asyncio", "trio"]) -> None:
    app = Application()
    since = UUID(int=1)

    @app.procedure("com.pay", errors=[Blocked])
    async def pay() -> None:
        raise Blocked("sorry", account=Account(number=7), since=since)

    with TestClient(app, backend=backend).wamp_session() as session, pytest.raises(WAMPError) as raised:
        session.call("com.pay")
    assert (raised.value.uri, raised.value.args) == ("com.bank.blocked", ("sorry",))
    assert raised.value.kwargs == {"account": {"number": 7}, "since": str(since)}


def test_server_gets_the_error_of_its_own_class(backend: Literal["asyncio", "trio"]) -> None:
    app = Application()

    @app.procedure("com.pay")
    async def pay() -> None:
        raise LimitExceeded(limit=5)

    @app.procedure("com.pay_all")
    async def pay_all() -> int:
        try:
            await app.call("com.pay")
        except LimitExceeded as error:
            return error.limit
        return 0

    with TestClient(app, backend=backend).wamp_session() as session:
        assert session.call("com.pay_all") == 5
