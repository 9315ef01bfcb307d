from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wampasgi.errors import RemoteProtocolError, UnserializableValue, UnsupportedValue
from wampasgi.serializers import JSON, MSGPACK

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text().filter(lambda text: not text.startswith("\0"))
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("\0key"), inner),
    max_leaves=15,
)


def test_messages_are_compact_text() -> None:
    assert (JSON.name, JSON.binary) == ("json", False)
    assert JSON.encode([48, 1, {}, "com.p", ["ü"]]) == '[48,1,{},"com.p",["ü"]]'


@settings(deadline=None)
@given(JSON_VALUES)
def test_values_roundtrip(value: object) -> None:
    assert JSON.decode(JSON.encode([value])) == [value]


@settings(deadline=None)
@given(st.lists(JSON_VALUES))
def test_json_of_other_encoders_is_decoded(value: list[Any]) -> None:
    text = json.dumps(value, default=lambda data: "\0" + base64.b64encode(data).decode())

    assert JSON.decode(text) == value


@settings(deadline=None)
@given(st.text() | st.text('[]{}",:0123456789.eE+-\\u0 tn\0="', max_size=30))
def test_random_text_is_decoded_or_refused(text: str) -> None:
    try:
        decoded = JSON.decode(text)
    except RemoteProtocolError:
        return
    assert MSGPACK.decode(MSGPACK.encode([decoded])) == [decoded] or decoded != decoded


@settings(deadline=None)
@given(st.lists(JSON_VALUES | st.integers()))
def test_utf8_form_is_that_of_the_text(value: list[Any]) -> None:
    assert JSON.encode_utf8(value) == JSON.encode(value).encode()


@pytest.mark.parametrize(
    "item",
    [object(), {1, object()}, "\0marked", {"key": ["\0"]}, "\ud800", {"\udfff": 1}, {1: 2}],
    ids=["object", "set", "marked", "marked inside", "surrogate", "key with a surrogate", "integer as key"],
)
def test_value_without_a_form_in_json_is_unserializable_in_utf8_too(item: object) -> None:
    with pytest.raises(UnserializableValue) as of_text:
        JSON.encode([item])
    with pytest.raises(UnserializableValue) as of_utf8:
        JSON.encode_utf8([item])

    assert str(of_utf8.value).partition(" at 0x")[0] == str(of_text.value).partition(" at 0x")[0]


# Data from peers


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "[",
        "[1,]",
        "[1][2]",
        "[1] x",
        "[1]\x1e",
        "{1:2}",
        "['a']",
        "[01]",
        '["\t"]',
        '["\0"]',
        '["\\x41"]',
        "\ufeff[1]",
        "[" * 100_000,
        "[" * 1500 + "]" * 1500,
        '{"a":' * 100_000,
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_malformed_text_is_a_violation(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^malformed JSON: "):
        JSON.decode(text)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("NaN", "JSON has no NaN"),
        ("Infinity", "JSON has no Infinity"),
        ("-Infinity", "JSON has no -Infinity"),
        ("1e999", "number"),
        ('"\\ud800"', "surrogate"),
        ('"\\udc00\\ud800"', "surrogate"),
        ('{"\\ud800":1}', "surrogate"),
        ('"\\u0000Y"', "must continue with valid Base64"),
    ],
)
def test_value_that_cannot_be_passed_on_is_reported_with_the_request(item: str, text: str) -> None:
    with pytest.raises(UnsupportedValue) as raised:
        JSON.decode(f'[48,7,{{}},"com.p",[{item}]]')

    assert raised.value.message.startswith("unsupported value in JSON: ")
    assert text in raised.value.message
    assert raised.value.head == (48, 7, {}, "com.p")


@pytest.mark.parametrize("levels", [260, 500, 1000])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_nesting_that_could_not_be_encoded_again_is_a_violation(begin: str, end: str, levels: int) -> None:
    levels //= len(end)
    text = begin * levels + "1" + end * levels
    if len(end) > 1:
        text = f"[{begin * levels}1{end * levels}]"

    with pytest.raises(RemoteProtocolError, match="nested too deeply"):
        JSON.decode(text)


def test_error_does_not_quote_malformed_text() -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        JSON.decode('["' + "secret" * 1000)

    assert "secret" not in raised.value.message


def test_binary_websocket_message_is_a_violation() -> None:
    with pytest.raises(RemoteProtocolError, match="JSON messages must be text"):
        JSON.decode(b"[1]")


def test_integers_over_64_bits_are_encoded_as_numbers_and_decoded_to_floats() -> None:
    values = [2**70, {"a": (-(2**63) - 1, Decimal(1), b"x")}]

    assert JSON.encode([1, values]) == (
        '[1,[1180591620717411303424,{"a":[-9223372036854775809,"1","\\u0000eA=="]}]]'
    )
    assert JSON.decode("[18446744073709551615,18446744073709551616]") == [2**64 - 1, 2.0**64]


def test_last_of_duplicate_keys_wins() -> None:
    assert JSON.decode('{"a":1,"a":2}') == {"a": 2}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_are_encoded_as_null(value: float) -> None:
    assert JSON.encode([value]) == "[null]"
