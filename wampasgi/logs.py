"""Logging helpers: fields that identify the session, safe quoting and rate limiting.

Clients control many of the logged texts and how often a line is logged.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

#: The length in seconds of the intervals in which warnings and errors are rate-limited.
INTERVAL: Final = 10.0
#: The maximum number of lines of one kind per interval, for one session and in total.
LINES_OF_ONE: Final = 10
LINES_OF_ALL: Final = 100

_MAX_QUOTED: Final = 60
_MAX_KINDS: Final = 1000
_MAX_MESSAGE: Final = 500


class LoggedSession(Protocol):
    """The attributes of a session that log records contain."""

    @property
    def id(self) -> int:
        """The session ID."""

    @property
    def realm_uri(self) -> str:
        """The URI of the realm that the client requested."""


def shown(text: str | None) -> str:
    """Return a name or URI from a client in quotes, escaped and truncated."""
    if text is None or len(text) <= _MAX_QUOTED:
        return repr(text)
    return f"{text[:_MAX_QUOTED]!r}... (truncated)"


def escaped(text: str) -> str:
    """Escape and truncate a sentence that may quote a client's data, so that it stays on one line."""
    if len(text) > _MAX_MESSAGE:
        text = text[:_MAX_MESSAGE] + "... (truncated)"
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def about(session: LoggedSession | None, uri: str | None = None) -> dict[str, Any]:
    """Return the extra fields of a log record. Use it as ``extra=about(session, uri)``."""
    if session is None:
        return fields(None, None, uri)
    return fields(session.id, session.realm_uri, uri)


def fields(session_id: int | None, realm_uri: str | None, uri: str | None = None) -> dict[str, Any]:
    """Return the extra fields of a log record if there is no session object."""
    return {"wamp_session": session_id, "wamp_realm": realm_uri, "wamp_uri": uri}


class _LineCounts:
    """The lines of one kind in one interval."""

    __slots__ = ("by_session", "dropped", "total", "until")

    def __init__(self, until: float, dropped: int) -> None:
        self.until = until
        self.dropped = dropped
        self.total = 0
        self.by_session: dict[object, int] = {}


class FloodFilter(logging.Filter):
    """A rate limit for warnings and errors of one kind. The next line reports the number of dropped ones.

    The kind of a line is its format string. Lines below the level WARNING are not limited, because they are
    only logged on request. ``clock`` returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        # One entry for each format string of the package, plus those of other users of these loggers.
        self._kinds: dict[str, _LineCounts] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record."""
        if record.levelno < logging.WARNING:
            return True
        now, kind = self._clock(), str(record.msg)
        lines = self._kinds.get(kind)
        if lines is None or now >= lines.until:
            if len(self._kinds) >= _MAX_KINDS:
                self._kinds.clear()
            lines = _LineCounts(now + INTERVAL, lines.dropped if lines is not None else 0)
            self._kinds[kind] = lines
        session = getattr(record, "wamp_session", None)
        of_session = lines.by_session.get(session, 0)
        if lines.total >= LINES_OF_ALL or of_session >= LINES_OF_ONE:
            lines.dropped += 1
            return False
        lines.total += 1
        lines.by_session[session] = of_session + 1
        if lines.dropped:
            record.msg, record.args = (
                "%s (%d similar lines were dropped before this one)",
                (record.getMessage(), lines.dropped),
            )
            lines.dropped = 0
        return True

    def forget(self) -> None:
        """Reset all counts."""
        self._kinds.clear()


#: The filter of all our loggers. To turn it off for one, call its ``removeFilter(FLOOD_FILTER)``.
FLOOD_FILTER: Final = FloodFilter()


def logger_named(name: str) -> logging.Logger:
    """Return the logger with this name after adding the filter to it."""
    logger = logging.getLogger(name)
    logger.addFilter(FLOOD_FILTER)
    return logger
