from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from wampasgi.description.hints import hints_of

if TYPE_CHECKING:
    from decimal import Decimal as Missing


class Base:
    first: Annotated[int, "metadata"]


class Derived(Base):
    second: Missing
    third: list[Nested]

    class Nested: ...


def test_annotations_are_those_of_the_class_and_its_bases() -> None:
    hints = hints_of(Derived)
    assert list(hints) == ["first", "second", "third"]
    assert hints["first"] == Annotated[int, "metadata"]
    assert hints["third"] == list[Derived.Nested]


def test_annotation_that_cannot_be_resolved_remains_text() -> None:
    assert hints_of(Derived)["second"] == "Missing"


def test_class_without_annotations_has_no_hints() -> None:
    assert hints_of(Derived.Nested) == {}
