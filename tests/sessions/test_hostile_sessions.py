"""Clients that send arbitrary messages: they are answered or aborted, and nothing is left of them."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile import HELLO, MESSAGES, NAMES, any_frames, attack, frames_of, new_app
from wampasgi.serializers import SUBPROTOCOLS

each_backend = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@each_backend
@settings(max_examples=80)
@given(before=st.sampled_from([[HELLO], [HELLO], []]), sent=MESSAGES, name=NAMES)
def test_messages_in_any_order_are_answered_or_abort_the_session(
    backend: str, before: list[Any], sent: list[Any], name: str
) -> None:
    frames = frames_of(SUBPROTOCOLS[name], before + sent)

    anyio.run(attack, new_app(), name, frames, backend=backend)


@each_backend
@pytest.mark.parametrize("name", sorted(SUBPROTOCOLS))
@settings(max_examples=8)
@given(data=st.data())
def test_damaged_frames_abort_the_session_or_are_messages(
    backend: str, name: str, data: st.DataObject
) -> None:
    frames = data.draw(any_frames(SUBPROTOCOLS[name]))

    anyio.run(attack, new_app(), name, frames, backend=backend)
