"""A program that receives progressive results until it is interrupted: ``program KIND URL NAME``."""

from __future__ import annotations

import sys

import anyio

from wampasgi.client import connect, connect_sync


def say(report: str) -> None:
    sys.stdout.write(f"{report}\n")
    sys.stdout.flush()


async def run_async(url: str, name: str) -> None:
    async with connect(url) as session, session.call_progress("forever", name) as call:
        async for report in call:
            say(report)


def run_blocking(url: str, name: str) -> None:
    with connect_sync(url) as session, session.call_progress("forever", name) as call:
        for report in call:
            say(report)


if __name__ == "__main__":
    _, kind, server_url, shown_name = sys.argv
    if kind == "blocking":
        run_blocking(server_url, shown_name)
    else:
        anyio.run(run_async, server_url, shown_name, backend=kind)
