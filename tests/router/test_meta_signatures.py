"""Validation of the arguments of the router's own procedures."""

from __future__ import annotations

from typing import Any

import pytest

from wampasgi.errors import InvalidArgument
from wampasgi.protocol.options import SUBSCRIBE_RULES, Rule
from wampasgi.router.meta_signatures import Parameter, Signature

ID = Rule(int, "an ID, an integer")
TEXT = Rule(str, "a string")
TEXTS = Rule(list, "a list of strings", lambda values: all(type(value) is str for value in values))
DICT = Rule(dict, "a dict")

SIGNATURE = Signature(
    Parameter("session", ID),
    Parameter("roles", TEXTS, required=False),
    Parameter("options", DICT, required=False, attributes=SUBSCRIBE_RULES),
    Parameter("reason", None, required=False, keyword=True),
    Parameter("message", TEXT, required=False, positional=False, keyword=True),
)


@pytest.mark.parametrize(
    ("args", "kwargs", "values"),
    [
        ([1], {}, [1, None, None, None, None]),
        ([1, ["a"], {"match": "prefix"}, 5], {}, [1, ["a"], {"match": "prefix"}, 5, None]),
        ([1, None, None], {"message": "go"}, [1, None, None, None, "go"]),
        ([1], {"reason": "com.x", "message": None}, [1, None, None, "com.x", None]),
        ([1, [], {"match": None, "other": 1}], {}, [1, [], {"match": None, "other": 1}, None, None]),
    ],
)
def test_valid_arguments_are_returned_in_the_order_of_the_signature(
    args: list[Any], kwargs: dict[str, Any], values: list[Any]
) -> None:
    assert SIGNATURE.read(args, kwargs) == values


@pytest.mark.parametrize(
    ("args", "kwargs", "argument", "reason"),
    [
        ([], {}, "session", "missing argument"),
        ([None], {}, "session", "must be an ID, an integer, got NoneType"),
        (["1"], {}, "session", "must be an ID, an integer, got str"),
        ([True], {}, "session", "must be an ID, an integer, got bool"),
        ([1.0], {}, "session", "must be an ID, an integer, got float"),
        ([1, "admin"], {}, "roles", "must be a list of strings, got str"),
        ([1, [1]], {}, "roles", "must be a list of strings"),
        ([1, [], {"match": 1}], {}, "options.match", "must be a string, got int"),
        ([1], {"message": 5}, "message", "must be a string, got int"),
        ([1], {"session": 1}, "session", "takes a positional argument only"),
        ([1, [], {}, "a"], {"reason": "b"}, "reason", "given both as a positional and as a keyword argument"),
        ([1], {"other": 1}, "other", "unexpected keyword argument"),
        ([1, [], {}, "a", "b"], {}, None, "takes 4 positional arguments, got 5"),
    ],
)
def test_error_names_the_invalid_argument_and_the_reason(
    args: list[Any], kwargs: dict[str, Any], argument: str | None, reason: str
) -> None:
    with pytest.raises(InvalidArgument) as raised:
        SIGNATURE.read(args, kwargs)

    assert raised.value.kwargs == {"errors": [{"argument": argument, "path": [], "reason": reason}]}
    assert raised.value.args == (reason if argument is None else f"argument {argument!r}: {reason}",)


def test_signature_without_parameters_accepts_no_arguments() -> None:
    with pytest.raises(InvalidArgument, match="takes no positional arguments, got 1"):
        Signature().read([1], {})


def test_long_name_is_shortened_in_the_error() -> None:
    with pytest.raises(InvalidArgument) as caught:
        Signature().read([], {"k" * 100_000: 1})

    assert len(str(caught.value.args)) + len(str(caught.value.kwargs)) < 1000


def test_at_most_ten_errors_are_reported() -> None:
    with pytest.raises(InvalidArgument) as raised:
        Signature().read([], {f"k{number}": number for number in range(1000)})

    assert len(raised.value.kwargs["errors"]) == 10
