from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wampasgi.errors import ConfigurationError
from wampasgi.router.permissions import ACTIONS, Permissions, Verdict
from wampasgi.types import Action, Match

ALLOWED = Verdict(allowed=True, disclose=False)
DISCLOSABLE = Verdict(allowed=True, disclose=True)
REFUSED = Verdict(allowed=False, disclose=False)

Rules = Callable[[Permissions], None]


def permissions(rules: Rules) -> Permissions:
    made = Permissions()
    rules(made)
    return made


def no_rules(realm: Permissions) -> None:
    pass


def chat(realm: Permissions) -> None:
    """Members chat, everybody reads the news, editors write them, and only admins use ``secret``."""
    realm.allow("com.chat.", "publish", "subscribe", match="prefix", role="member")
    realm.allow("com.chat.news", "subscribe")
    realm.allow("com.chat.news", "publish", role={"editor", "admin"})
    realm.allow("com.chat.secret.", "publish", "subscribe", match="prefix", role="admin")
    realm.allow("com..ping", "call", match="wildcard")
    realm.allow("com.chat.", "call", match="prefix", role="admin")


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("role", [None, "member"])
def test_without_rules_there_is_no_verdict(action: Action, role: str | None) -> None:
    assert permissions(no_rules).verdict(action, "com.app", role) is None
    assert permissions(no_rules).verdict(action, "wamp.session.list", role) is None


@pytest.mark.parametrize(
    ("role", "action", "uri", "expected"),
    [
        # A rule with a role applies to that role, and shuts the others out.
        ("member", "publish", "com.chat.room1", ALLOWED),
        ("member", "subscribe", "com.chat.room1", ALLOWED),
        ("guest", "publish", "com.chat.room1", REFUSED),
        (None, "publish", "com.chat.room1", REFUSED),
        # The exact rule takes precedence over the prefix, even to refuse.
        ("member", "publish", "com.chat.news", REFUSED),
        ("editor", "publish", "com.chat.news", ALLOWED),
        ("admin", "publish", "com.chat.news", ALLOWED),
        ("guest", "subscribe", "com.chat.news", ALLOWED),
        (None, "subscribe", "com.chat.news", ALLOWED),
        # The longer prefix takes precedence over the shorter one.
        ("member", "subscribe", "com.chat.secret.plan", REFUSED),
        ("admin", "subscribe", "com.chat.secret.plan", ALLOWED),
        ("admin", "subscribe", "com.chat.room1", REFUSED),
        # No rule is for the action, or none matches the URI.
        ("member", "register", "com.chat.room1", None),
        ("member", "publish", "com.chat", None),
        ("member", "publish", "com.other", None),
        # A prefix takes precedence over a wildcard.
        ("member", "call", "com.app.ping", ALLOWED),
        ("member", "call", "com.chat.ping", REFUSED),
        ("member", "call", "com.app.pong", None),
        # The router's own URIs
        ("member", "call", "wamp.session.list", None),
    ],
)
def test_most_specific_rule_for_the_action_decides(
    role: str | None, action: Action, uri: str, expected: Verdict | None
) -> None:
    assert permissions(chat).verdict(action, uri, role) == expected


def for_two_roles(realm: Permissions) -> None:
    realm.allow("com.app", "call", role="a")
    realm.allow("com.app", "call", role=["b"], disclose=True)


def role_then_everybody(realm: Permissions) -> None:
    realm.allow("com.app", "call", role="a", disclose=True)
    realm.allow("com.app", "call")


def everybody_then_role(realm: Permissions) -> None:
    realm.allow("com.app", "call")
    realm.allow("com.app", "call", role="a", disclose=True)


def same_role_twice(realm: Permissions) -> None:
    realm.allow("com.app", "call", role="a", disclose=True)
    realm.allow("com.app", "call", role=("a", "b"))


def everybody_disclosed(realm: Permissions) -> None:
    realm.allow("com.app", "call", role="a")
    realm.allow("com.app", "call", disclose=True)


@pytest.mark.parametrize(
    ("rules", "for_a", "for_b", "for_others"),
    [
        (for_two_roles, ALLOWED, DISCLOSABLE, REFUSED),
        (role_then_everybody, DISCLOSABLE, ALLOWED, ALLOWED),
        (everybody_then_role, DISCLOSABLE, ALLOWED, ALLOWED),
        (same_role_twice, DISCLOSABLE, ALLOWED, REFUSED),
        (everybody_disclosed, DISCLOSABLE, DISCLOSABLE, DISCLOSABLE),
    ],
)
def test_rules_on_one_uri_add_up(rules: Rules, for_a: Verdict, for_b: Verdict, for_others: Verdict) -> None:
    verdicts = [permissions(rules).verdict("call", "com.app", role) for role in ("a", "b", "c", None)]
    assert verdicts == [for_a, for_b, for_others, for_others]


