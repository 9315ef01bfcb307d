from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.npm_packages import install_packages
from tests.typescript.golden import FOLDER

NODE = FOLDER / "node"

COMPILE_TIMEOUT = 60.0

#: Compiles the files of a folder with further options, and returns what the compiler prints.
Compile = Callable[..., str]


@pytest.fixture(scope="session")
def packages(request: pytest.FixtureRequest) -> Path:
    """The folder whose node_modules has the compiler and the clients."""
    return install_packages(request, NODE / "package.json", purpose="generated TypeScript")


@pytest.fixture
def project(packages: Path, tmp_path: Path) -> Path:
    """An empty folder with the settings and packages of a project."""
    shutil.copy(NODE / "tsconfig.json", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    return tmp_path


@pytest.fixture
def compile_project(project: Path) -> Compile:
    def run(*options: str) -> str:
        compiler = project / "node_modules" / "typescript" / "bin" / "tsc"
        finished = subprocess.run(
            ["node", str(compiler), "--pretty", "false", *options],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=COMPILE_TIMEOUT,
            check=False,
        )
        # It ends with 0 if and only if it reports nothing.
        assert bool(finished.returncode) == bool(finished.stdout), finished
        return finished.stdout

    return run
