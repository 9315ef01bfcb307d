from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.explorer.form_page import STATIC, FormPage, make_parameter, open_form_page

# Starting a browser takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(120)

NULLABLE_TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}]}

SHOP = {
    "Line": {
        "type": "object",
        "title": "Line",
        "properties": {
            "sku": {"type": "string", "minLength": 1},
            "quantity": {"type": "integer", "exclusiveMinimum": 0, "default": 1},
            "note": {**NULLABLE_TEXT, "default": None},
        },
        "required": ["sku"],
        "additionalProperties": False,
    },
    "Order": {
        "type": "object",
        "title": "Order",
        "properties": {
            "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}, "minItems": 1},
            "city": {"type": "string"},
        },
        "required": ["lines", "city"],
    },
    "Node": {
        "type": "object",
        "title": "Node",
        "properties": {
            "name": {"type": "string"},
            "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}], "default": None},
        },
        "required": ["name"],
    },
    "Cat": {
        "type": "object",
        "title": "Cat",
        "properties": {"kind": {"const": "cat", "type": "string"}, "lives": {"type": "integer"}},
        "required": ["kind", "lives"],
    },
    "Dog": {
        "type": "object",
        "title": "Dog",
        "properties": {"kind": {"const": "dog", "type": "string"}, "name": {"type": "string"}},
        "required": ["kind", "name"],
    },
}
LINE = {"$ref": "#/$defs/Line"}
ORDER = {"$ref": "#/$defs/Order"}
PET = {
    "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
    "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}},
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FormPage]:
    with open_form_page(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def page(opened: FormPage) -> Iterator[FormPage]:
    yield opened
    opened.check_quiet()


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
    "content", [b"", b"text", "ü\ntext".encode(), b"\xff\x00\x01", b"\x00", b"\xef\xbb\xbfmark"]
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


def test_optional_text_can_be_empty(page: FormPage) -> None:
    page.show_value({"type": "string"}, required=False)
    page.click("Send x")
    assert page.value() == ""


def test_default_of_a_nested_value_is_offered(page: FormPage) -> None:
    page.show_value({**LINE, "default": {"sku": "cup"}}, SHOP, required=False)
    page.click("Send x")
    assert page.value() == {"sku": "cup"}


# Which arguments are sent by position


@pytest.mark.parametrize(
    ("kinds", "given", "expected"),
    [
        ("rro", {"a": 1, "b": 2}, ([1, 2], {})),
        ("roo", {"a": 1, "c": 3}, ([1], {"c": 3})),
        ("ooo", {"b": 2, "c": 3}, ([], {"b": 2, "c": 3})),
        ("pp", {"b": 2}, ([None, 2], {})),
        ("pp", {"a": 1}, ([1], {})),
        ("po", {"b": 2}, ([], {"b": 2})),
        ("rk", {"a": 1, "b": 2}, ([1], {"b": 2})),
        ("ook", {"b": 2, "c": 3}, ([], {"b": 2, "c": 3})),
    ],
)
def test_arguments_are_sent_by_position_unless_an_earlier_one_is_left_out(
    page: FormPage, kinds: str, given: dict[str, int], expected: Any
) -> None:
    names = {
        "r": "positional_or_keyword",
        "o": "positional_or_keyword",
        "p": "positional_only",
        "k": "keyword_only",
    }
    page.show(
        [
            make_parameter(name, {"type": "integer"}, kind=names[kind], required=kind == "r")
            for name, kind in zip("abc", kinds, strict=False)
        ]
    )
    for name, value in given.items():
        page.type(name, str(value))
    payload = page.payload()
    assert (payload["args"], payload["kwargs"]) == expected
    page.set(*payload["args"], **payload["kwargs"])
    assert page.payload() == payload


def test_default_fills_the_place_of_a_positional_argument_that_is_left_out(page: FormPage) -> None:
    integer = {"type": "integer"}
    page.show(
        [
            make_parameter("a", {**integer, "default": 7}, required=False, kind="positional_only"),
            make_parameter("b", integer, required=False),
            make_parameter("more", integer, kind="rest"),
        ]
    )
    page.set(1, 2, 3, 4)
    assert page.payload() == {"args": [1, 2, 3, 4], "kwargs": {}}
    page.click("Send a")
    page.click("Send b")
    assert page.payload() == {"args": [7, None, 3, 4], "kwargs": {}}


def test_further_arguments_are_collected(page: FormPage) -> None:
    page.show(
        [
            make_parameter("numbers", {"type": "integer"}, kind="rest", required=False),
            make_parameter("options", {"type": "string"}, kind="keyword_rest", required=False),
        ]
    )
    assert page.payload() == {"args": [], "kwargs": {}}
    page.set(1, 2, colour="red")
    assert page.payload() == {"args": [1, 2], "kwargs": {"colour": "red"}}
    assert page.errors({"argument": "colour", "path": [], "reason": "Not that colour"}) == []
    assert page.focused() == "colour"


def test_alias_fills_the_field(page: FormPage) -> None:
    page.show([make_parameter("from_", {"type": "integer"}, kind="keyword_only", aliases=["from"])])
    page.run("form.set({args: [], kwargs: {from: 3}})")
    assert page.payload() == {"args": [], "kwargs": {"from_": 3}}


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


# Errors of the server


def error(argument: str | None, *path: str | int, reason: str = "Wrong") -> dict[str, Any]:
    return {"argument": argument, "path": list(path), "reason": reason, "type": "value"}


def test_error_marks_the_nested_field(page: FormPage) -> None:
    page.show_value(ORDER, SHOP)
    page.set({"lines": [{"sku": "a"}, {"sku": "b"}], "city": "Ulm"})
    unknown = error("y", reason="Unknown")
    general = error(None, reason="Too many")
    assert page.errors(error("x", "lines", 1, "sku", reason="No such item"), unknown, general) == [
        unknown,
        general,
    ]
    [invalid] = page.all("[aria-invalid]")
    assert invalid.get_property("value") == "b"
    assert page.described(invalid).endswith("No such item")
    assert page.run("return document.activeElement === arguments[0]", invalid)

    page.run("form.clearErrors()")
    assert page.all("[aria-invalid], .error") == []


@pytest.mark.parametrize(
    ("path", "marked"),
    [
        (["lines", 0, "sku", "inner"], "sku"),
        (["lines", 7, "sku"], "lines"),
        (["lines", 0, "unknown"], "item 1"),
        (["lines", 0, "quantity"], "quantity"),
        (["nothing"], "x"),
        ([], "x"),
    ],
)
def test_error_without_a_field_marks_the_nearest_one_around_it(
    page: FormPage, path: list[Any], marked: str
) -> None:
    page.show_value(ORDER, SHOP)
    page.set({"lines": [{"sku": "a"}], "city": "Ulm"})
    assert page.errors(error("x", *path)) == []
    assert [found.accessible_name for found in page.all("[aria-invalid]")] == [marked]


def test_error_inside_of_a_union_is_found_with_and_without_the_name_of_the_branch(page: FormPage) -> None:
    page.show_value(PET, SHOP)
    page.set({"kind": "dog", "name": "Rex"})
    for path in ["name"], ["dog", "name"]:
        assert page.errors(error("x", *path)) == []
        assert [found.accessible_name for found in page.all("[aria-invalid]")] == ["name"]


def test_several_errors_of_one_field_are_all_shown(page: FormPage) -> None:
    page.show_value({"type": "string"})
    assert page.errors(error("x", reason="Too short"), error("x", reason="Too dull")) == []
    assert page.texts(".error") == ["Too short\nToo dull"]


def test_error_disappears_when_the_field_is_edited(page: FormPage) -> None:
    page.show_value({"type": "string"})
    page.errors(error("x"))
    page.type("x", "a")
    assert page.all("[aria-invalid], .error") == []


def test_errors_are_listed_in_the_json_tab(page: FormPage) -> None:
    page.show_value(ORDER, SHOP)
    page.click("JSON")
    page.type("args", json.dumps([{"lines": [{"sku": "a"}], "city": "Ulm"}]))
    assert page.errors(error("x", "lines", 0, "sku", reason="No such item")) == []
    assert page.texts(".error") == ["sku of item 1 of lines of x: No such item"]
    assert page.focused() == "args"
    page.click("Form")
    assert [found.accessible_name for found in page.all("[aria-invalid]")] == ["sku"]


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
    page.run(
        "const c = document.querySelector('.body :is(input, textarea)'); c.value = arguments[0];"
        "c.dispatchEvent(new Event('input', {bubbles: true}))",
        text,
    )
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


def test_expensive_pattern_is_never_run(page: FormPage) -> None:
    page.show_value({"type": "string", "pattern": "^(a+)+$"})
    page.type("x", "a" * 60 + "!")
    assert page.value() == "a" * 60 + "!"


# The JSON tab


def json_fields(page: FormPage) -> list[Any]:
    return [json.loads(str(found.get_property("value"))) for found in page.all("[role=tabpanel] textarea")]


def test_edit_in_the_form_shows_in_the_json_tab(page: FormPage) -> None:
    page.show(
        [
            make_parameter("a", {"type": "integer"}),
            make_parameter("b", {"type": "string"}, kind="keyword_only"),
        ]
    )
    page.type("a", "1")
    page.click("JSON")
    assert json_fields(page) == [[1], {}]
    page.click("Form")
    page.type("b", "x")
    page.click("JSON")
    assert json_fields(page) == [[1], {"b": "x"}]


def test_edit_in_the_json_tab_shows_in_the_form(page: FormPage) -> None:
    page.show_value(ORDER, SHOP)
    page.click("JSON")
    page.type("args", json.dumps([{"lines": [{"sku": "cup"}], "city": "Ulm"}]))
    page.click("Form")
    assert page.control("city").get_property("value") == "Ulm"
    assert page.value() == {"lines": [{"sku": "cup"}], "city": "Ulm"}


def test_invalid_json_stays_and_the_form_keeps_its_state(page: FormPage) -> None:
    page.show_value({"type": "integer"})
    page.type("x", "5")
    page.click("JSON")
    page.type("args", "[1,\n 2,, 3]")
    assert page.texts(".error") == ["Line 2, column 4: expected a value."]
    with pytest.raises(ValueError, match=r"^args: Line 2, column 4"):
        page.payload()
    page.click("Form")
    assert page.value() == 5
    page.click("JSON")
    assert page.control("args").get_property("value") == "[1,\n 2,, 3]"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "Enter JSON"),
        ("[1", "Line 1, column 3: expected a comma or ]."),
        ('{"a" 1}', "Line 1, column 6: expected a colon."),
        ("{a: 1}", "Line 1, column 2: expected a key in double quotes or }."),
        ('{"a": 1,}', "Line 1, column 9: expected a key in double quotes."),
        ("[1] 2", "Line 1, column 5: expected the end."),
        ('["\n"]', "Line 1, column 2: expected a value or ]."),
        ("[-]", "Line 1, column 2: expected a value or ]."),
        ("[01]", "Line 1, column 2: expected a value or ]."),
        ("[[1}]", "Line 1, column 4: expected a comma or ]."),
        ("{}", "This must be a JSON array."),
        ("[" * 100_000, ""),
    ],
)
def test_position_of_invalid_json_is_told(page: FormPage, text: str, place: str) -> None:
    page.show(None)
    page.run(
        "const c = document.querySelector('textarea'); c.value = arguments[0];"
        "c.dispatchEvent(new Event('input', {bubbles: true}))",
        text,
    )
    with pytest.raises(ValueError, match=r"^args: ") as raised:
        page.payload()
    assert place in str(raised.value)


