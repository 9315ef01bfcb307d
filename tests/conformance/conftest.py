"""The transports of the conformance tests: in memory, and over a real uvicorn."""

from __future__ import annotations

from typing import Any

import pytest

from tests.uvicorn_line import UvicornLine
from tests.websocket import WebSocket


@pytest.fixture(params=["asyncio", "trio", "picows"])
def anyio_backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run each test in memory on asyncio and trio, and over a uvicorn with the transport on picows.

    The latter is on uvloop, like uvicorn by default. Neither uvicorn nor its client runs on trio.
    """
    if request.param == "picows":
        monkeypatch.setattr(WebSocket, "line_type", UvicornLine)
        return "asyncio", {"use_uvloop": True}
    return request.param
