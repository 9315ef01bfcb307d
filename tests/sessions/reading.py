"""An app and requests for the tests of readers."""

from __future__ import annotations

from typing import Any

import anyio

from tests.specification import PUBLISH
from tests.wamp_client import WAMPClient, open_app

CLOSE_REALM = "wamp.close.close_realm"


class WaitingApp:
    """An app with a procedure that waits until it is released, and records how its calls ended."""

    def __init__(self, **options: Any) -> None:
        self.app = open_app(**options)
        self.release = anyio.Event()
        self.began: list[int] = []
        self.ended: list[tuple[int, str]] = []
        self.app.procedure("wait")(self.wait)

    async def wait(self, number: int) -> int:
        self.began.append(number)
        try:
            await self.release.wait()
        except anyio.get_cancelled_exc_class():
            self.ended.append((number, "cancelled"))
            raise
        self.ended.append((number, "finished"))
        return number


async def received(client: WAMPClient, count: int) -> list[list[Any]]:
    """Receive some messages."""
    return [await client.receive() for _ in range(count)]


def publications(first: int, last: int) -> list[list[Any]]:
    """Return requests with these IDs, which are handled at once and in order."""
    return [[PUBLISH, number, {"acknowledge": True}, "news"] for number in range(first, last + 1)]
