from __future__ import annotations

import json
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.explorer.form_page import FormPage

# Starting a browser takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(120)


def show(page: FormPage, value: Any, **options: Any) -> None:
    page.run("showTree(arguments[0], arguments[1])", value, options)


def lines(page: FormPage) -> list[str]:
    """Return the visible lines of the tree."""
    shown = page.all(".tree summary, .tree li:not(:has(> details))")
    return [line.text for line in shown]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1", '"1"'),
        (1, "1"),
        (-0.5, "-0.5"),
        (True, "true"),
        (None, "null"),
        ("null", '"null"'),
        ([], "[]"),
        ({}, "{}"),
        ("", '""'),
        ("\0AAE=", "bytes AAE="),
        ("two\nlines", '"two\nlines"'),
        ("<b>text</b>", '"<b>text</b>"'),
    ],
)
def test_types_are_distinguished_by_text(page: FormPage, value: Any, text: str) -> None:
    show(page, value)
    assert lines(page) == [text]


def test_integer_beyond_the_exact_range_is_exact_or_has_a_note(page: FormPage) -> None:
    page.run("showTree(12345678901234567890n)")
    assert lines(page) == ["12345678901234567890"]
    page.run("showTree(2 ** 60)")
    assert lines(page) == ["1152921504606847000 may be rounded"]


def test_containers_say_what_they_contain(page: FormPage) -> None:
    show(page, {"list": [1], "map": {"a": 1, "b": 2}})
    assert lines(page) == [
        "{…} 2 keys",
        "list: […] 1 item",
        "0: 1",
        "map: {…} 2 keys",
        "a: 1",
        "b: 2",
    ]


def test_tree_opens_and_closes_by_keyboard(page: FormPage) -> None:
    show(page, {"a": {"b": 1}}, open=1)
    assert lines(page) == ["{…} 1 key", "a: {…} 1 key"]
    page.run("document.querySelector('.tree-copy').focus()")
    for keys in Keys.TAB, Keys.TAB, Keys.ENTER:
        page.browser.switch_to.active_element.send_keys(keys)
    page.wait_for(lambda: lines(page), ["{…} 1 key", "a: {…} 1 key", "b: 1"])
    page.browser.switch_to.active_element.send_keys(Keys.SPACE)
    page.wait_for(lambda: lines(page), ["{…} 1 key", "a: {…} 1 key"])


@pytest.mark.parametrize(("levels", "count"), [(False, 1), (0, 1), (1, 2), (2, 3), (True, 4)])
def test_number_of_open_levels(page: FormPage, levels: bool | int, count: int) -> None:
    show(page, [[[1]]], open=levels)
    assert len(lines(page)) == count


def test_parts_are_made_when_they_are_opened(page: FormPage) -> None:
    page.run(
        "let deep = 0; for (let depth = 0; depth < 5000; depth += 1) deep = [deep, deep]; window.deep = deep;"
        "showTree(deep)"
    )
    assert page.run("return document.querySelectorAll('.tree li').length") < 20
    page.all(".tree summary")[-1].click()
    page.wait_for(lambda: page.run("return document.querySelectorAll('.tree li').length") > 7, True)


def test_long_array_is_shown_in_pages(page: FormPage) -> None:
    show(page, list(range(250)))
    assert len(lines(page)) == 1 + 100 + 1
    page.click("Show 100 more of 150")
    assert len(lines(page)) == 1 + 200 + 1
    assert page.focused() == "Show 50 more of 50"
    page.click("Show 50 more of 50")
    assert lines(page)[1:] == [f"{number}: {number}" for number in range(250)]


def test_long_string_is_shortened(page: FormPage) -> None:
    text = "x" * 6000
    show(page, text)
    assert lines(page) == [f'"{"x" * 200}"more']
    page.click("Show more of 5,800 further characters")
    assert lines(page) == [f'"{"x" * 5200}"more']
    page.click("Show more of 800 further characters")
    assert lines(page) == [f'"{text}"']


def test_copy_button_copies_the_whole_value(page: FormPage) -> None:
    value = {"list": list(range(300)), "text": "ü" * 1000}
    show(page, value)
    # The permission is missing in a headless browser, so the page copies the selection.
    page.run(
        "window.copied = null;"
        "document.addEventListener('copy', () => { copied = document.activeElement.value; }, {once: true});"
        "navigator.clipboard.writeText = (text) => { copied = text; return Promise.resolve(); };"
    )
    page.click("Copy as JSON")
    page.wait_for(lambda: page.run("return copied") is not None, True)
    assert json.loads(page.run("return copied")) == value
    page.wait_for(lambda: page.texts(".tree-copy"), ["Copied"])


def test_value_that_is_too_deep_is_not_copied(page: FormPage) -> None:
    page.run(
        "let deep = 0; for (let depth = 0; depth < 1e5; depth += 1) deep = [deep]; showTree(deep);"
        "window.copied = null;"
        "navigator.clipboard.writeText = (text) => { copied = text; return Promise.resolve(); };"
    )
    page.click("Copy as JSON")
    page.wait_for(lambda: page.run("return copied"), "The value is nested too deeply to copy.")


def test_schema_adds_titles_and_descriptions(page: FormPage) -> None:
    defs = {
        "Order": {
            "title": "Order",
            "type": "object",
            "properties": {
                "total": {"type": "string", "description": "In EUR"},
                "parent": {"anyOf": [{"$ref": "#/$defs/Order"}, {"type": "null"}]},
            },
        }
    }
    value = {"total": "1", "parent": {"total": "2", "parent": None}}
    schema = {"type": "array", "items": {"$ref": "#/$defs/Order"}}
    show(page, [value], schema=schema, defs=defs)
    assert lines(page)[:2] == ["[…] 1 item", "0: Order {…} 2 keys"]
    assert set(lines(page)[2:]) == {
        'total: "1" In EUR',
        "parent: Order {…} 2 keys",
        'total: "2" In EUR',
        "parent: null",
    }


@pytest.mark.parametrize(
    "schema", [5, {"$ref": "#/$defs/x"}, {"items": 5, "properties": 7, "title": []}, {"anyOf": [None]}]
)
def test_malformed_schema_is_ignored(page: FormPage, schema: Any) -> None:
    show(page, {"a": [1]}, schema=schema)
    assert lines(page) == ["{…} 1 key", "a: […] 1 item", "0: 1"]


def test_missing_value_is_mentioned(page: FormPage) -> None:
    page.run("showTree(undefined)")
    assert lines(page) == ["no value"]
    assert page.all(".tree-copy") == []
