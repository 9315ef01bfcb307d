from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wampasgi.errors import LocalProtocolError, RemoteProtocolError
from wampasgi.serializers.batching import join, split


def test_text_messages_end_with_a_record_separator() -> None:
    assert join(["[1]", "[2]"], binary=False) == "[1]\x1e[2]\x1e"
    assert join(["[1]"], binary=False) == "[1]\x1e"


def test_binary_messages_begin_with_their_length() -> None:
    assert join([b"\x91\x01", b"\xc0" * 258], binary=True) == (
        b"\x00\x00\x00\x02\x91\x01\x00\x00\x01\x02" + b"\xc0" * 258
    )


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\x1e")), min_size=1))
def test_text_batch_is_split_into_its_messages(frames: list[str]) -> None:
    assert split(join(frames, binary=False), binary=False) == frames


@settings(deadline=None)
@given(st.lists(st.binary(), min_size=1))
def test_binary_batch_is_split_into_its_messages(frames: list[bytes]) -> None:
    assert split(join(frames, binary=True), binary=True) == frames


@pytest.mark.parametrize("binary", [True, False])
def test_empty_batch_cannot_be_sent(binary: bool) -> None:
    with pytest.raises(LocalProtocolError, match="at least one message"):
        join([], binary=binary)


@pytest.mark.parametrize(
    ("data", "binary", "text"),
    [
        ("", False, "at least one message"),
        (b"", True, "at least one message"),
        ("[1]", False, "must end with a record separator"),
        ("[1]\x1e[2]", False, "must end with a record separator"),
        (b"\0", True, "the message at byte 0 is incomplete"),
        (b"\0\0\0", True, "at byte 0 is incomplete"),
        (b"\0\0\0\x02\x90", True, "at byte 0 is incomplete"),
        (b"\xff\xff\xff\xff\x90", True, "at byte 0 is incomplete"),
        (b"\0\0\0\x01\x90\0\0", True, "at byte 5 is incomplete"),
        (b"\0\0\0\x01\x90\0\0\0\x02\x90", True, "at byte 5 is incomplete"),
        ("[1]\x1e", True, "must be binary, got text"),
        (b"[1]\x1e", False, "must be text, got binary"),
    ],
)
def test_malformed_batch_is_a_violation(data: str | bytes, binary: bool, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        split(data, binary=binary)
