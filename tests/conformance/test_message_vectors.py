"""Read and write the message vectors: serialized messages of every type, valid and invalid ones.

The folder ``vectors`` has a JSON file for each message type, derived from the text of the specification. A
sample has:

- ``attributes``: the fields of the message; a field that is missing is absent from the message, too
- ``elements``: the list that stands for the message
- ``json``, ``msgpack``, ``cbor``: all serializations to read, the binary ones in hexadecimal, with a space
  between two items
- ``sent``: the elements to send instead, for the forms that a peer should not send

An invalid message has the ``reason``, the ``rule`` of the specification that it breaks, and the URI of the
``error`` that answers it. If the error answers one ``request`` and does not end the session, it has the type
and the ID of the request. It has ``elements`` if all three formats can carry it. ``malformed.json`` has lists
that are no message, and serializations that cannot be decoded.

JSON has no bytes: in ``attributes`` and ``elements``, ``{"$hex": "00ff"}`` stands for two of them.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import ormsgpack
import pytest

from wampasgi.errors import InvalidRequest, RemoteProtocolError
from wampasgi.protocol.messages import MESSAGE_NAMES, MESSAGES, Message
from wampasgi.protocol.parsing import parse
from wampasgi.serializers import JSON, MSGPACK, Encoded, Serializer
from wampasgi.serializers.cbor import CBORSerializer

FORMATS = ("json", "msgpack", "cbor")

SERIALIZERS: dict[str, Serializer] = {"json": JSON, "msgpack": MSGPACK, "cbor": CBORSerializer()}

FILES: dict[str, Any] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(Path(__file__).with_name("vectors").glob("*.json"))
}
MESSAGE_FILES = {name: file for name, file in FILES.items() if name != "malformed"}


# Values


def from_vector(value: Any) -> Any:
    """Return a value of ``attributes`` or ``elements``, with its bytes."""
    match value:
        case {"$hex": str(digits)}:
            return bytes.fromhex(digits)
        case dict():
            return {key: from_vector(item) for key, item in value.items()}
        case list():
            return [from_vector(item) for item in value]
        case _:
            return value


def exact(value: Any) -> Any:
    """Return a copy for exact comparisons: otherwise 1 == 1.0 == True, and 0.0 == -0.0."""
    match value:
        case dict():
            return {exact(key): exact(item) for key, item in value.items()}
        case list():
            return [exact(item) for item in value]
        case _:
            return repr(value)


def attributes_of(message: Message) -> dict[str, Any]:
    values = {field.name: getattr(message, field.name) for field in dataclasses.fields(message)}
    return {name: value for name, value in values.items() if value is not None}


# Serializations


def encoded(format: str, serialization: str) -> Encoded:
    return serialization if format == "json" else bytes.fromhex(serialization)


def restore_bytes(value: Any) -> Any:
    """Replace the strings that stand for bytes. Spec: Advanced Profile, "Binary support in JSON"."""
    match value:
        case str() if value.startswith("\0"):
            return base64.b64decode(value[1:], validate=True)
        case dict():
            return {key: restore_bytes(item) for key, item in value.items()}
        case list():
            return [restore_bytes(item) for item in value]
        case _:
            return value


#: Decoders that are independent of wampasgi's serializers.
DECODERS: dict[str, Callable[[Any], Any]] = {
    "json": lambda text: restore_bytes(json.loads(text)),
    "msgpack": ormsgpack.unpackb,
    "cbor": cbor2.loads,
}


def read(format: str, data: Encoded) -> Message:
    return parse(SERIALIZERS[format].decode(data))


# Parameters


def samples() -> list[Any]:
    """Return each sample with its file and format: the arguments of tests that write."""
    return [
        pytest.param(file, sample, format, id=f"{name}-{number}-{format}")
        for name, file in MESSAGE_FILES.items()
        for number, sample in enumerate(file["samples"])
        for format in FORMATS
    ]


def serializations(kind: str) -> list[Any]:
    """Return each serialization of the samples or the invalid messages: the arguments of tests that read."""
    return [
        pytest.param(format, encoded(format, serialization), entry, id=f"{name}-{number}-{format}-{variant}")
        for name, file in FILES.items()
        for number, entry in enumerate(file.get(kind, []))
        for format in FORMATS
        for variant, serialization in enumerate(entry.get(format, []))
    ]


# The vectors themselves


def test_every_message_type_has_vectors() -> None:
    assert {file["code"]: file["message"] for file in MESSAGE_FILES.values()} == MESSAGE_NAMES
    assert all(file["samples"] and file["invalid"] for file in MESSAGE_FILES.values())
    assert FILES["malformed"]["invalid"]


@pytest.mark.parametrize("name", MESSAGE_FILES)
def test_samples_are_of_the_message_type_of_the_file_and_in_every_format(name: str) -> None:
    for sample in FILES[name]["samples"]:
        assert sample["elements"][0] == FILES[name]["code"]
        assert all(sample[format] for format in FORMATS), sample["description"]


@pytest.mark.parametrize(("format", "data", "sample"), serializations("samples"))
def test_independent_decoder_reads_the_elements(format: str, data: Encoded, sample: Any) -> None:
    assert exact(DECODERS[format](data)) == exact(from_vector(sample["elements"]))


@pytest.mark.parametrize(
    ("format", "data", "invalid"),
    [parameters for parameters in serializations("invalid") if "elements" in parameters.values[2]],
)
def test_independent_decoder_reads_the_elements_of_an_invalid_message(
    format: str, data: Encoded, invalid: Any
) -> None:
    assert exact(DECODERS[format](data)) == exact(from_vector(invalid["elements"]))


# wampasgi


@pytest.mark.parametrize(("format", "data", "sample"), serializations("samples"))
def test_serialization_is_read_as_the_message(format: str, data: Encoded, sample: Any) -> None:
    message = read(format, data)

    assert type(message) is MESSAGES[sample["elements"][0]]
    assert exact(attributes_of(message)) == exact(from_vector(sample["attributes"]))


@pytest.mark.parametrize(("file", "sample", "format"), samples())
def test_message_is_written_as_one_of_its_serializations(file: Any, sample: Any, format: str) -> None:
    message = MESSAGES[file["code"]](**from_vector(sample["attributes"]))
    # For a form that should not be sent, the shorter form is a sample of the same file.
    elements = sample.get("sent", sample["elements"])
    [expected] = [other[format] for other in file["samples"] if other["elements"] == elements]

    data = SERIALIZERS[format].encode(message.to_list())

    assert data in [encoded(format, serialization) for serialization in expected]


@pytest.mark.parametrize(("format", "data", "invalid"), serializations("invalid"))
def test_invalid_message_is_refused(format: str, data: Encoded, invalid: Any) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        read(format, data)

    error = refused.value
    assert error.uri == invalid["error"], invalid["reason"]
    if isinstance(error, InvalidRequest) and error.request_type is not None:
        assert [error.request_type, error.request_id] == invalid["request"]
    else:
        assert "request" not in invalid
