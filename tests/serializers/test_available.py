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
    """JSON of the standard library, whose exceptions are its own."""

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


def own(serializer: Serializer) -> Serializer:
    return subprotocols([serializer])[f"wamp.2.{serializer.name}"].serializer


@pytest.fixture
def no_cbor2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wampasgi.serializers.cbor")
    monkeypatch.setitem(sys.modules, "cbor2", None)


def test_serializers_are_chosen_by_name_or_given() -> None:
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


def test_names_of_the_framework_are_those_of_its_serializers() -> None:
    assert subprotocols(["json"])["wamp.2.json"].serializer is JSON
    assert subprotocols(["msgpack"])["wamp.2.msgpack"].serializer is MSGPACK


@pytest.mark.usefixtures("no_cbor2")
def test_without_cbor2_its_subprotocols_are_not_offered() -> None:
    assert not [name for name in subprotocols() if "cbor" in name]
    assert "wamp.2.msgpack.batched" in subprotocols()


@pytest.mark.usefixtures("no_cbor2")
def test_naming_cbor_without_cbor2_says_what_to_install() -> None:
    with pytest.raises(ConfigurationError, match=r"pip install 'wampasgi\[cbor\]'"):
        subprotocols(["json", "cbor"])


def test_cbor2_that_is_too_old_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_serializers_that_cannot_be_are_refused(serializers: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        subprotocols(serializers)


def test_own_serializer_goes_there_and_back() -> None:
    serializer = own(Text())

    assert (serializer.name, serializer.binary) == ("text", False)
    assert serializer.decode(serializer.encode([1, {"a": None}])) == [1, {"a": None}]


def test_what_an_own_serializer_raises_on_writing_is_an_unserializable_value() -> None:
    with pytest.raises(UnserializableValue, match=r"^text cannot serialize the message: .*not JSON "):
        own(Text()).encode([object()])


def test_what_an_own_serializer_raises_on_reading_is_a_violation() -> None:
    with pytest.raises(RemoteProtocolError, match="malformed text: Expecting value"):
        own(Text()).decode("[")


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda serializer: serializer.encode([1]), UnserializableValue),
        (lambda serializer: serializer.decode("[1]"), RemoteProtocolError),
    ],
)
def test_errors_of_the_framework_that_an_own_serializer_raises_stay(
    use: Callable[[Serializer], object], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"^not this one$"):
        use(own(Strict()))


@pytest.mark.parametrize(("binary", "data"), [(False, b"[]"), (True, "[]")])
def test_own_serializer_gets_only_the_kind_that_it_takes(binary: bool, data: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"text messages must be (binary|text), got (binary|text)"):
        own(Text(binary=binary)).decode(data)


def test_own_serializer_must_write_the_kind_that_it_says() -> None:
    with pytest.raises(UnserializableValue, match="'text' must return bytes, got str"):
        own(Text(binary=True)).encode([1])
