from __future__ import annotations

from tests.uvicorn_line import anyio_backend

__all__ = ["anyio_backend"]
