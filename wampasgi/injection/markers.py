"""The markers of parameters: ``Depends``, and the markers of other frameworks, which are refused.

A marker is the default of a parameter or is part of the metadata of ``Annotated``. FastAPI's ``Depends``, or
the ``Provide`` of a container, means that the caller does not choose the value. Pydantic ignores such an
object, so without a refusal the payload would fill the parameter: a caller could send
``user={"name": "root"}``.
"""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

from wampasgi.errors import ConfigurationError
from wampasgi.injection.annotations import alias_value, is_union, nodes_of
from wampasgi.injection.callables import EMPTY, Parameter, UserFunction, describe, require_function


@dataclass(frozen=True, slots=True)
class Dependency:
    """The marker that ``Depends`` returns; a ``dependency`` of None stands for the annotated class."""

    dependency: Callable[..., Any] | None
    use_cache: bool


def Depends(dependency: Callable[..., Any] | None = None, *, use_cache: bool = True) -> Any:
    """Fill a parameter with the value that ``dependency`` returns or yields.

    Use it as the default of a parameter or in ``Annotated``. Without ``dependency`` the annotated class is
    called. A dependency is a function, class or callable object; sync ones run in a worker thread. The code
    of a generator after its ``yield`` runs when the call ends, in reverse order, and an error of the handler
    is raised at the ``yield``. The parameters of a dependency are filled like those of a handler, from the
    payload by name. It is evaluated once per call, or once per use with ``use_cache=False``.
    """
    return Dependency(dependency, use_cache)


#: Packages whose objects mark parameters that a caller must not fill. They are recognised by name, so none of
#: them is imported.
FRAMEWORKS: Final = frozenset(
    {
        "aioinject",
        "blacksheep",
        "dependency_injector",
        "di",
        "dishka",
        "esmerald",
        "fast_depends",
        "fastapi",
        "fastmcp",
        "faststream",
        "injector",
        "lilya",
        "litestar",
        "modern_di",
        "ninja",
        "ravyn",
        "rodi",
        "starlette",
        "starlite",
        "svcs",
        "taskiq",
        "taskiq_dependencies",
        "that_depends",
        "wireup",
    }
)

# Extensions such as fastapi_users and starlette_admin.
_EXTENSIONS: Final = ("fastapi_", "starlette_")

# The names of markers in other packages, such as ``Inject``, ``InjectMarker`` and ``TasksDepends``.
_MARKER_NAME: Final = re.compile(r"(?:^|[a-z0-9_])(?:Depends|Inject|Injected|Provide)(?:Marker)?$")

_USE_DEPENDS: Final = "use wampasgi's Depends(...), alone or beside it in the same Annotated"
_NO_MARKER: Final = "leave it out, because a caller's arguments need no marker, or use pydantic's Field"
_FROM_CONNECTION: Final = (
    "take `session: Session` instead, here or in a dependency: session.connection has the headers, cookies,"
    " query_params, url, client, user, auth and state of the connection. Or take Starlette's HTTPConnection"
)

#: The advice in the error, by the name of a marker's class or of a class that another framework fills.
_ADVICE: Final = {
    **dict.fromkeys(("Query", "Path", "Body", "Form", "File", "Parameter"), _NO_MARKER),
    **dict.fromkeys(("Header", "Cookie", "Request", "WebSocket", "HTTPConnection"), _FROM_CONNECTION),
    **dict.fromkeys(
        ("BackgroundTasks", "BackgroundTask"),
        "start tasks in a task group that the application's lifespan opens",
    ),
    "Response": "return the result itself, or an RPCResult",
    "UploadFile": "take `bytes` instead",
}


def dependency_of(parameter: Parameter) -> Dependency | None:
    """Return the ``Depends`` that fills a parameter, or None."""
    if isinstance(parameter.default, Dependency):
        return parameter.default
    return next(_effective_markers(parameter.annotation), None)


def checked_dependencies(where: str, given: object) -> tuple[Dependency, ...]:
    """Return the dependencies of a router or route, given as a list of ``Depends``.

    Raises ConfigurationError, prefixed with ``where``, for anything else.
    """
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise ConfigurationError(f"{where}: dependencies is {given!r}: write dependencies=[Depends(...)]")
    dependencies = tuple(given)
    for marker in dependencies:
        if not isinstance(marker, Dependency):
            name = describe(marker) if callable(marker) else repr(marker)
            raise ConfigurationError(f"{where}: dependencies has {name}: it takes wampasgi's Depends(...)")
        if marker.dependency is None:
            raise ConfigurationError(f"{where}: dependencies has Depends(), which needs a function here")
        require_function(f"{where}: Depends in dependencies", marker.dependency)
    return dependencies