def test_json_tab_sends_what_the_form_would_not(page: FormPage) -> None:
    page.show([make_parameter("a", {"type": "integer"}), make_parameter("b", {"type": "integer"})])
    page.click("JSON")
    page.type("args", '["one"]')
    page.type("kwargs", '{"c": 12345678901234567890}')
    assert page.payload() == {"args": ["one"], "kwargs": {"c": 12345678901234567890}}


def test_unknown_arguments_are_kept_and_mentioned(page: FormPage) -> None:
    page.show_value({"type": "integer"})
    page.set(1, "more", y=2)
    assert any(text.endswith("argument 2, y") for text in page.texts(".hint"))
    page.type("x", "3")
    assert page.payload() == {"args": [3, "more"], "kwargs": {"y": 2}}
    page.click("JSON")
    assert json_fields(page) == [[3, "more"], {"y": 2}]


def test_undescribed_arguments_are_two_json_fields(page: FormPage) -> None:
    page.show(None)
    assert page.all("[role=tab]") == []
    assert page.payload() == {"args": [], "kwargs": {}}
    page.type("args", "[1, 2]")
    page.type("kwargs", '{"a": null}')
    assert page.payload() == {"args": [1, 2], "kwargs": {"a": None}}
    page.set("x", b=1)
    assert page.payload() == {"args": ["x"], "kwargs": {"b": 1}}
    lost = error("a")
    assert page.errors(lost) == [lost]


