"""Tests of the import order: each package may import only packages that come before it in ``LAYERS``.

This includes imports inside functions and imports for type checkers. Modules must not import each other in a
circle, even within one package.
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

Sources = Mapping[str, str]  # the text of each file, by its path below wampasgi/


@dataclass(frozen=True, slots=True)
class Layer:
    """Packages that must not import each other, and the third-party packages that they may import."""

    packages: frozenset[str]
    third_party: frozenset[str]
    synchronous: bool = False


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


NOTHING: frozenset[str] = frozenset()
ASYNC_STACK = names("anyio pydantic pydantic_core starlette")

# From the bottom up: packages, and modules at the top level of wampasgi.
LAYERS = (
    Layer(names("_version addresses errors event fragments payload types"), NOTHING, synchronous=True),
    Layer(names("limits"), NOTHING, synchronous=True),
    # Not synchronous, because a synchronous layer must not import logging.
    Layer(names("logs"), NOTHING),
    Layer(names("metrics"), NOTHING, synchronous=True),
    Layer(names("protocol"), NOTHING, synchronous=True),
    Layer(names("serializers"), names("cbor2 orjson ormsgpack pydantic pydantic_core"), synchronous=True),
    Layer(names("adapters"), names("anyio trio")),
    Layer(names("injection"), names("anyio pydantic pydantic_core")),
    Layer(names("client"), names("anyio pydantic websockets")),
    Layer(names("router"), NOTHING, synchronous=True),
    Layer(names("backplanes"), names("anyio")),
    Layer(names("peers"), ASYNC_STACK),
    Layer(names("rpc"), NOTHING),
    Layer(names("auth"), ASYNC_STACK),
    Layer(names("configuration"), ASYNC_STACK),
    Layer(names("description"), ASYNC_STACK),
    Layer(names("sessions"), ASYNC_STACK),
    Layer(names("administration"), ASYNC_STACK),
    Layer(names("realm transports"), ASYNC_STACK),
    Layer(names("explorer"), ASYNC_STACK),
    # Not synchronous, because a synchronous layer must not import urllib.
    Layer(names("asyncapi typescript"), NOTHING),
    Layer(names("default_realm documentation"), ASYNC_STACK),
    Layer(names("application"), ASYNC_STACK),
    Layer(names("mounting testing"), ASYNC_STACK),
    Layer(names("cli"), names("anyio rich starlette typer")),
    Layer(names("__init__"), NOTHING),
    Layer(names("__main__"), NOTHING),
)

# Third-party packages that only some modules of a layer may import.
EXTRA_THIRD_PARTY = {
    # Optional: a document in JSON does not need it.
    "asyncapi.yaml_form": names("yaml"),
    # Optional: each backplane needs the client library of its engine.
    "backplanes.nats": names("nats nkeys"),
    "backplanes.redis": names("redis"),
    # Optional: they are imported when an authentication method needs them.
    "protocol.challenges": names("argon2 nacl"),
    "client.credentials": names("nacl"),
    "client.picows_transport": names("picows python_socks"),
    "client.picows_wire": names("picows"),
    "client.websocket": names("trio"),
    "testing": names("httpx2"),
    # Optional: each is needed by one command.
    "cli.dev": names("uvicorn"),
    "cli.serve": names("uvicorn"),
    "cli.keygen": names("nacl"),
    # A protocol class of uvicorn, which only uvicorn imports.
    "transports.picows": names("uvicorn"),
}

# Modules in lower layers that these packages and modules must not import.
NEVER = {
    "adapters": names("protocol serializers limits logs metrics"),
    "router": names("adapters injection serializers"),
    "router.broker": names("router.dealer"),
    "router.dealer": names("router.broker"),
    "injection": names("protocol serializers"),
    "auth": names("router"),
    "testing": names("router sessions"),
}

# Synchronous layers must not do I/O, read a clock or write a log.
IO_MODULES = names(
    "asyncio concurrent http logging multiprocessing os select selectors signal socket ssl subprocess"
    " threading urllib"
)
CLOCKS = names("datetime sched time")


@dataclass(frozen=True, slots=True)
class Import:
    """An import: the absolute name of the module, and the name imported from it, if there is one."""

    target: str
    name: str | None
    line: int


def module_of(path: str) -> str:
    """Return the module of a path, such as ``router.broker`` for ``router/broker.py``.

    The module of ``router/__init__.py`` is ``router``.
    """
    dotted = ".".join(PurePosixPath(path).with_suffix("").parts)
    return dotted.removesuffix(".__init__")


def lookup(module: str, groups: frozenset[str]) -> str | None:
    """Return the innermost of ``groups`` that contains ``module``, if there is one."""
    parts = module.split(".")
    candidates = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((candidate for candidate in candidates if candidate in groups), None)


def height_of(module: str) -> int | None:
    package = module.split(".")[0]
    return next((height for height, layer in enumerate(LAYERS) if package in layer.packages), None)


def imports_of(path: str, tree: ast.Module) -> Iterator[Import]:
    folder = [PACKAGE, *PurePosixPath(path).parent.parts]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, None, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) + 1 - node.level] if node.level else []
            target = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                yield Import(target, alias.name, node.lineno)


def own_module(imported: Import, known: frozenset[str]) -> str | None:
    """Return the module of wampasgi that an import refers to, or None for other packages.

    ``from wampasgi import errors`` refers to ``errors``, and ``from wampasgi import Realm`` to ``__init__``.
    """
    if imported.target.split(".")[0] != PACKAGE:
        return None
    full = imported.target if imported.name is None else f"{imported.target}.{imported.name}"
    inner = full.removeprefix(PACKAGE).removeprefix(".")
    outer = "__init__" if imported.target == PACKAGE else imported.target.removeprefix(f"{PACKAGE}.")
    return lookup(inner, known) or outer


def internal_problem(module: str, target: str) -> str | None:
    """Return the reason why ``module`` must not import ``target``, a module of wampasgi, or None."""
    height, target_height = height_of(module), height_of(target)
    if height is None or target_height is None:
        return None  # modules_without_layer reports it
    package, target_package = module.split(".")[0], target.split(".")[0]
    if package != target_package and target_height >= height:
        return f"{target_package} is above {package}"
    for group, forbidden in NEVER.items():
        if lookup(module, frozenset({group})) and lookup(target, forbidden):
            return f"{group} must not import it"
    return None


def external_problem(module: str, package: str) -> str | None:
    """Return the reason why ``module`` must not import ``package``, which is not wampasgi, or None."""
    height = height_of(module)
    if height is None:
        return None
    layer, own = LAYERS[height], module.split(".")[0]
    if package in sys.stdlib_module_names:
        if layer.synchronous and package in IO_MODULES:
            return f"{own} must not do I/O or write a log"
        if layer.synchronous and package in CLOCKS:
            return f"{own} must not read a clock: pass in the time"
        return None
    extra = lookup(module, frozenset(EXTRA_THIRD_PARTY))
    allowed = layer.third_party | (EXTRA_THIRD_PARTY[extra] if extra else frozenset())
    return None if package in allowed else f"{own} may import {', '.join(sorted(allowed)) or 'no package'}"


def circles(sources: Sources) -> list[str]:
    """Return all sets of modules that import each other in a circle."""
    known = frozenset(module_of(path) for path in sources)
    dependencies: dict[str, set[str]] = {module: set() for module in known}
    for path, text in sources.items():
        module = module_of(path)
        for imported in imports_of(path, ast.parse(text)):
            target = own_module(imported, known)
            # Modules of a package may import each other with `from . import base`.
            if target is not None and target in known and not module.startswith(f"{target}."):
                dependencies[module].add(target)
    reached = {module: _reachable_from(module, dependencies) for module in known}
    found = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in known
        if module in reached[module]
    }
    return sorted(" <-> ".join(sorted(circle)) for circle in found)


def _reachable_from(module: str, dependencies: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        for target in dependencies[waiting.pop()] - reached:
            reached.add(target)
            waiting.append(target)
    return reached


def forbidden_imports(sources: Sources) -> list[str]:
    """Return all imports that the layers forbid, as ``path:line: imports module: reason``."""
    known = frozenset(module_of(path) for path in sources)
    problems = []
    for path, text in sources.items():
        module = module_of(path)
        for imported in imports_of(path, ast.parse(text)):
            target = own_module(imported, known)
            if target is None:
                reason = external_problem(module, imported.target.split(".")[0])
            else:
                reason = internal_problem(module, target) or private_name_problem(module, imported)
            if reason is not None:
                shown = imported.target if imported.name is None else f"{imported.target}.{imported.name}"
                problems.append(f"{path}:{imported.line}: imports {shown}: {reason}")
    return problems


#: Packages that use wampasgi like a user of it, so they must not use private names.
_EDGES = names("mounting testing")


def private_name_problem(module: str, imported: Import) -> str | None:
    """Return the reason why an edge must not import this name, or None."""
    name = imported.name or ""
    private = name.startswith("_") and not name.startswith("__")
    own = module.split(".")[0]
    if private and own in _EDGES and not imported.target.startswith(f"{PACKAGE}.{own}"):
        return "edges must use public names"
    return None


def modules_without_layer(sources: Sources) -> list[str]:
    return [
        f"{path}: add {module_of(path)} to LAYERS in tests/test_layers.py"
        for path in sources
        if height_of(module_of(path)) is None
    ]


def async_code(sources: Sources) -> list[str]:
    """Return all lines of async code in the synchronous layers."""
    async_nodes = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    problems = []
    for path, text in sources.items():
        module = module_of(path)
        height = height_of(module)
        if height is not None and LAYERS[height].synchronous:
            nodes = ast.walk(ast.parse(text))
            lines = [node.lineno for node in nodes if isinstance(node, async_nodes)]
            problems += [f"{path}:{line}: async code in {module.split('.')[0]}" for line in lines]
    return problems


def oversized(sources: Sources) -> list[str]:
    """Return all files and functions that are too long."""
    problems = []
    for path, text in sources.items():
        if (lines := len(text.splitlines())) > MAX_FILE_LINES:
            problems.append(f"{path}: {lines} lines, more than {MAX_FILE_LINES}: split it")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    problems.append(
                        f"{path}:{node.lineno}: {node.name} has {lines} lines,"
                        f" more than {MAX_FUNCTION_LINES}: split it"
                    )
    return problems


@pytest.fixture(scope="module")
def package() -> Sources:
    paths = sorted(ROOT.rglob("*.py"))
    assert paths, f"there are no modules below {ROOT}"
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_every_module_has_a_layer(package: Sources) -> None:
    problems = modules_without_layer(package)
    assert not problems, "\n".join(problems)


def test_imports_point_downwards(package: Sources) -> None:
    problems = forbidden_imports(package)
    assert not problems, "\n".join(problems)


def test_imports_form_no_circles(package: Sources) -> None:
    problems = circles(package)
    assert not problems, "\n".join(problems)


def test_synchronous_layers_have_no_async_code(package: Sources) -> None:
    problems = async_code(package)
    assert not problems, "\n".join(problems)


def test_files_and_functions_stay_short(package: Sources) -> None:
    problems = oversized(package)
    assert not problems, "\n".join(problems)


# The modules that the examples below import.
TREE = {
    "__init__.py": "",
    "errors.py": "",
    "types.py": "",
    "logs.py": "",
    "protocol/__init__.py": "",
    "protocol/messages.py": "",
    "serializers/__init__.py": "",
    "serializers/json.py": "",
    "router/__init__.py": "",
    "router/broker.py": "",
    "router/dealer.py": "",
    "injection/plan.py": "",
    "peers/session.py": "",
    "sessions/message_loop.py": "",
    "realm.py": "",
    "adapters/trio.py": "",
    "application.py": "",
    "auth/ticket.py": "",
    "testing.py": "",
}


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("errors.py", "from wampasgi.peers.session import Session", "peers is above errors"),
        ("errors.py", "def late():\n    import wampasgi.peers.session", "peers is above errors"),
        ("errors.py", "from . import realm", "realm is above errors"),
        ("errors.py", "if True:\n    from wampasgi.peers import session", "peers is above errors"),
        ("types.py", "from wampasgi.errors import WAMPError", "errors is above types"),
        (
            "peers/session.py",
            "if TYPE_CHECKING:\n    from wampasgi.realm import Realm",
            "realm is above peers",
        ),
        ("peers/session.py", "from wampasgi import Realm", "__init__ is above peers"),
        ("peers/session.py", "import wampasgi", "__init__ is above peers"),
        ("router/broker.py", "from ..peers.session import Session", "peers is above router"),
        ("router/broker.py", "from .dealer import Dealer", "router.broker must not import it"),
        ("router/broker.py", "from . import dealer", "router.broker must not import it"),
        ("router/broker.py", "from wampasgi.serializers.json import JSON", "router must not import it"),
        ("router/broker.py", "from orjson import dumps", "router may import no package"),
        ("router/broker.py", "import anyio.abc", "router may import no package"),
        ("router/broker.py", "import asyncio", "router must not do I/O"),
        ("router/broker.py", "from time import monotonic", "router must not read a clock"),
        ("protocol/messages.py", "import orjson", "protocol may import no package"),
        ("protocol/messages.py", "from wampasgi import serializers", "serializers is above protocol"),
        ("adapters/trio.py", "from wampasgi.injection import plan", "injection is above adapters"),
        ("injection/plan.py", "import requests", "injection may import anyio, pydantic"),
        ("realm.py", "from wampasgi.testing import TestClient", "testing is above realm"),
        ("testing.py", "from wampasgi.peers.session import _secret", "edges must use public names"),
    ],
)
def test_checker_finds_a_forbidden_import(path: str, text: str, reason: str) -> None:
    problems = forbidden_imports({**TREE, path: text})

    assert len(problems) == 1
    assert problems[0].startswith(f"{path}:{len(text.splitlines())}: imports ")
    assert reason in problems[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("__init__.py", "from wampasgi.application import Application\nfrom wampasgi.auth import ticket"),
        ("application.py", "from wampasgi.realm import Realm, _internal\nfrom . import errors"),
        (
            "router/broker.py",
            "import random\nfrom ..errors import WAMPError\nfrom ..protocol import ids",
        ),
        ("serializers/json.py", "import orjson\nfrom . import base"),
        ("adapters/trio.py", "import trio\nfrom . import base"),
        ("auth/ticket.py", "from wampasgi.peers.session import Session\nfrom .base import _step"),
    ],
)
def test_checker_accepts_an_allowed_import(path: str, text: str) -> None:
    assert forbidden_imports({**TREE, path: text}) == []


def test_checker_finds_a_circle_of_annotations() -> None:
    sources = {
        "peers/session.py": "from wampasgi.peers.peer import Peer",
        "peers/peer.py": "from wampasgi.peers.turn import Turn",
        "peers/turn.py": "if TYPE_CHECKING:\n    from wampasgi.peers.session import Session",
        "peers/identity.py": "from wampasgi.peers.session import Session",
    }

    assert circles(sources) == ["peers.peer <-> peers.session <-> peers.turn"]


def test_checker_finds_a_module_without_a_layer() -> None:
    problems = modules_without_layer({**TREE, "explosives/fuse.py": ""})

    assert problems == ["explosives/fuse.py: add explosives.fuse to LAYERS in tests/test_layers.py"]


def test_checker_finds_async_code_in_a_synchronous_layer() -> None:
    sources = {
        "router/broker.py": "async def publish():\n    await receive()",
        "sessions/message_loop.py": "async def run(): ...",
    }

    assert async_code(sources) == [
        "router/broker.py:1: async code in router",
        "router/broker.py:2: async code in router",
    ]


def test_checker_finds_long_files_and_functions() -> None:
    body = "    pass\n"
    sources = {
        "protocol/messages.py": "\n" * MAX_FILE_LINES,
        "peers/session.py": "\n" * (MAX_FILE_LINES + 1),
        "realm.py": "def fits():\n" + body * (MAX_FUNCTION_LINES - 1),
        "injection/plan.py": "class Plan:\n    async def grows():\n" + ("    " + body) * MAX_FUNCTION_LINES,
    }

    assert [problem.partition(": ")[0] for problem in oversized(sources)] == [
        "peers/session.py",
        "injection/plan.py:2",
    ]
