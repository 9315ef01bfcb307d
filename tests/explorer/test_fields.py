from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By

from tests.explorer.form_page import (
    LINE,
    NULLABLE_TEXT,
    ORDER,
    PET,
    SHOP,
    FormPage,
)

# Starting a browser takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(120)


# Kinds of fields


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "string"}, "hello", "hello"),
        ({"type": "string"}, "two\nlines", "two\nlines"),
        ({"type": "string", "format": "uuid"}, "not checked", "not checked"),
        ({"type": "string", "format": "date-time"}, "2024-12-31T12:00:00Z", "2024-12-31T12:00:00Z"),
        ({"type": "string", "format": "password"}, "secret", "secret"),
        ({"type": "integer"}, "-7", -7),
        ({"type": "integer"}, " 9007199254740993 ", 9007199254740993),
        ({"type": "number"}, "1.50", 1.5),
        ({"type": "number"}, "1e3", 1000),
        ({"type": "number"}, "123456789012345678901", 123456789012345678901),
        ({}, '{"a": [1, null, 12345678901234567890]}', {"a": [1, None, 12345678901234567890]}),
        ({"x-python-type": "shop.Thing"}, '"text"', "text"),
        (True, "false", False),
    ],
)
def test_typed_text_is_sent_as_the_type_of_the_schema(
    page: FormPage, schema: Any, text: str, value: Any
) -> None:
    page.show_value(schema)
    page.type("x", text)
    sent = page.value()
    assert (sent, type(sent)) == (value, type(value))
    assert page.run("return changes") > 0


@pytest.mark.parametrize(
    ("schema", "text", "message"),
    [
        ({"type": "integer"}, "many", "Enter an integer."),
        ({"type": "integer"}, "1.5", "Enter an integer."),
        ({"type": "number"}, "NaN", "Enter a number."),
        ({"type": "number"}, "1e999", "A number is too large."),
        ({}, "[1, x]", "Line 1, column 5: expected a value."),
        ({}, "[1e999]", "A number is too large."),
    ],
)
def test_unreadable_text_is_marked_and_stops_the_call(
    page: FormPage, schema: Any, text: str, message: str
) -> None:
    page.show_value(schema)
    page.type("x", text)
    with pytest.raises(ValueError, match=r"^x: ") as raised:
        page.payload()
    assert str(raised.value) == f"x: {message}"
    control = page.control("x")
    assert control.get_attribute("aria-invalid") == "true"
    assert message in page.described(control)

    page.type("x", "1")
    assert page.value() == 1
    assert control.get_attribute("aria-invalid") is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": "boolean"},
        {"enum": ["a", "b"]},
        {"type": "string", "format": "date"},
        {},
        NULLABLE_TEXT,
    ],
)
def test_required_value_must_be_given(page: FormPage, schema: dict[str, Any]) -> None:
    page.show_value(schema)
    with pytest.raises(ValueError, match=r"^x: (Enter|Choose) "):
        page.payload()


@pytest.mark.parametrize(
    ("schema", "option", "value"),
    [
        ({"type": "boolean"}, "false", False),
        ({"enum": ["DE", "FR"], "type": "string"}, "FR", "FR"),
        ({"enum": [1, "1", None]}, '"1"', "1"),
        ({"enum": [1, "1", None]}, "null", None),
    ],
)
def test_choices_are_sent_with_their_type(
    page: FormPage, schema: dict[str, Any], option: str, value: Any
) -> None:
    page.show_value(schema)
    page.choose("x", option)
    assert page.value() == value
    page.set(value)
    assert page.value() == value


@pytest.mark.parametrize(("schema", "value"), [({"const": [1, "a"]}, [1, "a"]), ({"type": "null"}, None)])
def test_only_possible_value_is_sent(page: FormPage, schema: dict[str, Any], value: Any) -> None:
    page.show_value(schema)
    assert page.value() == value
    assert page.control("x").text == json.dumps(value, separators=(",", ":"))


