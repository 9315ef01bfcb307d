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
