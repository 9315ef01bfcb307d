"""The answers to a call: its result, progress reports and error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from anyio import CancelScope

from wampasgi.errors import RUNTIME_ERROR
from wampasgi.injection.cancellation import close_iterator

__all__ = [
    "SCALARS",
    "Progress",
    "RPCErrorResult",
    "RPCProgressReport",
    "RPCResult",
    "to_result",
    "to_unpacked_result",
    "unwrap",
]

T = TypeVar("T")


@dataclass(slots=True, init=False)
class RPCResult:
    """The result of a call: positional and keyword arguments.

    ``args`` is a tuple or list. Any other value, including a str or bytes, is a single argument; None is no
    argument. Raises TypeError if a key of ``kwargs`` is not a str.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __init__(self, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> None:
        self.args = args if type(args) is tuple else positional_arguments(args)
        self.kwargs = _keywords(kwargs) if kwargs else {}


@dataclass(slots=True, init=False)
class RPCProgressReport(RPCResult):
    """One progressive result; an async generator procedure yields them before its final result.

    Only a caller that set ``receive_progress`` receives it.
    Spec: Advanced Profile, "Progressive Call Results".
    """


class Progress(RPCProgressReport, Generic[T]):
    """One progressive result with a value of a declared type, as in ``AsyncIterator[Progress[float] | str]``.

    The value becomes the payload by the same rule as a result: None is no argument, a tuple as many
    positional arguments as it has items, and any other value one argument. The declared type filters what is
    sent, as the type of a result does. Raises TypeError for an RPCErrorResult.
    """

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        payload = to_result(value)
        if isinstance(payload, RPCErrorResult):
            raise TypeError("an RPCErrorResult is no progress: yield or return it as the result")
        #: The value, before it is filtered.
        self.value = value
        self.args = payload.args
        self.kwargs = payload.kwargs


@dataclass(slots=True, init=False)
class RPCErrorResult:
    """An error that answers a call; a procedure returns it instead of raising ``WAMPError``.

    ``error_uri`` is the error's URI; ``args`` and ``kwargs`` are treated like those of ``RPCResult``.
    """

    error_uri: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __init__(
        self, error_uri: str = RUNTIME_ERROR, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self.error_uri = error_uri
        self.args = args if type(args) is tuple else positional_arguments(args)
        self.kwargs = _keywords(kwargs) if kwargs else {}


#: The common types of return values, which become one positional argument without further checks.
SCALARS = frozenset((str, int, float, bool, bytes))


def to_result(value: Any) -> RPCResult | RPCErrorResult:
    """Convert a handler's return value into the payload that answers the call.

    None becomes no arguments, and a tuple (including a named tuple) one positional argument for each of its
    items. Any other value becomes one positional argument. Results and errors are returned unchanged.
    """
    if type(value) in SCALARS:
        return RPCResult((value,))
    if isinstance(value, RPCResult | RPCErrorResult):
        return value
    if value is None:
        return RPCResult()
    return RPCResult(tuple(value) if isinstance(value, tuple) else (value,))


def to_unpacked_result(value: Any) -> RPCResult | RPCErrorResult:
    """Convert a return value as serverwamp does: lists become arguments, too, and mappings keyword arguments.

    Raises TypeError for a mapping with a key that is not a str.
    """
    if isinstance(value, Mapping):
        return RPCResult((), value)
    return to_result(tuple(value) if isinstance(value, list) else value)


def unwrap(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Convert the payload of a result into the return value for a local caller.

    An empty payload becomes None, a single positional argument becomes the value itself, and any other
    payload becomes an ``RPCResult``.
    """
    if not kwargs:
        if not args:
            return None
        if len(args) == 1:
            return args[0]
    return RPCResult(tuple(args), kwargs)


def positional_arguments(args: Any) -> tuple[Any, ...]:
    """Return the items of a sequence. Any other value, or a str or bytes, is one argument; None is zero."""
    if args is None:
        return ()
    if isinstance(args, Sequence) and not isinstance(args, str | bytes | bytearray | memoryview):
        return tuple(args)
    return (args,)


def _keywords(kwargs: Mapping[Any, Any]) -> dict[str, Any]:
    for name in kwargs:
        if not isinstance(name, str):
            raise TypeError(
                f"WAMP keyword arguments have str names, not {name!r} ({type(name).__name__}):"
                " use str keys, or send the mapping as a positional argument, RPCResult((mapping,))"
            )
    return dict(kwargs)


OnProgress = Callable[[RPCProgressReport], Awaitable[None]]
#: Converts a handler's value into the payload that answers the call.
Convert: TypeAlias = Callable[[Any], RPCResult | RPCErrorResult]
#: Converts a handler's progress report into the one that is sent.
ConvertProgress: TypeAlias = Callable[[RPCProgressReport], RPCProgressReport]


async def final_result(
    value: Any, on_progress: OnProgress | None, convert: Convert
) -> RPCResult | RPCErrorResult:
    """Convert a handler's return value into the final result; it may be an async iterator of reports."""
    if hasattr(value, "__anext__"):
        return await last_of(lambda _: value, on_progress, convert)
    return convert(value)


async def last_of(
    iterate: Callable[[CancelScope], AsyncIterator[Any]], on_progress: OnProgress | None, convert: Convert
) -> RPCResult | RPCErrorResult:
    """Pass progress reports to ``on_progress`` and return the first other value as the final result.

    ``iterate`` gets the cancel scope that encloses the iteration, and returns the iterator. The iterator is
    closed even if the call is cancelled.
    """
    result: RPCResult | RPCErrorResult = RPCResult()
    with CancelScope() as closing:
        reports = iterate(closing)
        try:
            async for value in reports:
                if not isinstance(value, RPCProgressReport):
                    result = convert(value)
                    break
                if on_progress is not None:
                    await on_progress(value)
        finally:
            await close_iterator(reports, closing)
    return result
