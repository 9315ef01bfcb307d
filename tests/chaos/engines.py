"""The engines that carry frames between workers: a nats-server, a redis-server, or none."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Literal, get_args

from tests.backplanes.engine_process import Engine

Kind = Literal["unix", "nats", "redis"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_PROGRAMS = {"nats": "nats-server", "redis": "redis-server"}


def program_of(kind: Kind) -> str | None:
    """Return the path of an engine's program, or None if it is not installed. A unix: backplane has none."""
    name = _PROGRAMS[kind]
    # Debian installs servers outside of the path of ordinary users.
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")


def missing_program(kind: Kind) -> str | None:
    """Return the name of the program that a backplane needs and the machine lacks, or None."""
    return None if kind == "unix" or program_of(kind) else _PROGRAMS[kind]


def make_engine(kind: Kind, folder: Path) -> Engine | None:
    """Return the engine of a backplane, which is not running yet; None for Unix sockets."""
    if kind == "unix":
        return None
    program = program_of(kind)
    assert program is not None, f"{_PROGRAMS[kind]} is not installed"

    def command(port: int) -> list[str]:
        if kind == "nats":
            return [program, "--addr", "127.0.0.1", "--port", str(port)]
        options = ["--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "no"]
        return [program, "--port", str(port), *options]

    return Engine(command, folder / "engine.log")


def url_of(kind: Kind, folder: Path, port: int) -> str:
    """Return the URL of a backplane."""
    return f"unix:{folder}/sockets" if kind == "unix" else f"{kind}://127.0.0.1:{port}"


def kill_redis_clients(port: int) -> None:
    """Let a redis-server close the connections of all its clients."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for kind in ("normal", "pubsub"):
            connection.sendall(b"CLIENT KILL TYPE %s\r\n" % kind.encode())
            answer = connection.recv(100)
            assert answer.startswith(b":"), answer
