from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import anyio
import pytest
from anyio.lowlevel import checkpoint
from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from wampasgi.errors import ConfigurationError, InvalidArgument
from wampasgi.injection.dependencies import DefaultArg, Depends
from wampasgi.injection.plan import HandlerPlan

if TYPE_CHECKING:
    from decimal import Decimal

pytestmark = pytest.mark.anyio


class Session:
    def __init__(self, name: str = "joe") -> None:
        self.name = name


class Database:
    pass


class Unrelated:
    pass


class HasName(Protocol):
    name: str


Log = list[str]
PROVIDED: dict[str, type | None] = {"session": Session, "topic_uri": None}


def plan_of(
    function: Callable[..., Any], *, takes_payload: bool = True, **default_args: DefaultArg
) -> HandlerPlan:
    return HandlerPlan.read(
        function, provided=PROVIDED, default_args=default_args, takes_payload=takes_payload
    )


async def call(function: Callable[..., Any], *args: Any, log: Log | None = None, **kwargs: Any) -> Any:
    plan = plan_of(function, log=DefaultArg(log))
    return await plan.call({"session": Session()}, args, kwargs)


def current_user(session: Session) -> str:
    return session.name


async def upper_case_user(user: str = Depends(current_user)) -> str:
    return user.upper()


class Greeter:
    def __init__(self, greeting: str) -> None:
        self.greeting = greeting

    async def __call__(self, user: str = Depends(upper_case_user)) -> str:
        return f"{self.greeting} {user}"

    def method(self) -> str:
        return self.greeting


@dataclass
class Page:
    limit: int = 10
    tags: list[str] = field(default_factory=list)


class Filter(BaseModel):
    names: list[str] = Field(default_factory=lambda: ["default"])


@dataclass
class Unhashable:
    greeting: str

    def __call__(self) -> str:
        return self.greeting


@asynccontextmanager
async def managed() -> AsyncIterator[str]:
    yield "managed"


def positional_only(session: Session, limit: int = 3, /) -> tuple[str, int]:
    return session.name, limit


CurrentUser = TypeAliasType("CurrentUser", Annotated[str, Depends(current_user)])


async def as_default(value: Any = Depends(upper_case_user)) -> Any:
    return value


async def in_annotated(value: Annotated[str, Depends(upper_case_user)]) -> Any:
    return value


async def in_annotated_with_default(value: Annotated[str, Depends(upper_case_user)] = "default") -> Any:
    return value


async def in_union(value: Annotated[str, Depends(upper_case_user)] | None) -> Any:
    return value


async def in_annotated_union(
    value: Annotated[Annotated[str, Depends(upper_case_user)] | None, "more"],
) -> Any:
    return value


async def in_alias(value: CurrentUser) -> Any:
    return value


async def of_class(value: Annotated[Page, Depends()]) -> Any:
    return value


async def of_optional_class(value: Page | None = Depends()) -> Any:
    return value


async def of_model(value: Annotated[Filter, Depends()]) -> Any:
    return value


HELLO, BYE, BOUND = Greeter("hello"), functools.partial(Greeter("bye"), user="you"), Greeter("bound").method
HI = Unhashable("hi")


async def of_object(value: Any = Depends(HELLO)) -> Any:
    return value


async def of_unhashable(value: Any = Depends(HI)) -> Any:
    return value


async def of_partial(value: Any = Depends(BYE)) -> Any:
    return value


async def of_method(value: Any = Depends(BOUND)) -> Any:
    return value


async def of_context_manager(value: Any = Depends(managed)) -> Any:
    return value


async def of_coroutine_in_thread(value: Any = Depends(lambda: upper_case_user("lambda"))) -> Any:
    return value


async def of_positional_only(value: Any = Depends(positional_only)) -> Any:
    return value


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (as_default, "JOE"),
        (in_annotated, "JOE"),
        (in_annotated_with_default, "JOE"),
        (in_union, "JOE"),
        (in_annotated_union, "JOE"),
        (in_alias, "joe"),
        (of_class, Page()),
        (of_optional_class, Page()),
        (of_model, Filter(names=["default"])),
        (of_object, "hello JOE"),
        (of_unhashable, "hi"),
        (of_partial, "bye you"),
        (of_method, "bound"),
        (of_context_manager, "managed"),
        (of_coroutine_in_thread, "LAMBDA"),
        (of_positional_only, ("joe", 3)),
    ],
)
async def test_dependency_fills_the_parameter(function: Callable[..., Any], value: Any) -> None:
    assert await call(function) == value


