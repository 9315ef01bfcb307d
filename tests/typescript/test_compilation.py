"""Tests of generated files with the compiler, in its strictest settings."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest

from tests.typescript.conftest import NODE, compile_folder
from tests.typescript.golden import NAMES, generated
from tests.typescript.random_descriptions import Descriptions
from tests.typescript.test_generator import EMPTY
from wampasgi.typescript import UntypedValueWarning, generate

# The first run installs the compiler.
pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize("name", NAMES)
def test_file_needs_no_packages_and_no_browser(name: str, project: Path) -> None:
    (project / f"{name}.ts").write_text(generated(name))

    assert compile_folder(project) == ""


def test_file_of_an_empty_realm_compiles(project: Path) -> None:
    (project / "empty.ts").write_text(generate(EMPTY))

    assert compile_folder(project) == ""


def test_files_of_random_descriptions_compile(project: Path) -> None:
    for seed in range(8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UntypedValueWarning)
            text = generate(Descriptions(seed).description())
        assert not any(line.endswith(" ") for line in text.splitlines())
        (project / f"seed_{seed}.ts").write_text(text)

    assert compile_folder(project) == ""


@pytest.mark.parametrize("name", NAMES)
def test_right_uses_compile_and_wrong_uses_do_not(name: str, project: Path) -> None:
    (project / f"{name}.ts").write_text(generated(name))
    shutil.copy(NODE / f"uses_of_{name}.ts", project)

    # The types of the libraries refer to those of browsers.
    assert compile_folder(project, "--lib", "ES2022,DOM") == ""


def test_compiler_checks_the_marks_of_wrong_uses(project: Path) -> None:
    (project / "shop.ts").write_text(generated("shop"))
    text = (NODE / "uses_of_shop.ts").read_text()
    marked = text.count("// @ts-expect-error")
    (project / "uses.ts").write_text(text.replace("// @ts-expect-error", "//"))

    errors = compile_folder(project, "--lib", "ES2022,DOM").splitlines()

    assert len({line.partition("): ")[0] for line in errors if line.startswith("uses.ts(")}) >= marked > 20
