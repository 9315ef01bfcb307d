"""Tests of values that are not sent to other workers, and of malformed frames from them."""

from __future__ import annotations

from datetime import UTC, time
from decimal import Decimal
from typing import Any

import cbor2
import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, field_serializer

from tests.serializers.test_node_codec import (
    ANN,
    CBOR,
    OF_CBOR,
    Customer,
    carried,
    extension,
    from_client,
    nested,
    written,
)
from tests.serializers.values import VALUES
from wampasgi.errors import UnserializableValue
from wampasgi.serializers.foreign import ForeignDict, ForeignList
from wampasgi.serializers.node_codec import decode_frame, encode_item


class Broken(BaseModel):
    value: int = 1

    @field_serializer("value")
    def fail(self, value: int) -> int:
        raise ZeroDivisionError("the model's own mistake")


class Unsupported:
    pass


# Values that cannot be serialized


def endless() -> list[Any]:
    value: list[Any] = []
    value += [value, value]
    return value


def endless_model() -> Customer:
    model = ANN.model_copy()
    model.extra = {"again": model}
    return model


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Unsupported(), "Unsupported"),
        (Unsupported, "type"),
        ([{"a": Unsupported()}], "Unsupported"),
        ({Unsupported()}, "Unsupported"),
        (nested(300, Unsupported()), "Unsupported"),
        (nested(300, {Unsupported()}), "Unsupported"),
        (ForeignList([Unsupported()], "cbor", b""), "Unsupported"),
        (Broken(), "Broken"),
        ("\ud800", "surrogates"),
        ({"\ud800": 1}, "surrogates"),
        (nested(300, {"\ud800": [[]]}), "surrogates"),
        ({1: "a"}, "Dict key must be str"),
        (nested(300, {1: [[]]}), "Dict key must be str"),
        (time(9, 30, tzinfo=UTC), "tzinfo"),
        (endless(), "ecursion limit"),
        (endless_model(), "Customer|ecursion limit"),
        (nested(100_000), "ecursion limit"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_unsupported_value_is_reported_with_its_type(value: object, text: str) -> None:
    with pytest.raises(UnserializableValue, match=text) as raised:
        encode_item([50, 1, {}, [value]])

    assert str(raised.value).startswith("the connection to other workers cannot serialize the message")


def test_exception_of_a_value_is_the_cause_of_the_error() -> None:
    with pytest.raises(UnserializableValue) as raised:
        encode_item([Broken()])

    codec_error = raised.value.__cause__
    assert codec_error is not None
    assert "the model's own mistake" in str(codec_error.__cause__)


# Malformed frames


@given(value=VALUES, rest=st.binary(min_size=1, max_size=12))
def test_trailing_data_is_malformed(value: object, rest: bytes) -> None:
    with pytest.raises(ValueError, match="malformed frame"):
        decode_frame(encode_item(value) + rest)


@given(value=OF_CBOR, draw=st.data())
def test_truncated_data_is_malformed(value: object, draw: st.DataObject) -> None:
    data = encode_item(from_client(CBOR, cbor2.dumps([value])))

    with pytest.raises(ValueError, match="malformed frame"):
        decode_frame(data[: draw.draw(st.integers(0, len(data) - 1))])


@given(st.binary(max_size=100))
def test_any_data_is_decoded_or_malformed(data: bytes) -> None:
    _decode_or_refuse(data)


@given(value=OF_CBOR, place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_changed_frame_is_decoded_or_malformed(value: object, place: int, byte: int) -> None:
    data = bytearray(encode_item([from_client(CBOR, cbor2.dumps([{1: [value, Decimal("1.5"), {2**70}]}]))]))
    data[place % len(data)] = byte

    _decode_or_refuse(bytes(data))


def _decode_or_refuse(data: bytes) -> None:
    """Decode a frame, and write its value. Any exception but the documented ones fails the test."""
    try:
        decoded = decode_frame(data)
    except ValueError as error:
        refusal = str(error)
    else:
        assert written(decoded) == written(carried(decoded))
        return
    assert refusal.startswith("malformed frame: ")


def origin(*fields: object) -> bytes:
    return extension(-18, ormsgpack.packb(list(fields), option=ormsgpack.OPT_NON_STR_KEYS))


def scalar(*fields: object) -> bytes:
    return extension(-17, ormsgpack.packb(list(fields)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "."),
        (b"\xc1", "."),
        (b"\xa1\xff", "."),
        (b"\x81\x01\x02", "."),
        (b"\x01\x02", "extra data after the value"),
        (extension(-2, b""), "extension type -2 is unknown"),
        (extension(-19, b"x"), "extension type -19 is unknown"),
        (extension(-1, b"x"), "a timestamp must have"),
        (extension(-16, b""), "shortest form"),
        (extension(-16, b"\x01"), "shortest form"),
        (extension(-16, (2**63).to_bytes(9, "big")), "shortest form"),
        (extension(-16, (2**70).to_bytes(12, "big")), "shortest form"),
        (extension(-17, b""), "."),
        (extension(-17, b"\x90"), "a foreign value must be"),
        (scalar("a", "cbor"), "a foreign value must be"),
        (scalar("a", "cbor", None), "a foreign value must be"),
        (scalar("a", "cbor", ["0", "a"]), "a foreign value must be"),
        (scalar("a", "cbor", [-1, "a"]), "a foreign value must be"),
        (scalar(b"x", "msgpack", 1), "a foreign value must be"),
        (scalar(b"x", "msgpack", b"\x01"), "a foreign value must be"),
        (scalar(b"y", "msgpack", extension(-2, b"x")), "a foreign value must be"),
        (scalar(b"x", "msgpack", extension(-2, b"x") + b"\x01"), "extra data after the value"),
        (scalar(1, "cbor", None), "a foreign value must be"),
        (scalar("a", b"cbor", None), "a foreign value must be"),
        (extension(-17, ormsgpack.packb(["a", "cbor", None]) + b"\x01"), "extra data after the value"),
        (scalar("a", "cbor", ormsgpack.Fragment(scalar("a", "cbor", None))), "."),
        (scalar("a", "cbor", ormsgpack.Fragment(extension(5, b"x"))), "."),
        (b"\x92" + extension(-18, b"") + b"\x90", "."),
        (b"\x92" + origin("cbor") + b"\x90", "the origin of a container must be"),
        (b"\x92" + origin(1, b"") + b"\x90", "the origin of a container must be"),
        (b"\x92" + origin("cbor", "") + b"\x90", "the origin of a container must be"),
        (b"\x92" + origin("cbor", b"", {"1": "a"}) + b"\x80", "the origin of a container must be"),
        (b"\x92" + origin("cbor", b"", {1: b"a"}) + b"\x80", "."),
        (b"\x92" + origin("cbor", b"", {}, 1) + b"\x80", "the origin of a container must be"),
        (b"\x92" + origin("cbor", b"") + b"\x80", "does not match"),
        (b"\x92" + origin("cbor", b"", {}) + b"\x90", "does not match"),
        (b"\x92" + origin("cbor", b"") + b"\x01", "does not match"),
        (origin("cbor", b""), "not beside a container"),
        (b"\x91" + origin("cbor", b""), "not beside a container"),
        (b"\x92\x90" + origin("cbor", b""), "not beside a container"),
        (b"\x93" + origin("cbor", b"") + b"\x90\x90", "not beside a container"),
        (b"\x81\xa1a" + origin("cbor", b""), "not beside a container"),
        (b"\x92" + origin("cbor", b"") + b"\x92" + origin("cbor", b"") + b"\x90", "not beside a container"),
        (b"\x81" + origin("cbor", b"") + b"\x90", "."),
    ],
)
def test_malformed_frame_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"malformed frame: .*{reason}"):
        decode_frame(data)


def test_origin_beside_a_container_makes_it_foreign() -> None:
    by_id = decode_frame(b"\x92" + origin("cbor", b"\xd9\x01\x03", {"1": b"\x01"}) + b"\x81\xa11\x02")

    assert (type(by_id), by_id, by_id.keys_encoded) == (ForeignDict, {"1": 2}, {"1": b"\x01"})