async def test_caller_cannot_send_the_value_of_a_dependency() -> None:
    for function in (as_default, in_annotated, in_union, in_annotated_union, in_alias):
        with pytest.raises(InvalidArgument, match="'value': unexpected keyword argument"):
            await call(function, value="mine")
        with pytest.raises(InvalidArgument, match="takes no positional arguments, got 1"):
            await call(function, "mine")


async def test_dependency_reads_keyword_arguments_by_name() -> None:
    assert await call(of_class, limit="5", tags=["a"]) == Page(5, ["a"])
    assert await call(of_positional_only, limit=5) == ("joe", 5)
    with pytest.raises(InvalidArgument, match="argument 'limit': Input should be a valid integer"):
        await call(of_class, limit="many")


async def test_dependency_may_read_an_argument_of_the_handler() -> None:
    async def document(document_id: int) -> str:
        return f"document {document_id}"

    async def get(document_id: str, found: str = Depends(document)) -> tuple[str, str]:
        return document_id, found

    assert await call(get, "7") == ("7", "document 7")
    assert await call(get, document_id="7") == ("7", "document 7")


async def test_invalid_payload_is_refused_before_any_dependency_runs() -> None:
    log: Log = []

    async def opened(log: Log) -> None:
        log.append("opened")

    async def handler(a: int, value: None = Depends(opened)) -> None: ...

    with pytest.raises(InvalidArgument):
        await call(handler, "x", log=log)
    assert log == []


async def test_dependency_is_evaluated_once_per_call_unless_caching_is_off() -> None:
    log: Log = []

    async def count(log: Log) -> int:
        log.append("counted")
        return len(log)

    async def one(number: int = Depends(count)) -> int:
        return number

    async def two(number: int = Depends(count)) -> int:
        return number

    async def handler(
        a: int = Depends(one),
        b: int = Depends(two),
        c: int = Depends(count),
        d: int = Depends(count, use_cache=False),
        e: int = Depends(count, use_cache=False),
    ) -> tuple[int, ...]:
        return a, b, c, d, e

    assert await call(handler, log=log) == (1, 1, 1, 2, 3)
    assert await call(handler, log=log) == (4, 4, 4, 5, 6)


async def test_sync_dependency_runs_in_a_thread_with_the_callers_context() -> None:
    number: ContextVar[int] = ContextVar("number")

    def in_thread() -> tuple[int, int]:
        return number.get(), threading.get_ident()

    async def handler(value: tuple[int, int] = Depends(in_thread)) -> tuple[int, int]:
        return value

    number.set(5)
    seen, thread = await call(handler)

    assert seen == 5
    assert thread != threading.get_ident()


def logged_resource(name: str, *, in_thread: bool) -> Callable[..., Any]:
    async def resource(log: Log) -> AsyncIterator[str]:
        log.append(f"open {name}")
        try:
            yield name
        except BaseException as error:
            log.append(f"{name} sees {type(error).__name__}")
            raise
        finally:
            log.append(f"close {name}")

    def sync_resource(log: Log) -> Iterator[str]:
        log.append(f"open {name}")
        try:
            yield name
        except BaseException as error:
            log.append(f"{name} sees {type(error).__name__}")
            raise
        finally:
            log.append(f"close {name}")

    return sync_resource if in_thread else resource


@pytest.fixture(params=[False, True], ids=["async", "sync"])
def resource_maker(request: pytest.FixtureRequest) -> Callable[[str], Callable[..., Any]]:
    return functools.partial(logged_resource, in_thread=request.param)


async def test_yield_dependencies_are_closed_in_reverse_order(
    resource_maker: Callable[[str], Callable[..., Any]],
) -> None:
    log: Log = []

    async def handler(
        log: Log, a: str = Depends(resource_maker("a")), b: str = Depends(resource_maker("b"))
    ) -> str:
        log.append("handle")
        return a + b

    assert await call(handler, log=log) == "ab"
    assert log == ["open a", "open b", "handle", "close b", "close a"]


async def test_error_of_the_handler_is_raised_at_the_yield(
    resource_maker: Callable[[str], Callable[..., Any]],
) -> None:
    log: Log = []

    async def handler(a: str = Depends(resource_maker("a")), b: str = Depends(resource_maker("b"))) -> None:
        raise KeyError(a + b)

    with pytest.raises(KeyError, match="ab"):
        await call(handler, log=log)
    assert log == ["open a", "open b", "b sees KeyError", "close b", "a sees KeyError", "close a"]


