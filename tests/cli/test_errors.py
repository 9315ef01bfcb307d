from __future__ import annotations

import pytest

from wampasgi.cli.errors import did_you_mean, nearest


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ordr", ["order"]),
        ("ORDER", ["order"]),
        ("Stok", ["Stock", "stock"]),
        ("else", []),
    ],
)
def test_nearest_names_are_found_in_upper_and_lower_case(name: str, expected: list[str]) -> None:
    assert nearest(name, ["order", "Stock", "stock", "order"]) == expected


def test_message_names_the_nearest_names_or_gives_advice() -> None:
    assert did_you_mean("ordr", ["order", "border"]) == " Did you mean 'order' or 'border'?"
    assert did_you_mean("x", ["order"], advice="Try again.") == " Try again."
    assert did_you_mean("x", ["order"]) == ""