def test_date_is_entered_in_a_date_field(page: FormPage) -> None:
    page.show_value({"type": "string", "format": "date"})
    assert page.control("x").get_attribute("type") == "date"
    page.set("2024-02-29")
    assert page.value() == "2024-02-29"
    page.set("tomorrow")
    assert page.value() == "tomorrow"


@pytest.mark.parametrize(
    "content",
    [b"", b"text", "ü\ntext".encode(), b"\xff\x00\x01", b"\x00", b"\xef\xbb\xbfmark", b"\0" * 1_000_000],
    ids=len,
)
def test_bytes_are_shown_and_sent_again(page: FormPage, content: bytes) -> None:
    sent = "\0" + base64.b64encode(content).decode()
    page.show_value({"type": "string", "format": "binary"})
    page.set(sent)
    assert page.value() == sent


def test_bytes_are_entered_as_text_base64_or_file(page: FormPage, tmp_path: Path) -> None:
    page.show_value({"type": "string", "format": "binary"})
    page.type("x", "ä")
    assert page.value() == "\0w6Q="

    page.choose("Form of x", "base64")
    page.type("x", "AA E=")
    assert page.value() == "\0AAE="
    page.type("x", "A")
    with pytest.raises(ValueError, match="not valid Base64"):
        page.payload()

    large = tmp_path / "large.bin"
    large.write_bytes(bytes(2**20 + 1))
    page.control("File for x").send_keys(str(large))
    assert page.texts(".error") == ["The file is larger than 1 MiB."]

    file = tmp_path / "some.bin"
    file.write_bytes(bytes(range(256)) * 1000)
    page.control("File for x").send_keys(str(file))
    page.wait_for(lambda: page.control("x").get_property("textLength"), 341336)
    assert page.value() == "\0" + base64.b64encode(file.read_bytes()).decode()


# Objects, arrays, unions


def test_nested_model_with_a_list_is_filled_in(page: FormPage) -> None:
    page.show_value(ORDER, SHOP)
    page.type("city", "Ulm")
    page.type("sku", "cup")
    page.click("Add item to lines")
    second = page.all("fieldset fieldset fieldset")[1]
    [sku] = [
        found
        for found in second.find_elements(By.CSS_SELECTOR, "textarea, input")
        if found.accessible_name == "sku"
    ]
    sku.send_keys("pot")
    quantity = next(
        found for found in second.find_elements(By.TAG_NAME, "input") if found.accessible_name == "quantity"
    )
    quantity.send_keys("2")
    assert page.value() == {"city": "Ulm", "lines": [{"sku": "cup"}, {"sku": "pot", "quantity": 12}]}


def test_items_are_moved_and_removed(page: FormPage) -> None:
    page.show_value({"type": "array", "items": {"type": "string"}})
    page.set(["a", "b", "c"])
    page.click("Move down item 1 of x")
    assert page.value() == ["b", "a", "c"]
    assert page.focused() == "Move down item 2 of x"
    page.click("Move up item 3 of x")
    assert page.value() == ["b", "c", "a"]
    page.click("Remove item 2 of x")
    assert page.value() == ["b", "a"]
    assert page.focused() == "Remove item 2 of x"
    page.click("Remove item 2 of x")
    assert page.focused() == "Add item to x"
    page.click("Remove item 1 of x")
    assert page.value() == []


def test_tuple_has_a_field_for_each_position(page: FormPage) -> None:
    page.show_value({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]})
    page.type("item 1", "1")
    page.type("item 2", "a")
    assert page.value() == [1, "a"]
    assert [button.accessible_name for button in page.all("#main button:not([role=tab])")] == []


def test_map_has_keys_of_the_users_choice(page: FormPage) -> None:
    page.show_value({"type": "object", "additionalProperties": {"type": "integer"}})
    page.click("Add key to x")
    assert page.focused() == "Key in x"
    assert page.control("value").aria_role == "textbox"
    page.type("Key in x", "__proto__")
    page.type("__proto__", "5")
    assert page.value() == {"__proto__": 5}

    page.click("Add key to x")
    with pytest.raises(ValueError, match="This needs a key of its own"):
        page.payload()
    page.set({"a": 1, "b": 2, "": 3})
    assert page.value() == {"a": 1, "b": 2, "": 3}
    page.type("Key in x", "b")
    with pytest.raises(ValueError, match=r"^b of x: This needs a key of its own"):
        page.payload()
    page.click("Remove this key of x")
    assert page.value() == {"a": 1, "b": 2}


