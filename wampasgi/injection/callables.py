"""What calling a user's function gives and which parameters it has: read once, at registration."""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from functools import partial, wraps
from types import FunctionType, MethodType
from typing import Any, Final, Literal, TypeAlias

from wampasgi.errors import ConfigurationError

CallKind: TypeAlias = Literal["coroutine", "async_generator", "generator", "sync"]

#: The default of a parameter that has none, and the annotation of one that has none.
EMPTY: Final = inspect.Parameter.empty

_CALLABLES = (FunctionType, MethodType, partial)
_UNRESOLVABLE = (ArithmeticError, AttributeError, ImportError, LookupError, NameError, SyntaxError, TypeError)
_CONTEXT_MANAGER_DECORATORS: Final[tuple[Callable[[Any], Any], ...]] = (
    contextlib.contextmanager,
    contextlib.asynccontextmanager,
)
#: The code of what those two make of any function.
_CONTEXT_MANAGER_CODES: Final = tuple(
    decorate(lambda: None).__code__ for decorate in _CONTEXT_MANAGER_DECORATORS
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a user's function.

    ``annotation`` is resolved, with what ``Annotated`` carries; where it could not be resolved ``problem``
    says why and the annotation is ``EMPTY``.
    """

    name: str
    kind: inspect._ParameterKind
    default: Any
    annotation: Any
    problem: str | None = None

    @property
    def is_variadic(self) -> bool:
        """Whether it is ``*args`` or ``**kwargs``."""
        return self.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class UserFunction:
    """A callable that the user gave us, with what its calls need to know of it.

    ``kind`` says what calling ``function`` gives: a coroutine, an async generator, a generator or, when
    ``"sync"``, the value itself. ``name`` is its dotted name, ``description`` that with file and line. A
    function ``by_keyword`` is decorated, and its wrapper may look for arguments under the parameters' names.
    """

    function: Callable[..., Any]
    kind: CallKind
    parameters: tuple[Parameter, ...]
    name: str
    description: str
    by_keyword: bool

    @classmethod
    def read(cls, function: Callable[..., Any]) -> UserFunction:
        """Read a function, method, partial, class or callable object.

        A function decorated with ``contextlib.contextmanager`` or ``asynccontextmanager`` is read as the
        generator function beneath. What is not callable, or has annotations that cannot be looked at,
        raises ConfigurationError.
        """
        if isinstance(function, staticmethod):
            function = function.__func__
        if getattr(function, "__code__", None) in _CONTEXT_MANAGER_CODES:
            function = getattr(function, "__wrapped__", function)
        description = describe(function)
        if not callable(function):
            raise ConfigurationError(f"{function!r} is not callable: give a function")
        kind, certain = _call_kind(function)
        return cls(
            function=function if certain else _made_certain(function, kind, description),
            kind=kind,
            parameters=_read_parameters(function, description),
            name=_dotted_name(function),
            description=description,
            by_keyword=hasattr(function, "__wrapped__"),
        )

    def cannot_fill(self, parameter: Parameter, reason: str) -> ConfigurationError:
        """Make the error of a parameter that no call can fill; ``reason`` is a part sentence."""
        return ConfigurationError(
            f"{self.description}: nothing can fill the parameter {parameter.name!r}: {reason};"
            f" give it a default, add set_default_arg({parameter.name!r}, ...), or use Depends"
        )


def describe(function: Any) -> str:
    """Name a callable for a message: ``module.qualname (file:line)``, as much of it as there is."""
    name = _dotted_name(function)
    defining = _defining_function(function)
    if defining is None:
        return name
    return f"{name} ({defining.__code__.co_filename}:{defining.__code__.co_firstlineno})"


def _dotted_name(function: Any) -> str:
    named = _innermost_of_partials(function)
    if not hasattr(named, "__qualname__"):
        named = type(named)
    return f"{named.__module__}.{named.__qualname__}"


def _innermost_of_partials(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function


def _call_kind(function: Any) -> tuple[CallKind, bool]:
    """What calling gives, and whether that is certain.

    A plain wrapper is not what it wraps: most pass on what the wrapped function gives, but only a call shows.
    """
    function = _innermost_of_partials(function)
    if inspect.isclass(function):
        return "sync", True
    if not inspect.isroutine(function):
        function = _innermost_of_partials(function.__call__)
    if inspect.iscoroutinefunction(function):
        return "coroutine", True
    if inspect.isasyncgenfunction(function):
        return "async_generator", True
    if inspect.isgeneratorfunction(function):
        return "generator", True
    plain = getattr(function, "__func__", function)
    if isinstance(plain, FunctionType) and hasattr(plain, "__wrapped__"):
        kind, _ = _call_kind(plain.__wrapped__)
        return kind, kind == "sync"
    return "sync", True


def _made_certain(function: Callable[..., Any], kind: CallKind, description: str) -> Callable[..., Any]:
    """Give a function that looks like one of ``kind`` the calls of that kind, whatever it returns."""

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    def checked(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        result = function(*args, **kwargs)
        if not isinstance(result, AsyncGenerator):
            raise TypeError(
                f"{description} wraps an async generator function and has to return an async generator,"
                f" not {type(result).__name__}"
            )
        return result

    def yielding(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        result = function(*args, **kwargs)
        if isinstance(result, Generator):
            yield from result
        else:
            yield result

    adaptors: dict[CallKind, Callable[..., Any]] = {
        "coroutine": awaited,
        "async_generator": checked,
        "generator": yielding,
    }
    return wraps(function)(adaptors[kind])


def _read_parameters(function: Callable[..., Any], description: str) -> tuple[Parameter, ...]:
    try:
        signature = inspect.signature(function)
    except ValueError:  # some builtins do not tell: they are called without arguments
        return ()
    except NameError as error:  # from Python 3.14 on annotations are evaluated when they are read
        raise ConfigurationError(
            f"{description}: an annotation cannot be resolved: {error}; import it outside `if TYPE_CHECKING:`"
        ) from error
    fixed = _fixed_by_partials(function)
    namespaces = _namespaces(function)
    return tuple(
        _read_parameter(parameter, *namespaces)
        for parameter in signature.parameters.values()
        if parameter.name not in fixed
    )


def _fixed_by_partials(function: Any) -> set[str]:
    """The keywords that partials have filled: they are the developer's word and not the caller's."""
    fixed: set[str] = set()
    while isinstance(function, partial):
        fixed.update(function.keywords)
        function = function.func
    return fixed


def _read_parameter(
    parameter: inspect.Parameter, global_names: dict[str, Any], local_names: dict[str, Any]
) -> Parameter:
    if parameter.annotation is EMPTY:
        return Parameter(parameter.name, parameter.kind, parameter.default, EMPTY)

    def probe() -> None:
        """Carry this one annotation, so that another one's failure does not reach it."""

    probe.__annotations__ = {parameter.name: parameter.annotation}
    try:
        hints = typing.get_type_hints(probe, global_names, local_names, include_extras=True)
    except _UNRESOLVABLE as error:
        problem = f"its annotation {parameter.annotation!r} cannot be resolved: {error}"
        return Parameter(parameter.name, parameter.kind, parameter.default, EMPTY, problem)
    return Parameter(parameter.name, parameter.kind, parameter.default, hints[parameter.name])


def _namespaces(function: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The names that annotations may use: the module's, then those of the functions around."""
    defining = _defining_function(function)
    if defining is None:
        return {}, {}
    local_names = {parameter.__name__: parameter for parameter in getattr(defining, "__type_params__", ())}
    for name, cell in zip(defining.__code__.co_freevars, defining.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # a cell that is still empty
            local_names[name] = cell.cell_contents
    return defining.__globals__, local_names


def _defining_function(function: Any) -> FunctionType | None:
    """The function whose parameters ``inspect.signature`` shows, None where it is no Python function."""
    while not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        if isinstance(function, partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        elif inspect.isclass(function):
            function = function.__init__ if isinstance(function.__init__, FunctionType) else function.__new__
        elif hasattr(function, "__signature__"):
            return function if isinstance(function, FunctionType) else None
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif inspect.isroutine(function) or not callable(function):
            return None
        elif isinstance(function.__call__, _CALLABLES):
            function = function.__call__
        else:
            return None
    return function
