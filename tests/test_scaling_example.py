"""Runs the demonstration of ``make scale`` over each engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks.engines import ENGINES
from examples.scaling.__main__ import chosen

ROOT = Path(__file__).resolve().parents[1]


def demonstration(engine: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.scaling", "--backplane", engine],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", ENGINES)
def test_demonstration_shows_two_workers_and_a_dead_one(name: str) -> None:
    if (missing := ENGINES[name].missing()) is not None:
        pytest.skip(missing)
    # Unix sockets need shorter paths than those of the fixture tmp_path.
    with tempfile.TemporaryDirectory() as folder:
        ran = demonstration(name, TMPDIR=folder)
        assert os.listdir(folder) == []
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown = [
        f"the engine is {ENGINES[name].title}",
        "alice calls bob.greet on worker 1: 'hello alice, this is bob'",
        "bob gets 'the harbour is open again'",
        "alice lists the sessions of the realm: ['alice', 'bob']",
        "alice's call has ended with wamp.error.network_failure",
        "alice lists the sessions of the realm: ['alice']",
        "alice, who is still connected, calls bob.greet: 'hello alice, this is bob again'",
        "alice lists the sessions of the realm: ['alice', 'bob']",
        "both workers have ended",
    ]
    assert re.search(".*".join(map(re.escape, shown)), ran.stdout, re.DOTALL), ran.stdout


def test_demonstration_fails_if_a_worker_does_not_start(tmp_path: Path) -> None:
    too_long = tmp_path / ("x" * 100)
    too_long.mkdir()
    ran = demonstration("unix", TMPDIR=str(too_long))
    assert ran.returncode == 1, ran.stdout
    assert "is too long for Unix sockets" in ran.stdout
    assert re.search("the demonstration has failed: worker . has ended with code 3", ran.stderr)


def test_unix_sockets_are_used_without_nats(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.engines.path_of", lambda program: None)
    assert chosen(None) == "unix"
    assert "NATS is not used, because nats-server is not installed" in capsys.readouterr().out
    assert chosen("redis") == "redis"
