"""The identity of a session."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Coroutine, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from types import BuiltinFunctionType, EllipsisType, FunctionType, MethodType, NotImplementedType
from typing import Any, Final

from wampasgi.injection.results import RPCErrorResult

#: Classes of objects that nobody has evaluated yet, although they stand for a result.
_UNFINISHED: Final = (Awaitable, AsyncIterable, Iterator)

#: Classes whose objects are never identities. An int greater than 0 is one, because it may be a user's ID.
NOT_IDENTITIES: Final[tuple[type, ...]] = (
    bool,
    float,
    complex,
    Decimal,
    type,
    BaseException,
    RPCErrorResult,
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    partial,
    EllipsisType,
    NotImplementedType,
    *_UNFINISHED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationDetails:
    """The result of authentication, which WELCOME reports; roles are checked against ``authrole``.

    Spec: Advanced Profile, "Authentication", "WELCOME.Details".
    """

    authid: str | None = None
    authrole: str | None = None
    authmethod: str | None = None
    authprovider: str | None = None
    authextra: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity with WAMP's attributes, to be returned by an authenticator.

    ``user`` is any object of the application. WELCOME reports ``authid``, ``authrole`` and ``authextra`` to
    the client. ``roles=`` and ``allow`` are checked against ``authrole``.
    """

    user: Any = None
    authid: str | None = None
    authrole: str | None = None
    authextra: Mapping[str, Any] | None = None


def identity_mistake(value: object) -> str | None:
    """Describe a value that was given by mistake in place of an identity; return None for an identity.

    Mistakes are the results of a comparison, of a search that found nothing or of a forgotten ``await``: a
    bool, an empty container, a class, a function, a coroutine. None is a mistake, too, so do not pass it if
    it refuses the session. Objects of the application are identities even if they are false. An ``Identity``
    is explicit, so its ``user`` may be empty or None. A coroutine is closed, because nobody awaits it.
    """
    if isinstance(value, Identity):
        if not isinstance(value.user, (bool, type, *_UNFINISHED)):
            return None
        return f"an Identity whose user is {description_of(value.user)}"
    if value is None or isinstance(value, NOT_IDENTITIES) or (isinstance(value, int) and value <= 0):
        return description_of(value)
    if isinstance(value, Sized) and isinstance(value, Iterable) and not value:
        return f"an empty {type(value).__qualname__}"
    # The users of Starlette and Django have this attribute, and so do their anonymous users.
    if getattr(value, "is_authenticated", None) is False:
        return f"{description_of(value)} whose is_authenticated is False"
    return None


def description_of(value: object) -> str:
    """Describe a wrong value for a message, without its content, which may be secret.

    A coroutine is closed, because nobody awaits it.
    """
    if isinstance(value, Coroutine):
        value.close()
    if value is None or isinstance(value, bool) or (type(value) is int and value <= 0):
        return repr(value)
    if isinstance(value, type):
        return f"the class {value.__qualname__}"
    return f"an object of the type {type(value).__qualname__}"
