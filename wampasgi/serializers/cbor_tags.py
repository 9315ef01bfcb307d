"""The CBOR tags that are supported, and the plain values that stand for tagged ones.

These are the tags that common libraries write by default, among them all that cbor2 writes for the types of
the standard library. References to shared values or strings (25, 28, 29, 256) are not supported, because a
few bytes with them can stand for a huge value.

Spec: RFC 8949, section 3.4, and the IANA registry of CBOR tags.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import partial
from math import isfinite
from typing import Any, Final
from uuid import UUID

import cbor2
from pydantic_core import to_jsonable_python

from wampasgi.protocol.timestamps import date_from_days, from_nanoseconds
from wampasgi.serializers.foreign import MAX_INTEGER_BYTES, ForeignDict, ForeignList, ForeignText
from wampasgi.serializers.reader import ADDRESS_COST, TAG_COST, Budget, Unsupported

#: Decodes the value under a tag. The second argument, which cbor2 passes, is not used.
Decode = Callable[[Any, bool], object]

# The largest exponent of Decimal's default context.
_MAX_EXPONENT: Final = 999_999

_SECONDS: Final = 10**9
_MICROSECONDS: Final = 10**3


def decoder_of(tag: int) -> Decode:
    """Return the decoder for a tag. It raises Unsupported if the tag is not supported."""
    return TAGS.get(tag) or _refuser(tag)


def refuse_tag(tag: cbor2.CBORTag, _: bool) -> object:
    """Refuse a tag that is not in ``TAGS``, as a hook of cbor2."""
    return _refuser(tag.tag)(None, False)


def _refuser(tag: int) -> Decode:
    def refuse(value: object, _: bool) -> object:
        raise Unsupported(f"tag {tag} is not supported")

    return refuse


class _Misfit(Exception):
    """A value that a tag does not allow."""


def _text(tag: int, requires: str, convert: Callable[[Any], str]) -> Decode:
    """Return a decoder for values that text stands for.

    ``convert`` returns the text. Any exception of it means that the value is not what the tag ``requires``.
    """

    def decode(value: Any, _: bool) -> object:
        try:
            text = convert(value)
        except Exception as error:
            raise Unsupported(f"tag {tag} requires {requires}") from error
        return ForeignText(text, "cbor", (tag, value))

    return decode


def _unchanged(tag: int, *types: type) -> Decode:
    """Return a decoder that returns the value unchanged if it has one of these types."""

    def decode(value: object, _: bool) -> object:
        if type(value) not in types:
            expected = " or ".join(kind.__name__ for kind in types)
            raise Unsupported(f"tag {tag} requires {expected}, got {type(value).__name__}")
        return value

    return decode


def _integer(tag: int) -> Decode:
    def decode(value: object, _: bool) -> int:
        if type(value) is not bytes or len(value.lstrip(b"\0")) > MAX_INTEGER_BYTES:
            raise Unsupported(
                f"tag {tag} requires the bytes of an integer with at most {8 * MAX_INTEGER_BYTES} bits"
            )
        number = int.from_bytes(value, "big")
        return number if tag == 2 else -1 - number

    return decode


# Values as text


def _check(condition: bool) -> None:
    if not condition:
        raise _Misfit


def _string(value: object) -> str:
    _check(type(value) is str)
    return str(value)


def _epoch(value: Any) -> str:
    _check(type(value) is int or (type(value) is float and isfinite(value)))
    # A float has no more than microseconds.
    nanoseconds = value * _SECONDS if type(value) is int else round(value * 10**6) * _MICROSECONDS
    return from_nanoseconds(nanoseconds)


def _days(value: Any) -> str:
    _check(type(value) is int)
    return date_from_days(value)


def _pair(value: Any, kind: type) -> tuple[Any, Any]:
    first, second = value
    _check(type(value) in (list, tuple) and type(first) is kind and type(second) is kind)
    return first, second


def _decimal(value: Any) -> str:
    exponent, mantissa = _pair(value, int)
    _check(abs(exponent) <= _MAX_EXPONENT)
    return str(Decimal(f"{mantissa}E{exponent}"))


def _fraction(value: Any) -> str:
    return str(Fraction(*_pair(value, int)))


def _complex(value: Any) -> str:
    text: str = to_jsonable_python(complex(*_pair(value, float)))
    return text


def _uuid(value: Any) -> str:
    return str(UUID(bytes=value))


_IPInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def _ip(value: Any, size: int, interface: Callable[[tuple[str, int]], _IPInterface]) -> str:
    """Return an address, a network (length of the prefix, bytes) or an interface (bytes, length, zone)."""
    if type(value) is bytes:
        return str(_ip_address(value, size))
    first, second, *rest = value
    if type(first) is int:
        _check(type(second) is bytes and len(second) <= size and not rest)
        return str(interface((str(_ip_address(second.ljust(size, b"\0"), size)), first)).network)
    address = str(_ip_address(first, size))
    if rest:
        (zone,) = rest
        address += f"%{zone if type(zone) is int else zone.decode()}"
    if second is None:
        return str(ipaddress.ip_address(address))
    _check(type(second) is int)
    return str(interface((address, second)))


def _ip_address(value: bytes, size: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    _check(type(value) is bytes and len(value) == size)
    return ipaddress.ip_address(value)


def _old_address(value: Any) -> str:
    if len(value) == 6:
        return _string(bytes(value).hex(":"))
    return str(ipaddress.ip_address(value))


def _old_network(value: Any) -> str:
    [(address, length)] = value.items()
    _check(type(length) is int)
    return str(ipaddress.ip_network((address, length), strict=False))


_IP_KINDS: Final = "an address, a network or an interface"


# Containers


def _set(value: Any, _: bool) -> object:
    if type(value) not in (list, tuple):
        raise Unsupported(f"tag 258 requires list, got {type(value).__name__}")
    return ForeignList(value, "cbor", b"\xd9\x01\x02")


def _map(value: object, _: bool) -> object:
    if isinstance(value, ForeignDict):
        return ForeignDict(value, "cbor", b"\xd9\x01\x03", value.keys_encoded)
    if type(value) is not dict:
        raise Unsupported(f"tag 259 requires dict, got {type(value).__name__}")
    return ForeignDict(value, "cbor", b"\xd9\x01\x03")


# The tags that cbor2 itself would decode to other objects.
_REFUSED: Final = (5, 25, 28, 29, 256, 55799)

#: Tag to decoder.
TAGS: Final[Mapping[int, Decode]] = {
    **{tag: _refuser(tag) for tag in _REFUSED},
    0: _text(0, "a date and time as a string", _string),
    1: _text(1, "a number of seconds, in the years 1 to 9999", _epoch),
    2: _integer(2),
    3: _integer(3),
    4: _text(4, f"a pair of integers, the first up to {_MAX_EXPONENT}", _decimal),
    30: _text(30, "a pair of integers, the second not 0", _fraction),
    32: _unchanged(32, str),
    35: _text(35, "a regular expression as a string", _string),
    36: _text(36, "a MIME message as a string", _string),
    37: _text(37, "the 16 bytes of a UUID", _uuid),
    52: _text(52, f"{_IP_KINDS} of IPv4", partial(_ip, size=4, interface=ipaddress.IPv4Interface)),
    54: _text(54, f"{_IP_KINDS} of IPv6", partial(_ip, size=16, interface=ipaddress.IPv6Interface)),
    64: _unchanged(64, bytes),
    100: _text(100, "a number of days, in the years 1 to 9999", _days),
    258: _set,
    259: _map,
    260: _text(260, "the bytes of an address", _old_address),
    261: _text(261, "a network: one address and the length of its prefix", _old_network),
    1004: _text(1004, "a date as a string", _string),
    43000: _text(43000, "a pair of floats", _complex),
}


# IP addresses take ten times as long as other values.
_ADDRESSES: Final = frozenset((52, 54, 260, 261))


def cost_of(tag: int) -> int:
    """Return the number of values that a tag counts as."""
    return ADDRESS_COST if tag in _ADDRESSES else TAG_COST


def limited_tags(budget: Budget) -> Mapping[int, Decode]:
    """Return ``TAGS`` for one message with many tags."""

    def limited(decode: Decode, cost: int) -> Decode:
        def decode_if_few(value: Any, immutable: bool) -> object:
            budget.spend(cost)
            return decode(value, immutable)

        return decode_if_few

    return {tag: limited(decode, cost_of(tag)) for tag, decode in TAGS.items()}
