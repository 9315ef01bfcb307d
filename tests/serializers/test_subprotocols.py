from __future__ import annotations

from collections.abc import Sequence

import pytest

from wampasgi.errors import LocalProtocolError, RemoteProtocolError
from wampasgi.serializers import JSON, MSGPACK, SUBPROTOCOLS, negotiate, subprotocols
from wampasgi.serializers.cbor import CBORSerializer
from wampasgi.types import RawMessage

FIRST: RawMessage = [48, 1, {}, "com.p"]
SECOND: RawMessage = [49, 1, {}]


def test_each_serializer_has_a_plain_and_a_batched_subprotocol() -> None:
    table = {name: (found.name, found.serializer, found.batched) for name, found in SUBPROTOCOLS.items()}

    cbor = SUBPROTOCOLS["wamp.2.cbor"].serializer
    assert isinstance(cbor, CBORSerializer)
    assert table == {
        "wamp.2.json": ("wamp.2.json", JSON, False),
        "wamp.2.json.batched": ("wamp.2.json.batched", JSON, True),
        "wamp.2.msgpack": ("wamp.2.msgpack", MSGPACK, False),
        "wamp.2.msgpack.batched": ("wamp.2.msgpack.batched", MSGPACK, True),
        "wamp.2.cbor": ("wamp.2.cbor", cbor, False),
        "wamp.2.cbor.batched": ("wamp.2.cbor.batched", cbor, True),
    }


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["wamp.2.json"], "wamp.2.json"),
        (["wamp.2.msgpack.batched", "wamp.2.json"], "wamp.2.msgpack.batched"),
        (["wamp.2.flatbuffers", "wamp.2.msgpack", "wamp.2.json"], "wamp.2.msgpack"),
        (["WAMP.2.JSON"], None),
        (["soap", "graphql-ws"], None),
        ([], None),
    ],
)
def test_first_known_subprotocol_of_the_client_is_chosen(offered: Sequence[str], chosen: str | None) -> None:
    subprotocol = negotiate(offered)

    assert (subprotocol.name if subprotocol else None) == chosen


def test_only_available_subprotocols_are_chosen() -> None:
    subprotocol = negotiate(["wamp.2.json", "wamp.2.msgpack"], subprotocols([MSGPACK]))

    assert subprotocol is not None
    assert subprotocol.name == "wamp.2.msgpack"


@pytest.mark.parametrize("name", SUBPROTOCOLS)
def test_single_message_roundtrips(name: str) -> None:
    subprotocol = SUBPROTOCOLS[name]

    data = subprotocol.frame([subprotocol.serializer.encode(FIRST)])

    assert isinstance(data, bytes) is subprotocol.serializer.binary
    assert subprotocol.messages(data) == [FIRST]


@pytest.mark.parametrize("name", ["wamp.2.json.batched", "wamp.2.msgpack.batched", "wamp.2.cbor.batched"])
def test_batch_keeps_the_order_of_messages(name: str) -> None:
    subprotocol = SUBPROTOCOLS[name]
    encode = subprotocol.serializer.encode

    data = subprotocol.frame([encode(FIRST), encode(SECOND), encode(FIRST)])

    assert subprotocol.messages(data) == [FIRST, SECOND, FIRST]


@pytest.mark.parametrize("name", ["wamp.2.json", "wamp.2.msgpack", "wamp.2.cbor"])
@pytest.mark.parametrize("number", [0, 2])
def test_subprotocol_without_batching_frames_exactly_one_message(name: str, number: int) -> None:
    subprotocol = SUBPROTOCOLS[name]

    with pytest.raises(LocalProtocolError, match=f"one message at a time, got {number}"):
        subprotocol.frame([subprotocol.serializer.encode(FIRST)] * number)


@pytest.mark.parametrize("name", SUBPROTOCOLS)
@pytest.mark.parametrize("data", ["", b"", "[1]\x1e\x1e", b"\0\0\0\0", "[", b"\0\0\0\x01\xc1"])
def test_malformed_data_is_a_violation(name: str, data: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        SUBPROTOCOLS[name].messages(data)
