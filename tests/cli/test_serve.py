from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.cli.conftest import Environment, Write
from tests.cli.program import run
from tests.cli.running_program import Running, wait_until_listening

APP = """
from wampasgi import Application, Limits, Realm

app = Application()


@app.procedure("math.add")
async def add(a: int, b: int) -> int:
    return a + b
"""


def served_url(program: Running) -> str:
    """Return the URL that uvicorn reports."""
    program.wait_for("Uvicorn running on http://127.0.0.1:", "stderr")
    program.wait_for("(Press CTRL+C to quit)", "stderr")
    found = re.search(r"running on http(://127\.0\.0\.1:\d+)", program.written("stderr"))
    assert found is not None
    return f"ws{found[1]}/"


def test_app_is_served_with_the_fast_transport(env: Environment, tmp_path: Path, write: Write) -> None:
    write("main.py", APP)

    with Running("serve", "--port", "0", cwd=tmp_path, env=env()) as program:
        url = served_url(program)
        called = run("call", "math.add", "1", "2", "--url", url, cwd=tmp_path, env=env())
        program.interrupt()
        ended = program.end()

    assert called.stdout == "3\n"
    assert ended.status == 0
    # The application warns about settings that do not suit it.
    assert "clients can make uvicorn take more memory" not in ended.stderr
    assert "(code 1000)" not in ended.stderr


def test_options_of_uvicorn_are_passed_on(env: Environment, tmp_path: Path, write: Write) -> None:
    write("main.py", APP)
    options = ("--", "--root-path", "/api", "--ws", "websockets", "--ws-max-size", "70000")

    with Running("serve", "main:app", "--port", "0", *options, cwd=tmp_path, env=env()) as program:
        url = served_url(program)
        called = run("call", "math.add", "1", "2", "--url", url, cwd=tmp_path, env=env())
        program.interrupt()
        ended = program.end()

    assert called.stdout == "3\n"
    # uvicorn's own transport compresses by default.
    assert "--ws-per-message-deflate false" in ended.stderr


def test_wrong_option_of_uvicorn_is_a_usage_error(env: Environment, tmp_path: Path, write: Write) -> None:
    write("main.py", APP)

    ended = run("serve", "--", "--no-such-option", cwd=tmp_path, env=env())

    assert ended.status == 2
    assert "Usage: uvicorn" in ended.stderr
    assert "--no-such-option" in ended.stderr


@pytest.mark.parametrize(("options", "variables"), [(["--workers", "2"], {}), ([], {"WEB_CONCURRENCY": "2"})])
def test_several_workers_without_a_backplane_are_a_usage_error(
    env: Environment, tmp_path: Path, write: Write, options: list[str], variables: dict[str, str]
) -> None:
    write("main.py", APP)

    ended = run("serve", *options, cwd=tmp_path, env=env(**variables))

    assert ended.status == 2
    assert "each of the 2 workers would have realms of its own" in ended.stderr


def test_workers_must_not_be_hidden_among_the_options_of_uvicorn(
    env: Environment, tmp_path: Path, write: Write
) -> None:
    write("main.py", APP)

    for options in (["--workers", "2"], ["--workers=2"]):
        ended = run("serve", "--", *options, cwd=tmp_path, env=env())
        assert ended.status == 2
        assert "--workers must be before --" in ended.stderr


@pytest.mark.parametrize(
    ("app", "options"),
    [
        (APP.replace("Application()", "Application(backplane='unix:FOLDER')"), []),
        (APP, ["--allow-separate-workers"]),
    ],
    ids=["with a backplane", "separate"],
)
def test_several_workers_are_served(
    env: Environment, tmp_path: Path, write: Write, app: str, options: list[str]
) -> None:
    # The path of a socket must be short.
    folder = tempfile.mkdtemp(prefix="wampasgi")
    write("main.py", app.replace("FOLDER", folder))

    with Running("serve", "--port", "0", "--workers", "2", *options, cwd=tmp_path, env=env()) as program:
        url = served_url(program)
        program.wait_for("Application startup complete.", "stderr", times=2)
        wait_until_listening(url)
        called = run("call", "math.add", "1", "2", "--url", url, cwd=tmp_path, env=env())
        program.interrupt()
        ended = program.end()

    shutil.rmtree(folder)
    assert called.stdout == "3\n", called.stderr
    assert ended.stderr.count("Started server process") == 2
