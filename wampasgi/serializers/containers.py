"""Counting the lists, dicts and values in a message, the former before a codec builds them.

An empty list takes one byte on the wire and about eighty in memory, and everything that handles a message
looks at each of its containers. Each function counts the bytes that can begin a container first, which takes
a fraction of the time of decoding. Strings may have such bytes, too. Only if there are too many, the values
are counted exactly, in time that is proportional to the size of the message.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from types import NoneType
from typing import Any, Final

from wampasgi.serializers.base import count_bytes

# JSON

# The text up to the next bracket that is not part of a string. Possessive quantifiers prevent backtracking.
_JSON_CONTAINER: Final = re.compile(r'[^"\[{]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[{]*+)*+[\[{]', re.DOTALL)


def json_exceeds(text: str, most: int) -> bool:
    """Return whether JSON text has more than ``most`` lists and objects."""
    if text.count("[") + text.count("{") <= most:
        return False
    position = count = 0
    while (found := _JSON_CONTAINER.match(text, position)) is not None:
        position = found.end()
        count += 1
        if count > most:
            return True
    return False


# Binary formats

# A regular expression skips the short values, of which there may be many. Strings of at least this length, in
# bytes, are skipped one by one, which takes ten times as long.
_LONG: Final = 16


def _short_values(
    first_bytes: Mapping[int, Iterable[int]], strings: Mapping[int, int], extra: Collection[int]
) -> re.Pattern[bytes]:
    """Compile an expression for any number of short values.

    ``first_bytes`` has the first bytes of the values by the number of bytes that follow.
    """
    # Alternatives take time, so those that a short value needs come first.
    parts = [
        (size, _any_of(codes) + (b".{%d}" % size if size else b"++")) for size, codes in first_bytes.items()
    ]
    for size, more in sorted({(size, code in extra) for code, size in strings.items()}):
        codes = [code for code in strings if strings[code] == size and (code in extra) == more]
        lengths = b"|".join(
            re.escape(bytes([length])) + b".{%d}" % (length + more) for length in range(_LONG)
        )
        parts.append((size + more, b"%b\\0{%d}(?:%b)" % (_any_of(codes), size - 1, lengths)))
    return re.compile(b"(?:%b)*+" % b"|".join(part for _, part in sorted(parts)), re.DOTALL)


def _any_of(codes: Iterable[int]) -> bytes:
    return b"[%b]" % b"".join(re.escape(bytes([code])) for code in codes)


class _BinaryFormat:
    """The parts of a binary format that matter for counting containers.

    ``containers`` has the first byte of each kind of container, and ``strings`` that of each kind of string
    with a length, each with the number of bytes of the length. One more byte follows the length of the
    strings in ``extra``. ``first_bytes`` has the first bytes of all other values, by the number of bytes that
    follow.
    """

    def __init__(
        self,
        first_bytes: Mapping[int, Iterable[int]],
        containers: Mapping[int, int],
        strings: Mapping[int, int],
        extra: Collection[int] = (),
    ) -> None:
        self._skip = _short_values(first_bytes, strings, extra).match
        self._containers = containers
        self._first_bytes = bytes(containers)
        self._strings = strings
        self._extra = extra

    def exceeds(self, data: bytes, most: int) -> bool:
        """Return whether a message has more than ``most`` containers."""
        if count_bytes(data, self._first_bytes) <= most:
            return False
        containers, strings, skip, end = self._containers, self._strings, self._skip, len(data)
        position = count = 0
        while True:
            found = skip(data, position)
            assert found is not None, "any number of values includes none"
            position = found.end()
            if position >= end:
                return False
            code = data[position]
            size = containers.get(code)
            if size is not None:
                count += 1
                if count > most:
                    return True
                position += 1 + size
                continue
            size = strings.get(code)
            if size is None:
                # Malformed or truncated: the codec will refuse it.
                return False
            begin = position + 1 + size
            position = begin + int.from_bytes(data[position + 1 : begin], "big") + (code in self._extra)


_MSGPACK: Final = _BinaryFormat(
    {
        **{size: [0xA0 + size] for size in range(32)},
        0: [*range(0x80), 0xA0, 0xC0, 0xC2, 0xC3, *range(0xE0, 0x100)],
        1: [0xA1, 0xCC, 0xD0],
        2: [0xA2, 0xCD, 0xD1, 0xD4],
        3: [0xA3, 0xD5],
        4: [0xA4, 0xCA, 0xCE, 0xD2],
        5: [0xA5, 0xD6],
        8: [0xA8, 0xCB, 0xCF, 0xD3],
        9: [0xA9, 0xD7],
        17: [0xB1, 0xD8],
    },
    containers={**dict.fromkeys(range(0x80, 0xA0), 0), 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4},
    strings={0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4},
    # The type of an extension follows its length.
    extra=(0xC7, 0xC8, 0xC9),
)


def msgpack_exceeds(data: bytes, most: int) -> bool:
    """Return whether MessagePack data has more than ``most`` arrays and maps."""
    return _MSGPACK.exceeds(data, most)


def _cbor_heads(*major_types: int) -> dict[int, int]:
    """Return the first bytes of values of these major types, each with the bytes of its number or length."""
    return {
        major << 5 | info: 0 if info < 24 or info == 31 else 1 << info - 24
        for major in major_types
        for info in (*range(28), 31)
    }


def _cbor_first_bytes() -> dict[int, list[int]]:
    """Return the first bytes of values other than containers, by the number of bytes that follow.

    The end mark of a container or string without a length counts as a value of its own. So does a tag, whose
    value follows it.
    """
    found: dict[int, list[int]] = {size: [0x40 + size, 0x60 + size] for size in range(24)}
    found[0] += [0x5F, 0x7F]
    for code, size in _cbor_heads(0, 1, 6, 7).items():
        found[size].append(code)
    return found


_CBOR: Final = _BinaryFormat(
    _cbor_first_bytes(),
    containers=_cbor_heads(4, 5),
    strings={code: size for code, size in _cbor_heads(2, 3).items() if size},
)


def cbor_exceeds(data: bytes, most: int) -> bool:
    """Return whether CBOR data has more than ``most`` arrays and maps."""
    return _CBOR.exceeds(data, most)


# Decoded messages

_SCALARS: Final = frozenset((bool, bytes, float, int, NoneType, str))


def values_exceed(message: object, most: int) -> bool:
    """Return whether the lists, tuples and dicts of a decoded message have more than ``most`` items."""
    waiting: list[Any] = [[message]]
    # Not the message itself.
    count = -1
    while waiting:
        container = waiting.pop()
        count += len(container)
        if count > most:
            return True
        items = container.values() if isinstance(container, dict) else container
        # The types of plain values are compared in a tenth of the time of a loop.
        if not _SCALARS.issuperset(map(type, items)):
            waiting += [item for item in items if isinstance(item, list | tuple | dict)]
    return False


def decoded_exceeds(message: object, most: int) -> bool:
    """Return whether a decoded message has more than ``most`` lists, tuples and dicts, including itself."""
    waiting: list[Any] = [[message]]
    count = 0
    while waiting:
        container = waiting.pop()
        items = container.values() if isinstance(container, dict) else container
        found = [item for item in items if isinstance(item, list | tuple | dict)]
        count += len(found)
        if count > most:
            return True
        waiting += found
    return False
