"""Imports go downwards only: edges -> application -> sessions -> router -> core.

What is imported under ``if TYPE_CHECKING:`` may point anywhere; all else counts, also inside functions.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

PACKAGE = "wampasgi"
ROOT = Path(__file__).resolve().parent.parent / PACKAGE
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60

Sources = Mapping[str, str]  # the path below wampasgi/, and the text


@dataclass(frozen=True, slots=True)
class Layer:
    """Modules of one height: what they are, and which packages of others they may import."""

    name: str
    modules: frozenset[str]
    third_party: frozenset[str]
    synchronous: bool = False


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ASYNC_STACK = names("anyio pydantic pydantic_core starlette")

# From the bottom up. A package's name stands for all that is in it.
LAYERS = (
    Layer(
        "core",
        names(
            "_version attributes challenges errors features ids messages parsing serializers states"
            " timestamps types uri_length uris"
        ),
        third_party=frozenset(),
        synchronous=True,
    ),
    Layer("router", names("router"), third_party=frozenset(), synchronous=True),
    Layer(
        "sessions",
        names(
            "adapters admission arguments attachment auth authorization built callables calls cancelled"
            " configuration connection dependencies dispatch encoded endpoint events handlers identity"
            " injection joined lifespan limits local_events logs meta_calls metrics open_session outbound"
            " overflow pace peer permissions publishing reading realm routed_calls routing rpc"
            " server_caller session shutdown subscribing transport turns"
        ),
        third_party=ASYNC_STACK,
    ),
    Layer("application", names("application"), third_party=ASYNC_STACK),
    Layer("edges", names("cli client explorer route testing"), third_party=ASYNC_STACK),
    Layer("public names", names("__init__"), third_party=frozenset()),
)

# More than the layer has, for the modules that are about just these packages.
EXTRA_THIRD_PARTY = {
    "challenges": names("argon2 nacl"),
    "serializers": names("cbor2 orjson ormsgpack pydantic pydantic_core"),
    "adapters": names("sniffio trio"),
    "testing": names("httpx2"),
    "client": names("httpx2"),
    "cli": names("uvicorn"),
}

# Of ours, nothing but these.
NOTHING_BUT = {
    "errors": frozenset[str](),
    "types": frozenset[str](),
    "ids": names("errors"),
    "uris": names("errors"),
    # `errors` because an event loop that does not fit is a ConfigurationError.
    "adapters": names("adapters errors"),
}

# Arrows that the order of the layers would allow.
NEVER = {
    "messages": names("serializers"),
    "states": names("serializers"),
    "challenges": names("messages"),
    "serializers": names("messages"),
    "router": names("serializers"),
    "router.matching": names("messages router.broker router.dealer"),
    "router.broker": names("router.dealer"),
    "router.dealer": names("router.broker"),
    "transport": names("router"),
    "arguments": names("realm router session transport"),
    "callables": names("realm router session transport"),
    "dependencies": names("realm router session transport"),
    "handlers": names("realm router session transport"),
    "rpc": names("realm router session transport"),
    "permissions": names("dispatch realm"),
    "limits": names("dispatch realm"),
    "metrics": names("dispatch realm"),
    "session": names("dispatch realm"),
    "realm": names("dispatch"),
    "auth": names("router"),
    "testing": names("cli"),
    "client": names("cli"),
    "cli": names("router"),
    "explorer": names("router"),
}

# Core and router do no I/O, keep no time and write no log.
IO_MODULES = names(
    "asyncio concurrent http logging multiprocessing os select selectors signal socket ssl subprocess"
    " threading urllib"
)
CLOCKS = names("datetime sched time")


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module: ``target`` is dotted and absolute, ``name`` what is taken from it, if anything."""

    target: str
    name: str | None
    line: int


def module_of(path: str) -> str:
    """``router/broker.py`` is ``router.broker``, ``router/__init__.py`` is ``router``."""
    dotted = ".".join(PurePosixPath(path).with_suffix("").parts)
    return dotted.removesuffix(".__init__")


def lookup(module: str, groups: frozenset[str]) -> str | None:
    """The narrowest of ``groups`` that holds ``module``."""
    parts = module.split(".")
    candidates = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((candidate for candidate in candidates if candidate in groups), None)


