"""The payload of a call or an event, if its keywords are also those of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Payload:
    """Any payload: positional arguments and keyword arguments of a call or an event.

    Pass it as the only argument to ``call`` and ``publish`` if a keyword of the payload has the name of one
    of their own parameters, such as ``timeout`` or ``options``::

        await realm.call("job.start", Payload(["report"], {"timeout": 30}), timeout=5)
    """

    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def split_payload(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Return the positional and keyword arguments to send, for the arguments that a user passed.

    Raises TypeError for a Payload beside other arguments.
    """
    if not any(type(argument) is Payload for argument in args):
        return args, kwargs
    if len(args) > 1 or kwargs:
        raise TypeError("a Payload holds all arguments of a call or event: pass it alone")
    payload: Payload = args[0]
    if isinstance(payload.args, str | bytes):
        raise TypeError(f"Payload.args is {payload.args!r}: it must be a list of arguments")
    return payload.args, payload.kwargs
