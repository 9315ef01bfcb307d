from __future__ import annotations

import json
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.explorer.form_page import LINE, ORDER, PET, SHOP, FormPage, make_parameter

# Starting a browser takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(120)


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


def test_many_further_arguments_are_edited_as_json(page: FormPage) -> None:
    integer = {"type": "integer"}
    page.show([make_parameter("a", integer, kind="rest"), make_parameter("b", integer, kind="keyword_rest")])
    kwargs = {f"k{number}": number for number in range(300)}
    page.set(*range(300), **kwargs)
    assert page.payload() == {"args": list(range(300)), "kwargs": kwargs}
    page.type("a", "5")
    with pytest.raises(ValueError, match=r"^a: This must be a JSON array\."):
        page.payload()
    page.type("a", "[5]")
    page.type("b", "null")
    with pytest.raises(ValueError, match=r"^b: This must be a JSON object\."):
        page.payload()
    page.type("b", "{}")
    assert page.payload() == {"args": [5], "kwargs": {}}


def test_alias_fills_the_field(page: FormPage) -> None:
    page.show([make_parameter("from_", {"type": "integer"}, kind="keyword_only", aliases=["from"])])
    page.run("form.set({args: [], kwargs: {from: 3}})")
    assert page.payload() == {"args": [], "kwargs": {"from_": 3}}


def test_unreadable_fields_are_marked_unless_the_caller_does_not_want_it(page: FormPage) -> None:
    page.show([make_parameter(name, {"type": "integer"}) for name in "abc"])
    page.type("b", "1")
    message = page.run("try { form.value({mark: false}) } catch (error) { return error.message }")
    assert message == "a: Enter an integer. 2 fields must be corrected."
    assert page.all("[aria-invalid]") == []
    with pytest.raises(ValueError, match=message):
        page.payload()
    assert [found.accessible_name for found in page.all("[aria-invalid]")] == ["a", "c"]


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


def test_error_inside_of_a_value_that_is_left_out_marks_its_switch(page: FormPage) -> None:
    page.show_value(ORDER, SHOP, required=False)
    page.set({"lines": [], "city": "Ulm"})
    page.click("Send x")
    assert page.errors(error("x", "city")) == []
    assert [found.accessible_name for found in page.all("[aria-invalid]")] == ["x"]
    assert page.focused() == "Send x"


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


# The JSON tab


def test_edit_in_the_form_shows_in_the_json_tab(page: FormPage) -> None:
    page.show(
        [
            make_parameter("a", {"type": "integer"}),
            make_parameter("b", {"type": "string"}, kind="keyword_only"),
        ]
    )
    page.type("a", "1")
    page.click("JSON")
    assert page.json_fields() == [[1], {}]
    page.click("Form")
    page.type("b", "x")
    page.click("JSON")
    assert page.json_fields() == [[1], {"b": "x"}]


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
        ("[" * 100_000, "expected a value or ]."),
        ('["' + "a\\n" * 1_000_000 + '", x]', "Line 1, column 3000006: expected a value."),
    ],
)
def test_position_of_invalid_json_is_told(page: FormPage, text: str, place: str) -> None:
    page.show(None)
    page.input(text)
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
    assert page.json_fields() == [[3, "more"], {"y": 2}]


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


def test_large_payload_is_read_from_the_json_tab(page: FormPage) -> None:
    page.show(None)
    kwargs = {f"k{number}": number for number in range(1000)}
    page.set(*range(1000), **kwargs)
    assert page.payload() == {"args": list(range(1000)), "kwargs": kwargs}


def test_procedure_without_arguments_says_so(page: FormPage) -> None:
    page.show([])
    assert page.texts(".hint") == ["There are no arguments."]
    assert page.payload() == {"args": [], "kwargs": {}}


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
    assert page.json_fields() == [[], {"x": [4]}]
    press(Keys.HOME)
    assert page.focused() == "Form"


def test_control_and_enter_submit_the_form_around(page: FormPage) -> None:
    page.show_value({"type": "string"})
    page.run(
        "const around = document.createElement('form'); window.submitted = 0;"
        "around.addEventListener('submit', (event) => { event.preventDefault(); submitted += 1; });"
        "around.append(form.element); main.append(around)"
    )
    page.control("x").send_keys("a", Keys.ENTER, "b")
    assert page.run("return submitted") == 0
    page.control("x").send_keys(Keys.CONTROL, Keys.ENTER)
    assert page.run("return submitted") == 1
    assert page.value() == "a\nb"


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
