"""Counting the lists and dicts in serialized messages."""

from __future__ import annotations

import json
import time
from typing import Any

import cbor2
import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wampasgi.serializers import JSON, MSGPACK, CountingSerializer, decoded_exceeds, values_exceed
from wampasgi.serializers.cbor import CBORSerializer

CBOR = CBORSerializer()
#: Text and bytes whose encodings have the bytes of brackets and of containers.
TRICKY = ["[", "{", '"[', "\\[", '\\"[{', "]", "\u0090" * 20, "\u0436[" * 300, "", "\x1e", "a" * 16, "b" * 15]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(TRICKY),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(TRICKY), inner, max_size=5
        )
    ),
)
MESSAGES = st.lists(VALUES)
BINARY_MESSAGES = st.lists(VALUES | st.binary() | st.sampled_from([b"\x90" * n for n in range(0, 300, 7)]))


def containers(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(containers, value.values()))
    return 1 + sum(map(containers, value)) if isinstance(value, list) else 0


def assert_exact(serializer: CountingSerializer, data: str | bytes, count: int) -> None:
    assert serializer.exceeds_containers(data, count - 1)
    assert not serializer.exceeds_containers(data, count)
    assert not serializer.exceeds_containers(data, count + 1)


@given(message=MESSAGES, ascii_only=st.booleans(), spaces=st.sampled_from([None, 1]))
def test_containers_of_json_are_counted_exactly(message: list[Any], ascii_only: bool, spaces: Any) -> None:
    assert_exact(JSON, json.dumps(message, ensure_ascii=ascii_only, indent=spaces), containers(message))


@given(message=BINARY_MESSAGES)
def test_containers_of_messagepack_are_counted_exactly(message: list[Any]) -> None:
    assert_exact(MSGPACK, ormsgpack.packb(message), containers(message))


@given(message=BINARY_MESSAGES)
def test_containers_of_cbor_are_counted_exactly(message: list[Any]) -> None:
    assert_exact(CBOR, cbor2.dumps(message), containers(message))


@given(message=BINARY_MESSAGES)
def test_containers_of_a_decoded_message_are_counted_exactly(message: list[Any]) -> None:
    count = containers(message)

    assert decoded_exceeds(message, count - 1)
    assert not decoded_exceeds(message, count)


def values(value: Any) -> int:
    items: Any = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return len(items) + sum(map(values, items))


@given(message=BINARY_MESSAGES)
def test_values_of_a_decoded_message_are_counted_exactly(message: list[Any]) -> None:
    count = values(message)

    assert values_exceed(message, count - 1)
    assert not values_exceed(message, count)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_strings_of_every_length_are_skipped(size: int) -> None:
    for content in b"\x90" * size, "\u0090" * size, "[" * size:
        message = [content, [content], {"a": content}]
        assert_exact(MSGPACK, ormsgpack.packb(message), 3)
        assert_exact(CBOR, cbor2.dumps(message), 3)


@pytest.mark.parametrize(
    "data",
    [
        # Extensions: fixed lengths, and 8, 16 and 32 bits of length.
        "92 d4 05 90 90",
        "92 d5 05 9090 90",
        "92 d6 05 90909090 90",
        "92 d7 05 9090909090909090 90",
        "92 d8 05 90909090909090909090909090909090 90",
        "92 c7 00 90 90",
        "92 c7 03 90 909090 90",
        "92 c7 14" + "90" * 21 + "90",
        "92 c8 0003 90 909090 90",
        "92 c9 00000003 90 909090 90",
        # Lengths that take more bytes than they need.
        "92 d9 01 90 90",
        "92 da 0001 90 90",
        "92 db 00000001 90 90",
        "92 c6 00000011" + "90" * 17 + "90",
        # Numbers.
        "9b cc90 d090 cd9090 d19090 ce90909090 d290909090 cf9090909090909090 d39090909090909090"
        " ca90909090 cb9090909090909090 90",
        "dc 0001 df 00000000",
        "dd 00000001 de 0000",
    ],
)
def test_values_of_messagepack_are_no_containers(data: str) -> None:
    assert_exact(MSGPACK, bytes.fromhex(data), 2)


@pytest.mark.parametrize(
    "data",
    [
        # Without a length.
        "9f 80 ff",
        "9f 5f 41 80 42 8080 ff 7f 61 80 ff bf ff ff",
        # Tags.
        "82 c0 61 80 80",
        "82 d8 80 61 80 80",
        "82 d9 8080 61 80 80",
        "82 da 80808080 61 80 80",
        "82 db 8080808080808080 61 80 80",
        # Lengths that take more bytes than they need.
        "82 58 01 80 80",
        "82 79 0001 80 80",
        "82 5a 00000001 80 80",
        "82 7b 0000000000000001 80 80",
        "82 5b 0000000000000011" + "80" * 17 + "80",
        "98 01 b8 00",
        "99 0001 b9 0000",
        "9a 00000001 ba 00000000",
        "9b 0000000000000001 bb 0000000000000000",
        # Numbers and simple values.
        "8e 1880 198080 1a80808080 1b8080808080808080 3880 398080 3a80808080 3b8080808080808080"
        " f880 f98080 fa80808080 fb8080808080808080 f7 80",
    ],
)
def test_values_of_cbor_are_no_containers(data: str) -> None:
    assert_exact(CBOR, bytes.fromhex(data), 2)


@given(data=st.binary() | st.lists(st.sampled_from(range(0x80, 0x100)), min_size=10).map(bytes))
def test_malformed_data_is_counted_up_to_its_end(data: bytes) -> None:
    for serializer in (MSGPACK, CBOR, JSON):
        for most in 0, 5:
            serializer.exceeds_containers(data, most)
            serializer.exceeds_containers(data.decode("latin-1"), most)


@pytest.mark.parametrize(
    ("serializer", "beginning", "rest"),
    [
        (JSON, "[" + "[]," * 900, '"['),
        (JSON, '["' + "[" * 1001, "\\"),
        (JSON, '["' + "[" * 1001 + '"', ',""'),
        (JSON, '["' + "[" * 1001 + '"', ',"['),
        (MSGPACK, b"\xdd\0\xff\xff\xff\xda\x20\x00" + b"\x90" * 0x2000, b"\0"),
        (MSGPACK, b"\xdd\0\xff\xff\xff\xda\x20\x00" + b"\x90" * 0x2000, b"\xc7\x00\x05"),
        (MSGPACK, b"\xdd\0\xff\xff\xff\xda\x20\x00" + b"\x90" * 0x2000, b"\0\xd9\x10" + b"\x90" * 16),
        (CBOR, b"\x9a\0\xff\xff\xff\x79\x20\x00" + b"\x80" * 0x2000, b"\0"),
        (CBOR, b"\x9a\0\xff\xff\xff\x79\x20\x00" + b"\x80" * 0x2000, b"\x7b" + b"\0" * 8),
        (CBOR, b"\x9a\0\xff\xff\xff\x79\x20\x00" + b"\x80" * 0x2000, b"\0\x78\x10" + b"\x80" * 16),
    ],
)
def test_counting_takes_linear_time(serializer: CountingSerializer, beginning: Any, rest: Any) -> None:
    data = beginning + rest * (256 * 1024 // len(rest))

    began = time.process_time()
    serializer.exceeds_containers(data, 1000)

    # It takes 15 ms at most. Quadratic time would be minutes.
    assert time.process_time() - began < 0.5
