from __future__ import annotations

from wampasgi.features import ROUTER_FEATURES, welcome_roles


def test_router_announces_both_roles_with_their_features() -> None:
    roles = welcome_roles()

    assert set(roles) == {"broker", "dealer"}
    assert {role: roles[role]["features"] for role in roles} == {
        role: dict(features) for role, features in ROUTER_FEATURES.items()
    }
    assert roles["broker"]["features"]["publisher_exclusion"] is True
    assert roles["dealer"]["features"]["call_canceling"] is True


def test_roles_of_one_welcome_can_be_changed_without_effect_on_the_next() -> None:
    roles = welcome_roles()
    roles["broker"]["features"]["publisher_exclusion"] = False
    del roles["dealer"]

    assert welcome_roles()["broker"]["features"]["publisher_exclusion"] is True
    assert "dealer" in welcome_roles()
