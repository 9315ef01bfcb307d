from __future__ import annotations

from typing import Any

import pytest

from wampasgi.errors import UnserializableValue
from wampasgi.peers.encoding import UNSERIALIZED, Encoding, framed, serialized
from wampasgi.serializers import JSON, SUBPROTOCOLS, Encoded, Subprotocol, subprotocols
from wampasgi.types import RawMessage

RESULT: list[Any] = [50, 1, {}, ["straße €"]]

every_subprotocol = pytest.mark.parametrize("subprotocol", SUBPROTOCOLS.values(), ids=lambda one: one.name)


def marked(data: bytes) -> bytes:
    return b"<" + data + b">"


def doubled(data: bytes) -> bytes:
    return data * 2


class OwnSerializer:
    """A text serializer of an application, without ``encode_utf8``. It writes the first argument."""

    name = "own"
    binary = False

    def encode(self, message: RawMessage) -> str:
        text: str = message[3][0]
        return text

    def decode(self, data: Encoded) -> object:
        raise NotImplementedError


OWN = subprotocols([OwnSerializer()])["wamp.2.own"]


def utf8(data: Encoded) -> bytes:
    return data.encode() if isinstance(data, str) else data


@every_subprotocol
def test_serialized_message_has_the_type_of_its_subprotocol_and_its_size_on_the_wire(
    subprotocol: Subprotocol,
) -> None:
    expected = subprotocol.serializer.encode(RESULT)
    item, size = serialized(subprotocol).encode(RESULT)

    assert (item, type(item)) == (expected, bytes if subprotocol.serializer.binary else str)
    assert size == len(utf8(expected))


@every_subprotocol
def test_frame_has_the_bytes_of_the_message_and_its_size_without_the_frame(subprotocol: Subprotocol) -> None:
    data = utf8(subprotocol.serializer.encode(RESULT))
    assert framed(subprotocol, marked).encode(RESULT) == (b"<" + data + b">", len(data))


def test_text_serializers_need_no_encoder_to_utf8() -> None:
    assert serialized(OWN).encode(RESULT) == ("straße €", len("straße €".encode()))
    assert framed(OWN, marked).encode(RESULT) == (b"<" + "straße €".encode() + b">", len("straße €".encode()))


@pytest.mark.parametrize("encoding", [serialized(OWN), framed(OWN, marked)], ids=["serialized", "framed"])
@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\ude00\ud83d"])
def test_text_with_lone_surrogates_is_unserializable(encoding: Encoding, text: str) -> None:
    with pytest.raises(UnserializableValue, match="no UTF-8 form"):
        encoding.encode([50, 1, {}, [text]])


@every_subprotocol
def test_value_that_the_serializer_refuses_is_unserializable(subprotocol: Subprotocol) -> None:
    for encoding in serialized(subprotocol), framed(subprotocol, marked):
        with pytest.raises(UnserializableValue):
            encoding.encode([50, 1, {}, [object()]])


def test_messages_for_a_middleware_stay_lists_of_unknown_size() -> None:
    item, size = UNSERIALIZED.encode(RESULT)
    assert item is RESULT
    assert size == 0


def test_encoding_is_the_same_object_for_all_connections() -> None:
    subprotocol = SUBPROTOCOLS["wamp.2.json"]
    assert serialized(subprotocol) is serialized(subprotocol)
    assert framed(subprotocol, marked) is framed(subprotocol, marked)


def test_batched_and_plain_subprotocols_share_items() -> None:
    plain, batched = SUBPROTOCOLS["wamp.2.json"], SUBPROTOCOLS["wamp.2.json.batched"]
    assert serialized(plain).name == serialized(batched).name
    assert serialized(plain).encode(RESULT) == serialized(batched).encode(RESULT)


def test_encodings_with_different_items_have_different_names() -> None:
    plain = [one for one in SUBPROTOCOLS.values() if not one.batched]
    encodings = [UNSERIALIZED, *map(serialized, plain), *(framed(one, marked) for one in plain)]

    assert len({encoding.name for encoding in encodings}) == len(encodings) == 7


def test_encodings_with_different_frames_have_different_names() -> None:
    subprotocol = SUBPROTOCOLS["wamp.2.json"]
    one, other = framed(subprotocol, marked), framed(subprotocol, doubled)

    assert one.encode(RESULT) != other.encode(RESULT)
    assert one.name != other.name


class FastSerializer(OwnSerializer):
    """A text serializer that writes UTF-8 itself."""

    name = "fast"

    def encode(self, message: RawMessage) -> str:
        raise AssertionError("a detour over text")

    def encode_utf8(self, message: RawMessage) -> bytes:
        return super().encode(message).encode()


def test_utf8_of_a_serializer_that_writes_it_is_used() -> None:
    subprotocol = Subprotocol("wamp.2.fast", FastSerializer(), batched=False)
    text = "straße €"

    assert serialized(subprotocol).encode(RESULT) == (text, len(text.encode()))
    assert framed(subprotocol, marked).encode(RESULT) == (b"<" + text.encode() + b">", len(text.encode()))


def test_json_writes_utf8_itself() -> None:
    assert JSON.encode_utf8(RESULT) == '[50,1,{},["straße €"]]'.encode()
