from __future__ import annotations

from typing import Any

import pytest

from tests.explorer.form_page import FormPage, make_parameter

# Starting a browser takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(120)


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
    assert page.json_fields()[0][0]["any"] == ["value", None]


def test_large_integers_in_a_description_are_exact(page: FormPage) -> None:
    page.run(
        "const large = 12345678901234567890n;"
        "const schemas = {a: {type: 'integer', default: large, minimum: large}, b: {enum: [large, 1n]},"
        " c: {type: 'array', items: {}, minItems: large, default: [[large]]}, d: {const: {large}},"
        " e: {type: 'array', minItems: 2.5}};"
        "showForm({defs: {}, parameters: Object.entries(schemas).map(([name, schema]) =>"
        " ({name, aliases: [], kind: 'keyword_only', required: true, schema}))})"
    )
    page.run("form.set({kwargs: {e: []}})")
    page.choose("b", "12345678901234567890")
    assert page.payload()["kwargs"] == {
        "a": 12345678901234567890,
        "b": 12345678901234567890,
        "c": [[12345678901234567890]],
        "d": {"large": 12345678901234567890},
        "e": [],
    }


def test_markup_in_a_description_is_shown_as_text(page: FormPage) -> None:
    markup = "<img src=x onerror=alert(1)>"
    page.show([make_parameter(markup, {"type": "string", "description": markup, "title": markup})])
    assert page.all("img") == []
    assert markup in page.texts(".name")
    assert markup in page.texts(".hint")


def test_malformed_errors_are_returned(page: FormPage) -> None:
    page.show_value({"type": "array", "items": {"type": "string"}})
    page.set(["a"])
    malformed = [None, 5, {}, {"argument": ["x"]}, {"argument": 5, "path": "x", "reason": {}}]
    assert page.run("return form.showErrors(arguments[0])", malformed) == malformed
    assert page.run("return form.showErrors(5)") == []
    assert (
        page.errors(
            {"argument": "x", "path": ["length"], "reason": "Wrong"},
            {"argument": "x", "path": ["map", "call"]},
        )
        == []
    )
    assert [found.accessible_name for found in page.all("[aria-invalid]")] == ["x"]


@pytest.mark.parametrize(
    "parameters", [[None], [5, {}], [{"name": 5, "kind": [], "schema": 7, "aliases": 8}]]
)
def test_malformed_parameters_still_give_a_form(page: FormPage, parameters: list[Any]) -> None:
    page.show(parameters)
    page.set(1, a=2)
    assert page.payload() == {"args": [1], "kwargs": {"a": 2}}


def test_expensive_pattern_is_never_run(page: FormPage) -> None:
    page.show_value({"type": "string", "pattern": "^(a+)+$"})
    page.type("x", "a" * 60 + "!")
    assert page.value() == "a" * 60 + "!"
