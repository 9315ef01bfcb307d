from __future__ import annotations

from sys import getsizeof
from typing import Any

import pytest

from tests.router.session_details import Details
from wampasgi.protocol.messages import Event
from wampasgi.router.stored_events import copied, store

SESSIONS = {1: Details("alice", "staff"), 2: Details("bob", "guest")}


def test_copy_shares_no_mutable_value_with_the_original() -> None:
    value: dict[str, Any] = {"list": [1, [2.5, None]], "tuple": (b"x", {"deep": True})}
    copy, _ = copied(value)

    value["list"].append("later")
    value["list"][1].clear()
    value["tuple"][1]["deep"] = False

    assert copy == {"list": [1, [2.5, None]], "tuple": [b"x", {"deep": True}]}


def test_deeply_nested_and_cyclic_payloads_can_be_copied() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle

    assert len(copied(deep)[0]) == 1
    copy, _ = copied(cycle)
    assert copy["self"] is copy
    assert copy is not cycle


def test_size_grows_with_the_payload() -> None:
    _, small = copied(["x"])
    _, text = copied(["x" * 1000])
    _, keys = copied([{"k" * 1000: 1}])
    _, items = copied([[0.5] * 100])

    assert small < 300
    assert 1000 < text < small + 1100
    assert 1000 < keys < small + 1500
    assert 2400 < items < small + 4000


def test_size_of_many_scalars_is_about_that_in_memory() -> None:
    for items in [1] * 1000, [0.5] * 1000, ["x"] * 1000, [b"x"] * 1000, ["x", None, b"x", 2**30] * 250:
        _, size = copied([items])
        expected = sum(map(getsizeof, items)) + getsizeof(items)
        assert 0.8 * expected < size < 1.2 * expected


@pytest.mark.parametrize(
    ("options", "admitted"),
    [
        ({}, [1, 2, 9]),
        ({"retain": True, "acknowledge": True}, [1, 2, 9]),
        ({"eligible_authid": ["alice"]}, [1]),
        ({"exclude_authrole": ["guest"], "exclude": [9]}, [1]),
        ({"eligible": []}, []),
    ],
)
def test_stored_event_admits_the_sessions_that_its_lists_allow(
    options: dict[str, Any], admitted: list[int]
) -> None:
    event = store(Event(0, 5, {}, None, None), "t", options, excluded_id=None)
    assert [session_id for session_id in (1, 2, 9) if event.admits(session_id, SESSIONS)] == admitted


def test_stored_event_does_not_change_with_the_original() -> None:
    args: list[Any] = [[1]]
    kwargs: dict[str, Any] = {"a": {}}
    details, eligible = {"publisher": 1}, ["alice"]
    event = store(Event(0, 5, details, args, kwargs), "t", {"eligible_authid": eligible}, excluded_id=1)
    args[0].append(2)
    kwargs["a"]["b"] = 1
    details.clear()
    eligible.append("bob")

    assert (event.args, event.kwargs, event.details) == ([[1]], {"a": {}}, {"publisher": 1})
    assert event.lists == {"eligible_authid": frozenset({"alice"})}
    assert event.details_for("exact") == {"publisher": 1}
    assert event.details_for("prefix") == {"publisher": 1, "topic": "t"}


def test_size_includes_encoded_payload_and_lists() -> None:
    bare = store(Event(0, 5, {}, None, None), "t", {}, excluded_id=None).size
    encoded = store(Event(0, 5, {}, None, None, b"x" * 1000), "t", {}, excluded_id=None).size
    listed = store(
        Event(0, 5, {}, None, None), "t", {"exclude": list(range(10**9, 10**9 + 100))}, excluded_id=None
    ).size

    assert bare + 900 < encoded < bare + 1100
    assert bare + 2800 < listed < bare + 15_000
