from __future__ import annotations

import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import rmtree

import pytest

from tests.backplanes.local_nodes import NAME, Recorder, opened, pair, path_of, until
from wampasgi.backplanes.local import LocalBackplane
from wampasgi.backplanes.unix_sockets import Incoming
from wampasgi.errors import ConfigurationError

ANOTHER_USER = 54321


@pytest.fixture
def directory() -> Iterator[Path]:
    # Not `tmp_path`, which is too long for a socket.
    path = Path(tempfile.mkdtemp(prefix="w"))
    yield path
    rmtree(path)


def raw_connection(directory: Path, id: int, *data: bytes) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path_of(directory, id)))
    connection.sendall(b"".join(data))
    connection.setblocking(False)
    return connection


def hello(id: int) -> bytes:
    return struct.pack(">8sQ", b"WAMPASG1", id)


def framed(*frames: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(frame)) + frame for frame in frames)


def is_closed_by_peer(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


async def opening_fails(directory: Path, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        async with LocalBackplane(directory).open(1, Recorder(), name=NAME):
            pytest.fail("it was opened")


@pytest.mark.anyio
async def test_the_directory_is_created_for_this_user_alone(directory: Path) -> None:
    path = directory / "run" / "chat"
    async with opened(path, 1):
        assert path.stat().st_mode & 0o777 == 0o700
        assert path_of(path, 1).stat().st_mode & 0o777 == 0o600


@pytest.mark.anyio
@pytest.mark.parametrize("mode", [0o777, 0o755, 0o710, 0o720, 0o701, 0o702])
async def test_a_directory_that_others_may_use_is_refused(directory: Path, mode: int) -> None:
    os.chmod(directory, mode)
    await opening_fails(directory, f"mode 0{mode:o}.*chmod 700")
    assert os.listdir(directory) == []


@pytest.mark.anyio
async def test_a_directory_of_another_user_is_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: ANOTHER_USER)
    await opening_fails(directory, f"belongs to user .* runs as user {ANOTHER_USER}")


@pytest.mark.anyio
async def test_a_file_is_no_directory(directory: Path) -> None:
    path = directory / "file"
    path.touch()
    await opening_fails(path, "cannot be used .*mode 0700")


@pytest.mark.anyio
async def test_a_path_that_is_too_long_is_refused_with_its_length(directory: Path) -> None:
    path = directory / ("x" * 100)
    length = len(os.fsencode(path_of(path, 1)))
    await opening_fails(path, f"it has {length} bytes, and the system allows 10")
    assert not path.exists()


@pytest.mark.anyio
async def test_the_longest_path_can_be_used(directory: Path) -> None:
    missing = 103 - len(os.fsencode(path_of(directory / "x", 1)))
    async with pair(directory / ("x" * (missing + 1))):
        pass


def test_a_system_without_unix_sockets_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ConfigurationError, match="no Unix sockets"):
        LocalBackplane(directory)


@pytest.mark.anyio
async def test_a_process_of_another_user_is_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(directory, 1) as one:
        monkeypatch.setattr("wampasgi.backplanes.unix_sockets.peer_user", lambda connection: ANOTHER_USER)
        with raw_connection(directory, 1, hello(5), framed(b"let me in")) as stranger:
            await until(lambda: is_closed_by_peer(stranger))
        async with opened(directory, 2) as two:
            two.send(1, b"let me out")
            assert two.backplane.counts.dropped == 1
        assert one.sink.calls == []
        assert f"a process of user {ANOTHER_USER}" in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("data", "delivered"),
    [
        (b"GET / HTTP/1.1\r\n", []),
        (hello(5) + framed(b"valid") + struct.pack(">I", 4 * 1024 * 1024 + 1) + b"x", [b"valid"]),
    ],
)
async def test_a_peer_that_breaks_the_format_is_cut(
    directory: Path, data: bytes, delivered: list[bytes]
) -> None:
    async with opened(directory, 1) as one, opened(directory, 2) as two:
        with raw_connection(directory, 1, data) as peer:
            await until(lambda: is_closed_by_peer(peer))
        await two.exchange_with(one)
        assert [call for call in one.sink.calls if call == b"valid"] == delivered


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 19, 21, 1000])
def test_frames_arrive_in_any_pieces(size: int) -> None:
    frames = [b"", b"first", b"x" * 300, b"", b"last"]
    sent = hello(5) + framed(*frames)
    received: list[bytes] = []
    with closing(Incoming(socket.socket(socket.AF_UNIX))) as incoming:
        for start in range(0, len(sent), size):
            data: bytes | None = sent[start : start + size]
            if incoming.node is None:
                data = incoming.take_hello(sent[start : start + size])
            if data is not None:
                received += incoming.frames(data)
        assert incoming.node == 5
    assert received == frames


@pytest.mark.anyio
async def test_frames_of_replaced_connections_come_first(directory: Path) -> None:
    frames = [b"%d" % number for number in range(6)]
    async with opened(directory, 1) as one:
        for number in (0, 2, 4):
            data = framed(*frames[number : number + 2])
            raw_connection(directory, 1, hello(5), data, framed(b"cut")[:-1]).close()
        await one.sink.until_frames(6)
        assert one.sink.frames == frames
        # Node 5 does not listen.
        await one.sink.until(lambda: one.sink.gone == [5])
        assert one.sink.calls[-1] == 5
