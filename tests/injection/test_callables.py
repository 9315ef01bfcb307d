from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import pytest

from wampasgi.errors import ConfigurationError
from wampasgi.injection.callables import EMPTY, Returns, UserFunction, describe, return_annotation

if TYPE_CHECKING:
    from decimal import Decimal

pytestmark = pytest.mark.anyio


async def coroutine(a: int = 1) -> int:
    return a


async def async_generator(a: int = 1) -> AsyncIterator[int]:
    yield a


def generator(a: int = 1) -> Iterator[int]:
    yield a


def plain(a: int = 1) -> int:
    return a


@asynccontextmanager
async def async_manager(a: int = 1) -> AsyncIterator[int]:
    yield a


@contextmanager
def manager(a: int = 1) -> Iterator[int]:
    yield a


def plain_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def async_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Handlers:
    async def method(self, a: int) -> int:
        return a

    @classmethod
    async def of_class(cls, a: int) -> int:
        return a

    @plain_wrapper
    async def decorated(self, a: int) -> int:
        return a


class AsyncCallable:
    async def __call__(self, a: int) -> int:
        return a


class GeneratorCallable:
    async def __call__(self, a: int) -> AsyncIterator[int]:
        yield a


class SyncCallable:
    def __call__(self, a: int) -> int:
        return a


class HoldsPartial:
    __call__ = staticmethod(functools.partial(coroutine, 1))


class HoldsBuiltin:
    __call__ = len


@dataclass
class Page:
    size: int = 10


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (coroutine, "coroutine"),
        (async_generator, "async_generator"),
        (generator, "generator"),
        (plain, "sync"),
        (functools.partial(coroutine, 1), "coroutine"),
        (functools.partial(functools.partial(async_generator), a=1), "async_generator"),
        (functools.partial(plain, 1), "sync"),
        (staticmethod(coroutine), "coroutine"),
        (Handlers().method, "coroutine"),
        (Handlers.of_class, "coroutine"),
        (Handlers().decorated, "coroutine"),
        (AsyncCallable(), "coroutine"),
        (functools.partial(AsyncCallable(), 1), "coroutine"),
        (GeneratorCallable(), "async_generator"),
        (SyncCallable(), "sync"),
        (HoldsPartial(), "coroutine"),
        (AsyncCallable, "sync"),
        (Page, "sync"),
        (dict, "sync"),
        (functools.lru_cache(plain), "sync"),
        (plain_wrapper(coroutine), "coroutine"),
        (plain_wrapper(async_generator), "async_generator"),
        (plain_wrapper(generator), "generator"),
        (plain_wrapper(plain), "sync"),
        (async_wrapper(plain), "coroutine"),
        (async_wrapper(generator), "coroutine"),
        (async_manager, "async_generator"),
        (manager, "generator"),
    ],
)
def test_kind_of_a_callable_is_the_kind_of_object_that_it_returns(function: Any, kind: str) -> None:
    assert UserFunction.read(function).kind == kind


async def test_plain_wrapper_of_a_coroutine_function_may_return_a_value_or_a_coroutine() -> None:
    @functools.wraps(coroutine)
    def cached(a: int) -> Any:
        return a if a == 1 else coroutine(a)

    function = UserFunction.read(cached).function

    assert [await function(1), await function(2)] == [1, 2]


def test_plain_wrapper_of_a_generator_function_may_return_a_value_or_a_generator() -> None:
    @functools.wraps(generator)
    def first(a: int) -> Any:
        return a if a == 1 else generator(a)

    function = UserFunction.read(first).function

    assert [*function(1), *function(2)] == [1, 2]


def test_plain_wrapper_of_an_async_generator_function_must_return_an_async_generator() -> None:
    @functools.wraps(async_generator)
    def wrapper(a: int) -> Any:
        return a

    with pytest.raises(TypeError, match=r"wrapper|async_generator.* must return an async generator, not int"):
        UserFunction.read(wrapper).function(1)


def test_object_that_is_not_callable_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="got 5, which is not callable"):
        UserFunction.read(cast("Any", 5))


@pytest.mark.parametrize("function", [coroutine, generator, async_generator])
def test_result_of_a_call_is_refused_with_the_place_of_its_function(function: Callable[[], Any]) -> None:
    line = function.__code__.co_firstlineno

    with pytest.raises(
        ConfigurationError,
        match=rf"{function.__name__} \({__file__}:{line}\) returned: pass the function itself",
    ):
        UserFunction.read(function())


class Cart:
    async def add(self, item: int) -> int:
        return item

    @plain_wrapper
    async def decorated(self, item: int) -> int:
        return item

    async def of_class(cls, item: int) -> int:
        return item

    @staticmethod
    async def static(self: int) -> int:
        return self

    @classmethod
    async def class_method(cls, item: int) -> int:
        return item


@pytest.mark.parametrize("function", [Cart.add, Cart.decorated, Cart.of_class, functools.partial(Cart.add)])
def test_method_without_its_object_is_refused(function: Any) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"is a method without its object.*app\.procedure\(uri\)\(cart\.\w+\), instead of decorating it",
    ):
        UserFunction.read(function)


def test_method_of_an_object_has_no_parameter_for_it() -> None:
    def nested(self: int) -> int:
        return self

    for function in (Cart().add, Cart().decorated, Cart.class_method, functools.partial(Cart.add, Cart())):
        assert [parameter.name for parameter in UserFunction.read(function).parameters] == ["item"]
    assert [parameter.name for parameter in UserFunction.read(nested).parameters] == ["self"]


