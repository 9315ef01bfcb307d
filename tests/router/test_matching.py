from __future__ import annotations

import itertools
import timeit
from collections.abc import Callable
from typing import SupportsIndex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wampasgi.router.matching import URIMap, covers, matcher, overlaps, specificity
from wampasgi.types import Match

Entry = tuple[Match, str]

POLICIES: tuple[Match, ...] = ("exact", "prefix", "wildcard")


def map_of(*entries: Entry) -> URIMap[Entry]:
    """A map in which each value is its own entry."""
    uris: URIMap[Entry] = URIMap()
    for match, uri in entries:
        uris.add(match, uri, (match, uri))
    return uris


@pytest.mark.parametrize(
    ("match", "entry", "uri", "expected"),
    [
        ("exact", "com.myapp.topic", "com.myapp.topic", True),
        ("exact", "com.myapp.topic", "com.myapp.topic.x", False),
        ("exact", "com.myapp.topic", "com.myapp", False),
        # The examples of "Pattern-based Subscription" and "Pattern-based Registrations".
        ("prefix", "com.myapp.topic.emergency", "com.myapp.topic.emergency.11", True),
        ("prefix", "com.myapp.topic.emergency", "com.myapp.topic.emergency-low", True),
        ("prefix", "com.myapp.topic.emergency", "com.myapp.topic.emergency.category.severe", True),
        ("prefix", "com.myapp.topic.emergency", "com.myapp.topic.emergency", True),
        ("prefix", "com.myapp.topic.emergency", "com.myapp.topic.emerge", False),
        ("prefix", "com.myapp.myobject1", "com.myapp.myobject1-mysubobject1", True),
        ("prefix", "com.myapp.myobject1", "com.myapp.myobject2", False),
        ("prefix", "com.myapp.myobject1", "com.myapp.myobject", False),
        ("prefix", "com.myapp", "com.myapp2", True),
        ("prefix", "com.myapp.", "com.myapp", False),
        ("prefix", "", "com", True),
        ("wildcard", "com.myapp..userevent", "com.myapp.foo.userevent", True),
        ("wildcard", "com.myapp..userevent", "com.myapp.a12.userevent", True),
        ("wildcard", "com.myapp..userevent", "com.myapp.foo.userevent.bar", False),
        ("wildcard", "com.myapp..userevent", "com.myapp.foo.user", False),
        ("wildcard", "com.myapp..userevent", "com.myapp2.foo.userevent", False),
        ("wildcard", "com.myapp.", "com.myapp.foo", True),
        ("wildcard", ".myapp", "org.myapp", True),
        ("wildcard", "", "com", True),
        ("wildcard", "..", "com.myapp.foo", True),
        ("wildcard", "..", "com.myapp", False),
        ("wildcard", "com.myapp", "com.myapp", True),
        ("wildcard", "com.myapp", "com.other", False),
    ],
)
def test_entry_matches_by_its_policy(match: Match, entry: str, uri: str, expected: bool) -> None:
    uris = map_of((match, entry))
    assert uris.matches(uri) == ([(match, entry)] if expected else [])
    assert uris.best(uri) == ((match, entry) if expected else None)
    assert matcher(match, entry)(uri) is expected


REGISTERED: dict[int, Entry] = {
    1: ("exact", "a1.b2.c3.d4.e55"),
    2: ("prefix", "a1.b2.c3"),
    3: ("prefix", "a1.b2.c3.d4"),
    4: ("wildcard", "a1.b2..d4.e5"),
    5: ("wildcard", "a1.b2.c33..e5"),
    6: ("wildcard", "a1.b2..d4.e5..g7"),
    7: ("wildcard", "a1.b2..d4..f6.g7"),
}


