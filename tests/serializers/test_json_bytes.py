"""Bytes in JSON."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wampasgi.errors import RemoteProtocolError, UnserializableValue
from wampasgi.serializers import JSON
from wampasgi.serializers.json_bytes import has_marked, restore, to_string


def test_binary_data_is_encoded_as_in_the_specification() -> None:
    data = bytes.fromhex("10e3ff9053075c526f5fc06d4fe37cdb")
    text = '[70,1,{},["\\u0000EOP/kFMHXFJvX8BtT+N82w=="]]'

    assert JSON.encode([70, 1, {}, [data]]) == text
    assert JSON.decode(text) == [70, 1, {}, [data]]


def test_binary_data_is_decoded_at_every_depth() -> None:
    text = '[1,"\\u0000YQ==",{"\\u0000YQ==":"\\u0000Yg==","b":[{"c":["\\u0000Yw==","\\u0000"]}]},"a\\u0000b"]'

    assert JSON.decode(text) == [1, b"a", {"\0YQ==": b"b", "b": [{"c": [b"c", b""]}]}, "a\0b"]
    assert JSON.decode('"\\u0000YQ=="') == b"a"


def test_binary_data_is_decoded_in_deeply_nested_lists() -> None:
    text = "[" * 200 + '"\\u0000YQ=="' + "]" * 200

    decoded: Any = JSON.decode(text)
    while isinstance(decoded, list):
        (decoded,) = decoded

    assert decoded == b"a"


@pytest.mark.parametrize("base64_text", ["Y", "YQ", "YQ==YQ==", "Y Q==", "\\u0000", "ü", "Y_=="])
def test_string_marked_as_binary_must_be_base64(base64_text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=r"U\+0000 .* must continue with valid Base64"):
        JSON.decode(f'[48,1,{{}},"com.p",[{{"deep":"\\u0000{base64_text}"}}]]')


@pytest.mark.parametrize("string", ["\0", "\0text", "\0YQ=="])
@pytest.mark.parametrize("with_bytes", [True, False])
def test_string_that_peers_would_read_as_bytes_is_refused(string: str, with_bytes: bool) -> None:
    payload = [{"deep": [string]}, b"x" if with_bytes else 1]

    with pytest.raises(UnserializableValue, match=r"must not begin with U\+0000"):
        JSON.encode([70, 1, {}, payload])


def test_other_strings_with_u0000_roundtrip() -> None:
    payload = ["a\0b", "\\u0000", '"\0', '\\"\0text', {"\0key": b"\0value"}]

    assert JSON.decode(JSON.encode(payload)) == payload


@given(st.binary())
def test_string_of_bytes_is_restored_to_them(data: bytes) -> None:
    string = to_string(data)

    assert string.startswith("\0")
    assert restore(string) == data
    assert restore([{"key": [string]}]) == [{"key": [data]}]


def test_values_are_restored_in_place() -> None:
    inner: dict[str, object] = {"key": to_string(b"value")}
    outer = [inner, "text"]

    assert restore(outer) is outer
    assert inner == {"key": b"value"}


def marked_values(value: object) -> int:
    """Return the number of strings that begin with U+0000, without keys."""
    if isinstance(value, dict):
        return sum(map(marked_values, value.values()))
    return sum(map(marked_values, value)) if isinstance(value, list) else str(value).startswith("\0")


PARTS = st.lists(st.sampled_from(["\0", '"', "\\", ":", ",", "u0000", "a", "\\u0000", '"\0', "\n"])).map(
    "".join
)


@given(
    st.recursive(
        PARTS | st.none() | st.integers(0, 9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PARTS, inner, max_size=4),
    )
)
@example(["\0"])
@example([1, {"key": ["\0YQ=="]}])
@example({"\0key": "value"})
@example({"\0key": "\0"})
@example(["a\0b", "\\u0000", '"\0', '\\"\0', "", None, 1])
def test_only_values_that_begin_with_u0000_would_be_read_as_bytes(value: object) -> None:
    assert has_marked(orjson.dumps(value)) is (marked_values(value) > 0)
