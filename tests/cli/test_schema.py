from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.asyncapi.conftest import Check
from tests.asyncapi.conftest import check_document as check_document
from tests.asyncapi.conftest import validators as validators
from tests.cli.conftest import Write
from tests.cli.program import environment, run, run_in_terminal, run_process
from wampasgi.asyncapi.yaml_form import from_yaml

SHOP = '''
from fastapi import FastAPI
from pydantic import BaseModel
from wampasgi import Application, Realm, WAMPRoute

print("importing the shop")
wamp = Application()


class Order(BaseModel):
    """An order of the café."""

    sku: str
    quantity: int = 1


@wamp.procedure("shop.order")
async def order(order: Order) -> int:
    """Place an order."""
    return 1


@wamp.subscriber("shop.sensors.", match="prefix")
async def on_reading(value: float) -> None: ...


admins = Realm("admins")


@admins.procedure("stop")
async def stop() -> None: ...


wamp.add_realm(admins)
app = FastAPI(routes=[WAMPRoute("/ws", wamp)])
'''
CHANGED = SHOP.replace(
    "async def order(order: Order)", "async def order(order: Order, voucher: str = '')"
).replace("quantity: int = 1", "price: float = 1")


@pytest.fixture
def shop(write: Write, tmp_path: Path) -> Path:
    write("main.py", SHOP)
    return tmp_path


def test_document_goes_to_standard_output_alone(shop: Path, check_document: Check) -> None:
    ended = run("schema", cwd=shop)

    document = json.loads(ended.stdout)
    assert (ended.status, ended.stderr) == (0, "importing the shop\n")
    assert list(document["channels"]) == ["shop.order", "shop.sensors.prefix", "stop"]
    assert "servers" not in document
    check_document(document)


def test_document_is_utf_8_in_every_locale(shop: Path) -> None:
    variables = environment(LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    ended = run_process("schema", "main:app", cwd=shop, env=variables)

    assert ended.status == 0
    assert (
        json.loads(ended.stdout)["components"]["schemas"]["Order"]["description"] == "An order of the café."
    )


def test_document_of_one_realm_has_only_its_channels(shop: Path) -> None:
    ended = run("schema", "main:app", "--realm", "admins", cwd=shop)

    assert list(json.loads(ended.stdout)["channels"]) == ["stop"]


def test_unknown_realm_is_answered_with_the_nearest_name(shop: Path) -> None:
    ended = run("schema", "--realm", "admin", cwd=shop)

    assert (ended.status, ended.stdout) == (2, "")
    assert "Did you mean 'admins'?" in ended.stderr
    assert "Its realms are: default, admins." in ended.stderr


def test_url_becomes_a_server(shop: Path, check_document: Check) -> None:
    ended = run("schema", "--url", "wss://shop.example.com/ws", cwd=shop)

    document = json.loads(ended.stdout)
    assert document["servers"]["server"]["host"] == "shop.example.com"
    check_document(document)


def test_url_of_another_scheme_is_a_usage_error(shop: Path) -> None:
    ended = run("schema", "--url", "https://shop.example.com/ws", cwd=shop)

    assert (ended.status, ended.stdout) == (2, "")
    assert "must begin with ws:// or wss://" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "is_yaml"),
    [
        (["-o", "api.yaml"], True),
        (["-o", "api.YML"], True),
        (["-o", "api.json"], False),
        (["-o", "api.txt"], False),
        (["-o", "api.txt", "--format", "yaml"], True),
        (["-o", "api.yaml", "--format", "json"], False),
    ],
)
def test_format_is_that_of_the_name_of_the_file(arguments: list[str], is_yaml: bool, shop: Path) -> None:
    ended = run("schema", *arguments, cwd=shop)

    text = (shop / arguments[1]).read_text(encoding="utf-8")
    document: Any = from_yaml(text) if is_yaml else json.loads(text)
    assert (ended.status, ended.stdout) == (0, "")
    assert f"{arguments[1]} was written." in ended.stderr
    assert text.startswith("asyncapi: 3.1.0\n") == is_yaml
    assert document["asyncapi"] == "3.1.0"


def test_file_keeps_its_permissions_and_no_other_file_is_left(shop: Path) -> None:
    file = shop / "api.json"
    file.write_text("old")
    file.chmod(0o640)

    assert run("schema", "-o", "api.json", cwd=shop).status == 0

    assert json.loads(file.read_text(encoding="utf-8"))["asyncapi"] == "3.1.0"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert {entry.name for entry in shop.iterdir()} <= {"main.py", "api.json", "__pycache__"}