@pytest.mark.parametrize("order", [list(REGISTERED), list(reversed(REGISTERED))])
@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("a1.b2.c3.d4.e55", 1),
        ("a1.b2.c3.d98.e74", 2),
        ("a1.b2.c3.d4.e325", 3),
        ("a1.b2.c55.d4.e5", 4),
        # The specification's example says 5, without a prefix match. But RPC 2 is a prefix of this URI, just
        # as `com.myapp.myobject1` is of `com.myapp.myobject1-mysubobject1`, which matches by its text.
        ("a1.b2.c33.d4.e5", 2),
        ("a1.b2.c88.d4.e5.f6.g7", 6),
        ("a2.b2.c2.d2.e2", None),
    ],
)
def test_best_match_is_as_in_the_specification(order: list[int], uri: str, number: int | None) -> None:
    uris = map_of(*(REGISTERED[key] for key in order))
    assert uris.best(uri) == (None if number is None else REGISTERED[number])


def test_wildcard_with_the_longer_first_run_is_better() -> None:
    uris = map_of(REGISTERED[4], REGISTERED[5])
    assert uris.best("a1.b2.c33.d4.e5") == REGISTERED[5]


def test_matches_are_ordered_from_the_exact_entry_to_the_worst_wildcard() -> None:
    ordered: list[Entry] = [
        ("exact", "a.b.c"),
        ("prefix", "a.b.c"),
        ("prefix", "a.b"),
        ("prefix", ""),
        ("wildcard", "a.b."),
        ("wildcard", "a..c"),
        ("wildcard", ".b.c"),
        ("wildcard", ".."),
    ]
    assert map_of(*ordered).matches("a.b.c") == ordered
    assert map_of(*reversed(ordered)).matches("a.b.c") == ordered


@pytest.mark.parametrize("match", POLICIES)
def test_second_value_under_one_policy_and_uri_is_refused(match: Match) -> None:
    uris: URIMap[int] = URIMap()
    uris.add(match, "com.app", 1)
    with pytest.raises(ValueError, match=r"com\.app"):
        uris.add(match, "com.app", 2)
    assert uris.get(match, "com.app") == 1
    assert len(uris) == 1


@pytest.mark.parametrize("match", POLICIES)
def test_removing_a_missing_entry_is_a_key_error(match: Match) -> None:
    uris = map_of(*((policy, "com.app") for policy in POLICIES if policy != match))
    with pytest.raises(KeyError):
        uris.remove(match, "com.app")
    assert len(uris) == 2


def test_one_uri_can_have_an_entry_under_each_policy() -> None:
    uris = map_of(*((match, "com.app") for match in POLICIES))
    assert list(uris) == [(match, "com.app") for match in POLICIES]
    assert uris.remove("prefix", "com.app") == ("prefix", "com.app")
    assert uris.get("prefix", "com.app") is None
    assert uris.matches("com.app") == [("exact", "com.app"), ("wildcard", "com.app")]


# Comparison with a naive matcher


def naive_match(match: Match, entry: str, uri: str) -> bool:
    if match == "exact":
        return entry == uri
    if match == "prefix":
        return uri[: len(entry)] == entry
    pattern, components = entry.split("."), uri.split(".")
    return len(pattern) == len(components) and all(
        given in ("", component) for given, component in zip(pattern, components, strict=True)
    )


def naive_rank(entry: Entry) -> tuple[int, list[int]]:
    """A rank by the text of "Calls matching multiple registrations"; the greatest is the best match."""
    match, uri = entry
    if match == "exact":
        return 2, []
    if match == "prefix":
        return 1, [len(uri)]
    runs = [0]
    for component in uri.split("."):
        if component:
            runs[-1] += 1
        else:
            runs.append(0)
    return 0, runs


def naive_matches(entries: list[Entry], uri: str) -> list[Entry]:
    return sorted((entry for entry in entries if naive_match(*entry, uri)), key=naive_rank, reverse=True)


