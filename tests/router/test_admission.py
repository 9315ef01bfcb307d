"""Counting the sessions of a realm, in total and by address."""

from __future__ import annotations

import pytest

from wampasgi import Limits
from wampasgi.router.admission import Admission, Place


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("198.51.100.1", "198.51.100.1", True),
        ("198.51.100.1", "198.51.100.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:DB8:1:2::2", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:198.51.100.1", "198.51.100.1", True),
        ("::ffff:198.51.100.1", "::ffff:198.51.100.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("no:address", "no:address", True),
        ("no:address", "no:other", False),
    ],
)
def test_addresses_of_one_client_count_as_one(first: str, second: str, same: bool) -> None:
    admission = Admission()
    limits = Limits(sessions_per_address=1)
    place = admission.enter((first, 1), limits)
    assert isinstance(place, Place)
    assert isinstance(admission.enter((second, 2), limits), str) is same
    place.leave()
    place.leave()
    if same:
        assert isinstance(admission.enter((second, 2), limits), Place)


def test_total_counts_sessions_without_an_address_and_a_place_is_given_up_once() -> None:
    admission, limits = Admission(), Limits(sessions=2, sessions_per_address=1)
    places = [admission.enter(None, limits), admission.enter(("", 0), limits)]
    assert all(isinstance(place, Place) for place in places)
    assert admission.enter(("198.51.100.1", 1), limits) == "this realm has reached the limit sessions of 2"
    assert (admission.admitted, admission.refused) == (2, 1)
    for place in places:
        assert isinstance(place, Place)
        place.leave()
        place.leave()
    assert (admission.admitted, admission.refused) == (0, 1)


def test_limits_of_none_admit_any_number_of_sessions() -> None:
    admission, limits = Admission(), Limits(sessions=None, sessions_per_address=None)
    for port in range(1000):
        assert isinstance(admission.enter(("198.51.100.1", port), limits), Place)
    assert (admission.admitted, admission.refused) == (1000, 0)


def test_refused_session_takes_no_place_of_its_address() -> None:
    admission, limits = Admission(), Limits(sessions_per_address=1)
    first = admission.enter(("198.51.100.1", 1), limits)
    assert isinstance(first, Place)
    for port in 2, 3:
        assert isinstance(admission.enter(("198.51.100.1", port), limits), str)
    first.leave()
    assert isinstance(admission.enter(("198.51.100.1", 4), limits), Place)
