"""Serve one realm from several workers, over the backplane in the variable ``BACKPLANE``.

``make scale`` starts two workers and shows what their clients notice. Without it, this serves four:
``BACKPLANE=unix:/run/user/1000/scaling uvicorn --workers 4 examples.scaling.app:app``.
"""

from __future__ import annotations

import os

from wampasgi import Application

# Without a backplane, each worker would serve a realm of its own.
app = Application(backplane=os.environ.get("BACKPLANE"))
app.allow_all()


@app.on_gap
async def lost_frames(lost: int) -> None:
    # Calls have failed, and events may be missing. An application with a cache of its own would refresh it.
    print(f"{lost} frames of another worker were lost", flush=True)