def test_link_is_followed(shop: Path) -> None:
    (shop / "docs").mkdir()
    (shop / "api.json").symlink_to("docs/api.json")

    assert run("schema", "-o", "api.json", cwd=shop).status == 0

    assert (shop / "api.json").is_symlink()
    assert (shop / "docs" / "api.json").read_text(encoding="utf-8").startswith("{")


def test_file_that_cannot_be_written_is_a_usage_error(shop: Path) -> None:
    ended = run("schema", "-o", "missing/api.json", cwd=shop)

    assert (ended.status, ended.stdout) == (2, "")
    assert "missing/api.json cannot be written: No such file or directory" in ended.stderr


# --check


@pytest.mark.parametrize("name", ["api.json", "api.yaml"])
def test_check_of_a_current_file_succeeds(name: str, shop: Path) -> None:
    run("schema", "-o", name, cwd=shop)

    ended = run("schema", "-o", name, "--check", cwd=shop)

    assert (ended.status, ended.stdout) == (0, "")
    assert f"{name} is up to date." in ended.stderr


def test_check_ignores_the_layout_of_the_file(shop: Path) -> None:
    document = json.loads(run("schema", cwd=shop).stdout)
    (shop / "api.json").write_text(json.dumps(document, sort_keys=True))

    assert run("schema", "-o", "api.json", "--check", cwd=shop).status == 0


def test_check_of_an_outdated_file_shows_the_differences(shop: Path) -> None:
    run("schema", "-o", "api.yaml", cwd=shop)
    before = (shop / "api.yaml").read_text(encoding="utf-8")
    (shop / "main.py").write_text(CHANGED, encoding="utf-8")

    ended = run("schema", "-o", "api.yaml", "--check", cwd=shop)

    assert (ended.status, ended.stdout) == (1, "")
    lines = ended.stderr.splitlines()
    assert "--- api.yaml" in lines
    assert "-        quantity:" in lines
    assert "+        price:" in lines
    assert lines[-4:] == [
        "model Order: property price added",
        "model Order: property quantity removed",
        "procedure shop.order of realm default: parameter voucher added",
        "api.yaml is out of date. To write it, run the command without --check.",
    ]
    assert (shop / "api.yaml").read_text(encoding="utf-8") == before


def test_differences_are_coloured_in_a_terminal(shop: Path) -> None:
    run("schema", "-o", "api.yaml", cwd=shop)
    (shop / "main.py").write_text(CHANGED, encoding="utf-8")

    ended = run_in_terminal("schema", "-o", "api.yaml", "--check", cwd=shop)

    assert ended.status == 1
    assert "\x1b[31m-        quantity:\x1b[0m\n" in ended.stdout
    assert "\x1b[32m+        price:\x1b[0m\n" in ended.stdout


def test_check_of_a_missing_file_fails(shop: Path) -> None:
    ended = run("schema", "-o", "api.json", "--check", cwd=shop)

    assert (ended.status, ended.stdout) == (1, "")
    assert "api.json does not exist." in ended.stderr
    assert not (shop / "api.json").exists()


@pytest.mark.parametrize(("name", "text"), [("api.json", "{"), ("api.yaml", "a: [")])
def test_check_of_a_broken_file_fails(name: str, text: str, shop: Path) -> None:
    (shop / name).write_text(text)

    ended = run("schema", "-o", name, "--check", cwd=shop)

    assert ended.status == 1
    assert f"{name} is out of date: it is not valid {name[4:].upper()}" in ended.stderr


def test_check_without_a_file_is_a_usage_error(shop: Path) -> None:
    ended = run("schema", "--check", cwd=shop)

    assert (ended.status, ended.stdout) == (2, "")
    assert "name it with -o FILE" in ended.stderr


# --strict

UNTYPED = '''
from pydantic import InstanceOf
from wampasgi import Application

app = Application()


class Point:
    """A type that pydantic has no JSON Schema for."""


@app.procedure("move")
async def move(to: InstanceOf[Point]) -> None: ...
'''


def test_strict_fails_for_a_type_without_a_schema(write: Write, tmp_path: Path) -> None:
    write("main.py", UNTYPED)

    ended = run("schema", "--strict", cwd=tmp_path)

    assert (ended.status, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-2:] == [
        "These types have no JSON Schema:",
        "procedure move: arguments: main.Point",
    ]


def test_type_without_a_schema_accepts_any_value_otherwise(
    write: Write, tmp_path: Path, check_document: Check
) -> None:
    write("main.py", UNTYPED)

    ended = run("schema", cwd=tmp_path)

    assert ended.status == 0
    check_document(json.loads(ended.stdout))


def test_strict_writes_the_document_if_all_types_have_a_schema(shop: Path) -> None:
    ended = run("schema", "--strict", cwd=shop)

    assert ended.status == 0
    assert json.loads(ended.stdout)["asyncapi"] == "3.1.0"
