"""Packages from npm that tests need, installed once into pytest's cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

INSTALL_TIMEOUT = 180.0

_INSTALL = ("install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--no-progress")


def install_packages(request: pytest.FixtureRequest, manifest: Path, *, purpose: str) -> Path:
    """Return a folder whose ``node_modules`` has the packages of a ``package.json``.

    The folder is kept in pytest's cache, so that only the first run needs the network. ``purpose`` names the
    folder, and says in the skip reason what the packages are for. Skips the test if Node, npm or the packages
    are missing.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None:
        _skip(purpose, "node is not on the PATH")
    if npm is None:
        _skip(purpose, "npm is not on the PATH")
    version = hashlib.sha256(manifest.read_bytes()).hexdigest()[:16]
    folder = _cache_folder(request, purpose.lower().replace(" ", "-")) / version
    if not folder.is_dir():
        _install(npm, manifest, folder, purpose)
    return folder


def _skip(purpose: str, reason: str) -> NoReturn:
    pytest.skip(f"{purpose}: {reason}")


def _cache_folder(request: pytest.FixtureRequest, name: str) -> Path:
    """Return a folder that outlives the test run, unless pytest's cache is disabled."""
    cache = getattr(request.config, "cache", None)
    if cache is not None:
        return Path(cache.mkdir(name))
    temporary: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    return temporary.mktemp(name)


def _install(npm: str, manifest: Path, folder: Path, purpose: str) -> None:
    """Install packages into ``folder``, which is created only after they are complete.

    If two processes do this at the same time, the first one wins.
    """
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix="unfinished-"))
    try:
        shutil.copy(manifest, unfinished)
        installed = subprocess.run(
            [npm, *_INSTALL],
            cwd=unfinished,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_TIMEOUT,
            check=False,
        )
        if installed.returncode:
            _skip(purpose, f"npm install ended with {installed.returncode}:\n{installed.stdout}")
        try:
            unfinished.rename(folder)
        except OSError:
            # Another process was faster.
            if not folder.is_dir():
                raise
    except subprocess.TimeoutExpired:
        _skip(purpose, f"npm install took longer than {INSTALL_TIMEOUT} s")
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
