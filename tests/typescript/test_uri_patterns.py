from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wampasgi.typescript.uri_patterns import literal_prefix, precedence, uri_pattern


@pytest.mark.parametrize(
    ("match", "uri", "expected"),
    [
        ("prefix", "shop.", "`shop.${string}`"),
        ("prefix", "", "string"),
        ("wildcard", "shop..get", "`shop.${string}.get`"),
        ("wildcard", ".get", "`${string}.get`"),
        ("wildcard", "shop.", "`shop.${string}`"),
        ("wildcard", "a...b", "`a.${string}.${string}.b`"),
        ("wildcard", "a.b", "`a.b`"),
        ("regex", r"shop\.item\.\d+", "`shop.item.${string}`"),
        ("regex", ".*", "string"),
        ("prefix", "a`${b}\\.", "`a\\`\\${b}\\\\.${string}`"),
    ],
)
def test_pattern_is_a_template_literal(match: str, uri: str, expected: str) -> None:
    assert uri_pattern(match, uri).type == expected


@pytest.mark.parametrize(
    ("match", "uri", "matching", "other"),
    [
        ("prefix", "a.b", "a.bc.d", "a.c"),
        ("wildcard", "a..c", "a.b.c", "a.b.b.c"),
        ("wildcard", "a..c", "a.x(y).c", "a..c"),
        ("prefix", "a.(b)*/", "a.(b)*/c", "a.bbb/c"),
    ],
)
def test_regular_expression_matches_as_the_router_does(
    match: str, uri: str, matching: str, other: str
) -> None:
    pattern = uri_pattern(match, uri)

    assert pattern.matches(matching)
    assert not pattern.matches(other)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (r"shop\.item\.(?P<name>\w+)", "shop.item."),
        (r"^shop\.[a-z]+", "shop."),
        (r"shop\.items?", "shop.item"),
        (r"shop\.a{2}", "shop."),
        (r"shop\.a|till\.b", ""),
        (r"shop\.(a|b)", "shop."),
        (r"shop\.[(]|x", ""),
        (r"shop\.[|]", "shop."),
        (r"shop\|x", "shop|x"),
        (r"(?i)shop\.a", ""),
        (r"(?i)(?-i:shop\.)(?:a)", "shop."),
        (r"(?-i:shop\.)(?:a|b)", "shop."),
        (r"(?s)shop\..", "shop."),
        (r"shop\d", "shop"),
        (r"\Ashop", ""),
        ("", ""),
    ],
)
def test_regular_expression_is_reduced_to_its_literal_prefix(expression: str, expected: str) -> None:
    assert literal_prefix(expression) == expected


PIECES = st.sampled_from(
    ["a", "b", ".", r"\.", "(a|b)", "(?:ab)", "[ab]", "[|]", "a?", "b*", r"\w", "|", "a{1,2}"]
)


@given(st.lists(PIECES, max_size=6), st.from_regex(r"[ab.|]{0,8}", fullmatch=True))
def test_every_match_begins_with_the_literal_prefix(pieces: list[str], uri: str) -> None:
    expression = "".join(pieces)
    if re.fullmatch(expression, uri):
        assert uri.startswith(literal_prefix(expression))


def test_patterns_are_sorted_as_the_router_prefers_them() -> None:
    patterns = [
        ("regex", "b"),
        ("regex", "a"),
        ("wildcard", "a..c.d"),
        ("wildcard", "a.b."),
        ("prefix", "a."),
        ("prefix", "a.b."),
    ]

    assert sorted(patterns, key=lambda pattern: precedence(*pattern)) == [
        ("prefix", "a.b."),
        ("prefix", "a."),
        ("wildcard", "a.b."),
        ("wildcard", "a..c.d"),
        ("regex", "b"),
        ("regex", "a"),
    ]