# A few short components, of which one is a prefix of another, so that entries often match.
components = st.sampled_from(["a", "b", "ab"])
some_uris = st.lists(components, min_size=1, max_size=4).map(".".join)
prefixes = st.builds(lambda uri, length: uri[:length], some_uris, st.integers(0, 8))
wildcards = st.lists(components | st.just(""), min_size=1, max_size=4).map(".".join)
some_entries: st.SearchStrategy[Entry] = st.one_of(
    st.tuples(st.just("exact"), some_uris),
    st.tuples(st.just("prefix"), prefixes),
    st.tuples(st.just("wildcard"), wildcards),
)


@given(
    entries=st.lists(some_entries, unique=True, max_size=25),
    removed=st.sets(st.integers(0, 24)),
    added_again=st.booleans(),
    looked_up=st.lists(some_uris, min_size=1, max_size=8),
)
def test_map_agrees_with_a_naive_matcher(
    entries: list[Entry], removed: set[int], added_again: bool, looked_up: list[str]
) -> None:
    uris = map_of(*entries)
    gone = [entry for index, entry in enumerate(entries) if index in removed]
    left = [entry for index, entry in enumerate(entries) if index not in removed]
    # These lookups fill the cache, which the following changes must invalidate.
    for uri in looked_up:
        assert uris.matches(uri) == naive_matches(entries, uri)
    for match, uri in gone:
        assert uris.remove(match, uri) == (match, uri)
        assert uris.get(match, uri) is None
    if added_again:
        for match, uri in gone:
            uris.add(match, uri, (match, uri))
        left += gone
    assert len(uris) == len(left)
    assert list(uris) == sorted(left, key=lambda entry: POLICIES.index(entry[0]))
    for match, uri in left:
        assert uris.get(match, uri) == (match, uri)
    for uri in looked_up:
        expected = naive_matches(left, uri)
        assert uris.matches(uri) == expected
        assert uris.best(uri) == (expected[0] if expected else None)


@settings(deadline=None)
@given(st.lists(some_entries, unique=True), some_uris)
def test_matcher_agrees_with_a_naive_matcher(entries: list[Entry], uri: str) -> None:
    assert [entry for entry in entries if matcher(*entry)(uri)] == [
        entry for entry in entries if naive_match(*entry, uri)
    ]


@given(st.lists(some_entries, unique=True, min_size=1, max_size=25), some_uris)
def test_specificity_ranks_the_entries_that_match_one_uri(entries: list[Entry], uri: str) -> None:
    found = map_of(*entries).matches(uri)
    assert found == sorted(found, key=lambda entry: specificity(*entry), reverse=True)
    assert len({specificity(*entry) for entry in found}) == len(found)


# All URIs of up to four components; the patterns have up to three, so that some URIs extend each prefix.
UNIVERSE = [
    ".".join(parts) for length in range(1, 5) for parts in itertools.product(["a", "b", "ab"], repeat=length)
]
short_uris = st.lists(components, min_size=1, max_size=3)
short_patterns: st.SearchStrategy[Entry] = st.one_of(
    st.tuples(st.just("exact"), short_uris.map(".".join)),
    st.tuples(
        st.just("prefix"),
        st.builds(
            lambda whole, last: ".".join([*whole, last]),
            st.lists(components, max_size=2),
            components | st.just(""),
        ),
    ),
    st.tuples(st.just("wildcard"), st.lists(components | st.just(""), min_size=1, max_size=3).map(".".join)),
)