def test_rules_under_two_policies_on_one_uri_do_not_add_up() -> None:
    realm = Permissions()
    realm.allow("com.app", "call", match="prefix", role="a")
    realm.allow("com.app", "call", role="b")
    assert realm.verdict("call", "com.app", "a") == REFUSED
    assert realm.verdict("call", "com.app.x", "a") == ALLOWED


def test_wildcard_with_the_longer_first_run_decides() -> None:
    realm = Permissions()
    realm.allow("com..x", "call", match="wildcard", role="a")
    realm.allow("com.app.", "call", match="wildcard", role="b")
    assert realm.verdict("call", "com.app.x", "a") == REFUSED
    assert realm.verdict("call", "com.app.x", "b") == ALLOWED


# allow_all and the router's own URIs


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("uri", ["com.app", "wamp.session.kill"])
@pytest.mark.parametrize("role", [None, "guest"])
def test_allow_all_allows_every_action_and_disclosure(action: Action, uri: str, role: str | None) -> None:
    assert permissions(Permissions.allow_all).verdict(action, uri, role) == DISCLOSABLE


@pytest.mark.parametrize(
    ("uri", "match", "request_uri"),
    [
        ("com.admin", "exact", "com.admin"),
        ("com.admin.", "prefix", "com.admin.x"),
        ("com..admin", "wildcard", "com.app.admin"),
        ("wamp.session.", "prefix", "wamp.session.kill"),
    ],
)
def test_any_rule_is_more_specific_than_allow_all(uri: str, match: Match, request_uri: str) -> None:
    realm = permissions(Permissions.allow_all)
    realm.allow(uri, "call", match=match, role="admin")
    assert realm.verdict("call", request_uri, "guest") == REFUSED
    assert realm.verdict("call", request_uri, "admin") == ALLOWED
    assert realm.verdict("call", "com.other", "guest") == DISCLOSABLE
    assert realm.verdict("publish", request_uri, "guest") == DISCLOSABLE


@pytest.mark.parametrize(("uri", "match"), [("", "prefix"), ("w", "prefix"), ("..", "wildcard")])
def test_general_pattern_does_not_apply_to_the_routers_own_uris(uri: str, match: Match) -> None:
    realm = Permissions()
    realm.allow(uri, "call", match=match)
    assert realm.verdict("call", "wamp.session.list", None) is None
    assert realm.verdict("call", "web.session.list", None) == ALLOWED


@pytest.mark.parametrize(
    ("uri", "match"),
    [("wamp.session.list", "exact"), ("wamp.session.", "prefix"), ("wamp..list", "wildcard")],
)
def test_routers_own_uris_can_be_allowed_explicitly(uri: str, match: Match) -> None:
    realm = Permissions()
    realm.allow(uri, "call", match=match, role="ops")
    assert realm.verdict("call", "wamp.session.list", "ops") == ALLOWED
    assert realm.verdict("call", "wamp.session.list", "guest") == REFUSED
    assert realm.verdict("call", "wamp.registration.get", "ops") is None


# Requests for patterns


def shop(realm: Permissions) -> None:
    """Members read everything except the audit. There are rules under each policy."""
    realm.allow("com.shop.", "subscribe", match="prefix", role="member")
    realm.allow("com.shop.audit.", "subscribe", match="prefix", role="admin")
    realm.allow("com.status", "subscribe")
    realm.allow("org..open", "subscribe", match="wildcard")
    realm.allow("org.app.", "subscribe", match="wildcard", role="admin")


@pytest.mark.parametrize(
    ("role", "match", "uri", "expected"),
    [
        # One rule allows the whole pattern.
        ("member", "prefix", "com.shop.orders", ALLOWED),
        ("member", "prefix", "com.shop.orders.", ALLOWED),
        ("member", "wildcard", "com.shop.orders.", ALLOWED),
        ("admin", "wildcard", "org..open", ALLOWED),
        ("admin", "prefix", "com.shop.audit.", ALLOWED),
        # A more specific rule refuses a part of it.
        ("member", "prefix", "com.shop.", REFUSED),
        ("member", "prefix", "com.shop.audit.today", REFUSED),
        ("member", "wildcard", "com.shop..today", REFUSED),
        ("member", "wildcard", "com.shop.audit.", REFUSED),
        ("member", "wildcard", "org..open", REFUSED),
        # A rule refuses a part of it, and no rule allows the whole.
        ("guest", "prefix", "com.", REFUSED),
        ("member", "prefix", "com.", REFUSED),
        ("member", "wildcard", "org..", REFUSED),
        # A rule for one URI does not apply to longer URIs with this prefix, and neither does a wildcard.
        ("guest", "prefix", "com.status", None),
        ("guest", "wildcard", "com.", None),
        ("guest", "prefix", "org.web.open", None),
        ("guest", "wildcard", "..", REFUSED),
        # A wildcard without an empty component is one URI.
        ("guest", "wildcard", "com.status", ALLOWED),
        ("member", "prefix", "net.", None),
    ],
)
def test_pattern_needs_a_rule_that_covers_it_and_no_refusal_of_a_part(
    role: str, match: Match, uri: str, expected: Verdict | None
) -> None:
    assert permissions(shop).verdict("subscribe", uri, role, match=match) == expected


