from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from anyio import to_thread
from anyio.from_thread import BlockingPortal

from tests.client.served_app import app
from wampasgi import RPCProgressReport
from wampasgi.client import (
    Client,
    Contract,
    InvalidResult,
    SyncSession,
    WAMPError,
    connect,
    connect_sync,
    uri,
)
from wampasgi.errors import ConfigurationError

pytestmark = pytest.mark.anyio


@dataclass
class Point:
    x: int
    y: int


class Math(Contract, prefix="contract.math."):
    async def add(self, a: int, b: int = 0) -> int: ...  # type: ignore[empty-body] # it is a contract

    async def middle(self, first: Point, second: Point) -> Point: ...  # type: ignore[empty-body]

    async def forget(self) -> None: ...

    @uri("power_of")
    async def power(self, base: int, /, *exponents: int, modulo: int | None = None) -> int: ...  # type: ignore[empty-body]

    def count(self, until: int) -> AsyncIterator[int]: ...  # type: ignore[empty-body]


class MathImplementation(Math):
    def __init__(self, offset: int) -> None:
        self.offset = offset

    async def add(self, a: int, b: int = 0) -> int:
        return a + b + self.offset

    async def middle(self, first: Point, second: Point) -> Point:
        return Point((first.x + second.x) // 2, (first.y + second.y) // 2)

    async def forget(self) -> None:
        self.offset = 0

    async def power(self, base: int, /, *exponents: int, modulo: int | None = None) -> int:
        for exponent in exponents:
            base = pow(base, exponent, modulo)
        return base

    async def count(self, until: int) -> AsyncIterator[Any]:
        for number in range(until):
            yield RPCProgressReport(number)
        yield until

    async def helper(self) -> None:
        """Not a procedure, because the contract does not have it."""


async def test_caller_and_implementation_share_a_contract() -> None:
    client = Client(app=app)
    client.serve(MathImplementation(offset=100))

    async with client, connect(app=app) as session:
        math = session.use(Math)
        assert await math.add(1) == 101
        assert await math.add(1, b=2) == 103
        assert await math.middle(Point(0, 0), Point(4, 6)) == Point(2, 3)
        assert await math.power(2, 3, 2, modulo=50) == 14
        assert [number async for number in math.count(3)] == [0, 1, 2, 3]
        await math.forget()
        assert await math.add(1) == 1
        assert isinstance(math, Math)
        with pytest.raises(WAMPError, match="no_such_procedure"):
            await session.call("contract.math.helper")


async def test_session_serves_a_contract() -> None:
    async with connect(app=app) as session, connect(app=app) as other:
        registrations = await other.serve(MathImplementation(offset=100))
        assert await session.use(Math).add(1) == 101
        for registration in registrations:
            await registration.unregister()
        with pytest.raises(WAMPError, match="no_such_procedure"):
            await session.use(Math).add(1)


async def test_session_serves_all_procedures_of_a_contract_or_none() -> None:
    async with connect(app=app) as session, connect(app=app) as other:
        taken = await session.register("contract.math.power_of", lambda: None)
        with pytest.raises(WAMPError, match="procedure_already_exists"):
            await other.serve(MathImplementation(offset=100))
        with pytest.raises(WAMPError, match="no_such_procedure"):
            await session.use(Math).add(1)
        await taken.unregister()
        await other.serve(MathImplementation(offset=100))
        assert await session.use(Math).add(1) == 101


async def test_blocking_session_serves_a_contract() -> None:
    async with connect(app=app) as session, BlockingPortal() as portal:

        def serve() -> None:
            with connect_sync(app=app, portal=portal) as other:
                registrations = other.serve(MathImplementation(offset=100))
                assert portal.call(session.use(Math).add, 1) == 101
                assert {registration.procedure for registration in registrations} == set(
                    Math.procedures.values()
                )

        await to_thread.run_sync(serve)


async def test_caller_of_a_contract_may_block() -> None:
    client = Client(app=app)
    client.serve(MathImplementation(offset=100))

    async with client, BlockingPortal() as portal:

        def block() -> None:
            with connect_sync(app=app, portal=portal) as session:
                math = session.use(Math)
                assert math.add(1, b=2) == 103
                assert math.middle(Point(0, 0), Point(4, 6)) == Point(2, 3)
                assert math.power(2, 3, 2, modulo=50) == 14
                assert list(math.count(3)) == [0, 1, 2, 3]
                assert math.forget() is None
                assert math.add(1) == 1
                with pytest.raises(TypeError, match="missing a required argument: 'a'"):
                    math.add()
                with pytest.raises(TypeError, match="unexpected keyword argument 'c'"):
                    list(math.count(1, c=2))
                with pytest.raises(ConfigurationError, match=r"use\(\) needs a subclass of Contract"):
                    session.use(MathImplementation(0))  # type: ignore[arg-type] # what is tested

        await to_thread.run_sync(block)


async def test_leaving_the_iteration_cancels_the_call() -> None:
    class Endless(Contract):
        def forever(self, name: str) -> AsyncIterator[str]: ...  # type: ignore[empty-body]

    def block(session: SyncSession) -> None:
        for item in session.use(Endless).forever("blocking"):
            assert item == "blocking"
            break

    async with connect(app=app) as session, BlockingPortal() as portal:
        await to_thread.run_sync(block, SyncSession(portal, session))
        async with aclosing(session.use(Endless).forever("async")) as items:  # type: ignore[type-var]
            async for item in items:
                assert item == "async"
                break
        with anyio.fail_after(5):
            while not {"blocking", "async"} <= set(await session.call("canceled")):
                await anyio.lowlevel.checkpoint()


async def test_final_result_may_be_empty_after_progressive_results() -> None:
    class Range(Contract, prefix="contract.range."):
        def count(self, until: int) -> AsyncIterator[int]: ...  # type: ignore[empty-body]

        def spell(self, until: int) -> AsyncIterator[int]: ...  # type: ignore[empty-body]

    class RangeImplementation(Range):
        async def count(self, until: int) -> AsyncIterator[Any]:
            for number in range(until):
                yield RPCProgressReport(number)

        async def spell(self, until: int) -> AsyncIterator[Any]:
            yield RPCProgressReport(until)
            yield "many"

    client = Client(app=app)
    client.serve(RangeImplementation())

    def block(session: SyncSession) -> None:
        assert list(session.use(Range).count(2)) == [0, 1]
        with pytest.raises(InvalidResult, match="spell"):
            list(session.use(Range).spell(2))

    async with client, connect(app=app) as session, BlockingPortal() as portal:
        assert [number async for number in session.use(Range).count(2)] == [0, 1]
        with pytest.raises(InvalidResult, match="spell"):
            _ = [number async for number in session.use(Range).spell(2)]
        await to_thread.run_sync(block, SyncSession(portal, session))


async def test_procedures_are_named_by_the_prefix_and_the_method_or_its_uri() -> None:
    class Further(Math, prefix="contract.further."):
        async def multiply(self, a: int, b: int) -> int: ...  # type: ignore[empty-body]

    assert Math.procedures == {
        "add": "contract.math.add",
        "middle": "contract.math.middle",
        "forget": "contract.math.forget",
        "power": "contract.math.power_of",
        "count": "contract.math.count",
    }
    assert MathImplementation.procedures == Math.procedures
    assert Further.procedures == {**Math.procedures, "multiply": "contract.further.multiply"}


async def test_arguments_that_the_method_does_not_have_are_refused_before_the_call() -> None:
    async with connect(app=app) as session:
        calls: Any = session.use(Math)
        with pytest.raises(TypeError, match="missing a required argument: 'a'"):
            await calls.add()
        with pytest.raises(TypeError, match="unexpected keyword argument 'c'"):
            await calls.add(1, c=2)


async def test_result_is_converted_to_the_annotation() -> None:
    class Echo(Contract):
        async def echo(self, value: Any) -> list[Point]: ...  # type: ignore[empty-body]

    async with connect(app=app) as session:
        calls = session.use(Echo)
        assert await calls.echo([{"x": 1, "y": 2}]) == [Point(1, 2)]
        with pytest.raises(InvalidResult, match="the result of 'echo'"):
            await calls.echo("nonsense")


async def test_mistakes_are_found_when_a_contract_is_defined_or_used() -> None:
    with pytest.raises(ConfigurationError, match=r"Sync\.add must be an async function"):

        class Sync(Contract):
            def add(self, a: int) -> int: ...  # type: ignore[empty-body]

    with pytest.raises(ConfigurationError, match=r"'no uri\.add' is not a valid URI"):

        class Spaced(Contract, prefix="no uri."):
            async def add(self, a: int) -> int: ...  # type: ignore[empty-body]

    class Partial(Math):
        async def add(self, a: int, b: int = 0) -> int:
            return a + b

    client = Client(app=app)
    with pytest.raises(ConfigurationError, match="Partial does not implement middle"):
        client.serve(Partial())
    with pytest.raises(ConfigurationError, match=r"serve\(\) needs an object of a class that implements"):
        client.serve(object())
    async with connect(app=app) as session:
        for wrong in Contract, int, MathImplementation(0):
            with pytest.raises(ConfigurationError, match=r"use\(\) needs a subclass of Contract"):
                session.use(wrong)  # type: ignore[type-var,arg-type] # what is tested
