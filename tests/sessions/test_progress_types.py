"""Progressive results of declared types, as callers receive them."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from wampasgi import (
    Application,
    ConfigurationError,
    Progress,
    RPCErrorResult,
    RPCProgressReport,
    RPCResult,
    WAMPError,
)
from wampasgi.testing import TestClient

Backend = Literal["asyncio", "trio"]

# Progress without the type of its values, which type checkers refuse.
BareProgress: Any = Progress


class Step(BaseModel):
    name: str
    share: Decimal = Decimal("0.5")


class SecretStep(Step):
    cost: int = 3


class Foreign:
    """A class that pydantic does not know."""


def calls_of(
    *values: Any, returns: Any, backend: Backend = "asyncio", asks: bool = True, **options: Any
) -> tuple[list[Any], Any]:
    """Call a procedure that yields these values; return the progress and the result that the client gets."""
    app = Application()

    async def handler() -> Any:
        for value in values:
            yield value

    handler.__annotations__["return"] = returns
    app.procedure("com.work", **options)(handler)
    received: list[Any] = []
    with TestClient(app, backend=backend).wamp_session() as session:
        result = session.call("com.work", on_progress=received.append if asks else None)
    return received, result


def test_progress_has_the_json_form_of_its_type(backend: Backend) -> None:
    returns = AsyncIterator[Progress[Step] | str]
    assert calls_of(Progress(Step(name="a")), "done", returns=returns, backend=backend) == (
        [{"name": "a", "share": "0.5"}],
        "done",
    )


@pytest.mark.parametrize(
    ("declared", "value", "received"),
    [
        (Step, SecretStep(name="a"), {"name": "a", "share": "0.5"}),
        (Step, {"name": "a", "cost": 3}, {"name": "a", "share": "0.5"}),
        (list[Step], [SecretStep(name="a")], [{"name": "a", "share": "0.5"}]),
        (float, 1, 1),
        (int | None, None, None),
        (None, None, None),
        (tuple[int, str], (1, "a"), RPCResult((1, "a"))),
        (Any, {"any": 1}, {"any": 1}),
    ],
)
def test_declared_type_filters_the_value(declared: Any, value: Any, received: Any) -> None:
    found, _ = calls_of(Progress(value), "done", returns=AsyncIterator[Progress[declared] | str])
    assert found == [received]


def test_progress_of_each_member_of_a_union_is_filtered() -> None:
    returns = AsyncIterator[Progress[Step] | Progress[int] | str]
    found, _ = calls_of(Progress(SecretStep(name="a")), Progress(1), "done", returns=returns)
    assert found == [{"name": "a", "share": "0.5"}, 1]


@pytest.mark.parametrize(
    "returns", [AsyncIterator[BareProgress | str], AsyncIterator[RPCProgressReport | str], Any]
)
def test_progress_without_a_declared_type_is_sent_as_it_is(returns: Any) -> None:
    found, _ = calls_of(Progress([1, {"a": 2}]), Progress((1, 2)), "done", returns=returns)
    assert found == [[1, {"a": 2}], RPCResult((1, 2))]


def test_report_without_a_type_is_sent_as_it_is() -> None:
    returns = AsyncIterator[Progress[int] | RPCProgressReport | str]
    found, _ = calls_of(RPCProgressReport(("a",), {"b": 1}), Progress(2), "done", returns=returns)
    assert found == [RPCResult(("a",), {"b": 1}), 2]


def test_result_is_no_value_but_keeps_its_keyword_arguments() -> None:
    assert Progress(RPCResult((1,), {"a": 2})).kwargs == {"a": 2}
    found, _ = calls_of(
        Progress(RPCResult((1,), {"a": 2})), "done", returns=AsyncIterator[Progress[int] | str]
    )
    assert found == [RPCResult((1,), {"a": 2})]


@pytest.mark.parametrize(
    ("declared", "value"), [(Step, {"cost": 1}), (int, "one"), (None, 1), (tuple[int, str], (1,))]
)
def test_progress_of_another_type_fails_the_call(
    declared: Any, value: Any, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(WAMPError) as failed:
        calls_of(Progress(value), "done", returns=AsyncIterator[Progress[declared] | str], backend=backend)
    assert (failed.value.uri, failed.value.args) == ("wamp.error.runtime_error", ())
    [error] = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert "yielded progress that is not valid as" in str(error)


def test_progress_is_not_checked_if_the_caller_does_not_ask_for_it(backend: Backend) -> None:
    returns = AsyncIterator[Progress[int] | str]
    assert calls_of(Progress("one"), "done", returns=returns, backend=backend, asks=False) == ([], "done")


def test_response_type_of_the_result_leaves_the_type_of_the_progress() -> None:
    returns = AsyncIterator[Progress[Step] | SecretStep]
    step = SecretStep(name="a")
    filtered = {"name": "a", "share": "0.5"}
    assert calls_of(Progress(step), step, returns=returns, response_type=Step) == ([filtered], filtered)
    changed = AsyncIterator[Progress[int] | int]
    assert calls_of(Progress(1), 2, returns=returns, response_type=changed) == ([1], 2)


def test_response_type_none_turns_off_the_filter_of_the_progress() -> None:
    returns = AsyncIterator[Progress[int] | int]
    assert calls_of(Progress("a"), "b", returns=returns, response_type=None) == (["a"], "b")


def test_coroutine_may_return_an_iterator_with_typed_progress(backend: Backend) -> None:
    app = Application()

    async def steps() -> AsyncIterator[Progress[Step] | str]:
        yield Progress(SecretStep(name="a"))
        yield "done"

    @app.procedure("com.work")
    async def work() -> AsyncIterator[Progress[Step] | str]:
        return steps()

    received: list[Any] = []
    with TestClient(app, backend=backend).wamp_session() as session:
        assert session.call("com.work", on_progress=received.append) == "done"
    assert received == [{"name": "a", "share": "0.5"}]


def test_progress_that_pydantic_cannot_filter_is_a_configuration_error() -> None:
    app = Application()

    @app.procedure("com.work")
    async def work() -> AsyncIterator[Progress[Foreign] | str]:
        yield "done"

    with pytest.raises(ConfigurationError, match="pydantic cannot filter its progress as Foreign"):
        app.check()


def test_error_is_no_progress() -> None:
    with pytest.raises(TypeError, match="an RPCErrorResult is no progress"):
        Progress(RPCErrorResult())


def test_progress_is_a_report_of_its_value() -> None:
    report = Progress[float](0.5)
    assert isinstance(report, RPCProgressReport)
    assert (report.value, report.args, report.kwargs) == (0.5, (0.5,), {})
    assert report == Progress(0.5) == copy.copy(report)
    assert report != Progress(0.6)
    assert repr(report) == "Progress(args=(0.5,), kwargs={})"
