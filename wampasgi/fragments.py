"""Messages of a WebSocket that arrive in fragments (RFC 6455, section 5.4)."""

from __future__ import annotations

import codecs


class FragmentedMessage:
    """A text or binary message whose last fragment has not arrived yet."""

    __slots__ = ("_decoder", "_payload")

    def __init__(self, *, is_text: bool) -> None:
        self._payload = bytearray()
        # Checks a text as it arrives. A character may be split between fragments.
        self._decoder = codecs.getincrementaldecoder("utf-8")() if is_text else None

    @property
    def size(self) -> int:
        """The number of bytes that have arrived."""
        return len(self._payload)

    def add(self, payload: bytes, *, final: bool) -> str | bytes | None:
        """Add a fragment, and return the message after the ``final`` one.

        Raises UnicodeDecodeError as soon as a text cannot be UTF-8 any more.
        """
        self._payload += payload
        if self._decoder is not None:
            self._decoder.decode(payload, final)
        if not final:
            return None
        return bytes(self._payload) if self._decoder is None else self._payload.decode()
