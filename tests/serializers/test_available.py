from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from wampasgi.errors import ConfigurationError, RemoteProtocolError, UnserializableValue
from wampasgi.serializers import JSON, MSGPACK, Encoded, Serializer, subprotocols
from wampasgi.serializers.cbor import CBORSerializer


class Text:
    """A custom serializer that raises the exceptions of the standard library."""

    def __init__(self, name: Any = "text", binary: Any = False) -> None:
        self.name = name
        self.binary = binary

    def encode(self, message: list[Any]) -> Encoded:
        return json.dumps(message)

    def decode(self, data: Encoded) -> object:
        return json.loads(data)


class Strict(Text):
    def encode(self, message: list[Any]) -> Encoded:
        raise UnserializableValue("not this one")

    def decode(self, data: Encoded) -> object:
        raise RemoteProtocolError("not this one", uri="com.example.refused")


class Unmade(Text):
    encode: Any = None


def wrapped(serializer: Serializer) -> Serializer:
    return subprotocols([serializer])[f"wamp.2.{serializer.name}"].serializer


@pytest.fixture
def no_cbor2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wampasgi.serializers.cbor")
    monkeypatch.setitem(sys.modules, "cbor2", None)


def test_serializers_are_given_by_name_or_as_objects() -> None:
    table = subprotocols(["cbor", MSGPACK, Text()])

    assert list(table) == [
        "wamp.2.cbor",
        "wamp.2.cbor.batched",
        "wamp.2.msgpack",
        "wamp.2.msgpack.batched",
        "wamp.2.text",
        "wamp.2.text.batched",
    ]
    assert isinstance(table["wamp.2.cbor"].serializer, CBORSerializer)
    assert table["wamp.2.msgpack"].serializer is MSGPACK


def test_names_select_the_built_in_serializers() -> None:
    assert subprotocols(["json"])["wamp.2.json"].serializer is JSON
    assert subprotocols(["msgpack"])["wamp.2.msgpack"].serializer is MSGPACK


@pytest.mark.usefixtures("no_cbor2")
def test_cbor_subprotocols_are_not_offered_without_cbor2() -> None:
    assert not [name for name in subprotocols() if "cbor" in name]
    assert "wamp.2.msgpack.batched" in subprotocols()


@pytest.mark.usefixtures("no_cbor2")
def test_error_for_cbor_without_cbor2_names_the_extra_to_install() -> None:
    with pytest.raises(ConfigurationError, match=r"pip install 'wampasgi\[cbor\]'"):
        subprotocols(["json", "cbor"])


def test_outdated_cbor2_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def loads(data: bytes) -> object:
        return data

    monkeypatch.delitem(sys.modules, "wampasgi.serializers.cbor")
    monkeypatch.setattr("cbor2.loads", loads)

    assert "wamp.2.cbor" not in subprotocols()
    with pytest.raises(ConfigurationError, match=r"cbor2, 6\.2 or newer"):
        subprotocols(["cbor"])


@pytest.mark.parametrize(
    ("serializers", "text"),
    [
        ([], "the list of serializers is empty, so no client could connect"),
        (["yaml"], "unknown serializer 'yaml': use 'json', 'msgpack', 'cbor' or a serializer object"),
        ([JSON, "json"], "two serializers are named 'json'"),
        ([Text("json"), JSON], "two serializers are named 'json'"),
        ([json], "needs the attribute 'name', of type str"),
        ([Text(3)], "needs the attribute 'name', of type str"),
        ([Text(binary=None)], "needs the attribute 'binary', of type bool"),
        ([Unmade()], "needs the method 'encode'"),
        ([Text("my format")], "letters, digits"),
        ([Text("")], "letters, digits"),
        ([Text("json.batched")], r"no suffix '\.batched'"),
    ],
)
def test_invalid_serializers_are_refused(serializers: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        subprotocols(serializers)


def test_custom_serializer_roundtrips() -> None:
    serializer = wrapped(Text())

    assert (serializer.name, serializer.binary) == ("text", False)
    assert serializer.decode(serializer.encode([1, {"a": None}])) == [1, {"a": None}]


def test_exception_in_a_custom_encode_is_an_unserializable_value() -> None:
    with pytest.raises(UnserializableValue, match=r"^text cannot serialize the message: .*not JSON "):
        wrapped(Text()).encode([object()])


def test_exception_in_a_custom_decode_is_a_violation() -> None:
    with pytest.raises(RemoteProtocolError, match="malformed text: Expecting value"):
        wrapped(Text()).decode("[")


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda serializer: serializer.encode([1]), UnserializableValue),
        (lambda serializer: serializer.decode("[1]"), RemoteProtocolError),
    ],
)
def test_documented_exceptions_of_a_custom_serializer_are_unchanged(
    use: Callable[[Serializer], object], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"^not this one$"):
        use(wrapped(Strict()))


@pytest.mark.parametrize(("binary", "data"), [(False, b"[]"), (True, "[]")])
def test_custom_serializer_only_decodes_its_own_data_type(binary: bool, data: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"text messages must be (binary|text), got (binary|text)"):
        wrapped(Text(binary=binary)).decode(data)


def test_custom_serializer_must_return_its_own_data_type() -> None:
    with pytest.raises(UnserializableValue, match="'text' must return bytes, got str"):
        wrapped(Text(binary=True)).encode([1])
