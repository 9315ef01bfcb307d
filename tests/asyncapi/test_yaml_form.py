from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asyncapi.descriptions import shop
from wampasgi.asyncapi import asyncapi_document
from wampasgi.asyncapi.yaml_form import from_yaml, to_yaml

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON_VALUES)
def test_yaml_of_a_json_value_is_read_as_the_same_value(value: Any) -> None:
    assert from_yaml(to_yaml(value)) == value


def test_document_is_read_as_the_same_document_in_the_same_order() -> None:
    document = asyncapi_document([shop()], title="Shop", version="1.0")

    read = from_yaml(to_yaml(document))

    assert read == document
    assert list(read) == list(document)
    assert list(read["channels"]) == list(document["channels"])


def test_text_of_several_lines_is_a_block() -> None:
    assert to_yaml({"description": "First.\n\nSecond: yes.", "list": [1]}) == (
        "description: |-\n  First.\n\n  Second: yes.\nlist:\n  - 1\n"
    )


def test_equal_values_are_repeated() -> None:
    shared = {"type": "string"}

    assert to_yaml([shared, shared]) == "- type: string\n- type: string\n"


def test_letters_of_all_scripts_are_not_escaped() -> None:
    assert to_yaml({"title": "Größe 尺寸"}) == "title: Größe 尺寸\n"


@pytest.mark.parametrize(
    "text", ["1.0", "1e3", "0o17", "0x1F", "true", "yes", "null", "~", "2026-01-01", "1_0"]
)
def test_text_that_yaml_1_1_or_1_2_reads_as_something_else_is_quoted(text: str) -> None:
    assert to_yaml({text: text}) == f"'{text}': '{text}'\n"


def test_invalid_yaml_raises_value_error() -> None:
    with pytest.raises(ValueError, match="line 1"):
        from_yaml("a: [")
