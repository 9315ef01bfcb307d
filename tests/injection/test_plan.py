from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated, Any
from uuid import UUID

import anyio
import pytest
from anyio.lowlevel import checkpoint
from pydantic import Field

from wampasgi.errors import ConfigurationError, InvalidArgument
from wampasgi.injection.dependencies import DefaultArg, Depends
from wampasgi.injection.plan import HandlerPlan
from wampasgi.injection.results import RPCProgressReport, RPCResult

pytestmark = pytest.mark.anyio

SOME_ID = "6f1f3c0e-5f7a-4f0e-9d43-0d7a3f6f2a11"


class Session:
    pass


SESSION = Session()
PROVIDED: dict[str, type | None] = {"session": Session, "topic_uri": None}
VALUES = {"session": SESSION, "topic_uri": "com.topic"}
Log = list[Any]


def plan_of(function: Callable[..., Any], *, takes_payload: bool = True, **default_args: Any) -> HandlerPlan:
    defaults = {name: DefaultArg(value) for name, value in default_args.items()}
    return HandlerPlan.read(function, provided=PROVIDED, default_args=defaults, takes_payload=takes_payload)


def iterate(plan: HandlerPlan, *args: Any) -> AsyncGenerator[Any, None]:
    return plan.iterate(*args, closing=anyio.CancelScope())


async def coroutine(a: int, b: int = 0) -> int:
    return a + b


async def async_generator(a: int, b: int = 0) -> AsyncIterator[int]:
    yield a
    yield b


def plain(a: int, b: int = 0) -> int:
    return a + b


def generator(a: int) -> Iterator[int]:
    yield a


class Handlers:
    async def __call__(self, a: int, b: int = 0) -> int:
        return a + b

    async def method(self, a: int, b: int = 0) -> int:
        return a + b


def plain_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (coroutine, "coroutine"),
        (async_generator, "async_generator"),
        (plain, "sync"),
        (Handlers(), "coroutine"),
        (Handlers().method, "coroutine"),
        (functools.partial(coroutine), "coroutine"),
        (plain_wrapper(coroutine), "coroutine"),
        (plain_wrapper(async_generator), "async_generator"),
    ],
)
async def test_plan_has_the_kind_of_its_handler_and_runs_it(function: Callable[..., Any], kind: str) -> None:
    plan = plan_of(function)

    assert plan.kind == kind
    if plan.kind == "async_generator":
        assert [value async for value in iterate(plan, {}, [1], {"b": 2})] == [1, 2]
    else:
        assert await plan.call({}, [1], {"b": 2}) == 3


def test_plan_has_the_name_and_place_of_its_handler() -> None:
    plan = plan_of(coroutine)

    assert plan.name == f"{__name__}.coroutine"
    assert plan.description == f"{plan.name} ({__file__}:{coroutine.__code__.co_firstlineno})"


@pytest.mark.parametrize("function", [generator, plain_wrapper(generator), functools.partial(generator, 1)])
def test_sync_generator_function_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(
        ConfigurationError, match=r"generator \(.*\) is a sync generator function.* make it async with"
    ):
        plan_of(function)


@pytest.mark.parametrize(
    ("args", "kwargs", "bound"),
    [([1], {}, [1, 0]), ([1, 2], {}, [1, 2]), (["1"], {"b": "2"}, [1, 2]), ([], {"b": 2, "a": 1}, [1, 2])],
)
def test_arguments_are_bound_without_an_event_loop(args: Any, kwargs: Any, bound: Any) -> None:
    plan = plan_of(coroutine)

    assert plan.needs_solving is False
    assert plan.bind({}, args, kwargs) == (bound, {})


def test_calls_do_not_share_arguments() -> None:
    plan = plan_of(coroutine)

    assert plan.bind({}, [1, 2]) == ([1, 2], {})
    assert plan.bind({}, [3]) == ([3, 0], {})


def mixed(a: int, session: Session, /, b: int, db: str, *, c: int = 3, topic_uri: str) -> None: ...


def test_positional_arguments_fill_the_parameters_that_are_not_injected() -> None:
    plan = plan_of(mixed, db="database")

    bound = inspect.signature(mixed).bind(*plan.bind(VALUES, [1, 2])[0], **plan.bind(VALUES, [1, 2])[1])

    assert bound.arguments == {
        "a": 1,
        "session": SESSION,
        "b": 2,
        "db": "database",
        "c": 3,
        "topic_uri": "com.topic",
    }
    assert plan.bind(VALUES, [1], {"b": 2, "c": 4})[1] == {"c": 4, "topic_uri": "com.topic"}


@pytest.mark.parametrize("name", ["a", "session", "db", "topic_uri"])
def test_caller_cannot_send_injected_or_positional_only_arguments_by_name(name: str) -> None:
    plan = plan_of(mixed, db="database")

    with pytest.raises(InvalidArgument) as caught:
        plan.bind(VALUES, [1, 2], {name: 5})
    assert caught.value.kwargs["errors"] == [
        {
            "argument": name,
            "path": [],
            "reason": "takes a positional argument only" if name == "a" else "unexpected keyword argument",
            "type": "unexpected_keyword_argument",
        }
    ]


