from __future__ import annotations

import pytest

from wampasgi.errors import UNAVAILABLE, WAMPError
from wampasgi.router import testaments as module

ALICE, BOB = 11, 12


def one() -> None: ...


def two() -> None: ...


def three() -> None: ...


def test_detached_testaments_come_first_and_each_scope_is_in_order() -> None:
    testaments = module.Testaments()
    testaments.add(ALICE, "destroyed", one, 10, limit=9, max_size=100)
    testaments.add(ALICE, "destroyed", two, 10, limit=9, max_size=100)
    testaments.add(ALICE, "detached", three, 10, limit=9, max_size=100)

    assert testaments.take(ALICE) == [three, one, two]


def test_testaments_are_removed_when_they_are_taken() -> None:
    testaments = module.Testaments()
    testaments.add(ALICE, "destroyed", one, 10, limit=9, max_size=100)
    testaments.add(BOB, "destroyed", two, 10, limit=9, max_size=100)

    assert testaments.take(ALICE) == [one]
    assert testaments.take(ALICE) == []
    assert testaments.take(BOB) == [two]


def test_flush_removes_one_scope_of_one_session() -> None:
    testaments = module.Testaments()
    for session_id in ALICE, BOB:
        testaments.add(session_id, "destroyed", one, 10, limit=9, max_size=100)
        testaments.add(session_id, "detached", two, 10, limit=9, max_size=100)

    testaments.flush(ALICE, "destroyed")

    assert testaments.take(ALICE) == [two]
    assert testaments.take(BOB) == [two, one]


def test_limit_applies_to_both_scopes_of_a_session_together() -> None:
    testaments = module.Testaments()
    testaments.add(ALICE, "destroyed", one, 10, limit=2, max_size=100)
    testaments.add(ALICE, "detached", one, 10, limit=2, max_size=100)
    testaments.add(BOB, "detached", one, 10, limit=2, max_size=100)

    with pytest.raises(WAMPError) as raised:
        testaments.add(ALICE, "detached", one, 10, limit=2, max_size=100)

    assert raised.value.uri == UNAVAILABLE
    testaments.flush(ALICE, "destroyed")
    testaments.add(ALICE, "detached", two, 10, limit=2, max_size=100)
    assert testaments.take(ALICE) == [one, two]


def test_testament_that_would_exceed_the_size_limit_is_refused() -> None:
    testaments = module.Testaments()
    testaments.add(ALICE, "destroyed", one, 60, limit=9, max_size=100)
    with pytest.raises(WAMPError, match="over the limit testament_bytes of 100") as caught:
        testaments.add(ALICE, "detached", two, 41, limit=9, max_size=100)
    testaments.add(ALICE, "detached", three, 40, limit=9, max_size=100)

    assert caught.value.uri == "wamp.error.unavailable"
    assert testaments.take(ALICE) == [three, one]
