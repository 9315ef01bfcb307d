from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Write
from wampasgi import Application
from wampasgi.cli.app_loading import ImportFailure, load_application
from wampasgi.cli.errors import UsageError

APP = "from wampasgi import Application\n"


def usage_error(reference: str | None, folder: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_application(reference, folder)
    return str(caught.value)


# Finding the app without an argument


@pytest.mark.parametrize("module", ["main", "app"])
@pytest.mark.parametrize("attribute", ["app", "application", "api"])
def test_app_with_a_usual_name_is_found(module: str, attribute: str, write: Write, importing: Path) -> None:
    write(f"{module}.py", f"{APP}{attribute} = Application()\n")

    loaded = load_application(None, importing)

    assert loaded.reference == f"{module}:{attribute}"
    assert loaded.asgi_app is loaded.application is getattr(sys.modules[module], attribute)


def test_app_in_main_comes_before_one_in_app(write: Write, importing: Path) -> None:
    write("main.py", f"{APP}api = Application()\n")
    write("app.py", f"{APP}app = Application()\n")

    assert load_application(None, importing).reference == "main:api"


def test_attribute_that_is_no_app_is_passed_over(write: Write, importing: Path) -> None:
    write("main.py", f"{APP}from fastapi import FastAPI\napp = FastAPI()\napi = Application()\n")

    assert load_application(None, importing).reference == "main:api"


def test_entrypoint_in_pyproject_comes_first(write: Write, importing: Path) -> None:
    write("pyproject.toml", '[tool.wampasgi]\nentrypoint = "shop.server:wamp"\n')
    write("main.py", "raise RuntimeError\n")
    write("shop/__init__.py", "")
    write("shop/server.py", f"{APP}wamp = Application()\n")

    assert load_application(None, importing).reference == "shop.server:wamp"


def test_pyproject_without_entrypoint_is_passed_over(write: Write, importing: Path) -> None:
    write("pyproject.toml", '[project]\nname = "shop"\n')
    write("main.py", f"{APP}app = Application()\n")

    assert load_application(None, importing).reference == "main:app"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[tool.wampasgi]\nentrypoint = 1\n", "must be a text"),
        ('[tool.wampasgi]\nentrypoint = ""\n', "must be a text"),
        ('[tool]\nwampasgi = "shop:app"\n', "[tool.wampasgi]"),
        ("[tool.wampasgi\n", "cannot be read: Expected ']'"),
    ],
)
def test_invalid_pyproject_is_reported(text: str, reason: str, write: Write, importing: Path) -> None:
    file = write("pyproject.toml", text)

    message = usage_error(None, importing)

    assert str(file) in message
    assert reason in message


def test_folder_without_an_app_is_reported(importing: Path) -> None:
    message = usage_error(None, importing)

    assert "has no main.py or app.py" in message
    assert "[tool.wampasgi]" in message


def test_module_without_a_usual_name_lists_its_apps(write: Write, importing: Path) -> None:
    write("main.py", f"{APP}shop = Application()\nadmin = Application()\n")

    assert usage_error(None, importing) == "choose an app of main: main:shop or main:admin"


def test_module_without_an_app_is_reported(write: Write, importing: Path) -> None:
    write("main.py", "app = 1\n")

    assert "main has no wampasgi.Application" in usage_error(None, importing)


# References


def test_reference_names_an_attribute_of_an_attribute(write: Write, importing: Path) -> None:
    write("myapp.py", f"{APP}class Settings:\n    server = Application()\n")

    assert load_application("myapp:Settings.server", importing).reference == "myapp:Settings.server"


def test_reference_without_attribute_has_a_usual_name(write: Write, importing: Path) -> None:
    write("myapp.py", f"{APP}application = Application()\n")

    assert load_application("myapp", importing).reference == "myapp:application"


@pytest.mark.parametrize(
    ("reference", "suggestion"),
    [
        ("shop/server.py:app", "'shop.server:app'"),
        ("./main.py", "'main'"),
        (r"shop\server.py", "'shop.server'"),
    ],
)
def test_path_is_answered_with_the_name_of_the_module(
    reference: str, suggestion: str, importing: Path
) -> None:
    assert usage_error(reference, importing).endswith(f"is a path. Did you mean {suggestion}?")


@pytest.mark.parametrize("reference", ["", ":app", "a b", "main:app()", "main:", ".main:app", "main:1"])
def test_reference_of_another_form_is_refused(reference: str, write: Write, importing: Path) -> None:
    write("main.py", "")

    assert reference in usage_error(reference, importing)


def test_unknown_module_is_answered_with_the_nearest_name(write: Write, importing: Path) -> None:
    write("server.py", "")

    assert usage_error("servre:app", importing) == "there is no module 'servre'. Did you mean 'server'?"


