"""Bytes in JSON: a string of U+0000 and the Base64 text.

Spec: Advanced Profile, "Binary support in JSON".
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Final

from wampasgi.errors import RemoteProtocolError

#: Begins every JSON string that stands for bytes; a text without it has none, so it need not be searched.
MARK: Final = '"\\u0000'


def to_string(value: bytes) -> str:
    """Return the string that stands for ``value``."""
    return "\0" + base64.b64encode(value).decode("ascii")


def _to_bytes(string: str) -> bytes:
    try:
        return base64.b64decode(string[1:], validate=True)
    except ValueError as error:
        raise RemoteProtocolError(
            "a string that begins with U+0000 must go on with Base64: in JSON it stands for binary data"
        ) from error


def _marked(decoded: object) -> Iterator[tuple[Any, Any, str]]:
    """Find the strings that stand for bytes: the list or dict with each, its place there, and the string.

    Without recursion, because peers choose the depth.
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
    """Replace every string that stands for bytes by them, in place; keys stay as they are.

    Raises RemoteProtocolError where the Base64 is wrong.
    """
    outermost = [decoded]
    for container, place, string in _marked(outermost):
        container[place] = _to_bytes(string)
    return outermost[0]


def has_marked(decoded: object) -> bool:
    """Tell whether there is a string that would be read as bytes."""
    return any(True for _ in _marked([decoded]))