def test_unknown_keys_are_kept(page: FormPage) -> None:
    page.show_value(LINE, SHOP)
    page.set({"sku": "cup", "colour": ["red", 1]})
    assert page.value() == {"sku": "cup", "colour": ["red", 1]}


def test_branch_of_a_union_is_chosen_by_its_title(page: FormPage) -> None:
    page.show_value(PET, SHOP)
    page.type("lives", "9")
    assert page.value() == {"kind": "cat", "lives": 9}
    page.choose("Type of x", "Dog")
    page.type("name", "Rex")
    assert page.value() == {"kind": "dog", "name": "Rex"}
    page.choose("Type of x", "Cat")
    assert page.value() == {"kind": "cat", "lives": 9}


def test_value_selects_the_branch_of_a_union(page: FormPage) -> None:
    page.show_value(PET, SHOP)
    page.set({"kind": "dog", "name": "Rex"})
    assert page.texts("output") == ["dog"] or page.texts("output") == ['"dog"']
    # Incomplete, but the discriminator decides.
    page.set({"kind": "dog"})
    page.type("name", "Bello")
    assert page.value() == {"kind": "dog", "name": "Bello"}


@pytest.mark.parametrize("value", [1, 1.5, "1", None, True, [1], {"a": "b"}])
def test_union_of_all_types_keeps_the_type(page: FormPage, value: Any) -> None:
    types = ["integer", "number", "string", "null", "boolean", "array", "object"]
    page.show_value({"anyOf": [{"type": name} for name in types]})
    page.set(value)
    sent = page.value()
    assert (sent, type(sent)) == (value, type(value))


def test_list_of_types_is_a_union(page: FormPage) -> None:
    page.show_value({"type": ["integer", "null"]})
    page.choose("Type of x", "null")
    assert page.value() is None


def test_recursive_model_grows_on_demand(page: FormPage) -> None:
    page.show_value({"$ref": "#/$defs/Node"}, SHOP)
    page.type("name", "a")
    assert page.value() == {"name": "a"}
    page.click("Send next")
    inner = page.all("fieldset fieldset textarea")[0]
    inner.send_keys("b")
    assert page.value() == {"name": "a", "next": {"name": "b"}}


def test_deep_value_is_edited_as_json_at_its_end(page: FormPage) -> None:
    value: dict[str, Any] | None = None
    for depth in range(40):
        value = {"name": str(depth), "next": value}
    page.show_value({"$ref": "#/$defs/Node"}, SHOP)
    page.set(value)
    assert page.value() == value
    assert any("too large for a form" in text for text in page.texts(".hint"))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (ORDER, {"lines": [{"sku": "a", "quantity": 3, "note": None}, {"sku": "b"}], "city": ""}),
        (ORDER, {"lines": [], "city": "Ulm", "more": 1}),
        (ORDER, {"lines": "none"}),
        (LINE, ["not", "an", "object"]),
        ({"type": "integer"}, "seven"),
        ({"type": "string"}, "carriage\rreturn"),
        ({"type": "string"}, "x" * 5000),
        ({"enum": ["a"]}, "b"),
        ({"const": 1}, 2),
        ({"type": "array", "items": {"type": "integer"}}, list(range(500))),
        ({"type": "object"}, {str(number): None for number in range(500)}),
        ({"type": "string", "format": "binary"}, "not binary"),
        (PET, "fish"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "number"}}}, [[1], [], [2.5, 3]]),
    ],
)
def test_every_value_is_shown_and_sent_again(page: FormPage, schema: Any, value: Any) -> None:
    page.show_value(schema, SHOP)
    page.set(value)
    if value == {"lines": "none"}:
        page.type("city", "Ulm")
        value = {"lines": "none", "city": "Ulm"}
    assert page.value() == value
    page.run("form.set(form.value())")
    assert page.value() == value


