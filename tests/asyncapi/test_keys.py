from __future__ import annotations

import re
from string import ascii_lowercase

from hypothesis import given
from hypothesis import strategies as st

from wampasgi.asyncapi.keys import component_keys, unique_keys, valid_key


def test_items_that_prefer_the_same_key_get_their_next_ones() -> None:
    assert unique_keys({1: ["a", "a.1"], 2: ["a", "a.2"], 3: ["b", "b.3"]}) == {1: "a.1", 2: "a.2", 3: "b"}


def test_items_with_equal_candidates_are_numbered() -> None:
    assert unique_keys({1: ["a"], 2: ["a"], 3: ["a_2"]}) == {1: "a", 2: "a_3", 3: "a_2"}


def test_characters_that_keys_cannot_have_become_underscores() -> None:
    assert valid_key("a b/ü{}.c-d_1") == "a_b____.c-d_1"
    assert valid_key("") == "_"


@given(st.lists(st.lists(st.text("ab_2.", max_size=3), min_size=1, max_size=3)))
def test_keys_are_different_and_valid(candidates: list[list[str]]) -> None:
    keys = unique_keys(dict(enumerate(candidates)))

    assert len(set(keys.values())) == len(candidates)
    assert all(re.fullmatch(r"[a-zA-Z0-9.\-_]+", key) for key in keys.values())


def test_equal_things_of_several_realms_share_a_key() -> None:
    contents = {(realm, "x"): "1" for realm in ascii_lowercase} | {("a", "y"): "1"}

    assert set(component_keys(contents).values()) == {"x", "y"}


def test_different_things_with_one_name_have_their_realm_as_prefix() -> None:
    assert component_keys({("a", "x"): "1", ("b", "x"): "2", ("c", "x"): "1"}) == {
        ("a", "x"): "a.x",
        ("b", "x"): "b.x",
        ("c", "x"): "a.x",
    }
