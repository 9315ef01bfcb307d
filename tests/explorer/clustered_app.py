"""An application for several workers on one host, whose metrics everybody may read."""

from __future__ import annotations

import os

from wampasgi import Application

app = Application(docs_url="/docs", backplane=f"unix:{os.environ['WAMPASGI_TEST_SOCKETS']}")
app.allow("wamp.metrics.get", "call")


@app.procedure("math.add")
async def add(a: int, b: int = 0) -> int:
    return a + b
