"""Bytes in JSON: strings that consist of U+0000 and Base64 text.

Spec: Advanced Profile, "Binary support in JSON".
"""

from __future__ import annotations

import base64
import re
from binascii import b2a_base64
from collections.abc import Iterator
from typing import Any, Final

#: The beginning of every JSON string that represents bytes. Texts without it need no search.
MARK: Final = '"\\u0000'

# A quotation mark inside of a string follows a backslash. A key is followed by a colon.
_MARKED_VALUE: Final = re.compile(rb'(?<!\\)"\\u0000(?:[^"\\]|\\.)*+"(?!:)')


def to_string(value: bytes | bytearray | memoryview, *, mark: str = "\0") -> str:
    """Return the string that represents ``value``. It begins with ``mark``."""
    return mark + b2a_base64(value, newline=False).decode("ascii")


def _to_bytes(string: str) -> bytes:
    try:
        return base64.b64decode(string[1:], validate=True)
    except ValueError as error:
        raise ValueError(
            "a JSON string that begins with U+0000 represents binary data and must continue with valid Base64"
        ) from error


def _find_marked(decoded: object) -> Iterator[tuple[Any, Any, str]]:
    """Yield container, index or key, and string for each string that represents bytes.

    Not recursive, because peers choose the depth.
    """
    waiting: list[Any] = [decoded]
    while waiting:
        container = waiting.pop()
        places = container.items() if type(container) is dict else enumerate(container)
        for place, item in places:
            if type(item) is str:
                if item.startswith("\0"):
                    yield container, place, item
            elif type(item) is list or type(item) is dict:
                waiting.append(item)


def restore(decoded: object) -> object:
    """Replace every string that represents bytes with the bytes, in place. Keys are not replaced.

    Raises ValueError for invalid Base64.
    """
    outermost = [decoded]
    for container, place, string in _find_marked(outermost):
        container[place] = _to_bytes(string)
    return outermost[0]


def has_marked(text: bytes) -> bool:
    """Return whether compact JSON has a string, other than a key, that would be read as bytes."""
    return _MARKED_VALUE.search(text) is not None
