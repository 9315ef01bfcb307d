"""Tests of the code in README.md and docs/.

Each block marked ``python`` runs in a namespace of its own, including its test functions and an ``async def
main``; the applications that it creates are then checked. Other blocks of the page can import a block whose
first line is the comment ``# name.py``. A block marked ``python pytest`` has tests that pytest runs, with the
plugin of wampasgi. A block marked ``python client`` runs as a program while uvicorn serves the page's
``myapp.py``; it must print the text of the comments after its ``print`` calls. Node checks the syntax of
blocks marked ``js``, and those marked ``yaml`` are parsed. ``tests/test_client_page.py`` runs those marked
``js client``, and ``tests/typescript/test_docs_page.py`` compiles those marked ``ts``.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.clients.server_process import start_server
from wampasgi import Application, Realm

# PyYAML, a dependency of uvicorn, has no type annotations.
yaml: Any = importlib.import_module("yaml")

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

SERVED_AT = "ws://127.0.0.1:8000/"


@dataclass(frozen=True)
class Block:
    """A fenced block: ``line`` is the number of its first code line, ``marks`` the text after the fence."""

    page: Path
    line: int
    marks: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file_name(self) -> str | None:
        named = re.match(r"# (\w+\.py)\n", self.code)
        return named and named[1]


def blocks_of(page: Path, text: str) -> Iterator[Block]:
    marks: str | None = None
    code: list[str] = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        fence = re.match(r"```(.*)", line)
        if fence is None:
            code.append(line)
        elif marks is None:
            marks, code = fence[1].strip(), []
        else:
            yield Block(page, number - len(code), marks, "".join(code))
            marks = None
    assert marks is None, f"{page} ends inside a block marked {marks!r}: close the fence"


BLOCKS = [block for page in PAGES for block in blocks_of(page, page.read_text())]


def blocks_marked(marks: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", [block for block in BLOCKS if block.marks == marks], ids=str)


@pytest.fixture
def files(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of the block's page; this and other processes can import them."""
    names: list[str] = []
    for other in BLOCKS:
        if other.page == block.page and other.file_name is not None:
            (tmp_path / other.file_name).write_text(other.code)
            names.append(other.file_name.removesuffix(".py"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))
    yield tmp_path
    for name in names:
        sys.modules.pop(name, None)


def run(code: str, file: Path, line: int) -> None:
    """Run a block, then its main and test functions; ``line`` is the number of its first line in ``file``."""
    namespace: dict[str, Any] = {"__name__": "docs"}
    # Without the __future__ imports of this file.
    exec(compile("\n" * (line - 1) + code, file, "exec", dont_inherit=True), namespace)
    for name, value in list(namespace.items()):
        if inspect.isfunction(value) and (name == "main" or name.startswith("test_")):
            anyio.run(value) if inspect.iscoroutinefunction(value) else value()
    check_applications(namespace)


def check_applications(namespace: dict[str, Any]) -> None:
    """Check the configuration of a block's applications and realms, as a server does at startup."""
    applications = [value for value in namespace.values() if isinstance(value, Application)]
    added = {id(realm) for application in applications for realm in application.realms.values()}
    realms = {id(value): value for value in namespace.values() if isinstance(value, Realm)}
    applications += [Application([realm]) for key, realm in realms.items() if key not in added]
    for application in applications:
        application.check()


@pytest.mark.usefixtures("files")
@blocks_marked("python")
def test_python_block_runs(block: Block) -> None:
    run(block.code, block.page, block.line)


@blocks_marked("python client")
def test_client_prints_the_text_of_its_comments(block: Block, files: Path) -> None:
    server = start_server("uvicorn", "myapp:app", files)
    try:
        program = block.code.replace(SERVED_AT, server.url)
        assert program != block.code, f"{block} does not connect to {SERVED_AT}"
        finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    finally:
        server.stop()
    assert finished.returncode == 0, finished.stderr
    expected = re.findall(r"^\s*print\(.*# (.*)$", block.code, re.MULTILINE)
    printed = [line for line in finished.stdout.splitlines() if line in expected]
    assert printed == expected != [], finished.stdout + finished.stderr


@blocks_marked("python pytest")
def test_pytest_passes_the_tests_of_a_block(block: Block, files: Path) -> None:
    file = files / "test_block.py"
    file.write_text(block.code)
    # The plugin is named here, because a checkout need not be installed.
    command = [sys.executable, "-m", "pytest", "-p", "pytest_wampasgi", "-p", "no:cacheprovider", str(file)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    finished = subprocess.run(command, cwd=files, env=environment, capture_output=True, text=True, timeout=50)
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@blocks_marked("js")
def test_javascript_block_has_valid_syntax(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "block.js"
    file.write_text(block.code)
    checked = subprocess.run(["node", "--check", file], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, f"{block}: {checked.stderr}"


@blocks_marked("yaml")
def test_yaml_block_is_a_mapping(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.code), dict)


def test_all_blocks_have_known_marks() -> None:
    known = {"python", "python client", "python pytest", "js", "js client", "ts", "sh", "text", "ini", "yaml"}
    assert [str(block) for block in BLOCKS if block.marks not in known] == []


def test_links_between_pages_are_valid() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text())
        if not is_valid_link(page, target)
    ]
    assert broken == []


def is_valid_link(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return False
    titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE) if anchor else []
    return not anchor or anchor in {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles
    }


# Tests of the runner


def test_runner_calls_the_test_functions_of_a_block() -> None:
    with pytest.raises(AssertionError):
        run("def test_sum():\n    assert 1 + 1 == 3\n", Path("page.md"), 1)


def test_runner_runs_an_async_main_function() -> None:
    with pytest.raises(ZeroDivisionError):
        run("async def main():\n    1 / 0\n", Path("page.md"), 1)


def test_runner_checks_the_applications_of_a_block() -> None:
    code = "from wampasgi import Realm\nrealm = Realm('a')\nasync def handler(db):\n    yield\n"
    with pytest.raises(ValueError, match="nothing can fill the parameter 'db'"):
        run(code + "realm.add_session_lifespan_handler(handler)\n", Path("page.md"), 1)


def test_traceback_of_a_block_has_its_page_and_line() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run("value = 1\nvalue / 0\n", Path("docs/page.md"), 41)
    last = caught.traceback[-1]
    assert (str(last.path), last.lineno + 1) == ("docs/page.md", 42)
