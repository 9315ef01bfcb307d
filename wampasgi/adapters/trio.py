"""Async support for trio."""

from __future__ import annotations

from typing import ClassVar

from wampasgi.adapters.anyio import AnyioAsyncSupport


class TrioAsyncSupport(AnyioAsyncSupport):
    """Runs tasks in trio nurseries, which implement anyio's task groups on trio.

    Serve the application with a server that runs trio, such as hypercorn with its trio worker.
    """

    library: ClassVar[str | None] = "trio"
