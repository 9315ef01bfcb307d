"""Contracts: classes whose methods are procedures, for callers and implementers alike.

A type checker holds both sides to the same signatures::

    class Math(Contract, prefix="math."):
        async def add(self, a: int, b: int = 0) -> int: ...

    total = await session.use(Math).add(1, b=2)

    class MathImplementation(Math):
        async def add(self, a: int, b: int = 0) -> int:
            return a + b

    client.serve(MathImplementation())
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, Final, Protocol, TypeVar, get_args, get_origin

from wampasgi.client.errors import InvalidResult
from wampasgi.errors import ConfigurationError
from wampasgi.payload import Payload
from wampasgi.protocol.uris import check_uri
from wampasgi.types import Handler

_ATTRIBUTE: Final = "__wampasgi_uri__"
_PROGRESSIVE: Final = (AsyncIterator, AsyncGenerator)

M = TypeVar("M", bound=Callable[..., Any])


def uri(text: str) -> Callable[[M], M]:
    """Give a method of a contract a URI that is not its name. The contract's prefix is put before it."""

    def mark(method: M) -> M:
        setattr(method, _ATTRIBUTE, text)
        return method

    return mark


class Contract:
    """The base of contracts.

    Each public method of a subclass that is a coroutine function is a procedure, named by the prefix and the
    name of the method or its ``uri``. The annotation of the return value is the type that the result is
    converted to. An async generator method is a procedure with progressive results: the caller iterates over
    them, and over the final result at the end, if it is not empty. Raises ConfigurationError when the class
    is defined, for a method that cannot be a procedure.
    """

    #: The URIs of the procedures, by the names of the methods.
    procedures: ClassVar[Mapping[str, str]] = {}
    _prefix: ClassVar[str] = ""

    def __init_subclass__(cls, *, prefix: str | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if prefix is not None:
            cls._prefix = prefix
        # An implementation adds no procedures: they are those of the contract that it implements.
        if prefix is None and any(base.procedures for base in cls.__bases__ if issubclass(base, Contract)):
            return
        found = dict(cls.procedures)
        for name, method in vars(cls).items():
            if not name.startswith("_") and inspect.isfunction(method):
                found[name] = _checked(cls, name, method, cls._prefix + getattr(method, _ATTRIBUTE, name))
        cls.procedures = found


def _checked(contract: type, name: str, method: Callable[..., Any], text: str) -> str:
    where = f"{contract.__qualname__}.{name}"
    if not inspect.iscoroutinefunction(method) and not _is_progressive(method):
        raise ConfigurationError(f"{where} must be an async function, because it is a procedure")
    if not check_uri(text):
        raise ConfigurationError(f"{where}: {text!r} is not a valid URI of a procedure")
    return text


def _is_progressive(method: Callable[..., Any]) -> bool:
    """Return whether a method returns progressive results. In a contract, its body may be only ``...``."""
    return inspect.isasyncgenfunction(method) or _origin(method) in _PROGRESSIVE


def _origin(method: Callable[..., Any]) -> Any:
    return get_origin(_return_type(method))


def _return_type(method: Callable[..., Any]) -> Any:
    try:
        return typing.get_type_hints(method, include_extras=True).get("return", Any)
    except NameError as error:
        raise ConfigurationError(
            f"the annotations of {method.__qualname__} cannot be resolved: {error}"
        ) from error


class Calling(Protocol):
    """A session, as far as a contract needs it."""

    async def call(self, procedure: str, /, *args: Any, result_type: Any) -> Any:
        """Call a procedure."""

    def call_progress(self, procedure: str, /, *args: Any, result_type: Any, progress_type: Any) -> Any:
        """Call a procedure with progressive results."""


class BlockingProgress(Protocol):
    """A call with progressive results, as far as a contract needs it."""

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the progressive results."""

    def result(self) -> Any:
        """Wait for the final result and return it."""


class BlockingCalling(Protocol):
    """A session whose methods block, as far as a contract needs it."""

    def call(self, procedure: str, /, *args: Any, result_type: Any) -> Any:
        """Call a procedure and return its result."""

    def call_progress(
        self, procedure: str, /, *args: Any, result_type: Any, progress_type: Any
    ) -> AbstractContextManager[BlockingProgress]:
        """Call a procedure with progressive results."""


C = TypeVar("C", bound=Contract)


def caller(session: Calling, contract: type[C]) -> C:
    """Return an object of the contract whose methods call the procedures in a session."""
    methods = {name: _async_method(session, method) for name, method in _methods_of(contract).items()}
    # Without the constructor of the contract, which belongs to implementations.
    calling: type[C] = type(contract.__name__, (contract,), methods)
    return object.__new__(calling)


def blocking_caller(session: BlockingCalling, contract: type[Contract]) -> Any:
    """Return an object with the methods of the contract, which block until the result arrives.

    Methods with progressive results are generators. The object is not an instance of the contract, whose
    methods are coroutine functions; its type is Any for the same reason.
    """
    methods = {name: _blocking_method(session, method) for name, method in _methods_of(contract).items()}
    return type(contract.__name__, (), methods)()


class _Method:
    """A method of a contract, as its callers need it."""

    def __init__(self, procedure: str, method: Callable[..., Any]) -> None:
        self.procedure = procedure
        self.is_progressive = _is_progressive(method)
        self._signature = inspect.Signature(list(inspect.signature(method).parameters.values())[1:])
        returns = _return_type(method)
        #: The type of the result; of each item, if there are progressive results.
        self.result_type: Any = Any
        if not self.is_progressive:
            self.result_type = Any if returns is None or returns is type(None) else returns
        elif get_args(returns):
            self.result_type = get_args(returns)[0]

    def payload(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Payload:
        """Return the payload of a call. Raises TypeError for arguments that the method does not have."""
        bound = self._signature.bind(*args, **kwargs)
        return Payload(bound.args, bound.kwargs)


def _methods_of(contract: type[Contract]) -> dict[str, _Method]:
    given: object = contract
    if not (isinstance(given, type) and issubclass(given, Contract) and given.procedures):
        raise ConfigurationError(f"use() needs a subclass of Contract with methods, got {contract!r}")
    return {
        name: _Method(procedure, getattr(contract, name)) for name, procedure in contract.procedures.items()
    }


@contextmanager
def _may_be_empty() -> Iterator[None]:
    """Accept an empty final result, which does not have the type of the items."""
    try:
        yield
    except InvalidResult as error:
        if error.value is not None:
            raise


def _async_method(session: Calling, method: _Method) -> Callable[..., Any]:
    procedure, item = method.procedure, method.result_type

    async def iterate(_: Contract, /, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        payload = method.payload(args, kwargs)
        async with session.call_progress(procedure, payload, result_type=item, progress_type=item) as call:
            async for report in call:
                yield report
            final = None
            with _may_be_empty():
                final = await call.result()
            if final is not None:
                yield final

    async def call(_: Contract, /, *args: Any, **kwargs: Any) -> Any:
        return await session.call(procedure, method.payload(args, kwargs), result_type=item)

    return iterate if method.is_progressive else call


def _blocking_method(session: BlockingCalling, method: _Method) -> Callable[..., Any]:
    procedure, item = method.procedure, method.result_type

    def iterate(_: object, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        payload = method.payload(args, kwargs)
        with session.call_progress(procedure, payload, result_type=item, progress_type=item) as call:
            yield from call
            final = None
            with _may_be_empty():
                final = call.result()
            if final is not None:
                yield final

    def call(_: object, /, *args: Any, **kwargs: Any) -> Any:
        return session.call(procedure, method.payload(args, kwargs), result_type=item)

    return iterate if method.is_progressive else call


def procedures_of(implementation: object) -> Iterator[tuple[str, Handler]]:
    """Yield the URI and the bound method of each procedure that an object implements.

    Raises ConfigurationError if the object is not an implementation of a contract, or if one of the methods
    is not overridden.
    """
    contract = type(implementation)
    if not issubclass(contract, Contract) or not contract.procedures:
        raise ConfigurationError(
            f"serve() needs an object of a class that implements a Contract, got {implementation!r}"
        )
    for name, text in contract.procedures.items():
        defined_in = next(base for base in contract.__mro__ if name in vars(base))
        if "procedures" in vars(defined_in):
            raise ConfigurationError(f"{contract.__qualname__} does not implement {name}, for {text!r}")
        yield text, getattr(implementation, name)