async def test_error_of_a_later_dependency_closes_the_earlier_ones() -> None:
    log: Log = []

    async def broken() -> None:
        raise KeyError

    async def handler(
        a: str = Depends(logged_resource("a", in_thread=False)), b: None = Depends(broken)
    ) -> None: ...

    with pytest.raises(KeyError):
        await call(handler, log=log)
    assert log == ["open a", "a sees KeyError", "close a"]


async def test_cancelled_call_closes_its_dependencies(
    resource_maker: Callable[[str], Callable[..., Any]],
) -> None:
    log: Log = []

    async def slow_to_close(log: Log) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await checkpoint()
            log.append("closed slowly")

    async def handler(a: str = Depends(resource_maker("a")), b: None = Depends(slow_to_close)) -> None:
        scope.cancel()
        await checkpoint()

    with anyio.CancelScope() as scope:
        await call(handler, log=log)
    assert scope.cancelled_caught
    assert log == ["open a", "closed slowly", "a sees " + log[2].rpartition(" ")[2], "close a"]
    assert log[2] in ("a sees CancelledError", "a sees Cancelled")


async def test_dependency_may_yield_a_task_group() -> None:
    done: Log = []

    async def worker() -> None:
        done.append("worked")

    async def tasks() -> AsyncIterator[anyio.abc.TaskGroup]:
        async with anyio.create_task_group() as group:
            yield group

    async def handler(group: Any = Depends(tasks)) -> None:
        group.start_soon(worker)

    await call(handler)

    assert done == ["worked"]


async def test_dependency_cannot_suppress_an_error_for_the_caller_and_earlier_dependencies() -> None:
    log: Log = []

    async def suppressing() -> AsyncIterator[None]:
        try:
            yield
        except KeyError:
            return

    async def handler(
        a: str = Depends(logged_resource("a", in_thread=False)), b: None = Depends(suppressing)
    ) -> None:
        raise KeyError("kept")

    with pytest.raises(KeyError, match="kept"):
        await call(handler, log=log)
    assert log == ["open a", "a sees KeyError", "close a"]


async def test_dependency_may_replace_the_error_of_the_handler() -> None:
    log: Log = []

    async def translating() -> AsyncIterator[None]:
        try:
            yield
        except KeyError as error:
            raise LookupError("translated") from error

    async def handler(
        a: str = Depends(logged_resource("a", in_thread=False)), b: None = Depends(translating)
    ) -> None:
        raise KeyError

    with pytest.raises(LookupError, match="translated"):
        await call(handler, log=log)
    assert log[1] == "a sees LookupError"


async def test_error_while_closing_fails_the_call() -> None:
    async def breaking() -> AsyncIterator[None]:
        yield
        raise KeyError("closing")

    async def handler(a: None = Depends(breaking)) -> str:
        return "never seen"

    with pytest.raises(KeyError, match="closing"):
        await call(handler)


async def test_sync_yield_dependency_closes_in_the_context_that_it_opened_in() -> None:
    number: ContextVar[int] = ContextVar("number", default=0)
    seen: list[int] = []

    def setting() -> Iterator[None]:
        token = number.set(1)
        yield
        seen.append(number.get())
        number.reset(token)
        seen.append(number.get())

    async def handler(a: None = Depends(setting)) -> None: ...

    await call(handler)

    assert seen == [1, 0]


async def test_handler_sees_a_context_variable_that_an_async_dependency_sets() -> None:
    number: ContextVar[int] = ContextVar("number", default=0)

    async def setting() -> AsyncIterator[None]:
        token = number.set(1)
        yield
        number.reset(token)

    async def handler(a: None = Depends(setting)) -> int:
        return number.get()

    assert await call(handler) == 1
    assert number.get() == 0


def circular(value: Any = None) -> None: ...


def circular_too(value: Any = Depends(circular)) -> None: ...


circular.__defaults__ = (Depends(circular_too),)


def test_circular_dependencies_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"circular dependency: .*circular .* -> .*circular_too .* -> .*circular "
    ):
        plan_of(circular_too)


def test_circular_factories_are_refused() -> None:
    async def handler(a: Any) -> None: ...

    with pytest.raises(ConfigurationError, match="circular dependency"):
        plan_of(handler, a=DefaultArg(factory=lambda b: b), b=DefaultArg(factory=lambda a: a))


