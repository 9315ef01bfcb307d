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
