from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from wampasgi.cli.arguments import read_arguments, reads_input, require_uri, typed_payload
from wampasgi.cli.errors import UsageError

BINARY = {"type": "string", "format": "binary"}


def parameter(name: str, schema: Any, kind: str = "positional_or_keyword", **facts: Any) -> dict[str, Any]:
    return {"name": name, "aliases": [], "kind": kind, "required": False, "schema": schema, **facts}


def payload(
    words: list[str], *parameters: dict[str, Any], **definitions: Any
) -> tuple[list[Any], dict[str, Any]]:
    described = {"parameters": list(parameters), "$defs": definitions} if parameters else None
    found = typed_payload(read_arguments(words), "shop.buy", described)
    return list(found.args), dict(found.kwargs)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1", 1),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("[1]", [1]),
        ('{"a": 1}', {"a": 1}),
        ('"1"', "1"),
        ("007", "007"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("two words", "two words"),
        ("", ""),
        (r"\1", "1"),
        (r"\@x", "@x"),
        (r"\-", "-"),
        (r"\\x", r"\x"),
        (r"\a=b", "a=b"),
        ("a.b=1", "a.b=1"),
        ("=", "="),
    ],
)
def test_argument_without_a_description_is_json_or_text(word: str, value: Any) -> None:
    assert payload([word]) == ([value], {})


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("a=1", "a", 1),
        ("a=", "a", ""),
        ("a=b=c", "a", "b=c"),
        (r"a=\1", "a", "1"),
        ("_a1=x\ny", "_a1", "x\ny"),
    ],
)
def test_word_with_a_name_is_a_keyword_argument(word: str, name: str, value: Any) -> None:
    assert payload([word]) == ([], {name: value})


@pytest.mark.parametrize(
    ("schema", "word", "value"),
    [
        ({"type": "string"}, "5", "5"),
        ({"type": "string"}, '"5"', "5"),
        ({"type": "string"}, '"@file"', "@file"),
        ({"type": "string"}, '\\"5"', '"5"'),
        ({"type": "string"}, '"5" and "6"', '"5" and "6"'),
        ({"type": "string"}, "null", "null"),
        ({"type": "integer"}, "5", 5),
        ({"type": "integer"}, "five", "five"),
        ({"type": "number"}, "5", 5),
        ({"type": "boolean"}, "true", True),
        ({"type": ["string", "null"]}, "null", None),
        ({"type": ["string", "null"]}, "5", "5"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "5", 5),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "005", "005"),
        ({"anyOf": [{"type": "string"}, {"type": "number"}]}, "5", 5),
        ({"type": "array"}, "[1]", [1]),
        ({"$ref": "#/$defs/Name"}, "5", "5"),
        ({"enum": ["1", "2"]}, "1", "1"),
        ({"type": "string", "format": "date"}, "2026-01-01", "2026-01-01"),
        ({"type": "string", "format": "binary"}, "5", b"5"),
        ({}, "5", 5),
        ({"x-python-type": "shop.Thing"}, "thing", "thing"),
    ],
)
def test_described_argument_has_a_type_of_its_schema(schema: Any, word: str, value: Any) -> None:
    [found], _ = payload([word], parameter("a", schema), Name={"type": "string"})

    assert (found, type(found)) == (value, type(value))


