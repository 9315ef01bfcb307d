from __future__ import annotations

from typing import Any

import pytest

from tests.router.session_details import Details
from wampasgi.errors import RemoteProtocolError
from wampasgi.router.publish_options import check_announced, conditions, event_details, select


def publisher(*features: str) -> Details:
    return Details(details={"roles": {"publisher": {"features": dict.fromkeys(features, True)}}})


SESSIONS = {1: Details("alice", "staff"), 2: Details("bob"), 3: Details()}


@pytest.mark.parametrize(
    "announcing",
    [
        publisher(),
        Details(),
        Details(details={"roles": {"caller": {"features": {"payload_passthru_mode": True}}}}),
    ],
)
def test_passthru_without_announcement_must_be_a_protocol_error(announcing: Details) -> None:
    with pytest.raises(RemoteProtocolError, match="payload_passthru_mode"):
        check_announced(announcing, {"ppt_scheme": "wamp"})


@pytest.mark.parametrize("options", [{}, {"ppt_scheme": ""}, {"ppt_keyid": "k"}, {"acknowledge": True}])
def test_only_ppt_scheme_requires_the_announcement(options: dict[str, Any]) -> None:
    check_announced(publisher(), options)


def test_publisher_that_has_announced_passthru_may_use_it() -> None:
    check_announced(publisher("payload_passthru_mode"), {"ppt_scheme": "wamp"})


def test_details_have_the_known_attributes_of_a_disclosed_publisher() -> None:
    options = {"ppt_scheme": "x", "retain": True}
    assert event_details(options, None, SESSIONS) == {"ppt_scheme": "x"}
    assert event_details({}, 1, SESSIONS) == {
        "publisher": 1,
        "publisher_authid": "alice",
        "publisher_authrole": "staff",
    }
    assert event_details({}, 2, SESSIONS) == {"publisher": 2, "publisher_authid": "bob"}
    assert event_details({}, 9, SESSIONS) == {"publisher": 9}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 2, 3, 9]),
        ({"eligible": [9, 3]}, [3, 9]),
        ({"exclude": [9, 3]}, [1, 2]),
        ({"eligible_authid": ["alice", "bob"], "exclude": [1]}, [2]),
        ({"exclude_authrole": ["staff"], "exclude_authid": ["bob"]}, [3, 9]),
        ({"acknowledge": True, "x_eligible": [1]}, [1, 2, 3, 9]),
    ],
)
def test_sessions_that_meet_all_conditions_are_selected(options: dict[str, Any], expected: list[int]) -> None:
    assert select([1, 2, 3, 9], conditions(options, SESSIONS)) == expected