def test_unknown_submodule_is_answered_with_the_nearest_name(write: Write, importing: Path) -> None:
    write("shop/__init__.py", "")
    write("shop/server.py", "")

    assert usage_error("shop.srever:app", importing) == (
        "there is no module 'shop.srever'. Did you mean 'shop.server'?"
    )
    assert usage_error("shpo.server:app", importing) == (
        "there is no module 'shpo'. Did you mean 'shop.server'?"
    )


def test_unknown_attribute_is_answered_with_the_nearest_name(write: Write, importing: Path) -> None:
    write("main.py", f"{APP}application = Application()\n")

    assert usage_error("main:aplication", importing) == (
        "main has no attribute 'aplication'. Did you mean 'application' or 'Application'?"
    )


# Modules that fail


def test_exception_of_the_module_is_shown_with_its_own_traceback(write: Write, importing: Path) -> None:
    file = write("main.py", "def connect():\n    raise OSError('no database')\nconnect()\n")

    with pytest.raises(ImportFailure) as caught:
        load_application(None, importing)

    lines = str(caught.value).splitlines()
    assert lines[0] == "main cannot be imported:"
    assert lines[2:4] == ["Traceback (most recent call last):", f'  File "{file}", line 3, in <module>']
    assert lines[-1] == "OSError: no database"


def test_package_that_the_module_needs_is_not_taken_for_the_module(write: Write, importing: Path) -> None:
    write("main.py", "import mian\n")

    with pytest.raises(ImportFailure, match="ModuleNotFoundError: No module named 'mian'"):
        load_application(None, importing)


@pytest.mark.parametrize(
    ("text", "line"),
    [("app = (\n", "SyntaxError: '(' was never closed"), ("raise SystemExit(3)", "SystemExit: 3")],
)
def test_module_that_cannot_run_is_reported(text: str, line: str, write: Write, importing: Path) -> None:
    write("main.py", text)

    with pytest.raises(ImportFailure) as caught:
        load_application(None, importing)

    assert str(caught.value).splitlines()[-1] == line


# Apps that mount the application


@pytest.mark.parametrize(
    "code",
    [
        "app = FastAPI(routes=[WAMPRoute('/ws', wamp)])",
        "app = FastAPI()\napp.mount('/ws', wamp)",
        "app = Starlette(routes=[Mount('/a', routes=[Mount('/b', wamp)])])",
        "app = Starlette(routes=[Host('example.com', wamp)])",
        "inner = FastAPI()\ninner.mount('/ws', wamp)\napp = FastAPI()\napp.mount('/inner', inner)",
        "router = APIRouter()\nrouter.routes.append(WAMPRoute('/ws', wamp))\n"
        "app = FastAPI()\napp.include_router(router)",
        "outer, router = APIRouter(), APIRouter()\nrouter.routes.append(WAMPRoute('/ws', wamp))\n"
        "outer.include_router(router)\napp = FastAPI()\napp.include_router(outer)",
        "app = GZipMiddleware(Starlette(routes=[Mount('/ws', GZipMiddleware(wamp))]))",
        "app = FastAPI()\napp.mount('/ws', wamp)\napp.mount('/wamp', wamp)",
    ],
)
def test_application_is_found_in_the_app_that_mounts_it(code: str, write: Write, importing: Path) -> None:
    write(
        "main.py",
        "from fastapi import APIRouter, FastAPI\nfrom starlette.applications import Starlette\n"
        "from starlette.middleware.gzip import GZipMiddleware\nfrom starlette.routing import Host, Mount\n"
        f"from wampasgi import Application, WAMPRoute\nwamp = Application()\n{code}\n",
    )

    loaded = load_application(None, importing)

    assert isinstance(loaded.application, Application)
    assert loaded.application is sys.modules["main"].__dict__["wamp"]
    assert loaded.asgi_app is sys.modules["main"].__dict__["app"]
    assert loaded.reference == "main:app"


def test_several_mounted_applications_are_listed(write: Write, importing: Path) -> None:
    write(
        "main.py",
        f"{APP}from fastapi import FastAPI\napp, shop = FastAPI(), Application()\n"
        "app.mount('/shop', shop)\napp.mount('/admin', Application())\n",
    )

    assert usage_error(None, importing) == (
        "main:app mounts 2 applications. Choose one of them:\n"
        "  main:shop (mounted at /shop)\n"
        "  the one mounted at /admin, with the name of a module and variable that has it"
    )


@pytest.mark.parametrize(
    ("value", "description"),
    [
        ("FastAPI()", "it is an object of the class fastapi.applications.FastAPI."),
        ("FastAPI", "it is the class FastAPI."),
        ("lambda: FastAPI()", "it is the function <lambda>. If it creates the app, assign its result"),
        ("Realm('shop')", "it is an object of the class wampasgi.realm.Realm."),
    ],
)
def test_value_without_an_application_is_described(
    value: str, description: str, write: Write, importing: Path
) -> None:
    write("main.py", f"from fastapi import FastAPI\nfrom wampasgi import Realm\nserver = {value}\n")

    message = usage_error("main:server", importing)

    assert message.startswith("main:server is not a wampasgi.Application")
    assert description in message