async def test_value_of_a_default_arg_is_the_same_for_all_calls() -> None:
    async def handler(db: Database) -> Database:
        return db

    database = Database()
    plan = plan_of(handler, db=DefaultArg(database))

    assert await plan.call({}) is database
    assert await plan.call({}) is database
    with pytest.raises(InvalidArgument):
        await plan.call({}, (), {"db": 1})


async def test_default_arg_may_be_none() -> None:
    async def handler(db: Database | None) -> Database | None:
        return db

    assert await plan_of(handler, db=DefaultArg()).call({}) is None


def from_sync_factory(session: Session, topic_uri: str = "none", unknown: int = 5) -> tuple[str, str, int]:
    return session.name, topic_uri, unknown


async def from_async_factory(session: Session) -> str:
    return session.name


@pytest.mark.parametrize(
    ("factory", "value", "needs_solving"),
    [
        (from_sync_factory, ("joe", "none", 5), False),
        (dict, {}, False),
        (from_async_factory, "joe", True),
        (lambda other: other + 1, 42, False),
        (lambda user=Depends(current_user): user, "joe", True),
        (logged_resource("a", in_thread=False), "a", True),
        (logged_resource("a", in_thread=True), "a", True),
    ],
)
async def test_factory_makes_the_value_of_a_default_arg(
    factory: Callable[..., Any], value: Any, needs_solving: bool
) -> None:
    async def handler(arg: Any, payload: int) -> tuple[Any, int]:
        return arg, payload

    plan = plan_of(
        handler, arg=DefaultArg(factory=factory), other=DefaultArg(factory=lambda: 41), log=DefaultArg([])
    )

    assert plan.needs_solving is needs_solving
    assert await plan.call({"session": Session()}, [1]) == (value, 1)


async def test_factory_runs_once_for_each_run_of_a_handler() -> None:
    async def reading(db: Database) -> Database:
        return db

    async def handler(db: Database, same: Database = Depends(reading)) -> tuple[Database, Database]:
        return db, same

    plan = plan_of(handler, db=DefaultArg(factory=Database))
    first, same = await plan.call({})
    second, _ = await plan.call({})

    assert first is same
    assert first is not second


async def test_sync_factory_runs_without_a_thread() -> None:
    async def handler(thread: int) -> int:
        return thread

    def generating() -> Iterator[int]:
        yield threading.get_ident()

    for factory in (threading.get_ident, generating):
        plan = plan_of(handler, thread=DefaultArg(factory=factory))
        assert await plan.call({}) == threading.get_ident()


async def test_generator_factory_is_closed_when_the_call_ends() -> None:
    log: Log = []

    async def handler(db: str, log: Log) -> None:
        log.append("handle")

    for in_thread in (False, True):
        log.clear()
        plan = plan_of(
            handler, db=DefaultArg(factory=logged_resource("db", in_thread=in_thread)), log=DefaultArg(log)
        )
        await plan.call({})
        assert log == ["open db", "handle", "close db"]


async def test_sync_factory_that_returns_a_coroutine_is_an_error() -> None:
    async def handler(db: str) -> None: ...

    plan = plan_of(handler, db=DefaultArg(factory=lambda: from_async_factory(Session())))

    with pytest.raises(
        TypeError, match=r"<lambda> \(.*\) returned a coroutine: pass the async function itself"
    ):
        await plan.call({})


def test_factory_cannot_read_the_payload() -> None:
    async def handler(db: Any) -> None: ...

    with pytest.raises(ConfigurationError, match=r"from_name .*: nothing can fill the parameter 'name'"):
        plan_of(handler, db=DefaultArg(factory=from_name))


def from_name(name: str) -> str:
    return name


