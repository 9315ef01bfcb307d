from __future__ import annotations

import pytest

from wampasgi.errors import UNAVAILABLE, WAMPError
from wampasgi.router import testaments as module

ALICE, BOB = 11, 12


def one() -> None: ...


def two() -> None: ...


def three() -> None: ...


def test_detached_testaments_come_first_and_each_scope_in_order() -> None:
    testaments = module.Testaments()
    testaments.add(ALICE, "destroyed", one, limit=9)
    testaments.add(ALICE, "destroyed", two, limit=9)
    testaments.add(ALICE, "detached", three, limit=9)

    assert testaments.take(ALICE) == [three, one, two]


def test_taken_testaments_are_kept_no_longer() -> None:
    testaments = module.Testaments()
    testaments.add(ALICE, "destroyed", one, limit=9)
    testaments.add(BOB, "destroyed", two, limit=9)

    assert testaments.take(ALICE) == [one]
    assert testaments.take(ALICE) == []
    assert testaments.take(BOB) == [two]


def test_flushing_empties_one_scope_of_one_session() -> None:
    testaments = module.Testaments()
    for session_id in ALICE, BOB:
        testaments.add(session_id, "destroyed", one, limit=9)
        testaments.add(session_id, "detached", two, limit=9)

    testaments.flush(ALICE, "destroyed")

    assert testaments.take(ALICE) == [two]
    assert testaments.take(BOB) == [two, one]


def test_bound_counts_both_scopes_of_a_session() -> None:
    testaments = module.Testaments()
    testaments.add(ALICE, "destroyed", one, limit=2)
    testaments.add(ALICE, "detached", one, limit=2)
    testaments.add(BOB, "detached", one, limit=2)

    with pytest.raises(WAMPError) as raised:
        testaments.add(ALICE, "detached", one, limit=2)

    assert raised.value.uri == UNAVAILABLE
    testaments.flush(ALICE, "destroyed")
    testaments.add(ALICE, "detached", two, limit=2)
    assert testaments.take(ALICE) == [one, two]