def refuse_foreign_markers(function: UserFunction) -> None:
    """Raise ConfigurationError for a parameter with another framework's marker and no ``Depends`` of ours.

    A marker is an object of a class (or a class or function itself) that comes from one of FRAMEWORKS or is
    named like a marker. A function in ``Annotated`` is one, too, because nothing calls it. Also raises
    ConfigurationError for a ``Depends`` without effect: one that is not called, or is inside of another type,
    as in ``list[Annotated[User, Depends(f)]]``.
    """
    for parameter in function.parameters:
        where = f"{function.description}: the parameter {parameter.name!r}"
        metadata = list(_metadata(parameter.annotation))
        if any(marker is Depends or marker is Dependency for marker in (parameter.default, *metadata)):
            raise ConfigurationError(f"{where} has Depends itself as its marker: call it, Depends(...)")
        # FastAPI would fill the parameter by its default, and wampasgi by the marker in Annotated.
        if _is_foreign(parameter.default):
            raise ConfigurationError(f"{where} has as its default {_ignored(parameter.default)}")
        if dependency_of(parameter) is None:
            for marker in metadata:
                _refuse_metadata(where, marker)


def _refuse_metadata(where: str, marker: Any) -> None:
    if isinstance(marker, Dependency):
        raise ConfigurationError(
            f"{where} has Depends inside of another type, where it has no effect: put it around the whole"
            " type, Annotated[list[...], Depends(...)]"
        )
    if _is_foreign(marker):
        raise ConfigurationError(f"{where} has in its annotation {_ignored(marker)}")
    if isinstance(marker, types.FunctionType | types.MethodType | partial):
        raise ConfigurationError(
            f"{where} has in its annotation the function {describe(marker)}, which nothing calls: write"
            f" Depends({getattr(marker, '__name__', '...')})"
        )


def refuse_foreign_class(function: UserFunction, parameter: Parameter) -> None:
    """Raise ConfigurationError if only the payload could fill a parameter that another framework should fill.

    Such a parameter is annotated with a class of one of FRAMEWORKS, such as Starlette's Request.
    """
    for node in nodes_of(parameter.annotation):
        foreign = foreign_class(node)
        if foreign is not None:
            raise ConfigurationError(
                f"{function.description}: the parameter {parameter.name!r} is annotated with"
                f" {_full_name(foreign)}, which wampasgi does not pass and callers must not send:"
                f" {advice_for(foreign)}"
            )


def foreign_class(annotation: Any) -> type | None:
    """Return the class itself, or the base class, that comes from one of FRAMEWORKS, or None."""
    if not isinstance(annotation, type):
        return None
    bases = getattr(annotation, "__mro__", ())
    return next((base for base in bases if _root_package(base) in FRAMEWORKS), None)


def advice_for(foreign: type) -> str:
    """Return what to write instead of a class or marker of another framework."""
    names = [base.__name__ for base in foreign.__mro__]
    return next((_ADVICE[name] for name in names if name in _ADVICE), _USE_DEPENDS)


def _ignored(marker: Any) -> str:
    """Describe a foreign marker, which wampasgi ignores, with the way out."""
    kind = marker if _is_named(marker) else type(marker)
    advice = advice_for(kind) if isinstance(kind, type) else _USE_DEPENDS
    ignored = f"the marker {_full_name(kind)}, which wampasgi ignores"
    return f"{ignored}, so that callers could send the value: {advice}"


def _is_foreign(marker: Any) -> bool:
    if marker is EMPTY or isinstance(marker, Dependency):
        return False
    origins = [marker] if _is_named(marker) and not isinstance(marker, type) else _bases(marker)
    return any(_is_of_framework(origin) or _is_named_like_a_marker(origin) for origin in origins)


def _bases(marker: Any) -> tuple[type, ...]:
    return marker.__mro__ if isinstance(marker, type) else type(marker).__mro__


def _is_of_framework(origin: Any) -> bool:
    package = _root_package(origin)
    return package in FRAMEWORKS or package.startswith(_EXTENSIONS)


def _is_named_like_a_marker(origin: Any) -> bool:
    # The standard library has no markers, but classes with any name.
    known = _root_package(origin) in sys.stdlib_module_names
    return not known and _MARKER_NAME.search(origin.__name__) is not None


def _is_named(marker: Any) -> bool:
    """Return whether a marker is a class or function itself, which was not called."""
    return isinstance(marker, type | types.FunctionType | types.BuiltinFunctionType)


def _root_package(named: Any) -> str:
    return str(named.__module__).partition(".")[0]


def _full_name(named: Any) -> str:
    return f"{named.__module__}.{named.__qualname__}"


def _effective_markers(annotation: Any) -> Iterator[Dependency]:
    """Yield every ``Depends`` of an annotation, including those in a union; a payload must not replace it."""
    annotation = alias_value(annotation)
    if typing.get_origin(annotation) is Annotated:
        yield from (extra for extra in annotation.__metadata__ if isinstance(extra, Dependency))
        yield from _effective_markers(annotation.__origin__)
    elif is_union(annotation):
        for branch in typing.get_args(annotation):
            yield from _effective_markers(branch)


def _metadata(annotation: Any) -> Iterator[Any]:
    """Yield the metadata of every ``Annotated`` in an annotation, however deep it is."""
    for node in nodes_of(annotation):
        if typing.get_origin(node) is Annotated:
            yield from node.__metadata__
