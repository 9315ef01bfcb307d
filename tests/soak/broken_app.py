"""The app under test with a fault, which the soak must notice.

Only the process of a server may import it, because the app changes the log of its process.
"""

from __future__ import annotations

from tests.soak.app import app
from wampasgi.protocol.messages import Result
from wampasgi.types import ASGIEvent, Receive, Scope, Send


async def twice(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the app under test, but send each RESULT twice."""

    async def send_results_twice(message: ASGIEvent) -> None:
        await send(message)
        if str(message.get("text")).startswith(f"[{Result.code},"):
            await send(message)

    await app(scope, receive, send_results_twice)
