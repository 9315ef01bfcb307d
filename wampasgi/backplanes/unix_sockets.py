"""Unix sockets in a directory: how the nodes of one host find each other, and how frames travel between two.

Each node listens on one socket in the directory. A connection carries frames in one direction only, from the
node that connected to the node that accepted, so that two nodes that connect to each other at the same moment
need no agreement. It starts with a hello, which names the sender. A frame is its length in four bytes and its
content.

Sockets are non-blocking and used directly, because a write through an asyncio transport or an anyio stream
costs several times the system call. Connecting to a Unix socket never waits either.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

import anyio
from anyio.abc import TaskGroup

from wampasgi.backplanes.base import NodeId
from wampasgi.errors import ConfigurationError

#: The maximum size of a frame in bytes.
MAX_FRAME: Final = 4 * 1024 * 1024

_MAGIC: Final = b"WAMPASG1"
_HELLO: Final = struct.Struct(">8sQ")
#: The length before each frame.
LENGTH: Final = struct.Struct(">I")
_CREDENTIALS: Final = struct.Struct("3i")

# The size of `sun_path` without the zero byte at its end.
_MAX_PATH: Final = 107 if sys.platform == "linux" else 103
_BACKLOG: Final = 1024
# Less than the size from which malloc asks the kernel for memory, which costs more than a second read.
_READ_SIZE: Final = 65536
_GROUP_OR_OTHERS_WRITE_OR_ENTER: Final = 0o033


class Poller(Protocol):
    """The part of asyncio's event loops that the backplane uses; a loop itself satisfies it."""

    def call_soon(self, callback: Callable[[], object], /) -> object:
        """Call a function in the next turn of the event loop."""

    def add_reader(self, fd: int, callback: Callable[[], object], /) -> object:
        """Call a function whenever a file descriptor is readable."""

    def remove_reader(self, fd: int, /) -> object:
        """Stop calling the function for a readable file descriptor."""

    def add_writer(self, fd: int, callback: Callable[[], object], /) -> object:
        """Call a function whenever a file descriptor is writable."""

    def remove_writer(self, fd: int, /) -> object:
        """Stop calling the function for a writable file descriptor."""


class TaskPoller:
    """A poller for trio: one task waits for each file descriptor.

    The tasks are shielded, so that queues can be written if a scope around the task group is cancelled. They
    end with ``close``.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._readers: dict[int, anyio.CancelScope] = {}
        self._writers: dict[int, anyio.CancelScope] = {}
        self._due: list[Callable[[], object]] = []
        self._wake = anyio.Event()
        self._scope = anyio.CancelScope(shield=True)
        tasks.start_soon(self._call_due_functions)

    def call_soon(self, callback: Callable[[], object], /) -> None:
        """Call a function in the next turn of the event loop."""
        self._due.append(callback)
        self._wake.set()

    def add_reader(self, fd: int, callback: Callable[[], object], /) -> None:
        """Call a function whenever a file descriptor is readable."""
        scope = self._readers[fd] = anyio.CancelScope(shield=True)
        self._tasks.start_soon(self._poll_reader, fd, callback, scope)

    def remove_reader(self, fd: int, /) -> None:
        """Stop calling the function for a readable file descriptor."""
        if (scope := self._readers.pop(fd, None)) is not None:
            scope.cancel()

    def add_writer(self, fd: int, callback: Callable[[], object], /) -> None:
        """Call a function whenever a file descriptor is writable."""
        scope = self._writers[fd] = anyio.CancelScope(shield=True)
        self._tasks.start_soon(self._poll_writer, fd, callback, scope)

    def remove_writer(self, fd: int, /) -> None:
        """Stop calling the function for a writable file descriptor."""
        if (scope := self._writers.pop(fd, None)) is not None:
            scope.cancel()

    def close(self) -> None:
        """End all tasks."""
        for scope in (self._scope, *self._readers.values(), *self._writers.values()):
            scope.cancel()

    async def _call_due_functions(self) -> None:
        with self._scope:
            while not self._scope.cancel_called:
                await self._wake.wait()
                self._wake = anyio.Event()
                due, self._due = self._due, []
                for function in due:
                    function()

    async def _poll_reader(self, fd: int, callback: Callable[[], object], scope: anyio.CancelScope) -> None:
        with scope:
            # Once the scope is cancelled, the file descriptor is closed and may belong to another file.
            while not scope.cancel_called:
                await anyio.wait_readable(fd)
                if not scope.cancel_called:
                    callback()

    async def _poll_writer(self, fd: int, callback: Callable[[], object], scope: anyio.CancelScope) -> None:
        with scope:
            while not scope.cancel_called:
                await anyio.wait_writable(fd)
                if not scope.cancel_called:
                    callback()


class SocketDirectory:
    """The directory in which the nodes of one application listen.

    ``name`` separates applications in one directory.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._prefix = sha256(name.encode()).hexdigest()[:12]
        self._pattern = re.compile(rf"{self._prefix}\.([0-9a-f]{{16}})\.sock")

    def path_of(self, node: NodeId) -> Path:
        """Return the path of the socket on which a node listens."""
        return self._directory / f"{self._prefix}.{node:016x}.sock"

    def prepare(self) -> None:
        """Create the directory if it is missing, and check that only this user can use it.

        Raises ConfigurationError if paths in it are too long for sockets, or if other users control it or may
        write to it or enter it.
        """
        length = len(os.fsencode(self.path_of(0)))
        if length > _MAX_PATH:
            raise ConfigurationError(
                f"the path {self._directory} is too long for Unix sockets: with a file name it has {length} "
                f"bytes, and the system allows {_MAX_PATH}; use a shorter path, such as one below /run"
            )
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self._directory.stat()
        except OSError as error:
            raise ConfigurationError(
                f"the directory {self._directory} of the backplane cannot be used ({error.strerror}); "
                "create it with mode 0700, owned by the user that runs the workers"
            ) from error
        if found.st_uid != os.geteuid():
            raise ConfigurationError(
                f"the directory {self._directory} belongs to user {found.st_uid}, and this process runs as "
                f"user {os.geteuid()}; choose a directory that belongs to the user that runs the workers"
            )
        mode = stat.S_IMODE(found.st_mode)
        if mode & _GROUP_OR_OTHERS_WRITE_OR_ENTER:
            raise ConfigurationError(
                f"other users may write to or enter the directory {self._directory} (mode {mode:04o}); "
                "choose a directory for the workers alone, or run `chmod 700` on it"
            )

    def nodes(self) -> list[NodeId]:
        """Return the nodes that have a socket in the directory. Some of them may have ended."""
        matches = (self._pattern.fullmatch(name) for name in os.listdir(self._directory))
        return [int(match[1], 16) for match in matches if match is not None]

    def listen(self, node: NodeId) -> tuple[socket.socket, tuple[int, int] | None]:
        """Return a socket that accepts connections for a node, and the identity of its file.

        It replaces an earlier one of the node.
        """
        path = self.path_of(node)
        # Another node removes a socket that refuses connections, which this one does until it listens.
        # So it gets its name afterwards.
        unnamed = path.with_suffix(".temp")
        with suppress(FileNotFoundError):
            unnamed.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            listener.bind(os.fspath(unnamed))
            unnamed.chmod(0o600)
            listener.listen(_BACKLOG)
            unnamed.rename(path)
            identity = self.identity_of(node)
        except BaseException:
            listener.close()
            with suppress(FileNotFoundError):
                unnamed.unlink()
            raise
        return listener, identity

    def identity_of(self, node: NodeId) -> tuple[int, int] | None:
        """Return a value that changes if the socket file of a node is replaced; None if there is no file."""
        try:
            found = self.path_of(node).stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def remove(self, node: NodeId, identity: tuple[int, int] | None) -> None:
        """Remove the socket file of a node, unless the file was replaced."""
        if identity is not None and self.identity_of(node) == identity:
            with suppress(FileNotFoundError):
                self.path_of(node).unlink()

    def connect(self, node: NodeId, sender: NodeId) -> socket.socket | None:
        """Connect to a node and send the hello of ``sender``; return None if nobody listens any more.

        Removes the file of a socket on which nobody listens. Raises OSError if the node is alive, but cannot
        be reached now.
        """
        identity = self.identity_of(node)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.connect(os.fspath(self.path_of(node)))
            require_same_user(connection)
            connection.send(_HELLO.pack(_MAGIC, sender))
        except (ConnectionRefusedError, FileNotFoundError, BrokenPipeError, ConnectionResetError) as error:
            connection.close()
            if isinstance(error, ConnectionRefusedError):
                self.remove(node, identity)
            return None
        except BaseException:
            connection.close()
            raise
        return connection


