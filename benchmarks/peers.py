"""The other frameworks and routers in the comparison, and the installation of the routers.

The frameworks are ASGI applications. They are installed beside wampasgi and run on the same uvicorn. A router
has a server of its own, and an environment of its own below that of the benchmarks, because its dependencies
may conflict with those of wampasgi.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

from benchmarks.programs import Program, on_uvicorn

ENVIRONMENTS = Path(sys.prefix) / "peers"
APPS = Path(__file__).with_name("apps")

#: The cases in which frameworks are measured.
CALLS_AND_EVENTS = ("echo", "latency", "fan_out_100", "payload", "sessions")


@dataclass(frozen=True)
class Peer:
    """A framework or router. ``installed`` returns its version, or None if it is not installed."""

    program: Program
    cases: tuple[str, ...]
    installed: Callable[[], str | None]


@dataclass(frozen=True)
class Router(Peer):
    """A router; ``install`` installs its version ``pinned`` into an environment of its own."""

    pinned: str
    install: Callable[[], None]


def framework(name: str, app: str) -> Peer:
    """Return a framework; ``name`` is also the name of its distribution."""

    def installed() -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return Peer(on_uvicorn(name, app), CALLS_AND_EVENTS, installed)


def python_router(
    name: str, package: str, pinned: str, script: str, cases: tuple[str, ...], path: str = "/"
) -> Router:
    """Return a router in Python; ``script`` is run by the Python of its environment."""
    folder = ENVIRONMENTS / package
    python = folder / "bin" / "python"

    def installed() -> str | None:
        libraries = [str(library) for library in folder.glob("lib/python*/site-packages")]
        return next((found.version for found in distributions(name=package, path=libraries)), None)

    def install() -> None:
        venv.create(folder, clear=True, with_pip=True)
        pip = (str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check")
        subprocess.run([*pip, f"{package}=={pinned}"], check=True)

    program = Program(name, (str(python), str(APPS / script)), path)
    return Router(program, cases, installed, pinned, install)


def node_router(package: str, pinned: str, script: str, cases: tuple[str, ...]) -> Router:
    """Return a router in JavaScript; ``script`` gets the folder of the package as its argument."""
    folder = ENVIRONMENTS / package
    module = folder / "node_modules" / package

    def installed() -> str | None:
        try:
            found: str = json.loads((module / "package.json").read_text())["version"]
        except FileNotFoundError:
            return None
        return found

    def install() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Its scripts only compile the database driver, which is not used here.
        npm = ("npm", "install", "--silent", "--ignore-scripts", "--prefix", str(folder))
        subprocess.run([*npm, f"{package}@{pinned}"], check=True)

    program = Program(package, ("node", str(APPS / script), str(module)))
    return Router(program, cases, installed, pinned, install)


def install_routers(peers: Iterable[Peer]) -> None:
    """Install the routers among ``peers`` that are missing or have another version; report failures."""
    for router in peers:
        if not isinstance(router, Router) or router.installed() == router.pinned:
            continue
        print(f"== installing {router.program.name} {router.pinned}", file=sys.stderr)
        try:
            router.install()
        except (OSError, subprocess.SubprocessError) as error:
            print(f"{router.program.name} cannot be installed: {error}", file=sys.stderr)


PEERS: tuple[Peer, ...] = (
    framework("serverwamp", "serverwamp_app"),
    framework("fastapi-headless-wamp", "headless_app"),
    python_router("Crossbar.io", "crossbar", "26.10.1", "crossbar_node.py", ("echo", "routed")),
    # It has no procedures of its own.
    python_router("xconn", "xconn", "0.5.1", "xconn_router.py", ("routed",), path="/ws"),
    node_router("fox-wamp", "0.7.28", "fox_wamp.cjs", ("echo", "routed")),
)
