"""The items that the routers of one realm on several workers send to each other.

An item is a list that begins with its code. This module has the codes, the types of the fields, and the check
of a received item.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from types import NoneType
from typing import Final

from wampasgi.router.replicas import Item, MalformedItem


class ItemCode(IntEnum):
    """The codes of items. Each member is documented by its fields in ``FIELDS``."""

    # Rows: the state of the sender, which all nodes replicate.
    JOIN = 1
    LEAVE = 2
    CALLEE = 3
    NO_CALLEE = 4
    INTEREST = 5
    NO_INTEREST = 6
    TESTAMENT = 7
    NO_TESTAMENTS = 8
    STORED = 9
    KNOWN = 19
    # Publications.
    PUBLISH = 10
    CLEAR = 11
    # Commands for the node of a session.
    CLOSE = 12
    REVOKE_CALLEE = 13
    REVOKE_SUBSCRIBERS = 14
    # Calls. A call is identified by an ID that the caller's node chooses.
    INVOKE = 15
    INTERRUPT = 16
    RESULT = 17
    ERROR = 18
    # The key for mock challenges, of which the oldest holds for all nodes.
    MOCK_SECRET = 20


class PublicationFlags(IntFlag):
    """The flags of a publication: events for the realm's own sessions only, and stored events."""

    NONE = 0
    TO_SERVER = 1
    RETAINED = 2
    LOGGED = 4


_ID: Final = (int,)
_INT: Final = (int,)
_OPTIONAL_INT: Final = (int, NoneType)
_STR: Final = (str,)
_OPTIONAL_STR: Final = (str, NoneType)
_BOOL: Final = (bool,)
_LIST: Final = (list,)
_DICT: Final = (dict,)
_ARGS: Final = (list, NoneType)
_KWARGS: Final = (dict, NoneType)
_PAYLOAD: Final = (bytes, NoneType)

#: The types of the fields of a stored or published event: publication ID, topic, details, black- and
#: whitelists, excluded session ID, args, kwargs, encoded payload, flags.
_EVENT: Final = (_ID, _STR, _DICT, _DICT, _OPTIONAL_INT, _ARGS, _KWARGS, _PAYLOAD, _INT)

#: The types of the fields after the code.
FIELDS: Final[dict[int, tuple[tuple[type, ...], ...]]] = {
    # Session ID, authid, authrole, authmethod, authprovider, features as caller, features as callee.
    ItemCode.JOIN: (_ID, _OPTIONAL_STR, _OPTIONAL_STR, _OPTIONAL_STR, _OPTIONAL_STR, _LIST, _LIST),
    # Session ID, time, whether the end of the session is published.
    ItemCode.LEAVE: (_ID, _INT, _BOOL),
    # Session ID, match policy, procedure, invocation policy, forward_timeout, disclose_caller, time, created.
    ItemCode.CALLEE: (_ID, _STR, _STR, _STR, _BOOL, _BOOL, _INT, _STR),
    # Session ID, match policy, procedure, time, whether the session was registered.
    ItemCode.NO_CALLEE: (_ID, _STR, _STR, _INT, _BOOL),
    # Match policy, topic, time, created.
    ItemCode.INTEREST: (_STR, _STR, _INT, _STR),
    # Match policy, topic, time, whether anybody was subscribed.
    ItemCode.NO_INTEREST: (_STR, _STR, _INT, _BOOL),
    # Session ID, scope, time, and the event.
    ItemCode.TESTAMENT: (_ID, _STR, _INT, *_EVENT),
    # Session ID, scope.
    ItemCode.NO_TESTAMENTS: (_ID, _STR),
    # Time and node of the stamp, timestamp, and the event.
    ItemCode.STORED: (_INT, _ID, _OPTIONAL_STR, *_EVENT),
    # A node that has ended, and the time of its newest stored event or deletion that the sender has.
    ItemCode.KNOWN: (_ID, _INT),
    # Session ID of the publisher, time, timestamp, and the event.
    ItemCode.PUBLISH: (_OPTIONAL_INT, _OPTIONAL_INT, _OPTIONAL_STR, *_EVENT),
    # Match policy, topic, time and node of the stamp.
    ItemCode.CLEAR: (_STR, _STR, _INT, _ID),
    # Session ID, reason, message, silent.
    ItemCode.CLOSE: (_ID, _STR, _OPTIONAL_STR, _BOOL),
    # Session ID, match policy, procedure, reason.
    ItemCode.REVOKE_CALLEE: (_ID, _STR, _STR, _OPTIONAL_STR),
    # Match policy, topic, reason.
    ItemCode.REVOKE_SUBSCRIBERS: (_STR, _STR, _OPTIONAL_STR),
    # Call ID, session IDs of caller and callee, registration ID, procedure, CALL.Options, whether to disclose
    # the caller, whether an earlier item began the call, args, kwargs.
    ItemCode.INVOKE: (_ID, _ID, _ID, _ID, _STR, _DICT, _BOOL, _BOOL, _ARGS, _KWARGS),
    # Call ID, session ID of the caller, mode.
    ItemCode.INTERRUPT: (_ID, _ID, _STR),
    # Call ID, details, args, kwargs.
    ItemCode.RESULT: (_ID, _DICT, _ARGS, _KWARGS),
    # Call ID, error URI, details, args, kwargs.
    ItemCode.ERROR: (_ID, _STR, _DICT, _ARGS, _KWARGS),
    # Time and node of the stamp, key.
    ItemCode.MOCK_SECRET: (_INT, _ID, (bytes,)),
}


# The types of items that were found to be right. Few combinations occur, and looking one up costs less than
# checking each field.
_accepted: set[tuple[int, tuple[type, ...]]] = set()
_MAX_ACCEPTED: Final = 1000


def check_item(item: Item) -> None:
    """Raise MalformedItem if the code of an item is unknown or its fields have other types."""
    types = (item[0], (*map(type, item),))
    if types not in _accepted:
        _check_fields(item)
        if len(_accepted) < _MAX_ACCEPTED:
            _accepted.add(types)


def _check_fields(item: Item) -> None:
    code, *values = item
    fields = FIELDS.get(code)
    if fields is None or len(fields) != len(values):
        raise MalformedItem(f"an item with code {code!r} and {len(values)} fields")
    for value, types in zip(values, fields, strict=True):
        if not isinstance(value, types):
            names = " or ".join(kind.__name__ for kind in types)
            raise MalformedItem(f"item {ItemCode(code).name} with {type(value).__name__} instead of {names}")
