from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from wampasgi.injection.results import (
    RPCErrorResult,
    RPCProgressReport,
    RPCResult,
    to_result,
    to_unpacked_result,
    unwrap,
)
from wampasgi.rpc import RPCRequest

Point = namedtuple("Point", ["x", "y"])


class Account(BaseModel):
    name: str


@dataclass
class Order:
    number: int


@pytest.mark.parametrize(
    ("given", "args"),
    [
        ((), ()),
        ((1, 2), (1, 2)),
        ([1, 2], (1, 2)),
        (range(2), (0, 1)),
        ("text", ("text",)),
        (b"bytes", (b"bytes",)),
        (bytearray(b"bytes"), (bytearray(b"bytes"),)),
        (5, (5,)),
        ({"a": 1}, ({"a": 1},)),
        (None, ()),
        ("", ("",)),
    ],
)
@pytest.mark.parametrize(
    "make", [RPCResult, RPCProgressReport, lambda args: RPCErrorResult("com.error", args)]
)
def test_value_other_than_a_sequence_is_one_argument(make: Any, given: Any, args: tuple[Any, ...]) -> None:
    assert make(given).args == args


def test_results_are_equal_if_type_and_payload_are() -> None:
    assert RPCResult((1,), {"a": 2}) == RPCResult([1], {"a": 2})
    assert RPCResult((1,)) != RPCResult((2,))
    assert RPCResult((1,)) != RPCProgressReport((1,))


def test_results_copy_their_keyword_arguments() -> None:
    kwargs = {"a": 1}
    result = RPCResult((), kwargs)
    kwargs["a"] = 2

    assert result.kwargs == {"a": 1}
    assert RPCResult().kwargs is not RPCResult().kwargs


def test_error_result_is_a_runtime_error_by_default() -> None:
    assert RPCErrorResult(args=("Numbers only!",)) == RPCErrorResult(
        "wamp.error.runtime_error", ("Numbers only!",), {}
    )
    assert RPCErrorResult("myapp.custom_error").error_uri == "myapp.custom_error"


def test_request_has_the_defaults_of_a_call_without_options() -> None:
    session: Any = object()

    request = RPCRequest(7, session, "com.add", [1], {"b": 2})

    assert (request.id, request.session, request.uri) == (7, session, "com.add")
    assert (request.args, request.kwargs, request.options) == ([1], {"b": 2}, {})
    assert (request.timeout, request.disclose_caller, request.receive_progress) == (0, False, False)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (None, RPCResult()),
        ({"a": 1}, RPCResult(({"a": 1},))),
        (OrderedDict(a=1), RPCResult((OrderedDict(a=1),))),
        ({}, RPCResult(({},))),
        ((), RPCResult()),
        ((1, 2), RPCResult((1, 2))),
        ([1, 2], RPCResult(([1, 2],))),
        ([], RPCResult(([],))),
        (Point(1, 2), RPCResult((1, 2))),
        ("text", RPCResult(("text",))),
        (b"bytes", RPCResult((b"bytes",))),
        (0, RPCResult((0,))),
        (False, RPCResult((False,))),
        (Account(name="a"), RPCResult((Account(name="a"),))),
        (Order(1), RPCResult((Order(1),))),
        ({1}, RPCResult(({1},))),
        (RPCResult((1,), {"b": 2}), RPCResult((1,), {"b": 2})),
        (RPCErrorResult("com.error"), RPCErrorResult("com.error")),
        (RPCProgressReport((1,)), RPCProgressReport((1,))),
    ],
)
def test_return_value_is_converted_to_a_result(value: Any, result: Any) -> None:
    assert to_result(value) == result


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"a": 1}, RPCResult((), {"a": 1})),
        (OrderedDict(a=1), RPCResult((), {"a": 1})),
        ({}, RPCResult()),
        ([1, 2], RPCResult((1, 2))),
        ([], RPCResult()),
        ((1, 2), RPCResult((1, 2))),
        (None, RPCResult()),
        ("text", RPCResult(("text",))),
        (Account(name="a"), RPCResult((Account(name="a"),))),
        (RPCResult(([1],)), RPCResult(([1],))),
    ],
)
def test_unpacked_result_spreads_lists_and_mappings(value: Any, result: Any) -> None:
    assert to_unpacked_result(value) == result


@pytest.mark.parametrize("make", [to_unpacked_result, lambda kwargs: RPCErrorResult("com.error", (), kwargs)])
def test_error_names_the_key_that_is_not_a_str(make: Any) -> None:
    with pytest.raises(TypeError, match=r"not 1 \(int\): use str keys"):
        make({"a": 1, 1: 2})


@pytest.mark.parametrize(
    ("args", "kwargs", "value"),
    [
        ([], {}, None),
        ([5], {}, 5),
        ([None], {}, None),
        ([[1, 2]], {}, [1, 2]),
        ([1, 2], {}, RPCResult((1, 2))),
        ([], {"a": 1}, RPCResult((), {"a": 1})),
        ([1], {"a": 1}, RPCResult((1,), {"a": 1})),
    ],
)
def test_local_caller_gets_a_single_argument_unwrapped(args: Any, kwargs: Any, value: Any) -> None:
    assert unwrap(args, kwargs) == value
