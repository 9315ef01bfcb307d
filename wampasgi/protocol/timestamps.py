"""RFC 3339 timestamps.

Spec: Advanced Profile, "Event History".
"""

from __future__ import annotations

import re
from calendar import monthrange, timegm
from typing import Final

_RFC3339: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def nanoseconds(timestamp: str) -> int | None:
    """Return a timestamp in nanoseconds since 1970-01-01 UTC, or None if it is not valid RFC 3339.

    A leap second (second 60) counts as the first second of the next minute.
    """
    found = _RFC3339.fullmatch(timestamp)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = found.groups()[6:]
    if year == 0 or not 1 <= month <= 12 or not 1 <= day <= monthrange(year, month)[1]:
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    offset = 0
    if sign is not None:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            return None
        offset = (int(offset_hours) * 60 + int(offset_minutes)) * 60 * (1 if sign == "+" else -1)
    # The fraction is truncated to nanoseconds, the resolution of the clock.
    seconds = timegm((year, month, day, hour, minute, second)) - offset
    return seconds * 10**9 + int((fraction or "")[:9].ljust(9, "0"))


def from_nanoseconds(nanoseconds: int) -> str:
    """Return the timestamp of a time in nanoseconds since 1970-01-01 UTC.

    Raises ValueError for a time that is not in the years 1 to 9999.
    """
    seconds, fraction = divmod(nanoseconds, 10**9)
    day, second = divmod(seconds, 24 * 60 * 60)
    date = date_from_days(day)
    time = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    if fraction:
        time += f".{fraction:09}" if fraction % 1000 else f".{fraction // 1000:06}"
    return f"{date}T{time}+00:00"


# The days from 0000-03-01 to 1970-01-01, and in 400 and in 100 years. Years begin in March here, so that a
# leap day is the last day of its year.
_EPOCH: Final = 719_468
_DAYS_IN_400_YEARS: Final = 146_097
_DAYS_IN_100_YEARS: Final = 36_524


def date_from_days(days: int) -> str:
    """Return the date that is so many days after 1970-01-01.

    Raises ValueError for a date that is not in the years 1 to 9999.
    """
    era, day = divmod(days + _EPOCH, _DAYS_IN_400_YEARS)
    year = (day - day // 1460 + day // _DAYS_IN_100_YEARS - day // (_DAYS_IN_400_YEARS - 1)) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day_of_month = day - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year += era * 400 + (month <= 2)
    if not 1 <= year <= 9999:
        raise ValueError("the time is not in the years 1 to 9999")
    return f"{year:04}-{month:02}-{day_of_month:02}"