def test_class_method_object_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"classmethod.* is not callable"):
        UserFunction.read(vars(Cart)["class_method"])


def test_description_has_the_file_and_line_of_the_function() -> None:
    line = plain.__code__.co_firstlineno

    assert describe(plain) == f"{__name__}.plain ({__file__}:{line})"
    assert describe(functools.partial(plain, 1)) == describe(plain)
    assert describe(plain_wrapper(plain)) == describe(plain)
    assert describe(AsyncCallable()).startswith(f"{__name__}.AsyncCallable ({__file__}:")
    assert describe(Handlers().method).startswith(f"{__name__}.Handlers.method ({__file__}:")
    assert (
        describe(HoldsPartial())
        == f"{__name__}.HoldsPartial ({__file__}:{coroutine.__code__.co_firstlineno})"
    )
    assert describe(HoldsBuiltin()) == f"{__name__}.HoldsBuiltin"
    assert describe(AsyncCallable) == f"{__name__}.AsyncCallable"
    assert describe(dict) == "builtins.dict"


def test_annotations_are_resolved_and_keep_the_metadata_of_annotated() -> None:
    def function(a: Annotated[int, "positive"], b: list[Page], c) -> Decimal | None: ...  # type: ignore[no-untyped-def]

    a, b, c = UserFunction.read(function).parameters

    assert a.annotation == Annotated[int, "positive"]
    assert b.annotation == list[Page]
    assert c.annotation is EMPTY


def test_annotation_may_name_a_local_of_the_enclosing_function() -> None:
    class Local:
        pass

    def function(a: Local) -> Any:
        return Local

    assert UserFunction.read(function).parameters[0].annotation is Local


def test_unbound_name_in_a_closure_does_not_affect_other_annotations() -> None:
    def function(a: int) -> Any:
        return later

    (parameter,) = UserFunction.read(function).parameters
    later = 1

    assert parameter.annotation is int
    assert function(1) == later


def test_unresolvable_annotation_affects_only_its_parameter() -> None:
    def function(a: Decimal, b: int) -> None: ...

    a, b = UserFunction.read(function).parameters

    assert a.annotation is EMPTY
    assert a.problem == "its annotation 'Decimal' cannot be resolved: name 'Decimal' is not defined"
    assert (b.annotation, b.problem) == (int, None)


def test_return_annotation_is_resolved_and_its_problem_is_kept() -> None:
    def known(page: Page) -> list[Page]:
        return [page]

    def unknown(amount: str) -> Decimal:
        raise NotImplementedError

    def missing(page: Page): ...  # type: ignore[no-untyped-def]

    assert UserFunction.read(functools.partial(known)).returns == Returns(list[Page])
    assert UserFunction.read(plain_wrapper(known)).returns == Returns(list[Page])
    assert UserFunction.read(missing).returns == UserFunction.read(dict).returns == Returns(EMPTY)
    assert UserFunction.read(unknown).returns.annotation is EMPTY
    assert "'Decimal' cannot be resolved" in (UserFunction.read(unknown).returns.problem or "")


def test_signature_declared_by_a_wrapper_is_used() -> None:
    def other(page: Page) -> None: ...

    wrapper = plain_wrapper(plain)
    vars(wrapper)["__signature__"] = inspect.signature(other)
    (parameter,) = UserFunction.read(wrapper).parameters

    assert (parameter.name, parameter.annotation) == ("page", Page)


def test_signature_declared_by_an_object_is_used() -> None:
    page = SyncCallable()
    vars(page)["__signature__"] = inspect.signature(plain)

    assert UserFunction.read(page).parameters[0].default == 1
    assert describe(page) == f"{__name__}.SyncCallable"


def test_arguments_bound_by_a_partial_are_not_parameters() -> None:
    def function(a: int, b: int, *, c: int) -> None: ...

    read = UserFunction.read(functools.partial(functools.partial(function, c=3), 1))

    assert [parameter.name for parameter in read.parameters] == ["b"]


def test_builtin_without_a_signature_has_no_parameters() -> None:
    assert UserFunction.read(dict).parameters == ()


def test_error_names_the_function_whose_annotations_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    # Python 3.14 raises this if an annotation names something that only a type checker imports.
    def signature(function: object) -> None:
        raise NameError("name 'Decimal' is not defined")

    monkeypatch.setattr(inspect, "signature", signature)

    with pytest.raises(
        ConfigurationError, match=r"plain \(.*: an annotation cannot be resolved: name 'Decimal'"
    ):
        UserFunction.read(plain)


class Adder:
    def __call__(self) -> Annotated[int, "sum"]:
        return 0


def unresolvable() -> Decimal:
    raise NotImplementedError


def unannotated():  # type: ignore[no-untyped-def]
    return 0


@pytest.mark.parametrize(
    ("function", "annotation"),
    [
        (coroutine, int),
        (async_manager, AsyncIterator[int]),
        (plain_wrapper(coroutine), int),
        (functools.partial(plain, a=2), int),
        (Adder(), Annotated[int, "sum"]),
        (unresolvable, EMPTY),
        (unannotated, EMPTY),
        (lambda: 0, EMPTY),
        (dict, EMPTY),
    ],
)
def test_return_annotation_is_resolved(function: Callable[..., Any], annotation: Any) -> None:
    assert return_annotation(function) == annotation
