"""The router of xconn, run by the Python of xconn's own environment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys

import uvloop
from xconn import Router, Server


async def serve(port: int) -> None:
    router = Router()
    router.add_realm("router")
    await Server(router).start("127.0.0.1", port)
    print(port, os.getpid(), file=sys.__stdout__, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as free:
        chosen: int = free.getsockname()[1]
    # xconn prints when it starts and whenever a client leaves. Nobody would read that.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        uvloop.run(serve(chosen))
