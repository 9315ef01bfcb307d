from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.backplanes.conftest import nats_server, redis_server, start_nats, start_redis
from tests.uvicorn_line import over_uvicorn
from tests.websocket import WebSocket
from tests.worker_lines import (
    WorkerLine,
    over_nats_workers,
    over_redis_workers,
    over_unix_workers,
    running_workers,
)

__all__ = [
    "anyio_backend",
    "nats_server",
    "redis_server",
    "running_workers",
    "start_nats",
    "start_redis",
    "workers",
]

_ONE_WORKER = ["asyncio", "trio", "picows"]
# NATS and Redis need asyncio.
_SEVERAL_WORKERS = ["workers-unix", "workers-unix-trio", "workers-nats", "workers-redis"]


@pytest.fixture(params=_ONE_WORKER + _SEVERAL_WORKERS)
def anyio_backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Run each test with one worker, in memory or over a uvicorn, and with clients of different workers.

    The uvicorn is the one of `tests.uvicorn_line`. The workers share their realms over a backplane.
    """
    if request.param == "picows":
        with over_uvicorn():
            yield "asyncio", {"use_uvloop": True}
    elif request.param in ("workers-unix", "workers-unix-trio"):
        with over_unix_workers():
            yield "trio" if request.param.endswith("trio") else "asyncio"
    elif request.param == "workers-nats":
        with over_nats_workers(request.getfixturevalue("nats_server").port):
            yield "asyncio"
    elif request.param == "workers-redis":
        with over_redis_workers(request.getfixturevalue("redis_server").port):
            yield "asyncio"
    else:
        yield request.param


@pytest.fixture(autouse=True)
def workers(request: pytest.FixtureRequest) -> None:
    """Let workers run during the test if its clients are connected to several."""
    if request.node.get_closest_marker("anyio") is None:
        return
    request.getfixturevalue("anyio_backend")
    if WebSocket.line_type is WorkerLine:
        request.getfixturevalue("running_workers")
