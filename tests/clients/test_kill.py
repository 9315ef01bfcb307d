"""SIGTERM for a server under load."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from typing import Any

import pytest

from tests.clients.conftest import GOODBYE_APP, SERVED_APP, StartServer
from tests.clients.server_process import ServerProcess
from tests.soak.client import Client, Ended, small_socket
from wampasgi.protocol.messages import Call, Goodbye, Subscribe

CALLERS, ANNOUNCERS, LISTENERS, DEAF = 20, 5, 20, 5
#: In seconds: `Limits.close_timeout` for clients that do not answer GOODBYE, plus time for a busy machine.
GRACE = 15.0


class Load:
    """Clients that call and receive events without a pause, and some that subscribe but never read."""

    def __init__(self, server: ServerProcess) -> None:
        self._url = server.url
        self.session_ids: set[int] = set()
        self.answers: Counter[Client] = Counter()
        self.goodbyes: dict[Client, list[Any]] = {}
        self.readers: list[Client] = []
        self.deaf: list[Client] = []

    async def begin(self) -> list[asyncio.Task[None]]:
        for number in range(CALLERS + ANNOUNCERS + LISTENERS + DEAF):
            client, reads = Client(self._take), number >= DEAF
            await client.connect(self._url, socket_factory=None if reads else small_socket)
            self.session_ids.add(await client.join(f"client{number}"))
            (self.readers if reads else self.deaf).append(client)
        for client in (*self.deaf, *self.readers[:LISTENERS]):
            await client.request(Subscribe.code, {}, "news")
        for client in self.deaf:
            client.transport.underlying_transport.pause_reading()
        callers = self.readers[-CALLERS:]
        for client in callers:
            client.send(Call.code, client.next_request_id(), {}, "slow")
        announcers = self.readers[LISTENERS : LISTENERS + ANNOUNCERS]
        return [
            *(asyncio.create_task(self._call(client, "echo", [1])) for client in callers),
            *(
                asyncio.create_task(self._call(client, "announce", ["news", "x" * 1000]))
                for client in announcers
            ),
        ]

    async def _call(self, client: Client, procedure: str, args: list[Any]) -> None:
        try:
            while True:
                await client.request(Call.code, {}, procedure, args)
                self.answers[client] += 1
        except Ended:
            return

    def _take(self, client: Client, message: list[Any]) -> None:
        if message[0] == Goodbye.code:
            self.goodbyes[client] = message
            client.send(Goodbye.code, {}, "wamp.close.goodbye_and_out")


async def kill(server: ServerProcess) -> Load:
    load = Load(server)
    tasks = await load.begin()
    async with asyncio.timeout(GRACE):
        while len(load.answers) < CALLERS + ANNOUNCERS or min(load.answers.values()) < 40:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        server.terminate()
        for client in load.readers:
            await client.ended.wait()
        await asyncio.gather(*tasks)
        # The deaf clients stay connected, without reading, until the process has ended.
        await asyncio.to_thread(server.wait_for_exit, GRACE)
    for client in load.deaf:
        client.transport.disconnect(False)
    return load


@pytest.mark.parametrize("app", [SERVED_APP, GOODBYE_APP])
@pytest.mark.parametrize("kind", ["uvicorn", "uvicorn-asyncio", "picows", "picows-asyncio"])
def test_server_under_load_closes_all_sessions_on_sigterm_and_ends_in_time(
    kind: str, app: str, own_server: StartServer
) -> None:
    server = own_server(kind, app)

    load = asyncio.run(kill(server))

    assert server.wait_for_exit(0) in (0, -signal.SIGTERM)
    if app == GOODBYE_APP:
        goodbye = [6, {"message": "the server shuts down"}, "wamp.close.system_shutdown"]
        assert all(load.goodbyes.get(client) == goodbye for client in load.readers)
    else:
        assert not load.goodbyes
        assert {client.close_code for client in load.readers} == {1012}
    journal = server.journal.read_text().splitlines()
    assert {line for line in journal if line.startswith("closed ")} == {
        f"closed {session_id}" for session_id in load.session_ids
    }
    assert len([line for line in journal if line.startswith("slow ended ")]) == CALLERS
    assert "Traceback" not in server.log
