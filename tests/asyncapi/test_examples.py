from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.asyncapi.example_apps import EXAMPLES, FOLDER, ROOT, application, files


def test_every_example_is_described() -> None:
    modules = {path.stem for path in (ROOT / "examples").glob("*.py")} - {"call"}
    packages = {path.parent.name for path in (ROOT / "examples").glob("*/app.py")}

    assert modules | packages == set(EXAMPLES)
    assert {path.name.split(".")[0] for path in FOLDER.iterdir()} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_description_of_an_example_is_the_one_in_its_file(name: str) -> None:
    for path, text in files(name).items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.relative_to(ROOT)} is out of date: run `python -m tests.asyncapi.example_apps`, and read "
            f"the difference"
        )


@pytest.mark.parametrize("name", EXAMPLES)
def test_document_of_an_example_is_valid(name: str, check_document: Callable[[Any], None]) -> None:
    check_document(application(name).asyncapi())