def test_caller_cannot_send_an_injected_argument_to_a_handler_with_variadic_keywords() -> None:
    def handler(session: Session, **kwargs: Any) -> None: ...

    plan = plan_of(handler)

    assert plan.bind(VALUES, [], {"name": 1}) == ([SESSION], {"name": 1})
    with pytest.raises(InvalidArgument, match="'session': unexpected keyword argument"):
        plan.bind(VALUES, [], {"session": 5})


def test_variadic_parameters_take_the_rest_of_the_payload() -> None:
    def handler(
        first: str, session: Session, *ids: UUID, flag: bool = False, **counts: Annotated[int, Field(gt=0)]
    ) -> None: ...

    plan = plan_of(handler)

    assert plan.bind(VALUES, ["a", SOME_ID], {"x": "1"}) == (
        ["a", SESSION, UUID(SOME_ID)],
        {"flag": False, "x": 1},
    )
    assert plan.bind(VALUES, ["a"]) == (["a", SESSION], {"flag": False})
    with pytest.raises(InvalidArgument) as caught:
        plan.bind(VALUES, ["a", "no id"], {"x": 0})
    assert [(error["argument"], error["path"]) for error in caught.value.kwargs["errors"]] == [
        ("ids", [0]),
        ("x", []),
    ]


def test_unusable_annotation_of_a_variadic_parameter_is_refused() -> None:
    def unresolvable(*args: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    def unschemable(**kwargs: Session) -> None: ...

    with pytest.raises(ConfigurationError, match="'args': its annotation 'Nowhere' cannot be resolved"):
        plan_of(unresolvable)
    with pytest.raises(ConfigurationError, match="'kwargs': its annotation cannot validate a payload"):
        plan_of(unschemable)


def test_handler_without_payload_needs_another_source_for_each_parameter() -> None:
    async def gatekeeper(session: Session, topic_uri: str, db: str, limit: int = 5, *args: Any) -> None: ...

    assert plan_of(gatekeeper, takes_payload=False, db="database").bind(VALUES) == (
        [SESSION, "com.topic", "database", 5],
        {},
    )
    with pytest.raises(ConfigurationError) as caught:
        plan_of(gatekeeper, takes_payload=False)
    place = f"{__file__}:{gatekeeper.__code__.co_firstlineno}"
    assert str(caught.value) == (
        f"{__name__}.{gatekeeper.__qualname__} ({place}):"
        " nothing can fill the parameter 'db': the framework has no argument of this name here;"
        " give it a default, add set_default_arg('db', ...), or use Depends"
    )


def test_dependency_of_a_handler_without_payload_cannot_read_arguments() -> None:
    def paged(limit: int) -> int:
        return limit

    async def gatekeeper(limit: int = Depends(paged)) -> None: ...

    with pytest.raises(
        ConfigurationError, match=r"paged \(.*'limit': the framework has no argument of this name"
    ):
        plan_of(gatekeeper, takes_payload=False)


def test_default_is_used_for_an_argument_that_the_framework_does_not_provide() -> None:
    async def handler(session: Session | None = None) -> None: ...

    async def needy(session: Session) -> None: ...

    assert plan_of(handler).bind({}) == ([None], {})
    with pytest.raises(LookupError, match=r"needy \(.*\) requires 'session', which this call does not have"):
        plan_of(needy).bind({})


def test_decorated_handler_gets_its_arguments_by_name() -> None:
    assert plan_of(plain_wrapper(coroutine)).bind({}, [1]) == ([], {"a": 1, "b": 0})


def test_decorated_handler_with_variadic_arguments_gets_its_arguments_by_position() -> None:
    @plain_wrapper
    def handler(a: int, *args: int) -> None: ...

    assert plan_of(handler).bind({}, [1, 2]) == ([1, 2], {})


async def test_sync_handler_runs_in_a_thread_with_the_callers_context() -> None:
    number: ContextVar[int] = ContextVar("number")

    def handler() -> tuple[int, int]:
        return number.get(), threading.get_ident()

    number.set(5)
    seen, thread = await plan_of(handler).call({})

    assert seen == 5
    assert thread != threading.get_ident()


async def test_awaitable_that_a_sync_handler_returns_is_awaited() -> None:
    def handler(a: int) -> Awaitable[int]:
        return coroutine(a)

    assert await plan_of(handler).call({}, [1]) == 1


@pytest.mark.parametrize("function", [coroutine, plain])
async def test_handler_does_not_run_with_invalid_arguments(function: Callable[..., Any]) -> None:
    with pytest.raises(InvalidArgument, match="argument 'a': Input should be a valid integer"):
        await plan_of(function).call({}, ["x"])


async def test_error_of_the_handler_is_raised_to_the_caller() -> None:
    async def handler() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await plan_of(handler).call({})


async def opened(log: Log) -> AsyncIterator[None]:
    log.append("open")
    try:
        yield
    except BaseException as error:
        log.append(type(error).__name__)
        raise
    else:
        log.append("done")
    finally:
        log.append("close")


async def counting(
    log: Log, until: int = 2, final: Any = None, resource: None = Depends(opened)
) -> AsyncIterator[Any]:
    try:
        for number in range(until):
            yield RPCProgressReport(number)
        yield final
    finally:
        await checkpoint()
        log.append("generator closed")


async def test_dependencies_are_open_until_the_generator_has_ended() -> None:
    log: Log = []
    async for value in iterate(plan_of(counting, log=log), {}, [1]):
        log.append(value)

    assert log == ["open", RPCProgressReport(0), None, "generator closed", "done", "close"]


async def test_generator_does_not_start_with_invalid_arguments() -> None:
    log: Log = []
    with pytest.raises(InvalidArgument):
        await anext(iterate(plan_of(counting, log=log), {}, ["x"]))
    assert log == []


async def test_closing_a_generator_after_its_final_value_is_a_success() -> None:
    log: Log = []
    values = iterate(plan_of(counting, log=log), {}, [0], {"final": RPCResult(5)})

    assert await anext(values) == RPCResult(5)
    await values.aclose()

    assert log == ["open", "generator closed", "done", "close"]


async def test_closing_a_generator_before_its_final_value_raises_generator_exit_in_dependencies() -> None:
    log: Log = []
    values = iterate(plan_of(counting, log=log), {}, [1])

    await anext(values)
    await values.aclose()

    assert log == ["open", "generator closed", "GeneratorExit", "close"]


async def test_error_of_the_generator_reaches_dependencies_and_caller() -> None:
    log: Log = []

    async def failing(resource: None = Depends(opened)) -> AsyncIterator[int]:
        yield 1
        raise KeyError("mine")

    values = iterate(plan_of(failing, log=log), {})
    log.append(await anext(values))
    with pytest.raises(KeyError, match="mine"):
        await anext(values)
    assert log == ["open", 1, "KeyError", "close"]


async def test_generator_does_not_start_if_a_dependency_fails() -> None:
    log: Log = []

    async def broken() -> None:
        raise KeyError

    async def handler(a: None = Depends(opened), b: None = Depends(broken)) -> AsyncIterator[int]:
        log.append("started")
        yield 1

    with pytest.raises(KeyError):
        await anext(iterate(plan_of(handler, log=log), {}))
    assert log == ["open", "KeyError", "close"]


async def test_error_while_closing_the_generator_reaches_dependencies_and_caller() -> None:
    log: Log = []

    async def handler(a: None = Depends(opened)) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise KeyError("closing")

    values = iterate(plan_of(handler, log=log), {})
    await anext(values)

    with pytest.raises(KeyError, match="closing"):
        await values.aclose()
    assert log == ["open", "KeyError", "close"]


async def test_thrown_error_is_raised_at_the_yield_of_the_handler() -> None:
    log: Log = []

    async def handler(a: None = Depends(opened)) -> AsyncIterator[str]:
        try:
            yield "first"
        except KeyError:
            yield "caught"

    values = iterate(plan_of(handler, log=log), {})

    assert await anext(values) == "first"
    assert await values.athrow(KeyError()) == "caught"
    with pytest.raises(LookupError):
        await values.athrow(LookupError())
    assert log == ["open", "LookupError", "close"]


async def test_cancellation_inside_the_generator_closes_generator_and_dependencies() -> None:
    log: Log = []

    async def handler(a: None = Depends(opened)) -> AsyncIterator[int]:
        try:
            yield 1
            scope.cancel()
            await checkpoint()
        finally:
            log.append("generator closed")

    with anyio.CancelScope() as scope:
        async for _ in iterate(plan_of(handler, log=log), {}):
            log.append("value")

    assert scope.cancelled_caught
    assert log[:3] == ["open", "value", "generator closed"]
    assert log[3] in ("Cancelled", "CancelledError")
    assert log[4] == "close"


async def test_handler_decorated_as_a_context_manager_is_iterated_like_its_generator() -> None:
    log: Log = []

    @asynccontextmanager
    async def lifespan(session: Session) -> AsyncIterator[None]:
        log.append(session)
        yield
        log.append("end")

    async for _ in iterate(plan_of(lifespan, takes_payload=False), VALUES):
        log.append("meanwhile")

    assert log == [SESSION, "meanwhile", "end"]


async def test_call_and_iterate_refer_to_each_other_for_the_wrong_kind_of_handler() -> None:
    with pytest.raises(TypeError, match="async_generator is an async generator: use iterate"):
        await plan_of(async_generator).call({}, [1])
    with pytest.raises(TypeError, match="coroutine is not an async generator: use call"):
        await anext(iterate(plan_of(coroutine), {}, [1]))
