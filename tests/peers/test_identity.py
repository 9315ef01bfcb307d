"""Values that are identities, and values that stand in their place by mistake."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.authentication import SimpleUser, UnauthenticatedUser

from wampasgi import Identity, RPCErrorResult
from wampasgi.peers.identity import identity_mistake


@dataclass
class Follower:
    """A user whose length is the number of followers."""

    name: str = "ann"

    def __len__(self) -> int:
        return 0


class Disabled:
    def __bool__(self) -> bool:
        return False


class Album:
    """An object with the methods of a container that defines its own truth, as a session does."""

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __bool__(self) -> bool:
        return True


class Account(BaseModel):
    name: str | None = None


class Rank(Enum):
    LOWEST = 0


class Level(IntEnum):
    NONE = 0


async def coroutine() -> str:
    return "ann"


async def async_generator() -> AsyncIterator[str]:
    yield "ann"


def generator() -> Iterator[str]:
    yield "ann"


@pytest.mark.parametrize(
    "value",
    [
        "ann",
        b"ann",
        7,
        ("ann",),
        {"name": "ann"},
        ["ann"],
        {"ann"},
        object(),
        Identity(),
        Identity(authrole="member"),
        Identity(user=""),
        Identity(user=UnauthenticatedUser()),
        Follower(),
        Disabled(),
        Album(),
        Account(),
        Rank.LOWEST,
        SimpleUser("ann"),
    ],
)
def test_object_of_the_application_is_an_identity(value: object) -> None:
    assert identity_mistake(value) is None


@pytest.mark.parametrize(
    ("value", "description"),
    [
        (None, "None"),
        (False, "False"),
        (True, "True"),
        (0, "0"),
        (-1, "-1"),
        (Level.NONE, "an object of the type Level"),
        (0.5, "an object of the type float"),
        (Decimal(1), "an object of the type Decimal"),
        ("", "an empty str"),
        (b"", "an empty bytes"),
        ((), "an empty tuple"),
        ([], "an empty list"),
        ({}, "an empty dict"),
        (set(), "an empty set"),
        (deque(), "an empty deque"),
        (Follower, "the class Follower"),
        (bool, "the class bool"),
        (coroutine, "an object of the type function"),
        ("ann".startswith, "an object of the type builtin_function_or_method"),
        (Follower().__len__, "an object of the type method"),
        (partial(generator), "an object of the type partial"),
        (generator(), "an object of the type generator"),
        (map(str, ["ann"]), "an object of the type map"),
        (async_generator(), "an object of the type async_generator"),
        (PermissionError("no"), "an object of the type PermissionError"),
        (RPCErrorResult("com.example.no"), "an object of the type RPCErrorResult"),
        (NotImplemented, "an object of the type NotImplementedType"),
        (..., "an object of the type ellipsis"),
        (
            UnauthenticatedUser(),
            "an object of the type UnauthenticatedUser whose is_authenticated is False",
        ),
        (Identity(user=False), "an Identity whose user is False"),
        (Identity(user=generator()), "an Identity whose user is an object of the type generator"),
        (Identity(user=Follower), "an Identity whose user is the class Follower"),
    ],
)
def test_mistake_is_described_by_its_type(value: Any, description: str) -> None:
    assert identity_mistake(value) == description


def test_forgotten_await_is_a_mistake_without_a_warning() -> None:
    # An unclosed coroutine would warn when it is deleted, and warnings are errors.
    assert identity_mistake(coroutine()) == "an object of the type coroutine"
    assert identity_mistake(Identity(user=coroutine())) is not None


def test_description_does_not_contain_the_value() -> None:
    assert "sesame" not in str(identity_mistake(PermissionError("sesame")))