def height_of(module: str) -> int | None:
    found = (height for height, layer in enumerate(LAYERS) if lookup(module, layer.modules))
    return next(found, None)


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Everything below ``node`` but what only a type checker reads."""
    if isinstance(node, ast.If) and is_type_checking(node.test):
        children: list[ast.AST] = [*node.orelse]
    else:
        children = [*ast.iter_child_nodes(node)]
    for child in children:
        yield child
        yield from runtime_nodes(child)


def imports_of(path: str, tree: ast.Module) -> Iterator[Import]:
    folder = [PACKAGE, *PurePosixPath(path).parent.parts]
    for node in runtime_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, None, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) + 1 - node.level] if node.level else []
            target = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                yield Import(target, alias.name, node.lineno)


def own_module(imported: Import, known: frozenset[str]) -> str | None:
    """Which of our modules an import reaches, None for one of others'.

    ``from wampasgi import errors`` reaches ``errors``, ``from wampasgi import Realm`` the public names.
    """
    if imported.target.split(".")[0] != PACKAGE:
        return None
    full = imported.target if imported.name is None else f"{imported.target}.{imported.name}"
    inner = full.removeprefix(PACKAGE).removeprefix(".")
    outer = "__init__" if imported.target == PACKAGE else imported.target.removeprefix(f"{PACKAGE}.")
    return lookup(inner, known) or outer


def wrong_arrow(module: str, target: str) -> str | None:
    """Why ``module`` must not import ``target``, both ours."""
    height, target_height = height_of(module), height_of(target)
    if height is None or target_height is None:
        return None  # reported once, as a module without a layer
    if target_height > height:
        return f"{LAYERS[target_height].name} is above {LAYERS[height].name}"
    only = lookup(module, frozenset(NOTHING_BUT))
    if only is not None and lookup(target, NOTHING_BUT[only]) is None:
        return f"{only} imports {' and '.join(sorted(NOTHING_BUT[only])) or 'nothing'} of ours, no more"
    for group, forbidden in NEVER.items():
        if lookup(module, frozenset({group})) and lookup(target, forbidden):
            return f"{group} keeps clear of it"
    return None


def wrong_package(module: str, package: str) -> str | None:
    """Why ``module`` must not import ``package``, which is not ours."""
    height = height_of(module)
    if height is None:
        return None
    layer = LAYERS[height]
    if package in sys.stdlib_module_names:
        if layer.synchronous and package in IO_MODULES:
            return f"{layer.name} does no I/O and writes no log"
        if layer.synchronous and package in CLOCKS:
            return f"{layer.name} is told the time"
        return None
    extra = lookup(module, frozenset(EXTRA_THIRD_PARTY))
    allowed = layer.third_party | (EXTRA_THIRD_PARTY[extra] if extra else frozenset())
    return (
        None if package in allowed else f"{layer.name} imports {', '.join(sorted(allowed)) or 'no package'}"
    )


def wrong_imports(sources: Sources) -> list[str]:
    """Every import that the layers forbid, as ``path:line: what, and why``."""
    known = frozenset(module_of(path) for path in sources)
    problems = []
    for path, text in sources.items():
        module = module_of(path)
        for imported in imports_of(path, ast.parse(text)):
            target = own_module(imported, known)
            if target is None:
                reason = wrong_package(module, imported.target.split(".")[0])
            else:
                reason = wrong_arrow(module, target) or private_name(module, imported)
            if reason is not None:
                shown = imported.target if imported.name is None else f"{imported.target}.{imported.name}"
                problems.append(f"{path}:{imported.line}: imports {shown}: {reason}")
    return problems


def private_name(module: str, imported: Import) -> str | None:
    """Why an edge must not take this name: those of a leading underscore are not for it."""
    name = imported.name or ""
    private = name.startswith("_") and not name.startswith("__")
    height = height_of(module)
    if private and height is not None and LAYERS[height].name == "edges":
        own = lookup(module, LAYERS[height].modules)
        if not imported.target.startswith(f"{PACKAGE}.{own}"):
            return "edges use public names"
    return None


def modules_without_layer(sources: Sources) -> list[str]:
    return [
        f"{path}: say in which layer {module_of(path)} lives, in LAYERS of tests/test_layers.py"
        for path in sources
        if height_of(module_of(path)) is None
    ]


def async_code(sources: Sources) -> list[str]:
    """Where core and router, which are synchronous, have async code."""
    waiting = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    problems = []
    for path, text in sources.items():
        height = height_of(module_of(path))
        if height is not None and LAYERS[height].synchronous:
            nodes = ast.walk(ast.parse(text))
            lines = [node.lineno for node in nodes if isinstance(node, waiting)]
            problems += [f"{path}:{line}: async code in {LAYERS[height].name}" for line in lines]
    return problems


def oversized(sources: Sources) -> list[str]:
    """Files and functions that are longer than one can keep in one's head."""
    problems = []
    for path, text in sources.items():
        if (lines := len(text.splitlines())) > MAX_FILE_LINES:
            problems.append(f"{path}: {lines} lines, more than {MAX_FILE_LINES}: look for a seam")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    problems.append(f"{path}:{node.lineno}: {node.name} has {lines} lines: look for a seam")
    return problems


@pytest.fixture(scope="module")
def package() -> Sources:
    paths = sorted(ROOT.rglob("*.py"))
    assert paths, f"no modules below {ROOT}"
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_every_module_has_a_layer(package: Sources) -> None:
    problems = modules_without_layer(package)
    assert not problems, "\n".join(problems)


def test_imports_go_downwards(package: Sources) -> None:
    problems = wrong_imports(package)
    assert not problems, "\n".join(problems)


def test_core_and_router_have_no_async_code(package: Sources) -> None:
    problems = async_code(package)
    assert not problems, "\n".join(problems)


