from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Environment, Write
from tests.cli.program import run, run_in_terminal
from tests.cli.running_program import plain

APP = """
from wampasgi import Application, Realm

app = Application()
admins = Realm("admins")
app.add_realm(admins)


@app.procedure("shop.buy", roles=["member", "admin"])
async def buy() -> None: ...


@app.procedure("files.", match="prefix")
async def read() -> None: ...


@app.topic("shop.news")
async def news(): yield


@app.subscriber("sensors.", match="prefix")
async def on_reading(value: float) -> None: ...


@admins.procedure("stop")
async def stop() -> None: ...
"""


def test_routes_are_json_in_a_pipe(env: Environment, tmp_path: Path, write: Write) -> None:
    write("main.py", APP)

    ended = run("routes", "-o", "jsonl", cwd=tmp_path, env=env())

    assert (ended.status, ended.stderr) == (0, "")
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [list(row.values()) for row in rows] == [
        ["default", "procedure", "files.", "prefix", None, "main.read"],
        ["default", "procedure", "shop.buy", "exact", ["admin", "member"], "main.buy"],
        ["default", "topic", "shop.news", "exact", None, "main.news"],
        ["default", "subscriber", "sensors.", "prefix", None, "main.on_reading"],
        ["admins", "procedure", "stop", "exact", None, "main.stop"],
    ]
    assert list(rows[0]) == ["realm", "kind", "uri", "match", "roles", "handler"]


def test_routes_are_a_table_in_a_terminal(env: Environment, tmp_path: Path, write: Write) -> None:
    write("main.py", APP)

    ended = run_in_terminal("routes", cwd=tmp_path, env=env(COLUMNS="100"))

    lines = [line.split() for line in plain(ended.stdout).splitlines()]
    assert ended.status == 0
    assert ["realm", "kind", "uri", "match", "roles", "handler"] in lines
    assert ["default", "procedure", "shop.buy", "exact", "admin,", "member", "main.buy"] in lines
    assert ["admins", "procedure", "stop", "exact", "main.stop"] in lines


def test_routes_of_one_realm_are_listed(env: Environment, tmp_path: Path, write: Write) -> None:
    write("main.py", APP)

    ended = run("routes", "--realm", "admins", cwd=tmp_path, env=env())
    unknown = run("routes", "--realm", "admin", cwd=tmp_path, env=env())

    assert [row["uri"] for row in json.loads(ended.stdout)] == ["stop"]
    assert unknown.status == 2
    assert "Did you mean 'admins'?" in unknown.stderr


def test_handlers_for_everything_are_listed(env: Environment, tmp_path: Path, write: Write) -> None:
    write(
        "main.py",
        "from wampasgi import Application\napp = Application()\n"
        "async def call(request): ...\nasync def subscribe(topic_uri): yield\n"
        "app.set_rpc_handler(call)\napp.set_subscription_handler(subscribe)\n",
    )

    ended = run("routes", cwd=tmp_path, env=env())

    assert [(row["kind"], row["uri"], row["match"]) for row in json.loads(ended.stdout)] == [
        ("procedure", "", "prefix"),
        ("topic", "", "prefix"),
    ]


def test_app_without_handlers_has_no_routes(env: Environment, tmp_path: Path, write: Write) -> None:
    write("main.py", "from wampasgi import Application\napp = Application()\n")

    in_pipe = run("routes", cwd=tmp_path, env=env())
    in_terminal = run_in_terminal("routes", cwd=tmp_path, env=env())

    assert in_pipe.stdout == "[]\n"
    assert in_terminal.stdout == "The app has no handlers.\n"


def test_topic_without_a_gatekeeper_has_no_handler(env: Environment, tmp_path: Path, write: Write) -> None:
    write(
        "main.py",
        "from wampasgi import Application, Topic\napp = Application()\napp.add_topic(Topic('shop.news'))\n",
    )

    ended = run("routes", cwd=tmp_path, env=env())

    assert [(row["uri"], row["handler"]) for row in json.loads(ended.stdout)] == [("shop.news", None)]
