"""An application that says GOODBYE to its clients when the server shuts down."""

from __future__ import annotations

from typing import Any

from tests.clients.served_app import echo, news, note_session, slow
from wampasgi import Application

app = Application(on_shutdown="goodbye")
app.add_session_lifespan_handler(note_session)
app.procedure("echo")(echo)
app.procedure("slow")(slow)
app.topic("news")(news)


@app.procedure("announce")
async def announce(topic: str, *args: Any) -> int:
    return await app.publish(topic, *args)