@given(short_patterns, short_patterns)
def test_relations_of_two_patterns_agree_with_the_uris_that_they_match(one: Entry, other: Entry) -> None:
    by_one = {uri for uri in UNIVERSE if naive_match(*one, uri)}
    by_other = {uri for uri in UNIVERSE if naive_match(*other, uri)}
    assert overlaps(*one, *other) == bool(by_one & by_other)
    assert covers(*one, *other) == (by_one >= by_other)


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        (("prefix", "com.chat."), ("prefix", "com.chat.rooms."), True),
        (("prefix", "com.chat."), ("prefix", "com."), False),
        (("exact", "com.chat"), ("prefix", "com.chat"), False),
        (("prefix", "com.chat."), ("wildcard", "com.chat..said"), True),
        (("prefix", "com.chat.a"), ("wildcard", "com.chat..said"), False),
        (("prefix", "com.chat.."), ("wildcard", "com.chat..said"), False),
        (("prefix", "com.ch"), ("wildcard", "com.chat"), True),
        (("prefix", "com.chat."), ("wildcard", "com.chat"), False),
        (("exact", "com.chat"), ("wildcard", "com.chat"), True),
        (("exact", "com."), ("wildcard", "com."), False),
        (("wildcard", "com..said"), ("prefix", "com."), False),
        (("wildcard", "com.."), ("wildcard", "com..said"), True),
        (("wildcard", "com..said"), ("wildcard", "com.."), False),
    ],
)
def test_pattern_covers_the_patterns_within_it(outer: Entry, inner: Entry, expected: bool) -> None:
    assert covers(*outer, *inner) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("exact", "com.chat"), ("exact", "com.chat"), True),
        (("exact", "com.chat"), ("exact", "com.news"), False),
        (("exact", "com.chat.room"), ("prefix", "com.chat."), True),
        (("prefix", "com."), ("prefix", "com.chat."), True),
        (("prefix", "com.chat."), ("prefix", "com.news."), False),
        (("prefix", "com.ch"), ("wildcard", "com..said"), True),
        (("prefix", "com.chat."), ("wildcard", "org..said"), False),
        (("prefix", "com.chat.said."), ("wildcard", "com..said"), False),
        (("prefix", "com.chat.sa"), ("wildcard", "com..said"), True),
        (("prefix", "com.chat.x"), ("wildcard", "com..said"), False),
        (("wildcard", "com.."), ("wildcard", ".chat."), True),
        (("wildcard", "com..said"), ("wildcard", "..heard"), False),
        (("wildcard", "com.."), ("exact", "com.chat.said"), True),
    ],
)
def test_patterns_overlap_if_one_uri_matches_both(one: Entry, other: Entry, expected: bool) -> None:
    assert overlaps(*one, *other) is expected
    assert overlaps(*other, *one) is expected


@pytest.mark.parametrize(
    ("match", "entry", "uri"),
    [
        ("prefix", "com.app.service{}.", "com.app.service5.changed"),
        ("prefix", "com.app.{}", "com.other.topic"),
        ("wildcard", "com..item{}.changed", "com.app.item5.changed"),
        ("wildcard", "com.app{}..changed", "org.app5.item.changed"),
    ],
)
def test_lookup_among_a_thousand_patterns_takes_about_as_long_as_among_ten(
    match: Match, entry: str, uri: str
) -> None:
    few, many = (map_of(*((match, entry.format(i)) for i in range(count))) for count in (10, 1000))

    def cost(lookup: Callable[[str], object]) -> float:
        return min(timeit.repeat(lambda: lookup(uri), number=200, repeat=15))

    # Visiting each entry would take a hundred times as long. The margin is for a busy machine.
    assert cost(many.matches) < 5 * cost(few.matches)
    assert cost(many.best) < 5 * cost(few.best)


def test_adding_and_removing_a_short_prefix_does_not_visit_all_longer_ones() -> None:
    visited: list[str] = []

    class RecordedText(str):
        __slots__ = ()

        def startswith(self, prefix: str | tuple[str, ...], *within: SupportsIndex | None) -> bool:
            visited.append(self)
            return super().startswith(prefix, *within)

    entries: URIMap[int] = URIMap()
    for number in range(1000):
        entries.add("prefix", RecordedText(f"a{number}."), number)
    visited.clear()
    entries.add("prefix", "", -1)
    matches = entries.matches("a7.x")
    entries.remove("prefix", "")

    assert matches == [7, -1]
    assert entries.matches("a7.x") == [7]
    assert len(visited) < 10
