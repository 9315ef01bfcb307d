from __future__ import annotations

import pytest

from wampasgi.typescript.names import element_name, identifier, identifiers_in, model_names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Order", "Order"),
        ("Order-Input", "OrderInput"),
        ("app.models.Order", "appModelsOrder"),
        ("Page_Order_", "Page_Order_"),
        ("2D", "_2D"),
        ("Größe", "Größe"),
        ("$x", "$x"),
        ("-", "_"),
        ("", "_"),
    ],
)
def test_identifier_keeps_the_letters(text: str, expected: str) -> None:
    assert identifier(text) == expected


def test_model_with_a_valid_name_keeps_it() -> None:
    names = model_names(["Order-Input", "OrderInput", "Order.Input"], frozenset())

    assert names == {"OrderInput": "OrderInput", "Order-Input": "OrderInput2", "Order.Input": "OrderInput3"}


def test_names_of_models_are_distinct_and_not_taken() -> None:
    names = model_names(["Map", "MapModel", "string", "stringModel", "M-ap"], frozenset({"Map"}))

    assert len(set(names.values())) == 5
    assert not {"Map", "string"} & set(names.values())
    assert names["MapModel"] == "MapModel"


@pytest.mark.parametrize(
    ("name", "expected"), [("class", "class_"), ("value", "value"), ("per-page", "perPage")]
)
def test_element_of_a_tuple_has_no_reserved_name(name: str, expected: str) -> None:
    assert element_name(name) == expected


def test_identifiers_in_comments_are_left_out() -> None:
    assert identifiers_in("/** A\n b */ const c = d.e; // f") == {"const", "c", "d", "e"}