def peer_user(connection: socket.socket) -> int | None:
    """Return the ID of the user at the other end of a connection; None if the system does not tell."""
    if sys.platform != "linux":
        return None
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(data)[1]
    return user


def require_same_user(connection: socket.socket) -> None:
    """Raise PermissionError if another user runs the process at the other end of a connection."""
    user = peer_user(connection)
    if user is not None and user != os.geteuid():
        raise PermissionError(f"a process of user {user} is at the other end of a socket of the backplane")


class InvalidStreamError(Exception):
    """The bytes of a connection are not those of a node."""


class Incoming:
    """A connection that another node has opened, over which it sends frames."""

    __slots__ = ("_needed", "_partial", "_socket", "ended", "fd", "node")

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        # The bytes of an incomplete hello or frame, and the number of bytes from which it can be read on.
        self._partial = bytearray()
        self._needed = _HELLO.size
        self.fd = connection.fileno()
        #: The node that sends; None before its hello has arrived.
        self.node: NodeId | None = None
        #: True if the other node has closed the connection, or an error has ended it.
        self.ended = False

    def read(self) -> bytes:
        """Return the bytes that have arrived, at most 64 KiB; none if there are no more for now."""
        try:
            data = self._socket.recv(_READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self.ended = True
        return data

    def take_hello(self, data: bytes) -> bytes | None:
        """Take the first bytes, set ``node``, and return the bytes after the hello.

        Returns None if the hello is incomplete. Raises InvalidStreamError if it is not the hello of a node.
        """
        self._partial += data
        if len(self._partial) < _HELLO.size:
            return None
        magic, node = _HELLO.unpack_from(self._partial)
        if magic != _MAGIC:
            raise InvalidStreamError("it did not start with a hello of this version")
        rest = bytes(self._partial[_HELLO.size :])
        self._partial = bytearray()
        self.node = node
        return rest

    def frames(self, data: bytes) -> Iterator[bytes]:
        """Yield the frames that are complete with these bytes.

        Raises InvalidStreamError, after the frames before it, if a frame is too long.
        """
        if self._partial:
            self._partial += data
            if len(self._partial) < self._needed:
                return
            data, self._partial = bytes(self._partial), bytearray()
        start, size = LENGTH.size, len(data)
        while start <= size:
            (length,) = LENGTH.unpack_from(data, start - LENGTH.size)
            if length > MAX_FRAME:
                raise InvalidStreamError(f"a frame of {length} bytes is too long")
            end = start + length
            if end > size:
                self._needed = LENGTH.size + length
                break
            yield data[start:end]
            start = end + LENGTH.size
        else:
            self._needed = LENGTH.size
        self._partial += data[start - LENGTH.size :]

    def close(self) -> None:
        """Close the socket. The poller must not watch it any more."""
        self._socket.close()