def test_arguments_are_assigned_to_parameters_in_order_and_by_name() -> None:
    text = {"type": "string"}
    parameters = [
        parameter("first", text, "positional_only"),
        parameter("second", {"type": "integer"}),
        parameter("rest", text, "rest"),
        parameter("named", text, "keyword_only", aliases=["alias"]),
        parameter("others", text, "keyword_rest"),
    ]

    assert payload(["1", "2", "3", "4"], *parameters) == (["1", 2, "3", "4"], {})
    assert payload(["1", "second=2", "named=3", "other=4"], *parameters) == (
        ["1"],
        {"second": 2, "named": "3", "other": "4"},
    )
    assert payload(["alias=3"], *parameters) == ([], {"alias": "3"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["1", "2"], "^shop.buy takes at most 1 positional argument, but 2 are given"),
        (["nam=1"], r"shop.buy has no parameter 'nam'. Did you mean 'name'\?"),
        (
            ["color=1"],
            r"shop.buy has no parameter 'color'. To pass a text with an equals sign, write '\\color=",
        ),
        (["nAmE2=1"], r"shop.buy has no parameter 'nAmE2'. Did you mean 'name'\?"),
        ([], "shop.buy needs the argument 'name'"),
    ],
)
def test_missing_and_superfluous_arguments_are_usage_errors(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        payload(words, parameter("name", {}, required=True))


@pytest.mark.parametrize(("words", "count"), [(["1"], "1 is"), (["1", "2"], "2 are")])
def test_procedure_without_parameters_takes_no_arguments(words: list[str], count: str) -> None:
    with pytest.raises(UsageError, match=f"takes no positional arguments, but {count} given"):
        typed_payload(read_arguments(words), "shop.buy", {"parameters": []})


def test_required_argument_may_have_an_alias() -> None:
    assert payload(["n=1"], parameter("name", {}, required=True, aliases=["n"])) == ([], {"n": 1})


def test_procedure_without_described_parameters_takes_everything() -> None:
    found = typed_payload(read_arguments(["1", "a=2"]), "shop.buy", {"parameters": None})

    assert (found.args, found.kwargs) == ([1], {"a": 2})


def test_argument_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text(' {"a": 1}\n')

    assert payload([f"@{file}"]) == ([{"a": 1}], {})
    assert payload([f"a=@{file}"], parameter("a", {"type": "string"})) == ([], {"a": ' {"a": 1}\n'})


def test_file_without_text_is_bytes(tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_bytes(b"\xff")

    assert payload([f"@{file}"]) == ([b"\xff"], {})
    with pytest.raises(UsageError, match="value is not text in UTF-8, and the parameter takes no bytes"):
        payload([f"@{file}"], parameter("a", {"type": "string"}))


def test_file_with_null_characters_is_bytes(tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_bytes(b"\0a")

    assert payload([f"@{file}"]) == ([b"\0a"], {})


def test_mark_of_the_encoding_of_a_file_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_bytes(b"\xef\xbb\xbf[1]")

    assert payload([f"@{file}"]) == ([[1]], {})
    assert payload([f"@{file}"], parameter("a", {"type": "string"})) == (["[1]"], {})
    assert payload([f"@{file}"], parameter("a", BINARY)) == ([b"\xef\xbb\xbf[1]"], {})


def test_file_for_json_must_be_valid_unless_the_parameter_takes_text(tmp_path: Path) -> None:
    file = tmp_path / "value.json"
    file.write_text('{"a": 1')

    for parameters in ([], [parameter("a", {})], [parameter("a", {"type": "object"})]):
        with pytest.raises(UsageError, match=r"value\.json is not valid JSON: Expecting ',' delimiter"):
            payload([f"@{file}"], *parameters)
    assert payload([f"@{file}"], parameter("a", {"type": "string"})) == (['{"a": 1'], {})


def test_message_does_not_repeat_the_content_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text("[" + 1000 * "x")

    with pytest.raises(UsageError, match=r"value is not valid JSON: ") as raised:
        payload([f"@{file}"], parameter("a", {"type": "array"}))

    assert "xxx" not in str(raised.value)


def test_word_that_is_no_text_is_bytes() -> None:
    word = os.fsdecode(b"\xff")

    assert payload([word, f"a={word}"]) == ([b"\xff"], {"a": b"\xff"})
    assert payload([word], parameter("a", BINARY)) == ([b"\xff"], {})
    with pytest.raises(UsageError, match=r"^the argument '\\udcff' is not text in UTF-8"):
        payload([word], parameter("a", {"type": "string"}))


def test_utf_8_is_read_in_every_locale() -> None:
    # In the locale C, Python decodes other characters than ASCII in this way.
    assert payload(["ä".encode().decode("ascii", "surrogateescape")]) == (["ä"], {})


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("abc", b"abc"),
        ('"abc"', b"abc"),
        ('\\"abc"', b'"abc"'),
        ("5", b"5"),
        ("[1", b"[1"),
        (r'"\u0000AP8="', b"\x00\xff"),
    ],
)
def test_word_for_bytes_is_its_text_in_utf_8(word: str, value: bytes) -> None:
    assert payload([word], parameter("a", BINARY)) == ([value], {})


def test_word_for_bytes_or_another_type_may_have_the_other_type() -> None:
    parameters = parameter("a", {"anyOf": [BINARY, {"type": "null"}]})

    assert payload(["null"], parameters) == ([None], {})
    assert payload(["5"], parameters) == ([b"5"], {})


@pytest.mark.parametrize("schema", [None, {"type": "number"}, {}])
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("1e400", "the number 1e400 is too large"),
        ("[1e400]", "the number 1e400 is too large"),
        ("9" * 5000, "a number has too many digits"),
        (100_000 * "[", "it is nested too deeply"),
        (r'"\ud800"', "a text has half of a surrogate pair"),
        (r'"\u0000x"', "must continue with valid Base64"),
    ],
)
def test_json_that_cannot_be_sent_is_a_usage_error(schema: Any, word: str, reason: str) -> None:
    parameters = [] if schema is None else [parameter("a", schema)]

    with pytest.raises(UsageError, match=f"cannot be sent: .*{reason}.* To pass it as text, write"):
        payload([word], *parameters)


def test_bytes_have_the_form_that_the_output_has() -> None:
    assert payload([r'{"a": "\u0000AP8="}']) == ([{"a": b"\x00\xff"}], {})


def test_file_that_is_missing_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"^missing cannot be read: .* To pass '@missing' as text, write"):
        read_arguments(["@missing"])


def test_home_folder_of_an_unknown_user_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="is in the home folder of a user that does not exist"):
        read_arguments(["@~nobody-here/x"])


def test_standard_input_is_not_read_for_two_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)

    with pytest.raises(UsageError, match="only one argument can be read from standard input"):
        read_arguments(["-", "a=-"])


def test_keyword_argument_that_is_given_twice_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'a' is given twice"):
        read_arguments(["a=1", "a=2"])


@pytest.mark.parametrize(("word", "expected"), [("-", True), ("a=-", True), ("\\-", False), ("a", False)])
def test_dash_stands_for_standard_input(word: str, expected: bool) -> None:
    assert reads_input(word) is expected


@pytest.mark.parametrize("text", ['{"a": 1', "[1"])
def test_invalid_json_for_an_object_or_array_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is not valid JSON"):
        payload([text], parameter("a", {"type": ["array", "object"]}))


def test_uri_that_no_router_accepts_is_a_usage_error() -> None:
    require_uri("TOPIC", "a.", "prefix")
    with pytest.raises(UsageError, match=r"TOPIC: 'a\.' is not a valid URI"):
        require_uri("TOPIC", "a.")
    with pytest.raises(UsageError, match="TOPIC is not text in UTF-8"):
        require_uri("TOPIC", os.fsdecode(b"a\xff"))
