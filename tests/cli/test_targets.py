from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Environment, Write
from tests.cli.program import run
from tests.cli.running_program import Running
from wampasgi.cli.connection_options import ConnectionOptions
from wampasgi.cli.errors import UsageError
from wampasgi.cli.targets import Target

APP = """
import os
from contextlib import asynccontextmanager

from fastapi import FastAPI

from wampasgi import Application, WAMPRoute

wamp = Application()


@asynccontextmanager
async def lifespan(app):
    print("started")
    yield {"greeting": "hello"}
    print("stopped")


@wamp.procedure("greet")
async def greet(session, name: str) -> str:
    return f"{session.connection.state.greeting} {name}"


api = FastAPI(routes=[WAMPRoute("/ws", wamp)], lifespan=lifespan)
"""


def test_app_has_its_lifespan_and_its_state(env: Environment, tmp_path: Path, write: Write) -> None:
    write("main.py", APP)

    ended = run("call", "--app", "main:api", "greet", "5", "-o", "raw", cwd=tmp_path, env=env())

    # The procedure takes a text. This is known, although the app does not allow descriptions.
    # Output of the app goes to standard error.
    assert (ended.status, ended.stdout, ended.stderr) == (0, "hello 5\n", "started\nstopped\n")


def test_ctrl_c_leaves_an_app_before_it_is_shut_down(env: Environment, tmp_path: Path, write: Write) -> None:
    write(
        "main.py",
        APP + "wamp.allow('news.', 'subscribe', match='prefix')\n"
        "@wamp.topic('news.', match='prefix', patterns=True)\nasync def news(topic_uri):\n"
        "    print('subscribed')\n    yield\n    print('unsubscribed')\n",
    )

    with Running("subscribe", "--app", "main:api", "news.a", cwd=tmp_path, env=env()) as program:
        program.wait_for("subscribed", "stderr")
        program.interrupt()
        ended = program.end()

    assert ended.status == 130
    # The session does not wait for the app to come back.
    assert "connecting again" not in ended.stderr
    assert ended.stderr.endswith("stopped\n")


def test_startup_that_fails_is_explained(env: Environment, tmp_path: Path, write: Write) -> None:
    write("main.py", APP.replace('print("started")', 'raise RuntimeError("no database")'))

    ended = run("call", "--app", "main:api", "greet", "Ann", cwd=tmp_path, env=env())

    assert (ended.status, ended.stdout) == (2, "")
    assert "the startup of the app failed:" in ended.stderr
    assert "no database" in ended.stderr


def test_app_behind_a_path_with_parameters_is_used_directly(
    env: Environment, tmp_path: Path, write: Write
) -> None:
    write(
        "main.py",
        "from fastapi import FastAPI\nfrom wampasgi import Application, WAMPRoute\nwamp = Application()\n"
        "@wamp.procedure('one')\nasync def one() -> int: return 1\n"
        "api = FastAPI(routes=[WAMPRoute('/teams/{team}/ws', wamp)])\n",
    )

    ended = run("call", "--app", "main:api", "one", cwd=tmp_path, env=env())

    assert (ended.status, ended.stdout) == (0, "1\n"), ended.stderr


def test_only_realm_of_an_app_is_used(env: Environment, tmp_path: Path, write: Write) -> None:
    write(
        "main.py",
        "from wampasgi import Application, Realm\nshop, empty = Realm('shop'), Realm('empty')\n"
        "app = Application([shop, empty])\n@shop.procedure('one')\nasync def one() -> int: return 1\n",
    )

    ended = run("call", "--app", "main:app", "one", cwd=tmp_path, env=env())

    assert (ended.status, ended.stdout) == (0, "1\n"), ended.stderr


def test_events_of_the_lifespan_arrive(env: Environment, tmp_path: Path, write: Write) -> None:
    write(
        "main.py",
        "import anyio\nfrom contextlib import asynccontextmanager\nfrom wampasgi import Application\n"
        "async def tick():\n    while True:\n        await app.publish('ticks', 1)\n"
        "        await anyio.sleep(0.01)\n"
        "@asynccontextmanager\nasync def lifespan(app):\n    async with anyio.create_task_group() as tasks:\n"
        "        tasks.start_soon(tick)\n        yield\n        tasks.cancel_scope.cancel()\n"
        "app = Application(lifespan=lifespan)\n"
        "@app.topic('ticks')\nasync def ticks(): yield\n",
    )

    ended = run("subscribe", "--app", "main:app", "ticks", "-n", "2", cwd=tmp_path, env=env())

    assert ended.status == 0, ended.stderr
    assert [json.loads(line)["args"] for line in ended.stdout.splitlines()] == [[1], [1]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ConnectionOptions(url="ws://a/", cookie=["x"]), "--cookie must have the form NAME=VALUE"),
        (ConnectionOptions(url="ws://a/", header=["x"]), "--header must have the form 'NAME: VALUE'"),
        (ConnectionOptions(url="ws://a/", header=[": x"]), "--header must have the form"),
        (ConnectionOptions(url="a/"), "must begin with ws:// or wss://"),
        (ConnectionOptions(url="ws://a/", realm="a b"), "'a b' is not a valid realm"),
        (ConnectionOptions(url="ws://a/", serializer="xml"), "there is no serializer 'xml'"),
        (ConnectionOptions(url="ws://a/", secret="s"), "--secret needs --authid"),
    ],
)
def test_options_that_no_session_can_have_are_usage_errors(options: ConnectionOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Target(options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ConnectionOptions(url="ws://a/", header=["X: hidden\nY: 1"]), "the header 'X' has a value with"),
        (ConnectionOptions(url="ws://a/", header=["X: hidden é"]), "the header 'X' has a value with"),
        (ConnectionOptions(url="ws://a/", header=["X Y: hidden"]), "the header 'X Y' has a name with"),
        (ConnectionOptions(url="ws://a/", header=["Bearer hidden"]), "--header must have the form"),
        (ConnectionOptions(url="ws://a/", cookie=["a=hidden; b=1"]), "the cookie 'a' has a value with"),
        (ConnectionOptions(url="ws://a/", cookie=["hidden"]), "--cookie must have the form"),
    ],
)
def test_mistakes_in_cookies_and_headers_do_not_show_the_value(
    options: ConnectionOptions, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        Target(options)

    assert "hidden" not in str(raised.value)
