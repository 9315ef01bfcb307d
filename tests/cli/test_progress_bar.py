from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from wampasgi.cli.progress_bar import ProgressBar


def shown(*reports: Any) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    with ProgressBar(console, "work") as show:
        for report in reports:
            show(report)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_nothing_is_shown_without_a_report() -> None:
    assert shown() == ""


@pytest.mark.parametrize(
    "report", [0.5, 50, [2, 4], {"args": [2, 4], "kwargs": {}}], ids=["share", "percent", "steps", "payload"]
)
def test_half_of_the_bar_is_filled(report: Any) -> None:
    text = shown(report)

    assert "work" in text
    # The bar has 40 columns.
    assert "━" * 20 in text
    assert "━" * 21 + " " not in text


@pytest.mark.parametrize("report", ["copying", {"file": "a"}, [1, 2, 3], True, -1, [5, 2], None])
def test_other_reports_are_text(report: Any) -> None:
    assert "work" in shown(report)


def test_control_characters_of_a_report_are_visible() -> None:
    assert "\\u001b[2J" in shown("\x1b[2J")
