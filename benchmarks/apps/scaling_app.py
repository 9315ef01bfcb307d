"""A worker of several that serve one realm over the backplane in the variable ``BACKPLANE``."""

from __future__ import annotations

import os

from wampasgi import Application, Limits, Realm

app = Application(backplane=os.environ.get("BACKPLANE"))

# A router without rules: clients may register, call, subscribe and publish everything.
router = Realm("router", limits=Limits(subscriptions=2000, sessions=50_000))
router.allow_all()
app.add_realm(router)


@router.procedure("cluster")
async def cluster() -> dict[str, int]:
    """Return the metrics of this worker's node."""
    return app.metrics()["router"]["cluster"]
