from __future__ import annotations

from collections.abc import Callable

import pytest

from wampasgi.protocol.ids import MAX_ID, SequentialIds, is_id, random_id, random_publication_id


@pytest.mark.parametrize("value", [1, 2, 7814135, MAX_ID])
def test_integers_from_1_to_2_to_the_53_are_ids(value: int) -> None:
    assert is_id(value)


@pytest.mark.parametrize("value", [0, -1, MAX_ID + 1, True, False, 1.0, "1", None, [1], 10**400])
def test_other_values_are_not_ids(value: object) -> None:
    assert not is_id(value)


@pytest.mark.parametrize("draw", [random_id, random_publication_id])
def test_random_ids_cover_the_whole_range(draw: Callable[[], int]) -> None:
    drawn = [draw() for _ in range(400)]

    assert all(is_id(value) for value in drawn)
    assert len(set(drawn)) == 400
    # The probability that 400 draws miss one of these quarters is 10^-50.
    assert {(value - 1) * 4 // MAX_ID for value in drawn} == {0, 1, 2, 3}


@pytest.mark.parametrize(("name", "draw"), [("secrets", random_id), ("random", random_publication_id)])
def test_random_ids_reach_both_ends_of_the_range(
    name: str, draw: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    method = {"secrets": "randbits", "random": "getrandbits"}[name]

    monkeypatch.setattr(f"{name}.{method}", lambda bits: 0)
    least = draw()
    monkeypatch.setattr(f"{name}.{method}", lambda bits: 2**bits - 1)

    assert (least, draw()) == (1, MAX_ID)


def test_sequential_ids_start_at_1_and_increase_by_1() -> None:
    ids = SequentialIds()

    assert [ids.next() for _ in range(3)] == [1, 2, 3]


def test_sequential_ids_wrap_to_1_after_the_greatest_id() -> None:
    ids = SequentialIds(first=MAX_ID - 1)

    assert [ids.next() for _ in range(4)] == [MAX_ID - 1, MAX_ID, 1, 2]


def test_counters_are_independent() -> None:
    one, other = SequentialIds(), SequentialIds()
    one.next()

    assert other.next() == 1
