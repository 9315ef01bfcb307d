"""Clients that send arbitrary messages: they are answered or aborted, and nothing is left of them."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile import HELLO, MESSAGES, NAMES, any_frames, attack, frames_of, new_app
from tests.uvicorn_line import over_uvicorn
from wampasgi.serializers import SUBPROTOCOLS

each_backend = pytest.mark.parametrize("backend", ["asyncio", "trio", "picows"])


def run_attack(backend: str, name: str, frames: list[str | bytes]) -> None:
    """Attack an app in memory, or over a uvicorn with the transport on picows."""
    if backend == "picows":
        with over_uvicorn():
            anyio.run(attack, new_app(), name, frames, backend_options={"use_uvloop": True})
    else:
        anyio.run(attack, new_app(), name, frames, backend=backend)


@each_backend
@settings(max_examples=80)
@given(before=st.sampled_from([[HELLO], [HELLO], []]), sent=MESSAGES, name=NAMES)
def test_messages_in_any_order_are_answered_or_abort_the_session(
    backend: str, before: list[Any], sent: list[Any], name: str
) -> None:
    frames = frames_of(SUBPROTOCOLS[name], before + sent)

    run_attack(backend, name, frames)


@each_backend
@pytest.mark.parametrize("name", sorted(SUBPROTOCOLS))
@settings(max_examples=8)
@given(data=st.data())
def test_damaged_frames_abort_the_session_or_are_messages(
    backend: str, name: str, data: st.DataObject
) -> None:
    run_attack(backend, name, data.draw(any_frames(SUBPROTOCOLS[name])))
