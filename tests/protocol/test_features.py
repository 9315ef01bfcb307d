from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from wampasgi.protocol.features import ROUTER_FEATURES, announced, welcome_roles


def test_router_announces_both_roles_with_their_features() -> None:
    roles = welcome_roles()

    assert set(roles) == {"broker", "dealer"}
    assert {role: roles[role]["features"] for role in roles} == {
        role: dict(features) for role, features in ROUTER_FEATURES.items()
    }
    assert roles["broker"]["features"]["publisher_exclusion"] is True
    assert roles["dealer"]["features"]["call_canceling"] is True


def test_protocol_page_lists_the_announced_features() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()

    listed = {role: set(names) for role, names in feature_rows(page)}
    assert listed == {role: set(features) for role, features in ROUTER_FEATURES.items()}


def feature_rows(page: str) -> list[tuple[str, list[str]]]:
    rows = re.findall(r"^\| (broker|dealer) \| (.*) \|$", page, re.MULTILINE)
    return [(role, re.findall(r"`(\w+)`", cell)) for role, cell in rows]


def test_changing_the_roles_of_one_welcome_does_not_affect_the_next() -> None:
    roles = welcome_roles()
    roles["broker"]["features"]["publisher_exclusion"] = False
    del roles["dealer"]

    assert welcome_roles()["broker"]["features"]["publisher_exclusion"] is True
    assert "dealer" in welcome_roles()


@pytest.mark.parametrize(
    ("roles", "features"),
    [
        ({}, set()),
        ({"callee": {}}, set()),
        ({"callee": {"features": {}}}, set()),
        ({"caller": {"features": {"call_timeout": True}}}, set()),
        ({"callee": {"features": {"call_timeout": True, "shared_registration": False}}}, {"call_timeout"}),
        ({"callee": {"features": {"progressive_call_results": True}}}, {"progressive_call_results"}),
        ({"callee": {"features": {"progressive_call_invocations": True}}}, set()),
        (
            {"callee": {"features": {"progressive_call_invocations": True, "call_cancelling": True}}},
            {"progressive_call_invocations", "call_cancelling", "call_canceling"},
        ),
    ],
)
def test_callee_features_are_the_announced_and_usable_ones(roles: dict[str, Any], features: set[str]) -> None:
    assert announced({"roles": roles}, "callee") == features


def test_client_without_roles_announces_no_features() -> None:
    assert announced({}, "caller") == frozenset()
