"""Imports point downwards: each package may import the packages that stand before it in ``LAYERS``.

Every import counts: those inside functions and those for type checkers alone, too. Within a package,
modules form no circle.
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
    """Packages of one height, which do not import each other, and the packages of others they may import."""

    packages: frozenset[str]
    third_party: frozenset[str]
    synchronous: bool = False


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


NOTHING: frozenset[str] = frozenset()
ASYNC_STACK = names("anyio pydantic pydantic_core starlette")

# From the bottom up: modules at the top level of the package, and packages.
LAYERS = (
    Layer(names("_version errors types"), NOTHING, synchronous=True),
    Layer(names("limits"), NOTHING, synchronous=True),
    # It writes the log.
    Layer(names("logs"), NOTHING),
    Layer(names("metrics"), NOTHING, synchronous=True),
    Layer(names("protocol"), NOTHING, synchronous=True),
    Layer(names("serializers"), names("cbor2 orjson ormsgpack pydantic pydantic_core"), synchronous=True),
    Layer(names("adapters"), names("anyio trio")),
    Layer(names("injection"), names("anyio pydantic pydantic_core")),
    Layer(names("router"), NOTHING, synchronous=True),
    Layer(names("peers"), ASYNC_STACK),
    Layer(names("rpc"), NOTHING),
    Layer(names("auth"), ASYNC_STACK),
    Layer(names("configuration"), ASYNC_STACK),
    Layer(names("sessions"), ASYNC_STACK),
    Layer(names("realm transports"), ASYNC_STACK),
    Layer(names("application"), ASYNC_STACK),
    Layer(names("mounting testing"), ASYNC_STACK),
    Layer(names("__init__"), NOTHING),
)

# Beyond what the layer may import, for the modules that are about just these packages.
EXTRA_THIRD_PARTY = {
    # Imported when a method needs them: users without these methods need not install them.
    "protocol.challenges": names("argon2 nacl"),
    "testing": names("httpx2"),
}

# Packages of ours that these do without, although their layer is lower.
NEVER = {
    "adapters": names("protocol serializers limits logs metrics"),
    "router": names("adapters injection serializers"),
    "router.broker": names("router.dealer"),
    "router.dealer": names("router.broker"),
    "injection": names("protocol serializers"),
    "auth": names("router"),
    "testing": names("router sessions"),
}

# Synchronous layers do no I/O, read no clock and write no log.
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
    package, target_package = module.split(".")[0], target.split(".")[0]
    if package != target_package and target_height >= height:
        return f"{target_package} is above {package}"
    for group, forbidden in NEVER.items():
        if lookup(module, frozenset({group})) and lookup(target, forbidden):
            return f"{group} keeps clear of it"
    return None


def wrong_package(module: str, package: str) -> str | None:
    """Why ``module`` must not import ``package``, which is not ours."""
    height = height_of(module)
    if height is None:
        return None
    layer, own = LAYERS[height], module.split(".")[0]
    if package in sys.stdlib_module_names:
        if layer.synchronous and package in IO_MODULES:
            return f"{own} does no I/O and writes no log"
        if layer.synchronous and package in CLOCKS:
            return f"{own} is told the time"
        return None
    extra = lookup(module, frozenset(EXTRA_THIRD_PARTY))
    allowed = layer.third_party | (EXTRA_THIRD_PARTY[extra] if extra else frozenset())
    return None if package in allowed else f"{own} imports {', '.join(sorted(allowed)) or 'no package'}"


def circles(sources: Sources) -> list[str]:
    """Every set of modules that import each other, annotations included."""
    known = frozenset(module_of(path) for path in sources)
    arrows: dict[str, set[str]] = {module: set() for module in known}
    for path, text in sources.items():
        module = module_of(path)
        for imported in imports_of(path, ast.parse(text)):
            target = own_module(imported, known)
            # A package's own modules may ask it for each other by name: `from . import base`.
            if target is not None and target in known and not module.startswith(f"{target}."):
                arrows[module].add(target)
    reached = {module: _reached_from(module, arrows) for module in known}
    found = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in known
        if module in reached[module]
    }
    return sorted(" <-> ".join(sorted(circle)) for circle in found)


def _reached_from(module: str, arrows: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        for target in arrows[waiting.pop()] - reached:
            reached.add(target)
            waiting.append(target)
    return reached


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


#: What users, and so the edges, get public names from.
_EDGES = names("mounting testing")


def private_name(module: str, imported: Import) -> str | None:
    """Why an edge must not take this name: those of a leading underscore are not for it."""
    name = imported.name or ""
    private = name.startswith("_") and not name.startswith("__")
    own = module.split(".")[0]
    if private and own in _EDGES and not imported.target.startswith(f"{PACKAGE}.{own}"):
        return "edges use public names"
    return None


def modules_without_layer(sources: Sources) -> list[str]:
    return [
        f"{path}: say where {module_of(path)} stands, in LAYERS of tests/test_layers.py"
        for path in sources
        if height_of(module_of(path)) is None
    ]


def async_code(sources: Sources) -> list[str]:
    """Every line of async code in the synchronous layers."""
    waiting = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    problems = []
    for path, text in sources.items():
        module = module_of(path)
        height = height_of(module)
        if height is not None and LAYERS[height].synchronous:
            nodes = ast.walk(ast.parse(text))
            lines = [node.lineno for node in nodes if isinstance(node, waiting)]
            problems += [f"{path}:{line}: async code in {module.split('.')[0]}" for line in lines]
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


def test_imports_point_downwards(package: Sources) -> None:
    problems = wrong_imports(package)
    assert not problems, "\n".join(problems)


def test_no_modules_import_each_other(package: Sources) -> None:
    problems = circles(package)
    assert not problems, "\n".join(problems)


def test_synchronous_layers_have_no_async_code(package: Sources) -> None:
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
        ("router/broker.py", "from .dealer import Dealer", "router.broker keeps clear of it"),
        ("router/broker.py", "from . import dealer", "router.broker keeps clear of it"),
        ("router/broker.py", "from wampasgi.serializers.json import JSON", "router keeps clear of it"),
        ("router/broker.py", "from orjson import dumps", "router imports no package"),
        ("router/broker.py", "import anyio.abc", "router imports no package"),
        ("router/broker.py", "import asyncio", "router does no I/O"),
        ("router/broker.py", "from time import monotonic", "router is told the time"),
        ("protocol/messages.py", "import orjson", "protocol imports no package"),
        ("protocol/messages.py", "from wampasgi import serializers", "serializers is above protocol"),
        ("adapters/trio.py", "from wampasgi.injection import plan", "injection is above adapters"),
        ("injection/plan.py", "import requests", "injection imports anyio, pydantic"),
        ("realm.py", "from wampasgi.testing import TestClient", "testing is above realm"),
        ("testing.py", "from wampasgi.peers.session import _secret", "edges use public names"),
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
        (
            "router/broker.py",
            "import random\nfrom ..errors import WAMPError\nfrom ..protocol import ids",
        ),
        ("serializers/json.py", "import orjson\nfrom . import base"),
        ("adapters/trio.py", "import trio\nfrom . import base"),
        ("auth/ticket.py", "from wampasgi.peers.session import Session\nfrom .base import _step"),
    ],
)
def test_checker_lets_a_right_import_pass(path: str, text: str) -> None:
    assert wrong_imports({**TREE, path: text}) == []


def test_checker_finds_a_circle_that_only_annotations_close() -> None:
    sources = {
        "peers/session.py": "from wampasgi.peers.peer import Peer",
        "peers/peer.py": "from wampasgi.peers.turn import Turn",
        "peers/turn.py": "if TYPE_CHECKING:\n    from wampasgi.peers.session import Session",
        "peers/identity.py": "from wampasgi.peers.session import Session",
    }

    assert circles(sources) == ["peers.peer <-> peers.session <-> peers.turn"]


def test_checker_asks_for_the_layer_of_a_new_module() -> None:
    problems = modules_without_layer({**TREE, "explosives/fuse.py": ""})

    assert problems == [
        "explosives/fuse.py: say where explosives.fuse stands, in LAYERS of tests/test_layers.py"
    ]


def test_checker_finds_async_code_in_a_synchronous_layer() -> None:
    sources = {
        "router/broker.py": "async def publish():\n    await receive()",
        "sessions/message_loop.py": "async def run(): ...",
    }

    assert async_code(sources) == [
        "router/broker.py:1: async code in router",
        "router/broker.py:2: async code in router",
    ]


def test_checker_measures_files_and_functions() -> None:
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
