"""The close codes of WebSockets.

Spec: RFC 6455, section 7.4.1, and the registry of close codes for later ones.
"""

from __future__ import annotations

from typing import Final

NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
#: The code for the application if a close frame has none. It is never sent.
NO_CODE: Final = 1005
#: The code for the application if there was no close frame. It is never sent.
ABNORMAL: Final = 1006
INVALID_TEXT: Final = 1007
POLICY_VIOLATION: Final = 1008
MESSAGE_TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013

#: The maximum length of the reason in a close frame, in bytes (section 5.5).
MAX_REASON: Final = 123

#: The registered codes below 3000 that a close frame may have.
_REGISTERED: Final = frozenset((*range(1000, 1004), *range(1007, 1015)))


def may_be_sent(code: int) -> bool:
    """Return whether a close frame may have this code (section 7.4.2)."""
    return code in _REGISTERED or 3000 <= code < 5000


def shortened(reason: str) -> str:
    """Return as much of a reason as fits into a close frame."""
    return reason.encode()[:MAX_REASON].decode(errors="ignore")