def test_procedure_without_arguments_says_so(page: FormPage) -> None:
    page.show([])
    assert page.texts(".hint") == ["There are no arguments."]
    assert page.payload() == {"args": [], "kwargs": {}}


# Untrusted descriptions


@pytest.mark.parametrize(
    "schema",
    [
        None,
        5,
        {"type": 5, "enum": 5, "title": {}, "description": [], "examples": 1},
        {"type": "object", "properties": [], "required": 7, "additionalProperties": "x"},
        {"type": "array", "items": 5, "prefixItems": {}, "minItems": "many"},
        {"anyOf": []},
        {"anyOf": {}},
        {"anyOf": [None, 5]},
        {"oneOf": "x", "discriminator": []},
        {"type": []},
        {"$ref": "#/$defs/Missing"},
        {"$ref": "#/$defs/Loop"},
        {"$ref": "#/$defs/Union"},
        {"$ref": "#/$defs/__proto__"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/Endless"},
        {"$ref": "#/$defs/Wide"},
        {"type": "array", "minItems": 1e9},
        {"type": "string", "format": "constructor", "minLength": {}},
    ],
)
def test_malformed_schema_still_gives_a_form(page: FormPage, schema: Any) -> None:
    defs = {
        "Loop": {"$ref": "#/$defs/Loop"},
        "Union": {"anyOf": [{"$ref": "#/$defs/Union"}, {"$ref": "#/$defs/Union"}]},
        "Endless": {
            "type": "object",
            "properties": {"inner": {"$ref": "#/$defs/Endless"}},
            "required": ["inner"],
        },
        "Wide": {
            "type": "object",
            "properties": {f"p{number}": {"$ref": "#/$defs/Wide"} for number in range(100)},
            "required": [f"p{number}" for number in range(100)],
        },
    }
    page.show_value(schema, defs)
    page.set({"any": ["value", None]})
    page.click("JSON")
    assert json_fields(page)[0][0]["any"] == ["value", None]


def test_markup_in_a_description_is_shown_as_text(page: FormPage) -> None:
    markup = "<img src=x onerror=alert(1)>"
    page.show([make_parameter(markup, {"type": "string", "description": markup, "title": markup})])
    assert page.all("img") == []
    assert markup in page.texts(".name")
    assert markup in page.texts(".hint")


# Accessibility


def test_every_control_has_a_name(page: FormPage) -> None:
    page.show_value(ORDER, SHOP)
    page.set({"lines": [{"sku": "a", "note": "b"}], "city": "Ulm"})
    controls = page.all("#main :is(input, select, textarea, button)")
    assert all(control.accessible_name for control in controls)
    groups = page.all("fieldset")
    assert [group.accessible_name for group in groups] == ["x", "lines", "item 1"]


def test_keyboard_alone_fills_the_form(page: FormPage) -> None:
    page.show_value({"type": "array", "items": {"type": "integer"}}, kind="keyword_only")
    page.run("form.focus()")
    assert page.focused() == "Add item to x"

    def press(*keys: str) -> None:
        page.browser.switch_to.active_element.send_keys(*keys)

    press(Keys.ENTER)
    assert page.focused() == "item 1"
    press("4")
    assert page.payload() == {"args": [], "kwargs": {"x": [4]}}
    page.all("[role=tab]")[0].send_keys(Keys.ARROW_RIGHT)
    assert page.focused() == "JSON"
    assert json_fields(page) == [[], {"x": [4]}]
    press(Keys.HOME)
    assert page.focused() == "Form"


def test_form_fits_on_a_narrow_screen(page: FormPage) -> None:
    page.browser.set_window_size(500, 800)
    try:
        page.show(
            [make_parameter("w" * 200, ORDER), make_parameter("x", {**LINE, "description": "d" * 300})], SHOP
        )
        page.set({"lines": [{"sku": "s" * 300, "note": None}], "city": "Ulm"}, {"sku": "a", "k" * 100: "v"})
        page.run("document.getElementById('main').style.width = '328px'")
        assert page.run("const m = document.getElementById('main'); return m.scrollWidth <= m.clientWidth")
    finally:
        page.browser.set_window_size(900, 900)
        page.run("document.getElementById('main').style.width = ''")


def test_files_are_small() -> None:
    names = ["fields.js", "forms.css", "forms.js", "json_text.js", "schema.js", "tree.js"]
    assert sum((STATIC / name).stat().st_size for name in names) < 50_000
