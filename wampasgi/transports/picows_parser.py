"""picows as a parser: its server protocol without a socket.

The class ``WSProtocol`` and its arguments are not a public interface of picows. Therefore the minor version
is pinned.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, NoReturn, TypeAlias

from wampasgi.errors import ConfigurationError

#: The minor version of picows whose internals this package knows.
PICOWS_VERSION: Final = "2.3"

logger = logging.getLogger("uvicorn.error")


def refuse(reason: str, cause: Exception | None = None) -> NoReturn:
    """Raise ConfigurationError because picows cannot be used."""
    raise ConfigurationError(
        f"wampasgi.transports.picows needs picows {PICOWS_VERSION}, but {reason}. "
        f"Install it with: pip install 'wampasgi[fast]'. Or start uvicorn without --ws."
    ) from cause


def _import_picows() -> ModuleType:
    try:
        version = str(importlib.import_module("picows").__version__)
        extension = importlib.import_module("picows.picows")
    except ModuleNotFoundError:
        refuse("it is not installed")
    except (ImportError, AttributeError) as error:
        refuse(f"the installed version cannot be used ({error})", error)
    if version.split(".")[:2] != PICOWS_VERSION.split("."):
        refuse(f"the installed version is {version}")
    for name in ("WSAutoPingStrategy", "WSListener", "WSMsgType", "WSProtocol"):
        if not hasattr(extension, name):
            refuse(f"the installed version {version} has no {name}")
    return extension


_picows: Final[Any] = _import_picows()

#: The base class of the objects that get the frames, in ``on_ws_frame``.
WSListener: Final[Any] = _picows.WSListener
TEXT: Final = _picows.WSMsgType.TEXT
BINARY: Final = _picows.WSMsgType.BINARY
CONTINUATION: Final = _picows.WSMsgType.CONTINUATION
PING: Final = _picows.WSMsgType.PING
PONG: Final = _picows.WSMsgType.PONG

#: Puts picows' protocol into the state after a handshake. The real handshake is the business of others.
_HANDSHAKE: Final = (
    b"GET / HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
#: The initial size of the read buffer, in bytes.
_READ_BUFFER: Final = 2048

GetBuffer: TypeAlias = Callable[[int], memoryview]
BufferUpdated: TypeAlias = Callable[[int], None]


def new_parser(
    listener: Any, refuse_frame: Callable[[int, str], None], max_frame_size: int
) -> tuple[GetBuffer, BufferUpdated]:
    """Return the methods of a new parser, to get its buffer and to parse what was written to it.

    ``listener`` gets the frames. ``refuse_frame`` gets the close code and the reason for the first frame that
    violates RFC 6455, before the frame that precedes it is passed to the listener.
    """
    # The arguments have no names. The parser needs neither timeouts nor pings and pongs of picows.
    protocol = _picows.WSProtocol(
        *(None, None, False, lambda request: listener, _LOGGER, True, None),
        *(False, 0, 0, _picows.WSAutoPingStrategy.PING_WHEN_IDLE, False, max_frame_size, None, _READ_BUFFER),
    )
    protocol.connection_made(_ParserTransport(refuse_frame))
    write_to(protocol.get_buffer, protocol.buffer_updated, _HANDSHAKE)
    return protocol.get_buffer, protocol.buffer_updated


def write_to(get_buffer: GetBuffer, buffer_updated: BufferUpdated, data: bytes) -> None:
    """Parse bytes that were read before."""
    rest = memoryview(data)
    while rest:
        buffer = get_buffer(-1)
        size = min(len(buffer), len(rest))
        buffer[:size] = rest[:size]
        buffer_updated(size)
        rest = rest[size:]


class _ParserTransport:
    """The transport that picows sees. It writes only if it has found a violation: a close frame."""

    __slots__ = ("_refuse_frame", "_upgraded")

    def __init__(self, refuse_frame: Callable[[int, str], None]) -> None:
        self._refuse_frame = refuse_frame
        # The first bytes are the response to the handshake.
        self._upgraded = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        # Without an SSL object, picows would write to the file descriptor of the socket.
        return {"socket": _NO_SOCKET, "ssl_object": self}.get(name, default)

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        if self._upgraded:
            payload = bytes(data)[2:]
            self._refuse_frame(int.from_bytes(payload[:2], "big"), payload[2:].decode(errors="replace"))
        self._upgraded = True

    def close(self) -> None:
        """Do nothing: the connection is closed by its owner."""

    abort = close


class _NoSocket:
    """The socket that picows sets options of."""

    __slots__ = ()

    def fileno(self) -> int:
        return -1

    def setsockopt(self, *option: object) -> None:
        """Do nothing."""

    def getsockopt(self, *option: object) -> int:
        return 0


class _Logger:
    """The logger of picows: it reports exceptions of the receiver, and leaves violations to the receiver."""

    __slots__ = ()

    def isEnabledFor(self, level: int) -> bool:
        return False

    def exception(self, message: str, *args: object) -> None:
        # picows calls it while it handles the exception.
        logger.error(message, *args, exc_info=sys.exception())

    def ignore(self, *args: object) -> None:
        """Do nothing."""

    debug = info = warning = error = log = ignore


_NO_SOCKET: Final = _NoSocket()
_LOGGER: Final = _Logger()
