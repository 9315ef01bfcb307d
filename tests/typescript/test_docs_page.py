"""Tests of the TypeScript in docs/typescript.md, with the types of the app on the page."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.test_docs import BLOCKS, ROOT
from tests.typescript.conftest import compile_folder
from wampasgi.typescript import generate

# The first run installs the compiler.
pytestmark = pytest.mark.timeout(240)

PAGE = ROOT / "docs" / "typescript.md"


def test_programs_on_the_page_compile(project: Path) -> None:
    blocks = [block for block in BLOCKS if block.page == PAGE]
    [app] = [block.code for block in blocks if block.file_name == "myapp.py"]
    programs = [block for block in blocks if block.marks == "ts"]
    assert len(programs) >= 5
    namespace: dict[str, Any] = {"__name__": "docs"}
    exec(compile(app, PAGE, "exec", dont_inherit=True), namespace)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (project / "shop.ts").write_text(generate(namespace["shop"].describe().to_dict()))
    for block in programs:
        (project / f"line_{block.line}.ts").write_text(f"{block.code}\nexport {{}};\n")

    # Programs on the page leave out what they do with a result.
    assert (
        compile_folder(project, "--lib", "ES2022,DOM", "--target", "ES2022", "--noUnusedLocals", "false")
        == ""
    )
