"""Fixtures that start the engines of the backplanes on free ports."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backplanes.engine_process import Engine


def _program(name: str) -> str:
    # Debian installs servers outside of the path of ordinary users.
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


StartNATS = Callable[..., Engine]


@pytest.fixture(scope="module")
def start_nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartNATS]:
    """Return a function that starts a nats-server with further options. All of them end with the module."""
    program = _program("nats-server")
    engines: list[Engine] = []

    def start(*options: str) -> Engine:
        folder = tmp_path_factory.mktemp("nats")
        engine = Engine(
            lambda port: [program, "--addr", "127.0.0.1", "--port", str(port), *options], folder / "log"
        )
        engines.append(engine)
        engine.start()
        return engine

    yield start
    for engine in engines:
        engine.kill()


@pytest.fixture(scope="module")
def nats_server(start_nats: StartNATS) -> Engine:
    """A nats-server that the tests of a module share."""
    return start_nats()


StartRedis = Callable[..., Engine]


@pytest.fixture(scope="module")
def start_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartRedis]:
    """Return a function that starts a redis-server with further options. All of them end with the module."""
    program = _program("redis-server")
    engines: list[Engine] = []

    def start(*options: str, config: str | None = None, tls: bool = False) -> Engine:
        folder: Path = tmp_path_factory.mktemp("redis")
        configuration = folder / "redis.conf"
        # Sentinel writes to its configuration.
        configuration.write_text(config or 'save ""\nappendonly no\n')

        def command(port: int) -> list[str]:
            # With TLS there is no port without it.
            ports = ["--port", "0", "--tls-port", str(port)] if tls else ["--port", str(port)]
            return [
                program,
                str(configuration),
                "--bind",
                "127.0.0.1",
                "--dir",
                str(folder),
                *ports,
                *options,
            ]

        engine = Engine(command, folder / "log")
        engines.append(engine)
        engine.start()
        return engine

    yield start
    for engine in engines:
        engine.kill()


@pytest.fixture(scope="module")
def redis_server(start_redis: StartRedis) -> Engine:
    """A redis-server that the tests of a module share."""
    return start_redis()