def test_rule_for_another_action_does_not_affect_a_pattern() -> None:
    realm = Permissions()
    realm.allow("com.", "subscribe", match="prefix")
    realm.allow("com.secret", "call", role="admin")
    assert realm.verdict("subscribe", "com.", None, match="prefix") == ALLOWED


def everything(realm: Permissions) -> None:
    realm.allow("", "subscribe", match="prefix", disclose=True)


def everything_and_meta(realm: Permissions) -> None:
    everything(realm)
    realm.allow("wamp.", "subscribe", match="prefix")


def everything_and_meta_for_ops(realm: Permissions) -> None:
    everything(realm)
    realm.allow("wamp.", "subscribe", match="prefix", role="ops")


def meta_alone(realm: Permissions) -> None:
    realm.allow("wamp.", "subscribe", match="prefix")


def nothing_but_for_ops(realm: Permissions) -> None:
    realm.allow("", "subscribe", match="prefix", role="ops")


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (no_rules, None),
        (everything, None),
        (meta_alone, None),
        (everything_and_meta, ALLOWED),
        (everything_and_meta_for_ops, REFUSED),
        (nothing_but_for_ops, REFUSED),
        (Permissions.allow_all, DISCLOSABLE),
    ],
)
@pytest.mark.parametrize(("uri", "match"), [("", "prefix"), ("wam", "prefix"), ("..", "wildcard")])
def test_pattern_that_matches_the_routers_own_uris_must_be_allowed_these_too(
    rules: Rules, expected: Verdict | None, uri: str, match: Match
) -> None:
    assert permissions(rules).verdict("subscribe", uri, "member", match=match) == expected


@pytest.mark.parametrize(("uri", "match"), [("wamp.session.", "prefix"), ("wamp..on_join", "wildcard")])
def test_only_rules_for_the_routers_own_uris_apply_to_patterns_within_them(uri: str, match: Match) -> None:
    assert permissions(meta_alone).verdict("subscribe", uri, None, match=match) == ALLOWED
    assert permissions(everything).verdict("subscribe", uri, None, match=match) is None


# Invalid rules


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        (["com.app"], {}, "names no action.*call, register, publish, subscribe"),
        (["com.app", "call", "invoke"], {}, "unknown action 'invoke'.*call, register, publish, subscribe"),
        (["com.app", "call"], {"match": "regex"}, "match is 'regex'.*exact, prefix, wildcard"),
        (["com..app", "call"], {}, "'com..app' is not a valid URI for match='exact'"),
        (["com.", "call"], {}, "not a valid URI"),
        (["com..app.", "call"], {"match": "prefix"}, "not a valid URI"),
        (["com.my app", "call"], {"match": "wildcard"}, "not a valid URI"),
        (["com.app", "call"], {"role": ()}, r"role is \(\)"),
        (["com.app", "call"], {"role": ""}, "role is ''"),
        (["com.app", "call"], {"role": ["admin", None]}, "None"),
    ],
)
def test_invalid_rule_is_a_configuration_error(
    args: list[Any], options: dict[str, Any], message: str
) -> None:
    realm = Permissions()
    with pytest.raises(ConfigurationError, match=message):
        realm.allow(*args, **options)
    assert realm.verdict("call", "com.app", "admin") is None


def test_patterns_of_rules_are_listed_for_an_action() -> None:
    permissions = Permissions()
    permissions.allow_all()
    permissions.allow("chat.lobby", "subscribe")
    permissions.allow("chat.", "subscribe", "publish", match="prefix", role="member")
    permissions.allow("chat..said", "subscribe", match="wildcard")
    permissions.allow("wamp.", "subscribe", match="prefix")

    assert permissions.patterns("subscribe") == [("prefix", "chat."), ("wildcard", "chat..said")]
    assert permissions.patterns("call") == []


@pytest.mark.parametrize(
    ("uri", "match", "expected"),
    [
        ("chat.lobby", "exact", True),
        ("chat.staff", "exact", True),
        ("news", "exact", False),
        ("chat.", "prefix", True),
        ("chat.rooms.", "prefix", True),
        ("cha", "prefix", False),
        ("chat..name", "wildcard", True),
        (".name", "wildcard", False),
    ],
)
def test_rules_allow_somebody_an_action_on_a_whole_pattern(uri: str, match: Match, expected: bool) -> None:
    permissions = Permissions()
    permissions.allow("chat.", "publish", match="prefix", role="member")
    permissions.allow("chat.staff", "publish", role="admin")

    assert permissions.allows_somebody("publish", uri, match) is expected
    assert not permissions.allows_somebody("subscribe", uri, match)


def test_allow_all_allows_somebody_everything() -> None:
    permissions = Permissions()
    permissions.allow_all()

    assert permissions.allows_somebody("publish", "news", "exact")
    assert permissions.allows_somebody("publish", "", "prefix")
