"""The specification's message vectors: its bytes give its attributes, and ours give them again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from wampasgi.protocol.messages import MESSAGE_NAMES, Message
from wampasgi.protocol.parsing import parse
from wampasgi.serializers import JSON, MSGPACK, Serializer
from wampasgi.serializers.cbor import CBORSerializer

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors"

SERIALIZERS: dict[str, Serializer] = {"json": JSON, "msgpack": MSGPACK, "cbor": CBORSerializer()}

# Where a vector's attribute is not our field of that name.
ELSEWHERE = {"subscription": "subscription_id", "publication": "publication_id"}


def samples() -> list[Any]:
    found = []
    for path in sorted(VECTORS.glob("*.json")):
        for number, sample in enumerate(json.loads(path.read_text(encoding="utf-8"))["samples"]):
            for name in SERIALIZERS:
                for variant, serialized in enumerate(sample["serialized"][name]):
                    data = bytes.fromhex(serialized["bytes_hex"])
                    title = f"{path.stem}-{number}-{name}-{variant}"
                    found.append(pytest.param(name, data, sample["attributes"], id=title))
    return found


def attribute_of(message: Any, name: str) -> Any:
    if name == "message_type":
        return message.code
    if name == "roles":
        return message.details["roles"]
    value = getattr(message, ELSEWHERE.get(name, name))
    return value.hex() if isinstance(value, bytes) else value


def attributes_of(message: Message, names: Iterable[str]) -> dict[str, Any]:
    return {name: attribute_of(message, name) for name in names}


def test_vectors_are_there_for_the_basic_profile() -> None:
    if not VECTORS.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"the message vectors are missing: {VECTORS} is no folder")
        pytest.skip(f"the message vectors, which lie next to the checkout, are missing: no folder {VECTORS}")

    messages = {json.loads(path.read_text(encoding="utf-8"))["message"] for path in VECTORS.glob("*.json")}

    assert messages == set(MESSAGE_NAMES.values()) - {"CANCEL", "INTERRUPT"}


@pytest.mark.parametrize(("name", "data", "attributes"), samples())
def test_bytes_give_the_attributes_and_back(name: str, data: bytes, attributes: dict[str, Any]) -> None:
    serializer = SERIALIZERS[name]

    message = parse(serializer.decode(data if serializer.binary else data.decode("utf-8")))
    again = parse(serializer.decode(serializer.encode(message.to_list())))

    assert attributes_of(message, attributes) == attributes
    assert again == message


@pytest.mark.parametrize(("name", "data", "attributes"), samples())
def test_our_bytes_are_among_those_of_the_specification(
    name: str, data: bytes, attributes: dict[str, Any]
) -> None:
    serializer = SERIALIZERS[name]
    raw = serializer.decode(data if serializer.binary else data.decode("utf-8"))

    ours = serializer.encode(parse(raw).to_list())

    # JSON comes with and without spaces.
    assert ours == (data if serializer.binary else json_without_spaces(data))


def json_without_spaces(data: bytes) -> str:
    return json.dumps(json.loads(data), separators=(",", ":"), ensure_ascii=False)