def test_files_and_functions_stay_short(package: Sources) -> None:
    problems = oversized(package)
    assert not problems, "\n".join(problems)


# The layout that the examples below import from.
TREE = {
    "__init__.py": "",
    "errors.py": "",
    "types.py": "",
    "messages.py": "",
    "serializers/__init__.py": "",
    "serializers/json.py": "",
    "router/__init__.py": "",
    "router/broker.py": "",
    "router/dealer.py": "",
    "handlers.py": "",
    "session.py": "",
    "realm.py": "",
    "adapters/trio.py": "",
    "application.py": "",
    "auth/ticket.py": "",
    "testing.py": "",
}


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("errors.py", "from wampasgi.session import Session", "sessions is above core"),
        ("errors.py", "def late():\n    import wampasgi.session", "sessions is above core"),
        ("errors.py", "from . import session", "sessions is above core"),
        ("errors.py", "if True:\n    from wampasgi import session", "sessions is above core"),
        ("session.py", "from wampasgi import Realm", "public names is above sessions"),
        ("session.py", "import wampasgi", "public names is above sessions"),
        ("router/broker.py", "from ..session import Session", "sessions is above router"),
        ("router/broker.py", "from .dealer import Dealer", "router.broker keeps clear of it"),
        ("router/broker.py", "from . import dealer", "router.broker keeps clear of it"),
        ("router/broker.py", "from wampasgi.serializers.json import JSON", "router keeps clear of it"),
        ("router/broker.py", "from orjson import dumps", "router imports no package"),
        ("router/broker.py", "import anyio.abc", "router imports no package"),
        ("router/broker.py", "import asyncio", "router does no I/O"),
        ("router/broker.py", "from time import monotonic", "router is told the time"),
        ("messages.py", "import orjson", "core imports no package"),
        ("messages.py", "from wampasgi import serializers", "messages keeps clear of it"),
        ("types.py", "from wampasgi.errors import WAMPError", "types imports nothing of ours"),
        ("adapters/trio.py", "from wampasgi import handlers", "adapters imports adapters and errors of ours"),
        ("handlers.py", "import requests", "sessions imports anyio, pydantic"),
        ("session.py", "from wampasgi.realm import Realm", "session keeps clear of it"),
        ("realm.py", "from wampasgi.testing import TestClient", "edges is above sessions"),
        ("testing.py", "from wampasgi.session import _secret", "edges use public names"),
        (
            "session.py",
            "if TYPE_CHECKING:\n    pass\nelse:\n    from wampasgi.realm import Realm",
            "session keeps clear of it",
        ),
    ],
)
def test_checker_finds_a_wrong_import(path: str, text: str, reason: str) -> None:
    problems = wrong_imports({**TREE, path: text})

    assert len(problems) == 1
    assert problems[0].startswith(f"{path}:{len(text.splitlines())}: imports ")
    assert reason in problems[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("__init__.py", "from wampasgi.application import Application\nfrom wampasgi.auth import ticket"),
        ("application.py", "from wampasgi.realm import Realm, _internal\nfrom . import errors"),
        ("router/broker.py", "import random\nfrom ..errors import WAMPError\nfrom wampasgi import messages"),
        ("serializers/json.py", "import orjson\nfrom . import base"),
        ("adapters/trio.py", "import trio\nfrom . import base"),
        ("auth/ticket.py", "from wampasgi.session import Session\nfrom wampasgi.auth.base import _step"),
        ("errors.py", "if TYPE_CHECKING:\n    from wampasgi.session import Session"),
        ("errors.py", "import typing\nif typing.TYPE_CHECKING:\n    from wampasgi import Realm"),
    ],
)
def test_checker_lets_a_right_import_pass(path: str, text: str) -> None:
    assert wrong_imports({**TREE, path: text}) == []


def test_checker_asks_for_the_layer_of_a_new_module() -> None:
    problems = modules_without_layer({**TREE, "explosives/fuse.py": ""})

    assert problems == [
        "explosives/fuse.py: say in which layer explosives.fuse lives, in LAYERS of tests/test_layers.py"
    ]


def test_checker_finds_async_code_below_the_sessions() -> None:
    sources = {
        "router/broker.py": "async def publish():\n    await receive()",
        "session.py": "async def run(): ...",
    }

    assert async_code(sources) == [
        "router/broker.py:1: async code in router",
        "router/broker.py:2: async code in router",
    ]


def test_checker_measures_files_and_functions() -> None:
    body = "    pass\n"
    sources = {
        "messages.py": "\n" * MAX_FILE_LINES,
        "session.py": "\n" * (MAX_FILE_LINES + 1),
        "realm.py": "def fits():\n" + body * (MAX_FUNCTION_LINES - 1),
        "handlers.py": "class Plan:\n    async def grows():\n" + ("    " + body) * MAX_FUNCTION_LINES,
    }

    assert [problem.partition(": ")[0] for problem in oversized(sources)] == ["session.py", "handlers.py:2"]
