from __future__ import annotations

import pytest

from wampasgi.transports import close_codes
from wampasgi.transports.close_codes import may_be_sent, shortened

#: RFC 6455, section 7.4.1, and the later entries of the IANA registry.
REGISTERED = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014)
#: Reserved codes, those that only an application sees, and those outside of all ranges.
FORBIDDEN = (-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535, 65536)


@pytest.mark.parametrize("code", [*REGISTERED, 3000, 3999, 4000, 4999])
def test_registered_and_private_codes_may_be_sent(code: int) -> None:
    assert may_be_sent(code)


@pytest.mark.parametrize("code", FORBIDDEN)
def test_other_codes_must_not_be_sent(code: int) -> None:
    assert not may_be_sent(code)


def test_codes_have_the_numbers_of_the_rfc() -> None:
    assert close_codes.NORMAL == 1000
    assert close_codes.PROTOCOL_ERROR == 1002
    assert close_codes.NO_CODE == 1005
    assert close_codes.ABNORMAL == 1006
    assert close_codes.INVALID_TEXT == 1007
    assert close_codes.POLICY_VIOLATION == 1008
    assert close_codes.MESSAGE_TOO_BIG == 1009
    assert close_codes.INTERNAL_ERROR == 1011
    assert close_codes.SERVICE_RESTART == 1012
    assert close_codes.TRY_AGAIN_LATER == 1013


@pytest.mark.parametrize(
    ("reason", "left"),
    [
        ("", ""),
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        # Characters of two, three and four bytes, of which only a part would fit.
        ("x" * 122 + "é", "x" * 122),
        ("x" * 121 + "€", "x" * 121),
        ("x" * 120 + "🐦", "x" * 120),
        ("x" * 121 + "é", "x" * 121 + "é"),
        ("x" * 119 + "🐦x", "x" * 119 + "🐦"),
    ],
)
def test_reason_is_shortened_to_whole_characters_in_123_bytes(reason: str, left: str) -> None:
    assert shortened(reason) == left
