"""Tests of the pytest plugin, which run pytest in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CONFTEST = """
import pytest
import wampasgi

@pytest.fixture
def wamp_app():
    app = wampasgi.Application()

    @app.procedure("add")
    async def add(a: int, b: int) -> int:
        return a + b

    return app
"""

TEST = """
def test_add(wamp_client):
    with wamp_client.wamp_session() as session:
        assert session.call("add", 1, 2) == 3
"""


def run_pytest(folder: Path, *options: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run pytest for these files, with this plugin and no other."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "pytest_wampasgi",
            *options,
            "-p",
            "no:cacheprovider",
            "-W",
            "error",
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
    )


def test_client_is_for_the_application_of_the_project(tmp_path: Path) -> None:
    finished = run_pytest(tmp_path, conftest=CONFTEST, test_it=TEST)

    assert finished.returncode == 0, finished.stdout
    assert "1 passed" in finished.stdout


def test_client_has_the_options_of_the_project_and_runs_the_lifespan(tmp_path: Path) -> None:
    conftest = """
import contextlib
import pytest
import sniffio
import wampasgi
from starlette.applications import Starlette

phases = []

@contextlib.asynccontextmanager
async def lifespan(parent):
    phases.append("startup")
    yield
    phases.append("shutdown")

@pytest.fixture(scope="session")
def wamp_app():
    app = wampasgi.Application()

    @app.procedure("library")
    async def library() -> str:
        return sniffio.current_async_library()

    return Starlette(routes=[wampasgi.WAMPRoute("/ws", app)], lifespan=lifespan)

@pytest.fixture(params=["asyncio", "trio"])
def wamp_client_options(request):
    return {"path": "/ws", "backend": request.param, "timeout": 3}
"""
    test = """
from conftest import phases

def test_library(wamp_client, wamp_client_options):
    assert phases[-1] == "startup"
    assert wamp_client.wamp_timeout == 3
    with wamp_client.wamp_session() as session:
        assert session.call("library") == wamp_client_options["backend"]

def test_phases():
    assert phases == ["startup", "shutdown"] * 2
"""
    finished = run_pytest(tmp_path, conftest=conftest, test_it=test)

    assert finished.returncode == 0, finished.stdout
    assert "3 passed" in finished.stdout


def test_client_of_coroutines_has_the_options_of_the_project(tmp_path: Path) -> None:
    conftest = (
        CONFTEST
        + """
@pytest.fixture
def wamp_async_client_options():
    return {"timeout": 3}

@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param
"""
    )
    test = """
import pytest

@pytest.mark.anyio
async def test_add(wamp_async_client):
    assert wamp_async_client.wamp_timeout == 3
    async with wamp_async_client.connect() as session:
        assert await session.call("add", 1, 2) == 3
"""
    finished = run_pytest(tmp_path, "-p", "anyio", conftest=conftest, test_it=test)

    assert finished.returncode == 0, finished.stdout
    assert "2 passed" in finished.stdout


def test_missing_application_is_explained(tmp_path: Path) -> None:
    finished = run_pytest(tmp_path, test_it=TEST)

    assert finished.returncode == 1, finished.stdout
    assert "add a fixture wamp_app to conftest.py that returns it" in finished.stdout


def test_missing_packages_are_explained_when_the_client_is_used(tmp_path: Path) -> None:
    hide = "import sys\nsys.modules.update(httpx=None, httpx2=None)\n"
    finished = run_pytest(tmp_path, conftest=hide + CONFTEST, test_it=f"def test_other(): ...\n{TEST}")

    assert finished.returncode == 1, finished.stdout
    assert "1 passed, 1 error" in finished.stdout
    assert "try pip install 'wampasgi[test]': " in finished.stdout
    assert "httpx2" in finished.stdout


def test_pytest_starts_without_importing_wampasgi(tmp_path: Path) -> None:
    test = """
import sys

def test_modules():
    assert "pytest_wampasgi" in sys.modules
    assert not {"wampasgi", "starlette", "pydantic", "anyio"}.intersection(sys.modules)
"""
    finished = run_pytest(tmp_path, test_it=test)

    assert finished.returncode == 0, finished.stdout


def test_package_declares_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (module,) = project["project"]["entry-points"]["pytest11"].values()

    assert hasattr(import_module(module), "wamp_client")
    assert f"{module}.py" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert f"/{module}.py" in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
