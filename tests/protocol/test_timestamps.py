from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wampasgi.protocol.timestamps import date_from_days, from_nanoseconds, nanoseconds


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.001Z", 10**6),
        ("1970-01-01t00:00:01z", 10**9),
        ("1970-01-01 00:00:01Z", 10**9),
        ("1970-01-01T01:30:00+01:30", 0),
        ("1969-12-31T23:00:00.5-01:00", 5 * 10**8),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1970-01-01T00:00:00.0000000019Z", 1),
        ("2000-02-29T00:00:00Z", 951782400 * 10**9),
        ("1990-12-31T23:59:60Z", 662688000 * 10**9),
    ],
)
def test_valid_timestamp_is_parsed(timestamp: str, expected: int) -> None:
    assert nanoseconds(timestamp) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23",
        "2026-11-23T10:00:00",
        "2026-11-23T10:00Z",
        "2026-11-23T10:00:00,5Z",
        "2026-11-23T10:00:00.Z",
        "2026-11-23T10:00:00+0100",
        "2026-11-23T10:00:00 Z",
        "20261123T100000Z",
        "0000-01-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-11-00T00:00:00Z",
        "2026-11-31T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T10:60:00Z",
        "2026-11-23T10:00:61Z",
        "2026-11-23T10:00:00+24:00",
        "2026-11-23T10:00:00+01:60",
        "2026-11-23T10:00:00Z\n",
        "\uff12026-11-23T10:00:00Z",
    ],
)
def test_invalid_timestamp_is_none(text: str) -> None:
    assert nanoseconds(text) is None


@settings(deadline=None)
@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),
    st.integers(-14 * 60, 14 * 60),
)
def test_timestamps_are_parsed_as_by_the_standard_library(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert nanoseconds(moment.isoformat()) == elapsed // timedelta(microseconds=1) * 1000


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@settings(deadline=None)
@given(st.datetimes(timezones=st.just(UTC)))
def test_timestamp_is_written_as_python_writes_it(time: datetime) -> None:
    written = from_nanoseconds((time - EPOCH) // timedelta(microseconds=1) * 1000)

    assert written == time.isoformat()


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1, "1970-01-01T00:00:00.000000001+00:00"), (-1, "1969-12-31T23:59:59.999999999+00:00")],
)
def test_written_timestamp_has_nanoseconds_if_necessary(number: int, expected: str) -> None:
    assert from_nanoseconds(number) == expected
    assert nanoseconds(expected) == number


@settings(deadline=None)
@given(st.dates())
def test_date_is_written_as_python_writes_it(day: date) -> None:
    assert date_from_days((day - date(1970, 1, 1)).days) == day.isoformat()


@pytest.mark.parametrize("days", [-719_163, 2_932_897, 10**30, -(10**30)])
def test_time_outside_of_the_years_1_to_9999_is_refused(days: int) -> None:
    with pytest.raises(ValueError, match="years 1 to 9999"):
        date_from_days(days)
    with pytest.raises(ValueError, match="years 1 to 9999"):
        from_nanoseconds(days * 24 * 60 * 60 * 10**9)