@pytest.mark.parametrize(
    ("value", "factory", "text"),
    [
        (1, dict, "a value or a factory, not both"),
        (None, 5, "the factory of a default arg got 5, which is not callable"),
    ],
)
def test_default_arg_with_value_and_factory_or_uncallable_factory_is_refused(
    value: Any, factory: Any, text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        DefaultArg(value, factory)


async def test_framework_arguments_precede_dependencies_and_dependencies_precede_default_args() -> None:
    async def handler(
        session: Any = Depends(current_user), user: Any = Depends(current_user)
    ) -> tuple[Any, Any]:
        return session, user

    plan = plan_of(handler, session=DefaultArg("default arg"), user=DefaultArg("default arg"))
    session = Session()

    assert await plan.call({"session": session}) == (session, "joe")
    with pytest.raises(LookupError, match="requires 'session'"):
        await plan.call({})


def named_and_annotated(session: Session) -> None: ...


def named_only(session) -> None: ...  # type: ignore[no-untyped-def]


def named_as_any(session: Any) -> None: ...


def named_with_protocol(session: HasName) -> None: ...


def named_with_base(session: object) -> None: ...


def named_with_unresolvable(session: Decimal) -> None: ...


def named_with_union(session: Session | Database) -> None: ...


def annotated_only(joe: Session) -> None: ...


def annotated_optional(joe: Session | None = None) -> None: ...


def annotated_with_more(joe: Annotated[Session | None, "more"]) -> None: ...


def without_class(topic_uri: str) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        named_and_annotated,
        named_only,
        named_as_any,
        named_with_protocol,
        named_with_base,
        named_with_unresolvable,
        named_with_union,
        annotated_only,
        annotated_optional,
        annotated_with_more,
        without_class,
    ],
)
def test_framework_argument_is_matched_by_name_or_class(function: Callable[..., Any]) -> None:
    session = Session()

    assert plan_of(function).bind({"session": session, "topic_uri": session}) == ([session], {})


def of_other_class(session: Unrelated) -> None: ...


def of_other_class_by_depends(session: Database = Depends(Database)) -> None: ...


@pytest.mark.parametrize("function", [of_other_class, of_other_class_by_depends])
def test_name_of_a_framework_argument_with_another_class_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(
        ConfigurationError, match=r"'session' is reserved for the framework's Session, but .* rename"
    ):
        plan_of(function)


def unresolvable(amount: Decimal) -> None: ...


def unschemable(db: Database) -> None: ...


def unschemable_in_a_list(db: list[Database]) -> None: ...


def depends_on_unschemable(value: Any = Depends(unschemable)) -> None: ...


def depends_on_nothing(value: int | str = Depends()) -> None: ...


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (
            unresolvable,
            "'amount': its annotation 'Decimal' cannot be resolved: name 'Decimal' is not defined",
        ),
        (
            unschemable,
            r"'db': its annotation cannot validate a payload \(Unable to generate .*Database'>\)",
        ),
        (unschemable_in_a_list, "'db': its annotation cannot validate"),
        (depends_on_unschemable, r"\.unschemable .*'db': its annotation cannot validate"),
        (depends_on_nothing, "'value': Depends.. needs a dependency or an annotated class"),
    ],
)
def test_parameter_that_nothing_can_fill_is_refused(function: Callable[..., Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        plan_of(function)
    assert f"({__file__}:" in str(caught.value)
    assert "give it a default, add set_default_arg(" in str(caught.value)


def test_unresolvable_annotation_is_allowed_if_a_default_arg_fills_the_parameter() -> None:
    assert plan_of(unresolvable, amount=DefaultArg(1)).bind({}) == ([1], {})


async def test_unresolvable_annotation_is_allowed_if_a_dependency_fills_the_parameter() -> None:
    async def handler(amount: Decimal = Depends(current_user)) -> Any:
        return amount

    assert await call(handler) == "joe"


async def test_parameter_whose_type_cannot_be_sent_keeps_its_default() -> None:
    def with_clock(clock: Unrelated | None = None, limit: int = 1) -> tuple[Any, int]:
        return clock, limit

    async def handler(
        a: int, db: Database | None = None, b: int = 0, page: Any = Depends(with_clock)
    ) -> tuple[Any, ...]:
        return a, db, b, page

    assert await call(handler, 1, 2, limit=3) == (1, None, 2, (None, 3))
    for name in ("db", "clock"):
        with pytest.raises(InvalidArgument, match=f"'{name}': unexpected keyword argument"):
            await call(handler, 1, **{name: None})


def test_field_as_a_default_is_refused_with_advice() -> None:
    def handler(a: int = Field(gt=0)) -> None: ...

    with pytest.raises(
        ConfigurationError, match=r"'a' has a Field as its default: put it into the annotation"
    ):
        plan_of(handler)
    with pytest.raises(ConfigurationError, match="'a' has a Field as its default"):
        plan_of(handler, takes_payload=False)


def test_variadic_parameters_of_a_dependency_get_no_arguments() -> None:
    def variadic(*args: Any, **kwargs: Any) -> None: ...

    async def handler(value: Any = Depends(variadic)) -> None: ...

    assert plan_of(handler).needs_solving
