from __future__ import annotations

import re
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wampasgi.protocol.uris import MATCH_POLICIES, VALID_URIS, check_pattern, check_uri, is_reserved
from wampasgi.types import Match, URICheck

# The regular expressions in the specification.
SPECIFICATION = {
    ("loose", False): r"^([^\s\.#]+\.)*([^\s\.#]+)$",
    ("loose", True): r"^(([^\s\.#]+\.)|\.)*([^\s\.#]+)?$",
    ("strict", False): r"^([0-9a-z_]+\.)*([0-9a-z_]+)$",
    ("strict", True): r"^(([0-9a-z_]+\.)|\.)*([0-9a-z_]+)?$",
}

POLICIES: tuple[URICheck, ...] = ("loose", "strict")


@pytest.mark.parametrize(
    ("uri", "loose", "strict"),
    [
        ("com.myapp.mytopic1", True, True),
        ("a", True, True),
        ("com.my_app.0", True, True),
        ("com.myApp.topic", True, False),
        ("com.my-app.topic", True, False),
        ("com.тема.💬", True, False),
        ("http://example.com/topic", True, False),
        ("", False, False),
        (".", False, False),
        ("com..topic", False, False),
        (".com", False, False),
        ("com.", False, False),
        ("com.my app", False, False),
        ("com.my\ttopic", False, False),
        ("com.my\u00a0topic", False, False),
        ("com.topic\n", False, False),
        ("\ncom.topic", False, False),
        ("com.topic#1", False, False),
    ],
)
def test_uri_without_empty_components_is_checked_by_policy(uri: str, loose: bool, strict: bool) -> None:
    assert check_uri(uri) is loose
    assert check_uri(uri, policy="loose") is loose
    assert check_uri(uri, policy="strict") is strict
    assert VALID_URIS["loose"][uri] is loose
    assert VALID_URIS["strict"][uri] is strict


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("uri", "valid"),
    [
        ("", True),
        (".", True),
        ("com..topic", True),
        (".com.", True),
        ("com...topic", True),
        ("com. .topic", False),
        ("com..to#pic", False),
        ("com..\n", False),
    ],
)
def test_empty_components_are_accepted_if_allowed(uri: str, valid: bool, policy: URICheck) -> None:
    assert check_uri(uri, policy=policy, allow_empty_components=True) is valid


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("allow_empty", [False, True])
@settings(deadline=None)
@given(uri=st.text(st.sampled_from("ab.Z_0# \n-é\u2003"), max_size=12))
def test_uri_check_agrees_with_the_expressions_of_the_specification(
    policy: Literal["loose", "strict"], allow_empty: bool, uri: str
) -> None:
    expression = SPECIFICATION[policy, allow_empty]
    # `$` also matches before a trailing newline, but the specification forbids white space.
    expected = re.match(expression, uri) is not None and not uri.endswith("\n")

    assert check_uri(uri, policy=policy, allow_empty_components=allow_empty) is expected


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("uri", "exact", "prefix", "wildcard"),
    [
        ("com.myapp", True, True, True),
        ("com.myapp.ord", True, True, True),
        ("com.myapp.", False, True, True),
        ("", False, True, True),
        ("com..userevent", False, False, True),
        (".myapp", False, False, True),
        ("com..", False, False, True),
        (".", False, False, True),
        ("com.my app", False, False, False),
        ("com.my#app.", False, False, False),
        ("com.\n", False, False, False),
    ],
)
def test_pattern_is_checked_by_match_policy(
    uri: str, exact: bool, prefix: bool, wildcard: bool, policy: URICheck
) -> None:
    results = [check_pattern(uri, match, policy) for match in MATCH_POLICIES]

    assert results == [exact, prefix, wildcard]


@pytest.mark.parametrize("match", MATCH_POLICIES)
def test_strict_patterns_have_strict_components(match: Match) -> None:
    assert check_pattern("com.myApp", match)
    assert not check_pattern("com.myApp", match, "strict")


@pytest.mark.parametrize("length", [255, 256, 100_000])
def test_long_uris_are_checked_correctly_each_time(length: int) -> None:
    valid, invalid = "a" * length, "a" * (length - 1) + " "

    assert [check_uri(valid), check_uri(valid)] == [True, True]
    assert [check_uri(invalid), check_uri(invalid)] == [False, False]


@pytest.mark.parametrize("uri", ["a." * 200_000 + "#", "a" * 400_000 + "#", "." * 400_000 + "#"])
def test_hostile_uris_are_refused_in_linear_time(uri: str) -> None:
    # Quadratic time would exceed the timeout of the test run.
    assert not check_uri(uri)
    assert not check_uri(uri, allow_empty_components=True)
    assert not check_pattern(uri, "prefix")


def test_cache_of_checked_uris_is_bounded() -> None:
    for number in range(10_000):
        assert check_uri(f"com.myapp.flood{number}")
        assert check_uri("x" * 256 + str(number))

    cached = VALID_URIS["loose"]
    assert len(cached) <= 4096
    assert max(map(len, cached)) <= 255
    assert check_uri("com.myapp.flood0")


@pytest.mark.parametrize(
    ("uri", "reserved"),
    [
        ("wamp", True),
        ("wamp.error.not_authorized", True),
        ("wamp.", True),
        ("wampum.shop", False),
        ("com.wamp", False),
        ("WAMP.error", False),
        ("", False),
    ],
)
def test_reserved_uris_have_wamp_as_their_first_component(uri: str, reserved: bool) -> None:
    assert is_reserved(uri) is reserved
