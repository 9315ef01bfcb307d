"""Frames that cost the server more than the client: compressed ones, pings, and text that is not UTF-8."""

from __future__ import annotations

import threading
import zlib
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.attacks.attack import MIB, OVERHEAD, PRODUCTION, attacked
from tests.attacks.attacker import PATIENCE, Attacker, message_frame
from tests.specification import CALL
from tests.transports.raw_websocket import PING, PONG, RSV1, TEXT, close_frame, frame

BOMBERS = 8
#: Bombs of each client. uvicorn reads them at once.
BOMBS = 2
COMPRESSION = "permessage-deflate"

PINGS = 100_000
#: The size of the largest pong, with its header.
PONG_SIZE = 127
#: The number of pings that are sent in one piece.
BURST = 1000

BROKEN_CLIENTS = 100
PROTOCOL_ERROR, INVALID_DATA = 1002, 1007


def bomb() -> bytes:
    """Return the frame of a compressed text that has the largest size that uvicorn accepts by default."""
    compressor = zlib.compressobj(wbits=-15)
    text = compressor.compress(b" " * (16 * MIB)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return frame(TEXT, text.removesuffix(b"\0\0\xff\xff"), rsv=RSV1)


@pytest.mark.parametrize("kind", [*PRODUCTION, "uvicorn-default"])
def test_compressed_messages_are_refused_in_production(kind: str, tmp_path: Path) -> None:
    bombs = bomb() * BOMBS
    with attacked("deflate bombs", kind, "app", tmp_path) as attack, ExitStack() as stack:
        clients = [stack.enter_context(Attacker(attack.server.port)) for _ in range(BOMBERS)]
        for client in clients:
            response = client.shake_hands(sec_websocket_extensions=COMPRESSION)
            assert ("sec-websocket-extensions" in response.headers) is (kind == "uvicorn-default")
        for client in clients:
            with suppress(ConnectionError):
                client.send(bombs, close_frame(1000))
        for client in clients:
            if kind == "uvicorn-default":
                client.read_to_end()
            else:
                assert client.close_code() == PROTOCOL_ERROR
        attack.report()
        growth = attack.growth()

    print(f"{BOMBERS} clients sent {len(bombs)} bytes each")
    if kind == "uvicorn-default":
        # Only what the server may take at most, if it decompresses everything at once.
        assert growth < 4 * BOMBERS * BOMBS * 16 * MIB
    else:
        assert growth < OVERHEAD


@pytest.mark.parametrize("kind", PRODUCTION)
def test_flood_of_pings_whose_pongs_are_read(kind: str, tmp_path: Path) -> None:
    burst = frame(PING) * BURST
    with (
        attacked("pings, the pongs are read", kind, "app", tmp_path) as attack,
        Attacker(attack.server.port) as client,
    ):
        client.join()
        pongs: list[bytes] = []
        reader = threading.Thread(target=read_pongs, args=(client, pongs))
        reader.start()
        for _ in range(PINGS // BURST):
            client.send(burst)
        client.send(frame(PING, b"last"))
        reader.join(PATIENCE)
        attack.report()
        print(f"{len(pongs)} pongs for {PINGS + 1} pings")
        assert pongs[-1] == b"last"
        assert attack.growth() < OVERHEAD


def read_pongs(client: Attacker, pongs: list[bytes]) -> None:
    """Read pongs up to the last one."""
    while not pongs or pongs[-1] != b"last":
        received = client.read_frame()
        assert received.opcode == PONG
        pongs.append(received.payload)


@pytest.mark.parametrize("kind", PRODUCTION)
def test_flood_of_pings_whose_pongs_are_not_read(kind: str, tmp_path: Path) -> None:
    burst = frame(PING, b"x" * 125) * BURST
    with (
        attacked("pings, the pongs are not read", kind, "app", tmp_path) as attack,
        Attacker(attack.server.port, receive_buffer=4096) as client,
    ):
        client.join()
        for _ in range(PINGS // BURST):
            client.send(burst)
        # The server reads in order, so it has handled the pings when it handles the call.
        client.send(message_frame(CALL, 1, {}, "note", ["pings handled"]))
        attack.server.wait_for_note("pings handled", PATIENCE)
        attack.report()
        # uvicorn's own WebSocket stores all pongs, and the picows transport only the last.
        pongs = PINGS * PONG_SIZE
        assert attack.growth() < (pongs // 2 if kind == "picows" else 2 * pongs + OVERHEAD)


@pytest.mark.parametrize("kind", PRODUCTION)
def test_text_that_is_not_utf_8(kind: str, tmp_path: Path) -> None:
    with attacked("bad UTF-8", kind, "app", tmp_path) as attack, ExitStack() as stack:
        clients = [stack.enter_context(Attacker(attack.server.port)) for _ in range(BROKEN_CLIENTS)]
        for client in clients:
            client.join()
        for client in clients:
            client.send(frame(TEXT, b"\xc3\x28"))
        assert {client.close_code() for client in clients} == {INVALID_DATA}
        attack.report()
        tracebacks = attack.server.log.count("Traceback")
        print(f"{tracebacks} tracebacks in the log")
        assert attack.growth() < OVERHEAD
        if kind == "picows":
            assert tracebacks == 0
