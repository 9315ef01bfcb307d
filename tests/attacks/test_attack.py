"""The servers under attack run with the options that the docs recommend."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.attack import KINDS, PRODUCTION

SERVING = Path(__file__).parents[2] / "docs" / "serving.md"


@pytest.mark.parametrize("kind", PRODUCTION)
def test_options_are_those_of_the_command_for_production(kind: str) -> None:
    section = SERVING.read_text().split("## In production\n")[1].split("\n## ")[0]
    commands = section.replace("\\\n", "").split("```sh\n")[1:]
    options = [
        option
        for option in zip(KINDS[kind][::2], KINDS[kind][1::2], strict=True)
        # The tests select these, because `auto` depends on what is installed.
        if option[0] != "--loop" and option[1] != "websockets-sansio"
    ]

    command = commands[PRODUCTION.index(kind)]
    assert all(" ".join(option) in command for option in options), options
