from __future__ import annotations

import pytest

from wampasgi.protocol import options
from wampasgi.protocol.ids import MAX_ID
from wampasgi.protocol.messages import PAYLOAD_OPTIONS
from wampasgi.protocol.options import Rule, Rules


@pytest.mark.parametrize(
    ("rule", "value", "holds"),
    [
        (Rule(bool, "a bool"), True, True),
        (Rule(bool, "a bool"), 1, False),
        (Rule(int, "an int"), 1, True),
        (Rule(int, "an int"), True, False),
        (Rule(int, "an int"), 1.0, False),
        (Rule(int, "an even number", lambda value: value % 2 == 0), 2, True),
        (Rule(int, "an even number", lambda value: value % 2 == 0), 3, False),
    ],
)
def test_rule_requires_the_exact_type_and_its_condition(rule: Rule, value: object, holds: bool) -> None:
    assert rule.holds(value) is holds


def test_condition_is_not_evaluated_for_other_types() -> None:
    rule = Rule(list, "a list of strings", lambda values: all(value.islower() for value in values))

    assert not rule.holds(5)


@pytest.mark.parametrize("name", ["exclude", "eligible"])
def test_receivers_of_an_event_are_lists_of_session_ids(name: str) -> None:
    rule = options.PUBLISH_RULES[name]

    assert rule.holds([])
    assert rule.holds([1, MAX_ID])
    for value in ([0], [MAX_ID + 1], [True], ["1"], (1,), 1):
        assert not rule.holds(value)


@pytest.mark.parametrize(
    "name", ["exclude_authid", "exclude_authrole", "eligible_authid", "eligible_authrole"]
)
def test_receivers_of_an_event_by_name_are_lists_of_strings(name: str) -> None:
    rule = options.PUBLISH_RULES[name]

    assert rule.holds(["", "admin"])
    for value in ("admin", [1], [None], {"admin": 1}):
        assert not rule.holds(value)


@pytest.mark.parametrize("rules", [options.CALL_RULES, options.INVOCATION_RULES], ids=["CALL", "INVOCATION"])
def test_timeout_is_a_number_of_milliseconds(rules: Rules) -> None:
    rule = rules["timeout"]

    assert rule.expected == "a number of milliseconds, 0 or more"
    assert rule.holds(0)
    for value in (-1, 1.5, True):
        assert not rule.holds(value)


def test_cancel_mode_is_one_of_the_specified_modes() -> None:
    rule = options.MODE_RULES["mode"]

    assert all(rule.holds(mode) for mode in ("skip", "kill", "killnowait"))
    assert not rule.holds("abort")


@pytest.mark.parametrize(
    ("rules", "name"),
    [(options.UNREGISTERED_RULES, "registration"), (options.UNSUBSCRIBED_RULES, "subscription")],
)
def test_revocation_has_the_id_of_a_registration_or_subscription(rules: Rules, name: str) -> None:
    assert rules[name].holds(MAX_ID)
    assert not rules[name].holds(0)


@pytest.mark.parametrize(
    "rules",
    [options.PUBLISH_RULES, options.CALL_RULES, options.YIELD_RULES],
    ids=["PUBLISH", "CALL", "YIELD"],
)
def test_every_option_about_the_payload_is_a_string(rules: Rules) -> None:
    assert rules.keys() >= PAYLOAD_OPTIONS
    for name in PAYLOAD_OPTIONS:
        assert rules[name].holds("x_custom")
        assert not rules[name].holds(b"x_custom")
