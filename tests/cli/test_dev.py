from __future__ import annotations

import re
import socket
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from starlette.testclient import TestClient

from tests.cli.conftest import Environment, Write
from tests.cli.program import run, run_process
from tests.cli.running_program import Running, wait_until_listening
from wampasgi.cli.app_loading import load_application
from wampasgi.cli.development import APP_VARIABLE, DOCS_VARIABLE, create_app
from wampasgi.cli.development import places as places_of_app

APP = """
from wampasgi import Application

app = Application()


@app.procedure("math.add")
async def add(a: int, b: int) -> int:
    return a + b
"""
FASTAPI = (
    APP.replace("app = App", "wamp = App").replace("@app", "@wamp")
    + """

from fastapi import FastAPI
from wampasgi import WAMPRoute

app = FastAPI(routes=[WAMPRoute("/ws", wamp)], lifespan=wamp.lifespan)
"""
)


def places(program: Running) -> tuple[str, str]:
    """Return the URLs of the page and of the endpoint that the program shows."""
    program.wait_for("WebSocket: ", "stderr")
    program.wait_for("Application startup complete.", "stderr")
    found = re.search(r"Page: +(\S+)\n +WebSocket: (\S+)\n", program.written("stderr"))
    assert found is not None
    wait_until_listening(found[1])
    return found[1], found[2]


def page(url: str) -> str:
    with urlopen(url, timeout=10) as answer:
        content: str = answer.read().decode()
        return content


def status_of(url: str) -> int:
    try:
        with urlopen(url, timeout=10) as answer:
            status: int = answer.status
    except HTTPError as error:
        return error.code
    return status


def test_page_is_beside_the_app(env: Environment, tmp_path: Path, write: Write) -> None:
    write("main.py", APP)

    with Running("dev", "--port", "0", cwd=tmp_path, env=env()) as program:
        docs, endpoint = places(program)
        shown, other = page(docs), status_of(docs.replace("/docs", "/other"))
        # Also with descriptions, which the page needs.
        called = run(*("call", "wamp.reflection.procedure.list", "--url", endpoint), cwd=tmp_path, env=env())
        program.interrupt()
        ended = program.end()

    assert docs.endswith("/docs")
    assert '<meta name="wamp-url" content="../">' in shown
    assert other == 426
    assert '"math.add"' in called.stdout
    assert ended.status == 0
    assert "Traceback" not in ended.stderr


def test_page_has_another_path_if_fastapi_has_docs(env: Environment, tmp_path: Path, write: Write) -> None:
    write("main.py", FASTAPI)

    with Running("dev", "--port", "0", "--no-reload", cwd=tmp_path, env=env()) as program:
        docs, endpoint = places(program)
        shown, own = page(docs), page(docs.replace("/wamp-docs", "/docs"))
        asset = status_of(f"{docs}/explorer.css")
        called = run("call", "math.add", "1", "2", "--url", endpoint, cwd=tmp_path, env=env())
        program.interrupt()
        ended = program.end()

    assert docs.endswith("/wamp-docs")
    assert endpoint.endswith("/ws")
    assert '<meta name="wamp-url" content="../ws">' in shown
    assert "swagger" in own
    assert asset == 200
    assert called.stdout == "3\n"
    assert ended.status == 0
    assert "WARNING" not in ended.stderr


def served(folder: Path, monkeypatch: pytest.MonkeyPatch, docs_url: str | None = None) -> TestClient:
    """Return a client of the app that uvicorn serves."""
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv(APP_VARIABLE, "main:app")
    monkeypatch.setenv(DOCS_VARIABLE, places_of_app(load_application("main:app"), docs_url).docs)
    return TestClient(create_app())


def test_page_of_the_app_is_kept(importing: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("main.py", APP.replace("Application()", 'Application(docs_url="/docs", title="Shop")'))

    client = served(importing, monkeypatch)

    assert "<title>Shop</title>" in client.get("/docs/").text


def test_path_of_the_page_is_chosen(
    importing: Path, env: Environment, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("main.py", APP)

    client = served(importing, monkeypatch, "/explore")
    wrong = run("dev", "--docs-url", "explore", cwd=importing, env=env())

    assert "<title>wampasgi</title>" in client.get("/explore/").text
    assert client.get("/docs/").status_code == 426
    assert wrong.status == 2
    assert "--docs-url 'explore' must be a path" in wrong.stderr


def test_change_restarts_the_server(env: Environment, tmp_path: Path, write: Write) -> None:
    write("main.py", APP)

    with Running("dev", "--port", "0", cwd=tmp_path, env=env()) as program:
        docs, endpoint = places(program)
        write("main.py", "1 / 0\n")
        program.wait_for("ZeroDivisionError: division by zero", "stderr")
        write("main.py", APP.replace("a + b", "a * b"))
        program.wait_for("Application startup complete.", "stderr", times=2)
        wait_until_listening(docs)
        called = run("call", "math.add", "3", "4", "--url", endpoint, cwd=tmp_path, env=env())
        shown = page(docs)
        program.interrupt()
        ended = program.end()

    assert called.stdout == "12\n"
    assert "<title>wampasgi</title>" in shown
    assert "wampasgi/cli/app_loading" not in ended.stderr


def test_port_that_is_taken_is_an_error(env: Environment, tmp_path: Path, write: Write) -> None:
    write("main.py", APP)

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run_process("dev", "--port", str(port), cwd=tmp_path, env=env())

    assert ended.status == 1
    assert "Address already in use" in ended.stderr
    assert "Page:" not in ended.stderr


def test_app_that_cannot_be_imported_is_explained(env: Environment, tmp_path: Path) -> None:
    ended = run("dev", cwd=tmp_path, env=env())

    assert ended.status == 2
    assert "there is no app" in ended.stderr
