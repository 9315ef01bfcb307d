"""The forms of WAMP values in JSON and in a terminal."""

from __future__ import annotations

import base64
import json
import math
import unicodedata
from collections.abc import Mapping
from typing import Any


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON.

    Bytes have the form that WAMP gives them in JSON: a null character, and their base64 form. Numbers that
    JSON does not have are null, and other values are text.
    """
    return json.dumps(_plain(value), ensure_ascii=False, indent=indent, allow_nan=False)


class UnsupportedJSON(ValueError):
    """Valid JSON whose value cannot be sent. The message tells why."""


def from_json(text: str) -> Any:
    """Return the value of a JSON text, in which bytes have the same form as in ``to_json``.

    Raises UnsupportedJSON for a value that cannot be sent, and ValueError for other texts.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (json.JSONDecodeError, UnsupportedJSON):
        raise
    except RecursionError as error:
        raise UnsupportedJSON("it is nested too deeply") from error
    except ValueError as error:
        raise UnsupportedJSON("a number has too many digits") from error
    if "\\ud" in text.lower():
        _require_unicode(value)
    return _with_bytes(value) if "\\u0000" in text else value


def _refuse_constant(constant: str) -> Any:
    raise json.JSONDecodeError(f"{constant} is not valid JSON", constant, 0)


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise UnsupportedJSON(f"the number {number} is too large")
    return value


def _require_unicode(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UnsupportedJSON("a text has half of a surrogate pair") from error


def _with_bytes(value: Any) -> Any:
    # Not at the top, because the help of commands must be fast.
    from wampasgi.serializers.json_bytes import restore

    try:
        return restore(value)
    except ValueError as error:
        raise UnsupportedJSON(str(error)) from error


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return "\0" + base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def payload_value(args: Any, kwargs: Any) -> Any:
    """Return a payload as one value.

    It is None for no arguments, the value of a single positional one, and otherwise a dict with ``args`` and
    ``kwargs``.
    """
    if not kwargs and len(args) <= 1:
        return args[0] if args else None
    return {"args": list(args), "kwargs": dict(kwargs)}


def visible(text: str) -> str:
    """Return a text in which characters that control a terminal are escaped, except line breaks and tabs.

    A server, or another client, could otherwise change what the user sees.
    """
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in _CONTROL
        else _escaped(character)
        for character in text
    )


# Control and format characters (such as those that reverse the direction of text), and lone surrogates.
_CONTROL = frozenset({"Cc", "Cf", "Cs"})


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
