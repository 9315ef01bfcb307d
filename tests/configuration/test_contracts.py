from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from wampasgi import Application, ConfigurationError, Progress, WAMPRouter
from wampasgi.client import Contract, connect

pytestmark = pytest.mark.anyio


class Math(Contract, prefix="math."):
    async def add(self, a: int, b: int = 0) -> int:
        raise NotImplementedError

    def count(self, to: int) -> AsyncIterator[int]:
        raise NotImplementedError


class MathImplementation(Math):
    def __init__(self, offset: int = 0) -> None:
        self.offset = offset

    async def add(self, a: int, b: int = 0) -> int:
        """Add two numbers."""
        return self.offset + a + b

    async def count(self, to: int) -> AsyncIterator[Any]:
        for number in range(to):
            yield Progress(number)
        yield to


async def test_application_serves_an_implementation_that_clients_call_through_the_contract() -> None:
    app = Application()
    app.serve(MathImplementation(offset=10))

    async with connect(app=app) as session:
        math = session.use(Math)
        assert await math.add(1, b=2) == 13
        assert [number async for number in math.count(3)] == [0, 1, 2, 3]


async def test_contract_in_a_router_gets_its_prefix_roles_and_tags() -> None:
    router, app = WAMPRouter(prefix="v2.", tags="v2"), Application()
    router.serve(MathImplementation(), roles="member", tags="math")
    app.include_router(router)

    assert [route.uri for route in router.procedures] == ["v2.math.add", "v2.math.count"]
    assert {route.roles for route in router.procedures} == {frozenset(["member"])}
    assert {route.tags for route in router.procedures} == {("v2", "math")}
    [add, _] = app.default_realm.describe().procedures
    assert add.summary == "Add two numbers"


@pytest.mark.parametrize("implementation", [Math(), object(), MathImplementation])
def test_object_that_does_not_implement_a_contract_is_refused(implementation: object) -> None:
    with pytest.raises(ConfigurationError, match=r"does not implement|serve\(\) needs an object"):
        Application().serve(implementation)
