from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.program import environment
from tests.clients.server_process import ServerProcess, start_server

Write = Callable[..., Path]
Environment = Callable[..., dict[str, str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function that writes a file into the project: ``write("main.py", "text")``."""

    def write_file(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return write_file


@pytest.fixture
def importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the project, whose modules are forgotten after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None)
        if file is None or Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of `served_app`, which all tests share."""
    server = start_server("uvicorn", "tests.cli.served_app:app", tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """A function that returns an environment without the options and the configuration of the user."""
    for name in os.environ:
        if name.startswith("WAMPASGI_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return environment


@pytest.fixture
def at_server(env: Environment, server: ServerProcess) -> dict[str, str]:
    """An environment in which commands use the server of `served_app`, whose journal is empty."""
    server.journal.write_text("")
    return env(WAMPASGI_URL=server.url, COLUMNS="100")
