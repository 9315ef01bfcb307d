"""Tests of MessagePack and CBOR."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serializers.values import VALUES
from wampasgi.errors import RemoteProtocolError
from wampasgi.serializers import MSGPACK, Serializer
from wampasgi.serializers.cbor import CBORSerializer

pytestmark = pytest.mark.parametrize(
    ("serializer", "name"),
    [(MSGPACK, "MessagePack"), (CBORSerializer(), "CBOR")],
    ids=["MessagePack", "CBOR"],
)


@settings(deadline=None)
@given(value=VALUES)
def test_values_roundtrip(serializer: Serializer, name: str, value: object) -> None:
    assert serializer.decode(serializer.encode([value])) == [value]


@settings(deadline=None)
@given(value=VALUES, rest=st.binary(min_size=1, max_size=12))
def test_trailing_data_is_a_violation(serializer: Serializer, name: str, value: object, rest: bytes) -> None:
    data: Any = serializer.encode([value])

    with pytest.raises(RemoteProtocolError, match=f"malformed {name}"):
        serializer.decode(data + rest)


@settings(deadline=None)
@given(value=VALUES, draw=st.data())
def test_truncated_data_is_a_violation(
    serializer: Serializer, name: str, value: object, draw: st.DataObject
) -> None:
    data = serializer.encode([value])

    with pytest.raises(RemoteProtocolError, match=f"malformed {name}"):
        serializer.decode(data[: draw.draw(st.integers(0, len(data) - 1))])


def test_text_websocket_message_is_a_violation(serializer: Serializer, name: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"{name} messages must be binary"):
        serializer.decode("[]")


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_all_types_of_bytes_are_decoded(serializer: Serializer, name: str, make: Any) -> None:
    data = serializer.encode([48, 1, {}, "com.p", [b"x" * 500]])

    assert serializer.decode(make(data)) == [48, 1, {}, "com.p", [b"x" * 500]]


def test_strings_that_begin_with_u0000_roundtrip(serializer: Serializer, name: str) -> None:
    assert serializer.decode(serializer.encode(["\0text", "\0YQ=="])) == ["\0text", "\0YQ=="]


def test_nan_and_infinity_roundtrip(serializer: Serializer, name: str) -> None:
    decoded: Any = serializer.decode(serializer.encode([float("nan"), float("inf")]))

    assert math.isnan(decoded[0])
    assert decoded[1] == float("inf")
