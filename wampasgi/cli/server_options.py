"""The options of uvicorn that suit an application."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from wampasgi.cli.output import say
from wampasgi.errors import ConfigurationError
from wampasgi.limits import Limits

if TYPE_CHECKING:
    from wampasgi.application import Application

PICOWS: Final = "wampasgi.transports.picows:WebSocketProtocol"
#: The seconds that the application may need for its shutdown: see docs/serving.md.
GRACEFUL_SHUTDOWN: Final = 15


def picows_protocol() -> str | None:
    """Return the fast WebSocket transport for uvicorn's option ``ws``, or None if picows is not installed.

    If another version of picows is installed, a message says so.
    """
    if find_spec("picows") is None:
        return None
    try:
        import_module("wampasgi.transports.picows")
    except ConfigurationError as error:
        say(f"uvicorn's own WebSocket transport is used: {error}")
        return None
    return PICOWS


def websocket_options(application: Application) -> list[str]:
    """Return uvicorn's options for WebSockets: the transport, and the size of messages."""
    protocol = picows_protocol()
    transport = ["--ws-per-message-deflate", "false"] if protocol is None else ["--ws", protocol]
    return [*transport, "--ws-max-size", str(largest_message(application))]


def largest_message(application: Application) -> int:
    """Return the size of the largest message that a realm accepts, in bytes."""
    sizes = [realm.plan().limits.message_size for realm in application.all_realms.values()]
    return max(sizes, default=Limits().message_size)


def workers_in_environment() -> int | None:
    """Return the number of workers that uvicorn reads from the environment."""
    text = os.environ.get("WEB_CONCURRENCY", "")
    return int(text) if text.isdecimal() else None
