"""The application that the workers serve. The environment says how they are connected."""

from __future__ import annotations

import json
import logging
import os

from wampasgi import Application
from wampasgi.backplanes.base import Backplane
from wampasgi.router import links

logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(name)s: %(message)s")

# A worker of another release.
links.VERSION = int(os.environ.get("CHAOS_VERSION", links.VERSION))  # type: ignore[misc]


def backplane() -> Backplane | str:
    """Return the URL of the backplane, or a backplane if it has options."""
    url = os.environ["CHAOS_BACKPLANE"]
    options = json.loads(os.environ.get("CHAOS_OPTIONS", "{}"))
    if not options:
        return url
    if url.startswith("nats:"):
        from wampasgi.backplanes.nats import NATSBackplane

        return NATSBackplane(url, **options)
    from wampasgi.backplanes.redis import RedisBackplane

    return RedisBackplane(url, **options)


app = Application(backplane=backplane())
app.allow_all()


@app.procedure("chaos.metrics")
async def metrics() -> dict[str, int]:
    """Return the counters of the worker that the caller is connected to."""
    counters: dict[str, int] = app.metrics()["default"]["cluster"]
    return counters


@app.procedure("chaos.process")
async def process() -> int:
    """Return the ID of the process that the caller is connected to."""
    return os.getpid()
