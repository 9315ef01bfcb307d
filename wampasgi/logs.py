"""What goes into the log: whom it is about, on one line, and no more of it than can be read.

Clients choose many of the texts, and how often they bring a line about.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds in which warnings and errors of one kind are counted together.
INTERVAL: Final = 10.0
#: How many of them are logged for one session, and in all; the rest is left out and counted.
LINES_OF_ONE: Final = 10
LINES_OF_ALL: Final = 100

_SHOWN: Final = 60
_KINDS: Final = 1000
_MESSAGE: Final = 500


class LoggedSession(Protocol):
    """The attributes of a session that log records name."""

    @property
    def id(self) -> int:
        """The session ID."""

    @property
    def realm_uri(self) -> str:
        """The realm URI that the client asked for."""


def shown(text: str | None) -> str:
    """A name or URI as a client sent it: in quotes, escaped and shortened."""
    return repr(text) if text is None or len(text) <= _SHOWN else f"{text[:_SHOWN]!r} and more"


def escaped(text: str) -> str:
    """A sentence that may quote what a client sent: on one line, and shortened."""
    if len(text) > _MESSAGE:
        text = text[:_MESSAGE] + " and more"
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def about(session: LoggedSession | None, uri: str | None = None) -> dict[str, Any]:
    """The fields of a log record: ``extra=about(session, uri)``."""
    if session is None:
        return fields(None, None, uri)
    return fields(session.id, session.realm_uri, uri)


def fields(session_id: int | None, realm_uri: str | None, uri: str | None = None) -> dict[str, Any]:
    """The same of a session of which only these are known."""
    return {"wamp_session": session_id, "wamp_realm": realm_uri, "wamp_uri": uri}


class _Lines:
    """Those of one kind in one interval."""

    __slots__ = ("by_session", "left_out", "total", "until")

    def __init__(self, until: float, left_out: int) -> None:
        self.until = until
        self.left_out = left_out
        self.total = 0
        self.by_session: dict[object, int] = {}


class FloodFilter(logging.Filter):
    """Lets so many warnings and errors of one kind through in an interval, and says how many it left out.

    A kind is a text before its values are filled in. Lines below a warning, which nobody sees who has not
    asked for them, all go through. ``clock`` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        # As many as there are texts in the package, unless others log here, too.
        self._kinds: dict[str, _Lines] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is to be logged."""
        if record.levelno < logging.WARNING:
            return True
        now, kind = self._clock(), str(record.msg)
        lines = self._kinds.get(kind)
        if lines is None or now >= lines.until:
            if len(self._kinds) >= _KINDS:
                self._kinds.clear()
            lines = _Lines(now + INTERVAL, lines.left_out if lines is not None else 0)
            self._kinds[kind] = lines
        session = getattr(record, "wamp_session", None)
        of_session = lines.by_session.get(session, 0)
        if lines.total >= LINES_OF_ALL or of_session >= LINES_OF_ONE:
            lines.left_out += 1
            return False
        lines.total += 1
        lines.by_session[session] = of_session + 1
        if lines.left_out:
            record.msg, record.args = (
                "%s (%d lines like this one were left out before it)",
                (record.getMessage(), lines.left_out),
            )
            lines.left_out = 0
        return True

    def forget(self) -> None:
        """Begin anew."""
        self._kinds.clear()


#: The one of all our loggers; ``removeFilter(FLOOD_FILTER)`` of a logger turns it off there.
FLOOD_FILTER: Final = FloodFilter()


def logger_named(name: str) -> logging.Logger:
    """The standard library's logger of this name, with the filter."""
    logger = logging.getLogger(name)
    logger.addFilter(FLOOD_FILTER)
    return logger
