"""Waiting for the completion of a change that involves other workers."""

from __future__ import annotations

from typing import TypeVar

import anyio

from wampasgi.router.completion import Completion

T = TypeVar("T")


async def completed(completion: Completion[T]) -> T:
    """Wait until an operation of the router is complete, and return its result."""
    if not completion.done:
        event = anyio.Event()
        completion.then(event.set)
        await event.wait()
    assert completion.result is not None
    return completion.result
