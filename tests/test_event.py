"""Events, as the server, the client and the test client hand them out."""

from __future__ import annotations

import pytest

from wampasgi import Event
from wampasgi.client import Event as ClientEvent


def test_event_equals_the_event_of_the_client() -> None:
    assert Event("a", [1], {"b": 2}, 3, {"publisher": 4}) == ClientEvent(
        "a", (1,), {"b": 2}, 3, {"publisher": 4}, value=1
    )
    assert ClientEvent("a") == Event("a")


@pytest.mark.parametrize(
    "other",
    [
        Event("b", [1], {"b": 2}, 3, {"publisher": 4}),
        Event("a", [2], {"b": 2}, 3, {"publisher": 4}),
        Event("a", [1], {"b": 3}, 3, {"publisher": 4}),
        Event("a", [1], {"b": 2}, 4, {"publisher": 4}),
        Event("a", [1], {"b": 2}, 3, {"publisher": 5}),
        ("a", [1], {"b": 2}, 3, {"publisher": 4}),
    ],
)
def test_event_differs_if_one_attribute_does(other: object) -> None:
    assert Event("a", [1], {"b": 2}, 3, {"publisher": 4}) != other


def test_publisher_and_retention_are_in_the_details() -> None:
    event = Event("a", details={"publisher": 4, "retained": True})

    assert (event.publisher, event.retained) == (4, True)
    assert (Event("a").publisher, Event("a").retained) == (None, False)
