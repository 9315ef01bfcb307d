"""The kind and the parameters of a user's function, read once at registration."""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from functools import partial, wraps
from types import AsyncGeneratorType, CodeType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import Any, Final, Literal, TypeAlias

from wampasgi.errors import ConfigurationError

CallKind: TypeAlias = Literal["coroutine", "async_generator", "generator", "sync"]

#: Stands for a missing default or a missing annotation.
EMPTY: Final = inspect.Parameter.empty

_CALLABLES = (FunctionType, MethodType, partial)
_UNRESOLVABLE = (ArithmeticError, AttributeError, ImportError, LookupError, NameError, SyntaxError, TypeError)
_CONTEXT_MANAGER_DECORATORS: Final[tuple[Callable[[Any], Any], ...]] = (
    contextlib.contextmanager,
    contextlib.asynccontextmanager,
)
#: The code objects of the functions that these decorators return; it is the same for all functions.
_CONTEXT_MANAGER_CODES: Final = tuple(
    decorate(lambda: None).__code__ for decorate in _CONTEXT_MANAGER_DECORATORS
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a user's function.

    ``annotation`` is resolved and keeps the metadata of ``Annotated``. If it cannot be resolved, it is
    ``EMPTY`` and ``problem`` gives the reason.
    """

    name: str
    kind: inspect._ParameterKind
    default: Any
    annotation: Any
    problem: str | None = None

    @property
    def is_variadic(self) -> bool:
        """Return whether it is ``*args`` or ``**kwargs``."""
        return self.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

    @property
    def is_positional_only(self) -> bool:
        """Return whether it cannot be passed by name."""
        return self.kind is inspect.Parameter.POSITIONAL_ONLY


@dataclass(frozen=True, slots=True)
class Returns:
    """The return annotation of a user's function; ``EMPTY`` if it is missing or cannot be resolved.

    In the latter case, ``problem`` gives the reason.
    """

    annotation: Any = EMPTY
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class UserFunction:
    """A callable of the user, with the facts needed to call it.

    ``kind`` is the type of object that calling ``function`` returns: a coroutine, an async generator, a
    generator or, for ``"sync"``, the value itself. ``name`` is the dotted name, ``description`` adds file and
    line. ``by_keyword`` is set for a decorated function: its wrapper may look for arguments by name.
    """

    function: Callable[..., Any]
    kind: CallKind
    parameters: tuple[Parameter, ...]
    name: str
    description: str
    by_keyword: bool
    returns: Returns = Returns()

    @classmethod
    def read(cls, function: Callable[..., Any]) -> UserFunction:
        """Read a function, method, partial, class or callable object.

        A function decorated with ``contextlib.contextmanager`` or ``asynccontextmanager`` is read as the
        generator function that it wraps. Raises ConfigurationError if the object is not callable, if its
        annotations cannot be read, and for a method without its object.
        """
        require_function("a handler or dependency", function)
        if isinstance(function, staticmethod):
            function = function.__func__
        if getattr(function, "__code__", None) in _CONTEXT_MANAGER_CODES:
            function = getattr(function, "__wrapped__", function)
        description = describe(function)
        kind, certain = _call_kind(function)
        parameters, returns = _read_signature(function, description)
        _refuse_unbound_method(function, parameters, description)
        return cls(
            function=function if certain else _ensure_kind(function, kind, description),
            kind=kind,
            parameters=parameters,
            name=_dotted_name(function),
            description=description,
            by_keyword=hasattr(function, "__wrapped__"),
            returns=returns,
        )

    def cannot_fill(self, parameter: Parameter, reason: str) -> ConfigurationError:
        """Create the error for a parameter that no call can fill; ``reason`` is a clause."""
        return ConfigurationError(
            f"{self.description}: nothing can fill the parameter {parameter.name!r}: {reason};"
            f" give it a default, add set_default_arg({parameter.name!r}, ...), or use Depends"
        )


def require_function(
    where: str, function: object, advice: str = "pass the function itself, without calling it"
) -> None:
    """Raise ConfigurationError, prefixed with ``where``, for an object that is not callable.

    ``advice`` is for the usual mistake, to call an async function or generator function and pass the result.
    """
    if callable(function):
        return
    code = _code_of_result(function)
    if code is None:
        raise ConfigurationError(f"{where} got {function!r}, which is not callable: pass a function")
    if isinstance(function, CoroutineType):
        function.close()  # otherwise Python also warns that nobody awaits it
    raise ConfigurationError(
        f"{where} got the {type(function).__name__} that a call of {code.co_qualname}"
        f" ({code.co_filename}:{code.co_firstlineno}) returned: {advice}"
    )


def _code_of_result(value: object) -> CodeType | None:
    """Return the code of the function that returned a coroutine or generator, or None for other values."""
    if isinstance(value, CoroutineType):
        return value.cr_code
    if isinstance(value, GeneratorType):
        return value.gi_code
    if isinstance(value, AsyncGeneratorType):
        return value.ag_code
    return None


def _refuse_unbound_method(
    function: Callable[..., Any], parameters: tuple[Parameter, ...], description: str
) -> None:
    """Raise ConfigurationError for a function in a class body: its ``self`` would be the first argument."""
    plain = _innermost_of_partials(function)
    if not isinstance(plain, FunctionType) or not parameters or parameters[0].name not in ("self", "cls"):
        return
    *enclosing, name = plain.__qualname__.split(".")
    if enclosing and enclosing[-1] != "<locals>":
        raise ConfigurationError(
            f"{description} is a method without its object, so that a caller would send"
            f" {parameters[0].name!r}: pass the method of an object, as in"
            f" app.procedure(uri)({enclosing[-1].lower()}.{name}), instead of decorating it in the class, or"
            f" mark it with wampasgi.procedure(uri) and call app.add_handlers({enclosing[-1].lower()})"
        )


def describe(function: Any) -> str:
    """Return ``module.qualname (file:line)`` for messages, without the place if it is unknown."""
    name = _dotted_name(function)
    defining = _defining_function(function)
    if defining is None:
        return name
    return f"{name} ({defining.__code__.co_filename}:{defining.__code__.co_firstlineno})"


def return_annotation(function: Callable[..., Any]) -> Any:
    """Return the resolved annotation of a function's result.

    The result is ``EMPTY`` if there is no annotation, or one that cannot be resolved.
    """
    try:
        annotation = inspect.signature(function).return_annotation
        return _read_returns(annotation, *_namespaces(function)).annotation
    except (ValueError, *_UNRESOLVABLE):  # some builtins have no signature
        return EMPTY


def _dotted_name(function: Any) -> str:
    named = _innermost_of_partials(function)
    if not (hasattr(named, "__qualname__") and hasattr(named, "__module__")):
        named = type(named)
    return f"{named.__module__}.{named.__qualname__}"


def _innermost_of_partials(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function


def _call_kind(function: Any) -> tuple[CallKind, bool]:
    """Return the kind of a function, and whether that is certain.

    It is uncertain for a plain function that wraps another: most wrappers return what the wrapped function
    returns, but only a call can tell.
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


def _ensure_kind(function: Callable[..., Any], kind: CallKind, description: str) -> Callable[..., Any]:
    """Wrap a function so that calling it returns an object of ``kind``, whatever it returns itself."""

    async def as_coroutine(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    def as_async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        result = function(*args, **kwargs)
        if not isinstance(result, AsyncGenerator):
            raise TypeError(
                f"{description} wraps an async generator function, so it must return an async generator,"
                f" not {type(result).__name__}"
            )
        return result

    def as_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        result = function(*args, **kwargs)
        if isinstance(result, Generator):
            yield from result
        else:
            yield result

    adaptors: dict[CallKind, Callable[..., Any]] = {
        "coroutine": as_coroutine,
        "async_generator": as_async_generator,
        "generator": as_generator,
    }
    return wraps(function)(adaptors[kind])


def _read_signature(function: Callable[..., Any], description: str) -> tuple[tuple[Parameter, ...], Returns]:
    try:
        signature = inspect.signature(function)
    except ValueError:  # some builtins have no signature: they are called without arguments
        return (), Returns()
    except NameError as error:  # Python 3.14 evaluates annotations when they are read
        raise ConfigurationError(
            f"{description}: an annotation cannot be resolved: {error}; import it outside `if TYPE_CHECKING:`"
        ) from error
    bound = _partial_keywords(function)
    namespaces = _namespaces(function)
    parameters = tuple(
        _read_parameter(parameter, *namespaces)
        for parameter in signature.parameters.values()
        if parameter.name not in bound
    )
    return parameters, _read_returns(signature.return_annotation, *namespaces)


def _partial_keywords(function: Any) -> set[str]:
    """Return the keyword arguments bound by partials; a caller must not override them."""
    keywords: set[str] = set()
    while isinstance(function, partial):
        keywords.update(function.keywords)
        function = function.func
    return keywords


def _read_parameter(
    parameter: inspect.Parameter, global_names: dict[str, Any], local_names: dict[str, Any]
) -> Parameter:
    if parameter.annotation is EMPTY:
        return Parameter(parameter.name, parameter.kind, parameter.default, EMPTY)
    try:
        annotation = _resolve(parameter.name, parameter.annotation, global_names, local_names)
    except _UNRESOLVABLE as error:
        problem = f"its annotation {parameter.annotation!r} cannot be resolved: {error}"
        return Parameter(parameter.name, parameter.kind, parameter.default, EMPTY, problem)
    return Parameter(parameter.name, parameter.kind, parameter.default, annotation)


def _read_returns(annotation: Any, global_names: dict[str, Any], local_names: dict[str, Any]) -> Returns:
    if annotation is EMPTY:
        return Returns()
    try:
        return Returns(_resolve("return", annotation, global_names, local_names))
    except _UNRESOLVABLE as error:
        return Returns(problem=f"its return annotation {annotation!r} cannot be resolved: {error}")


def _resolve(name: str, annotation: Any, global_names: dict[str, Any], local_names: dict[str, Any]) -> Any:
    """Return one annotation with its forward references resolved. Raises one of _UNRESOLVABLE."""

    def probe() -> None:
        """Hold this annotation alone, so that it can be resolved even if another one cannot."""

    probe.__annotations__ = {name: annotation}
    return typing.get_type_hints(probe, global_names, local_names, include_extras=True)[name]


def _namespaces(function: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the global names that annotations may use, and those of enclosing functions."""
    defining = _defining_function(function)
    if defining is None:
        return {}, {}
    local_names = {parameter.__name__: parameter for parameter in getattr(defining, "__type_params__", ())}
    for name, cell in zip(defining.__code__.co_freevars, defining.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # the cell is still empty
            local_names[name] = cell.cell_contents
    return defining.__globals__, local_names


def _defining_function(function: Any) -> FunctionType | None:
    """Return the Python function whose parameters ``inspect.signature`` shows, or None."""
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
