"""Logging helpers: fields that identify the session, safe quoting and rate limiting.

Clients control many of the logged texts and how often a line is logged.
"""

from __future__ import annotations

import logging
import math
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from wampasgi.addresses import network_of

if TYPE_CHECKING:
    from collections.abc import Callable

#: The length in seconds of the intervals in which warnings and errors are rate-limited.
INTERVAL: Final = 10.0
#: The maximum number of lines of one kind per interval: for one session, for one address on one realm, for
#: one realm or one address, and in total. A client can invent the name of the default realm.
LINES_OF_ONE: Final = 10
LINES_OF_ADDRESS: Final = 20
LINES_OF_REALM: Final = 100
LINES_OF_ALL: Final = 500

_MAX_QUOTED: Final = 60
_MAX_KINDS: Final = 1000
# The maximum number of realms whose dropped lines are counted separately, for each kind.
_MAX_REALMS: Final = 10
_MAX_MESSAGE: Final = 500


class LoggedSession(Protocol):
    """The attributes of a session that log records contain."""

    @property
    def id(self) -> int:
        """The session ID."""

    @property
    def realm_uri(self) -> str:
        """The URI of the realm that the client requested."""

    @property
    def client_address(self) -> str | None:
        """The address of the client, None if it is unknown."""


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
    return fields(session.id, session.realm_uri, uri, client=session.client_address)


def fields(
    session_id: int | None, realm_uri: str | None, uri: str | None = None, *, client: str | None = None
) -> dict[str, Any]:
    """Return the extra fields of a log record if there is no session object.

    ``client`` comes from ``client_address``.
    """
    return {"wamp_session": session_id, "wamp_realm": realm_uri, "wamp_uri": uri, "wamp_client": client}


class _LineCounts:
    """The lines of one kind in one interval."""

    __slots__ = ("_by_source", "_dropped", "_level", "_logger", "until")

    def __init__(self, record: logging.LogRecord, until: float) -> None:
        self._logger = record.name
        self._level = record.levelno
        self._by_source: dict[tuple[object, ...], int] = {}
        # The number of dropped lines of each realm.
        self._dropped: dict[str | None, int] = {}
        #: The end of the interval.
        self.until = until

    def admit(self, record: logging.LogRecord) -> bool:
        """Count a line, or drop it if one of its sources has reached its limit."""
        counts, sources = self._by_source, _sources(record)
        if any(counts.get(source, 0) >= limit for source, limit in sources):
            self._drop(getattr(record, "wamp_realm", None))
            return False
        for source, _ in sources:
            counts[source] = counts.get(source, 0) + 1
        return True

    def _drop(self, realm_uri: str | None) -> None:
        # Clients of the default realm invent its name. Further names are counted together.
        if realm_uri not in self._dropped and len(self._dropped) >= _MAX_REALMS:
            realm_uri = None
        self._dropped[realm_uri] = self._dropped.get(realm_uri, 0) + 1

    def report(self, kind: str) -> None:
        """Log the number of dropped lines of each realm."""
        logger, dropped = logging.getLogger(self._logger), self._dropped
        self._dropped = {}
        for realm_uri, count in dropped.items():
            logger.log(
                self._level,
                "%d similar lines were dropped, on realm %s: %r",
                count,
                shown(realm_uri),
                kind[:_MAX_MESSAGE],
                extra={**fields(None, realm_uri), "wamp_dropped": count},
            )


def _sources(record: logging.LogRecord) -> list[tuple[tuple[object, ...], int]]:
    """Return the sources of a line, and the maximum number of lines of each."""
    session = getattr(record, "wamp_session", None)
    realm_uri = getattr(record, "wamp_realm", None)
    network = network_of(getattr(record, "wamp_client", None))
    sources: list[tuple[tuple[object, ...], int]] = [
        (("all",), LINES_OF_ALL),
        (("realm", realm_uri), LINES_OF_REALM),
    ]
    if session is not None:
        sources.append((("session", session), LINES_OF_ONE))
    if network is not None:
        sources.append((("address", network), LINES_OF_REALM))
    if network is not None or session is None:
        sources.append((("address on realm", network, realm_uri), LINES_OF_ADDRESS))
    return sources


class FloodFilter(logging.Filter):
    """A rate limit for warnings and errors of one kind, by session, address and realm.

    The kind of a line is its format string. The number of dropped lines is logged before the first line that
    is logged after the interval. Records that pass are not changed. Lines below the level WARNING are not
    limited, because they are only logged on request. ``clock`` returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        # One entry for each format string of the package, plus those of other users of these loggers.
        self._kinds: dict[str, _LineCounts] = {}
        # The earliest end of an interval, or later.
        self._next_end = math.inf

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record."""
        if hasattr(record, "wamp_dropped"):
            # Our own report.
            return True
        now = self._clock()
        if now >= self._next_end:
            self._end_intervals(now)
        if record.levelno < logging.WARNING:
            return True
        kind = str(record.msg)
        lines = self._kinds.get(kind)
        if lines is None:
            if len(self._kinds) >= _MAX_KINDS:
                self._kinds.clear()
            lines = self._kinds[kind] = _LineCounts(record, now + INTERVAL)
            self._next_end = min(self._next_end, lines.until)
        return lines.admit(record)

    def _end_intervals(self, now: float) -> None:
        # Copies, because other threads may log, too.
        ended = [(kind, lines) for kind, lines in list(self._kinds.items()) if now >= lines.until]
        for kind, _ in ended:
            self._kinds.pop(kind, None)
        self._next_end = min((lines.until for lines in list(self._kinds.values())), default=math.inf)
        for kind, lines in ended:
            lines.report(kind)

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
