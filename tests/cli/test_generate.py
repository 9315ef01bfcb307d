from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Write
from tests.cli.program import run

MATH = """
from wampasgi import Application

app = Application()


@app.procedure("math.add")
async def add(a: int, b: int = 0) -> int:
    return a + b
"""
TWO_REALMS = (
    MATH
    + """
from wampasgi import Realm

admins = Realm("admins")


@admins.procedure("stop")
async def stop() -> None: ...


app.add_realm(admins)
"""
)
UNTYPED = """
from pydantic import InstanceOf
from wampasgi import Application

app = Application()


class Point:
    pass


@app.procedure("move")
async def move(to: InstanceOf[Point]) -> None: ...
"""


@pytest.fixture
def math(write: Write, tmp_path: Path) -> Path:
    write("main.py", MATH)
    return tmp_path


def test_typescript_goes_to_standard_output(math: Path) -> None:
    ended = run("generate", "typescript", cwd=math)

    assert (ended.status, ended.stderr) == (0, "")
    assert '"math.add"' in ended.stdout


def test_check_of_a_current_file_succeeds(math: Path) -> None:
    written = run("generate", "typescript", "-o", "api.ts", cwd=math)
    checked = run("generate", "typescript", "main:app", "-o", "api.ts", "--check", cwd=math)

    assert (written.status, written.stdout) == (0, "")
    assert (checked.status, checked.stdout) == (0, "")
    assert "api.ts is up to date." in checked.stderr


def test_check_of_an_outdated_file_shows_the_differences(math: Path) -> None:
    run("generate", "typescript", "-o", "api.ts", cwd=math)
    (math / "main.py").write_text(MATH.replace("math.add", "math.sum"))

    ended = run("generate", "typescript", "-o", "api.ts", "--check", cwd=math)

    assert (ended.status, ended.stdout) == (1, "")
    lines = ended.stderr.splitlines()
    assert any(line.startswith("-") and "math.add" in line for line in lines)
    assert any(line.startswith("+") and "math.sum" in line for line in lines)
    assert lines[-1] == "api.ts is out of date. To write it, run the command without --check."


def test_check_of_a_missing_file_fails(math: Path) -> None:
    ended = run("generate", "typescript", "-o", "missing.ts", "--check", cwd=math)

    assert (ended.status, ended.stdout) == (1, "")
    assert "missing.ts does not exist." in ended.stderr


def test_check_without_a_file_is_a_usage_error(math: Path) -> None:
    ended = run("generate", "typescript", "--check", cwd=math)

    assert ended.status == 2
    assert "name it with -o FILE" in ended.stderr


def test_realm_must_be_chosen_if_there_are_several(write: Write, tmp_path: Path) -> None:
    write("main.py", TWO_REALMS)

    without = run("generate", "typescript", cwd=tmp_path)
    chosen = run("generate", "typescript", "--realm", "admins", cwd=tmp_path)

    assert (without.status, without.stdout) == (2, "")
    assert "choose a realm with --realm" in without.stderr
    assert "default, admins" in without.stderr
    assert chosen.status == 0
    assert '"stop"' in chosen.stdout
    assert "math.add" not in chosen.stdout


def test_realm_without_handlers_is_passed_over(write: Write, tmp_path: Path) -> None:
    write("main.py", TWO_REALMS.replace('@app.procedure("math.add")', ""))

    ended = run("generate", "typescript", cwd=tmp_path)

    assert ended.status == 0
    assert '"stop"' in ended.stdout


def test_unknown_realm_is_answered_with_the_nearest_name(math: Path) -> None:
    ended = run("generate", "typescript", "--realm", "defualt", cwd=math)

    assert ended.status == 2
    assert "Did you mean 'default'?" in ended.stderr


def test_type_without_a_schema_is_a_warning(write: Write, tmp_path: Path) -> None:
    write("main.py", UNTYPED)

    ended = run("generate", "typescript", cwd=tmp_path)

    assert ended.status == 0
    assert "unknown" in ended.stdout
    assert any(line.startswith("warning: ") and "move" in line for line in ended.stderr.splitlines())
    assert "UntypedValueWarning" not in ended.stderr


def test_language_must_be_named(tmp_path: Path) -> None:
    ended = run("generate", "typescrpt", cwd=tmp_path)

    assert ended.status == 2
    assert "Did you mean 'typescript'?" in ended.stderr
