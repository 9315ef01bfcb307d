from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from wampasgi.cli.data_forms import payload_value, to_json, visible


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
