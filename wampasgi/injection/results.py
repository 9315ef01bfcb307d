"""What a procedure gets and what it answers: the request of one call, its results, progress and errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wampasgi.errors import RUNTIME_ERROR

__all__ = ["SCALARS", "RPCErrorResult", "RPCProgressReport", "RPCResult", "to_result", "unwrap"]


@dataclass(slots=True, init=False)
class RPCResult:
    """The result of a call: positional and keyword arguments.

    ``args`` is a tuple or list; anything else given there, a str or bytes too, counts as one argument, and
    None as no argument. Keys of ``kwargs`` that are not str raise TypeError.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __init__(self, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> None:
        self.args = args if type(args) is tuple else _positional(args)
        self.kwargs = _keywords(kwargs) if kwargs else {}


@dataclass(slots=True, init=False)
class RPCProgressReport(RPCResult):
    """One progressive result; a procedure that is an async generator yields them before its final result.

    It reaches only a caller that asked with ``receive_progress``.
    Spec: Advanced Profile, "Progressive Call Results".
    """


@dataclass(slots=True, init=False)
class RPCErrorResult:
    """The error that answers a call, where ``WAMPError`` would be raised.

    ``error_uri`` is the error's URI; ``args`` and ``kwargs`` are read as those of ``RPCResult``.
    """

    error_uri: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __init__(
        self, error_uri: str = RUNTIME_ERROR, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self.error_uri = error_uri
        self.args = args if type(args) is tuple else _positional(args)
        self.kwargs = _keywords(kwargs) if kwargs else {}


#: What most handlers return, and what needs no closer look.
SCALARS = frozenset((str, int, float, bool, bytes))


def to_result(value: Any) -> RPCResult | RPCErrorResult:
    """Turn what a handler returned into the payload that answers the call.

    None gives no arguments, a mapping keyword arguments, a tuple (a named one too) or list positional ones;
    anything else, a model or dataclass included, is one positional argument. Results and errors stay as they
    are. A mapping with a key that is not a str raises TypeError: WAMP's keyword arguments have names.
    """
    if type(value) in SCALARS:
        return RPCResult((value,))
    if isinstance(value, RPCResult | RPCErrorResult):
        return value
    if value is None:
        return RPCResult()
    if isinstance(value, Mapping):
        return RPCResult((), value)
    if isinstance(value, tuple | list):
        return RPCResult(tuple(value))
    return RPCResult((value,))


def unwrap(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Turn the payload of a result into what a local caller gets.

    Nothing gives None, exactly one positional argument that argument, any other payload an ``RPCResult``.
    """
    if not kwargs:
        if not args:
            return None
        if len(args) == 1:
            return args[0]
    return RPCResult(tuple(args), kwargs)


def _positional(args: Any) -> tuple[Any, ...]:
    if args is None:
        return ()
    if isinstance(args, Sequence) and not isinstance(args, str | bytes | bytearray | memoryview):
        return tuple(args)
    return (args,)


def _keywords(kwargs: Mapping[Any, Any]) -> dict[str, Any]:
    for name in kwargs:
        if not isinstance(name, str):
            raise TypeError(
                f"keyword arguments of WAMP have str names, not {name!r} ({type(name).__name__}):"
                " use str keys, or send the mapping as a positional argument, RPCResult((mapping,))"
            )
    return dict(kwargs)


OnProgress = Callable[[RPCProgressReport], Awaitable[None]]


async def final_result(value: Any, on_progress: OnProgress | None) -> RPCResult | RPCErrorResult:
    """What a handler has returned as the final result of the call; it may be an async iterator of reports."""
    if hasattr(value, "__anext__"):
        return await last_of(value, on_progress)
    return to_result(value)


async def last_of(reports: AsyncIterator[Any], on_progress: OnProgress | None) -> RPCResult | RPCErrorResult:
    try:
        async for value in reports:
            if not isinstance(value, RPCProgressReport):
                return to_result(value)
            if on_progress is not None:
                await on_progress(value)
        return RPCResult()
    finally:
        close = getattr(reports, "aclose", None)
        if close is not None:
            await close()
