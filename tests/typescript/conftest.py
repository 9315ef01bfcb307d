from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.npm_packages import install_packages
from tests.typescript.golden import FOLDER

NODE = FOLDER / "node"

COMPILE_TIMEOUT = 60.0


@pytest.fixture(scope="session")
def packages(request: pytest.FixtureRequest) -> Path:
    """The folder whose node_modules has the compiler and the clients."""
    return install_packages(request, NODE / "package.json", purpose="generated TypeScript")


def prepare_project(folder: Path, packages: Path) -> None:
    """Put the settings and packages of a project into an empty folder."""
    shutil.copy(NODE / "tsconfig.json", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(packages / "node_modules")


def compile_folder(folder: Path, *options: str) -> str:
    """Compile the files of a project with further options, and return what the compiler prints."""
    compiler = folder / "node_modules" / "typescript" / "bin" / "tsc"
    finished = subprocess.run(
        ["node", str(compiler), "--pretty", "false", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=COMPILE_TIMEOUT,
        check=False,
    )
    # It ends with 0 if and only if it reports nothing.
    assert bool(finished.returncode) == bool(finished.stdout), finished
    return finished.stdout


@pytest.fixture
def project(packages: Path, tmp_path: Path) -> Path:
    """The folder of a project without files."""
    prepare_project(tmp_path, packages)
    return tmp_path
