"""The errors that answer requests when code that HTTP and WAMP share has raised an exception."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException

from wampasgi.errors import HTTP_ERROR, NOT_AUTHORIZED, WAMPError

_UNAUTHORIZED: Final = (401, 403)


def wamp_error_of(error: BaseException | None) -> WAMPError | None:
    """Return the ERROR that an exception stands for, or None if its text must not be sent.

    A WAMPError is that ERROR itself. Starlette's and FastAPI's HTTPException becomes
    ``wamp.error.not_authorized`` for the statuses 401 and 403, otherwise ``http.error.<status>``, such as
    ``http.error.404``. The positional argument is its ``detail``, and the keyword argument its ``status``.
    """
    if isinstance(error, WAMPError):
        return error
    if not isinstance(error, HTTPException):
        return None
    uri = NOT_AUTHORIZED if error.status_code in _UNAUTHORIZED else f"{HTTP_ERROR}.{error.status_code:d}"
    return WAMPError(uri, error.detail, status=int(error.status_code))
