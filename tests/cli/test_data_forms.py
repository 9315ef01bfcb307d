from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from wampasgi.cli.data_forms import UnsupportedJSON, from_json, payload_value, to_json, visible


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"ä": [1, None, True]}, '{"ä": [1, null, true]}'),
        (b"\xff\x00", '"\\u0000/wA="'),
        ([float("nan"), float("inf"), 1.5], "[null, null, 1.5]"),
        ({1: 2}, '{"1": 2}'),
        (10**30, "1000000000000000000000000000000"),
        ((1, 2), "[1, 2]"),
        (date(2026, 1, 2), '"2026-01-02"'),
    ],
)
def test_every_value_has_a_json_form(value: Any, text: str) -> None:
    assert to_json(value) == text
    json.loads(text)


@pytest.mark.parametrize(
    ("args", "kwargs", "value"),
    [
        ([], {}, None),
        ([1], {}, 1),
        ([[]], {}, []),
        ([1, 2], {}, {"args": [1, 2], "kwargs": {}}),
        ([], {"a": 1}, {"args": [], "kwargs": {"a": 1}}),
    ],
)
def test_payload_is_one_value(args: list[Any], kwargs: dict[str, Any], value: Any) -> None:
    assert payload_value(args, kwargs) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 漢 🙂\n\t", "plain ä 漢 🙂\n\t"),
        ("\x1b[31m", "\\u001b[31m"),
        ("\x9b31m\x7f\r", "\\u009b31m\\u007f\\u000d"),
        ("\u202eevil", "\\u202eevil"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_control_characters_are_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "value", [{"ä": [1, None, True]}, [b"\xff\x00", {"a": b""}], "x\0", 1.5, 10**30, "🙂"]
)
def test_output_can_be_read_again(value: Any) -> None:
    assert from_json(to_json(value)) == value


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", "{", "", "01"])
def test_text_that_is_not_json_has_no_value(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        from_json(text)


@pytest.mark.parametrize("text", ["1e400", '"\\ud800"', '"\\u0000x"', 100_000 * "["])
def test_json_that_wamp_does_not_have_is_told_apart(text: str) -> None:
    with pytest.raises(UnsupportedJSON):
        from_json(text)
