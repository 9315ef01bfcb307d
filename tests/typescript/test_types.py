from __future__ import annotations

import pytest

from wampasgi.typescript.types import (
    NEVER,
    NULL,
    UNKNOWN,
    WIDTH,
    Array,
    Element,
    Intersection,
    Mapped,
    Name,
    Object,
    Property,
    Tuple,
    Type,
    Union,
    intersection,
    jsdoc,
    property_key,
    render,
    union,
)

LONG = Name("x" * 60)
STRING = Name("string")


def test_union_is_flat_and_has_no_duplicates() -> None:
    nested = union([STRING, union([LONG, STRING]), NEVER])

    assert nested == Union((STRING, LONG))
    assert union([STRING, UNKNOWN]) == UNKNOWN
    assert union([]) == NEVER


def test_intersection_with_unknown_is_the_other_type() -> None:
    assert intersection([UNKNOWN, STRING, STRING]) == STRING
    assert intersection([]) == UNKNOWN


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (Union((LONG, Name("y" * 60))), f"\n  | {'x' * 60}\n  | {'y' * 60}"),
        (Array(Union((LONG, Name("y" * 60)))), f"(\n  | {'x' * 60}\n  | {'y' * 60}\n)[]"),
        (
            Object((Property("a", LONG), Property("b", LONG, optional=True)), LONG),
            f"{{\n  a: {'x' * 60};\n  b?: {'x' * 60};\n  [key: string]: {'x' * 60};\n}}",
        ),
        (
            Tuple((Element(LONG, "a"), Element(LONG, "b", optional=True), Element(STRING, "c", rest=True))),
            f"[\n  a: {'x' * 60},\n  b?: {'x' * 60},\n  ...c: string[],\n]",
        ),
        (
            Intersection((Union((STRING, NULL)), Object((Property("a", LONG), Property("b", LONG))))),
            f"(string | null) & {{\n  a: {'x' * 60};\n  b: {'x' * 60};\n}}",
        ),
        (
            Mapped(STRING, Object((Property("a", LONG), Property("b", LONG)))),
            f"{{ [K in string]?: {{\n  a: {'x' * 60};\n  b: {'x' * 60};\n}} }}",
        ),
    ],
)
def test_long_type_is_broken(node: Type, expected: str) -> None:
    assert render(node) == expected


def test_line_is_broken_if_the_rest_of_it_is_too_short() -> None:
    node = Object((Property("a", STRING),))

    assert render(node, column=WIDTH - 16) == "{ a: string }"
    assert render(node, "  ", WIDTH - 13) == "{\n    a: string;\n  }"


def test_commented_property_is_on_a_line_of_its_own() -> None:
    node = Object((Property("a", STRING, comment=("One",)), Property("b", STRING)))

    assert render(node) == "{\n  /** One */\n  a: string;\n  b: string;\n}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a_1$", "a_1$"), ("class", "class"), ("a-b", '"a-b"'), ("1a", '"1a"'), ('"', '"\\""'), ("", '""')],
)
def test_key_is_quoted_if_it_is_not_an_identifier(name: str, expected: str) -> None:
    assert property_key(name) == expected


def test_comment_does_not_end_early() -> None:
    assert jsdoc(["a */ b"], "  ") == "  /** a *\\/ b */\n"


def test_long_comment_has_a_line_for_each_line() -> None:
    assert jsdoc(["a", "", "b\nc  "]) == "/**\n * a\n *\n * b\n * c\n */\n"
    assert jsdoc(["x" * WIDTH]) == f"/**\n * {'x' * WIDTH}\n */\n"
    assert jsdoc([]) == ""
