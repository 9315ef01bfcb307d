"""Settings of the server that do not suit the application: limits, and several workers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from wampasgi.logs import fields, logger_named
from wampasgi.types import Receive

logger = logger_named("wampasgi.server")


class UvicornSettings:
    """Checks the settings of uvicorn once, and logs warnings that say what to set.

    They can be seen only if no middleware has wrapped the ASGI callables of uvicorn.
    """

    __slots__ = ("_checked", "_workers_checked")

    def __init__(self) -> None:
        self._checked = False
        self._workers_checked = False

    def check(self, receive: Receive, message_size: Callable[[], int]) -> None:
        """Check the server that has passed ``receive``; ``message_size`` returns the application's limit."""
        if self._checked:
            return
        config = getattr(getattr(receive, "__self__", None), "config", None)
        if type(config).__module__ != "uvicorn.config":
            return
        self._checked = True
        options = _missing_options(config, message_size())
        if options:
            logger.warning(
                "clients can make uvicorn take more memory than the limits of the application allow: "
                "start it with %s (see docs/serving.md)",
                " ".join(options),
                extra=fields(None, None),
            )

    def check_workers(self, receive: Receive) -> None:
        """Warn, once, if several workers serve an application that has no backplane."""
        if self._workers_checked:
            return
        self._workers_checked = True
        config = getattr(getattr(receive, "__self__", None), "config", None)
        workers = getattr(config, "workers", None) or 1
        named = os.environ.get("WEB_CONCURRENCY", "")
        if workers == 1 and named.isdecimal():
            workers = int(named)
        if workers > 1:
            logger.warning(
                "%s workers serve this application, and each has realms of its own: clients of one worker do "
                "not reach those of another. To connect the workers, pass a backplane, such as "
                'Application(backplane="unix:/run/myapp") (see docs/scaling.md)',
                workers,
                extra=fields(None, None),
            )


def _missing_options(config: Any, message_size: int) -> list[str]:
    options = []
    protocol = getattr(config, "ws_protocol_class", None)
    # Other protocols, such as wampasgi's own, do not compress.
    compresses = getattr(protocol, "__module__", "").startswith("uvicorn.protocols.websockets")
    if compresses and getattr(config, "ws_per_message_deflate", False):
        options.append("--ws-per-message-deflate false")
    if protocol is not None and getattr(config, "ws_max_size", 0) > message_size:
        options.append(f"--ws-max-size {message_size}")
    return options
