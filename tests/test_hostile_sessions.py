"""Clients that send whatever they like: they are answered or aborted, and nothing is left of them."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile import attack, new_app
from wampasgi.errors import UnserializableValue
from wampasgi.serializers import SUBPROTOCOLS, Subprotocol

each_backend = pytest.mark.parametrize("backend", ["asyncio", "trio"])

URIS = st.sampled_from(
    [
        *("com.a", "com.a.b", "com.b", "com.", "com..b", "", ".", " ", "com.a#", "com.\u20ac", "com.a" * 50),
        *("news", "echo", "math.add", "count.down", "never", "wamp.", "wamp.session.on_join"),
        *("wamp.session.count", "wamp.session.kill", "wamp.session.get", "wamp.session.add_testament"),
        *("wamp.session.flush_testaments", "wamp.registration.list", "wamp.registration.remove_callee"),
        *("wamp.subscription.list_subscribers", "wamp.subscription.on_create"),
    ]
)
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
    | URIS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
IDS = st.integers(1, 6) | st.sampled_from([0, -1, 2**53, 2**53 + 1])
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "acknowledge": st.booleans(),
        "exclude_me": st.booleans(),
        "eligible": st.lists(IDS, max_size=2),
        "exclude_authrole": st.just(["anonymous"]),
        "disclose_me": st.booleans(),
        "match": st.sampled_from(["exact", "prefix", "wildcard", "regex"]),
        "invoke": st.sampled_from(["single", "first", "roundrobin", "random", "load"]),
        "concurrency": st.integers(0, 2),
        "timeout": st.sampled_from([0, 1, 10_000, 2**53, 2**63]),
        "receive_progress": st.booleans(),
        "progress": st.booleans(),
        "mode": st.sampled_from(["skip", "kill", "killnowait"]),
        "ppt_scheme": st.just("x_custom"),
        "roles": st.just({"caller": {"features": {"progressive_call_invocations": True}}, "callee": {}}),
        "authmethods": st.just(["ticket"]),
        "unheard_of": JUNK,
    },
)
ARGS = st.lists(JUNK, max_size=3)
KWARGS = st.dictionaries(st.text(max_size=5), JUNK, max_size=2)
PAYLOAD = st.sampled_from([[], [ARGS], [ARGS, KWARGS]])

#: What follows the message type code.
FIELDS: dict[int, list[st.SearchStrategy[Any]]] = {
    1: [st.sampled_from(["default", "tickets"]), OPTIONS],
    2: [IDS, OPTIONS],
    3: [OPTIONS, URIS],
    4: [URIS, OPTIONS],
    5: [URIS, OPTIONS],
    6: [OPTIONS, URIS],
    8: [st.sampled_from([68, 48]), IDS, OPTIONS, URIS, ARGS],
    16: [IDS, OPTIONS, URIS, ARGS, KWARGS],
    17: [IDS, IDS],
    32: [IDS, OPTIONS, URIS],
    34: [IDS, IDS],
    48: [IDS, OPTIONS, URIS, ARGS, KWARGS],
    49: [IDS, OPTIONS],
    64: [IDS, OPTIONS, URIS],
    66: [IDS, IDS],
    68: [IDS, IDS, OPTIONS],
    70: [IDS, OPTIONS, ARGS, KWARGS],
}
#: What ends no session by itself, to come more often.
REQUESTS = [16, 32, 34, 48, 48, 49, 64, 64, 66, 70, 70, 8]


@st.composite
def messages(draw: st.DrawFn, codes: st.SearchStrategy[int]) -> list[Any]:
    """A message of a type, all its fields right, or one of them wrong, missing or too many."""
    code = draw(codes)
    message = [code, *map(draw, FIELDS[code])]
    damage = draw(st.integers(0, 19))
    if damage == 0:
        message[draw(st.integers(0, len(message) - 1))] = draw(JUNK)
    elif damage == 1:
        message.pop()
    elif damage == 2:
        message.append(draw(JUNK))
    return message


OF_ANY_TYPE = messages(st.sampled_from(sorted(FIELDS)))
MESSAGES = st.lists(messages(st.sampled_from(REQUESTS)) | OF_ANY_TYPE, max_size=12)
NAMES = st.sampled_from(sorted(SUBPROTOCOLS))
FEATURES = {
    "progressive_call_invocations": True,
    "progressive_call_results": True,
    "call_canceling": True,
    "payload_passthru_mode": True,
}
HELLO = [1, "default", {"roles": {"caller": {"features": FEATURES}, "callee": {"features": FEATURES}}}]


def frames_of(subprotocol: Subprotocol, sent: list[Any]) -> list[str | bytes]:
    """The frames of messages, without those that the format cannot carry."""
    frames = []
    for message in sent:
        try:
            frames.append(subprotocol.frame([subprotocol.serializer.encode(message)]))
        except UnserializableValue:
            continue
    return frames


@each_backend
@settings(max_examples=80)
@given(before=st.sampled_from([[HELLO], [HELLO], []]), sent=MESSAGES, name=NAMES)
def test_messages_in_any_order_are_answered_or_abort_the_session(
    backend: str, before: list[Any], sent: list[Any], name: str
) -> None:
    frames = frames_of(SUBPROTOCOLS[name], before + sent)

    anyio.run(attack, new_app(), name, frames, backend=backend)


@st.composite
def damaged_frames(draw: st.DrawFn, subprotocol: Subprotocol) -> str | bytes:
    """A frame of a message of which some bytes were lost, added or changed."""
    frames = frames_of(subprotocol, [draw(OF_ANY_TYPE)]) or [""]
    data = bytearray(frames[0].encode() if isinstance(frames[0], str) else frames[0])
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data) if subprotocol.serializer.binary else data.decode(errors="replace")


@each_backend
@pytest.mark.parametrize("name", sorted(SUBPROTOCOLS))
@settings(max_examples=8)
@given(data=st.data())
def test_damaged_frames_abort_the_session_or_are_messages(
    backend: str, name: str, data: st.DataObject
) -> None:
    subprotocol = SUBPROTOCOLS[name]
    sent = data.draw(st.lists(damaged_frames(subprotocol) | st.binary() | st.text(), max_size=3))

    anyio.run(attack, new_app(), name, [*frames_of(subprotocol, [HELLO]), *sent], backend=backend)