# Optional and null


def test_absent_null_and_value_differ(page: FormPage) -> None:
    page.show_value({**NULLABLE_TEXT, "default": None}, required=False, kind="keyword_only")
    assert page.payload() == {"args": [], "kwargs": {}}
    page.choose("Type of x", "null")
    assert page.payload() == {"args": [], "kwargs": {"x": None}}
    page.choose("Type of x", "text")
    page.type("x", "ABCD")
    assert page.payload() == {"args": [], "kwargs": {"x": "ABCD"}}
    page.click("Send x")
    assert page.payload() == {"args": [], "kwargs": {}}
    page.click("Send x")
    assert page.payload() == {"args": [], "kwargs": {"x": "ABCD"}}


def test_typing_sends_an_optional_value(page: FormPage) -> None:
    page.show_value({"type": "integer", "default": 10}, required=False)
    assert page.payload() == {"args": [], "kwargs": {}}
    page.control("x").send_keys("0")
    assert page.control("Send x").is_selected()
    assert page.value() == 100


def test_optional_date_cannot_be_empty(page: FormPage) -> None:
    page.show_value({"type": "string", "format": "date"}, required=False)
    page.click("Send x")
    with pytest.raises(ValueError, match="Enter a value"):
        page.payload()


def test_optional_text_can_be_empty(page: FormPage) -> None:
    page.show_value({"type": "string"}, required=False)
    page.click("Send x")
    assert page.value() == ""


def test_default_of_a_nested_value_is_offered(page: FormPage) -> None:
    page.show_value({**LINE, "default": {"sku": "cup"}}, SHOP, required=False)
    page.click("Send x")
    assert page.value() == {"sku": "cup"}


# Rules of the schema are hints


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer", "maximum": 100}, "101", 101),
        ({"type": "number", "exclusiveMinimum": 0}, "0", 0),
        ({"type": "string", "maxLength": 3}, "four", "four"),
        ({"type": "string", "minLength": 3}, "🙂🙂", "🙂🙂"),
    ],
)
def test_value_against_the_rules_is_sent_with_a_warning(
    page: FormPage, schema: dict[str, Any], text: str, value: Any
) -> None:
    page.show_value(schema)
    page.input(text)
    assert page.texts(".error") == ["This breaks a rule. The server may refuse it."]
    assert page.all("[aria-invalid]") == []
    assert page.value() == value


def test_hints_describe_the_field(page: FormPage) -> None:
    page.show_value(
        {
            "type": "string",
            "description": "The code on the card",
            "pattern": "^[A-Z]{4}$",
            "examples": ["ABCD"],
            "deprecated": True,
        }
    )
    described = page.described(page.control("x"))
    assert "The code on the card" in described
    assert "^[A-Z]{4}$" in described
    assert '"ABCD"' in described
    assert page.texts(".type") == ["text, deprecated"]


def test_description_is_markdown_and_rules_are_not(page: FormPage) -> None:
    page.show_value({"type": "string", "description": "Such as `pump-7`", "pattern": "^`*a*`$"})
    assert page.texts(".hint") == ["Such as pump-7\npattern ^`*a*`$"]
    assert page.texts(".hint code") == ["pump-7"]
    assert page.texts(".hint em") == []


def test_hints_of_the_chosen_branch_describe_the_field(page: FormPage) -> None:
    branches = [{"type": "string", "pattern": "^[A-Z]$"}, {"type": "integer", "maximum": 9}, {"type": "null"}]
    page.show_value({"anyOf": branches, "description": "A letter or a digit"})
    assert page.described(page.control("x")) == "A letter or a digitpattern ^[A-Z]$"
    page.choose("Type of x", "integer")
    assert page.described(page.control("x")) == "A letter or a digitmaximum 9"
    page.type("x", "10")
    assert page.texts(".error") == ["This breaks a rule. The server may refuse it."]
    page.choose("Type of x", "null")
    assert page.texts(".error") == []
    assert page.value() is None
