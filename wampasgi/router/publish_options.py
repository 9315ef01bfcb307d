"""The options of a publication: the conditions for recipients, and the details of the EVENT.

Spec: Advanced Profile, "Subscriber Black- and Whitelisting", "Publisher Identification" and "Payload
Passthru Mode".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from functools import partial
from itertools import filterfalse
from typing import Any, Final, TypeAlias

from wampasgi.errors import RemoteProtocolError
from wampasgi.protocol.features import announced
from wampasgi.protocol.messages import PAYLOAD_OPTIONS
from wampasgi.protocol.options import PUBLISH_RULES
from wampasgi.router.interfaces import SessionDetails

#: The lists of PUBLISH.Options that exclude recipients.
BLACKLISTS: Final = frozenset(["exclude", "exclude_authid", "exclude_authrole"])
#: The lists of PUBLISH.Options that restrict the recipients.
WHITELISTS: Final = frozenset(["eligible", "eligible_authid", "eligible_authrole"])

_PASSTHRU: Final = "payload_passthru_mode"

#: Filters session IDs: returns those that meet the condition.
Condition: TypeAlias = Callable[[list[int]], Iterable[int]]


def check_announced(publisher: SessionDetails, options: Mapping[str, Any]) -> None:
    """Raise RemoteProtocolError if options of PUBLISH need a feature that the publisher has not announced.

    Subscribers are not checked: by the specification, one that has not announced payload passthru mode gets
    the event nevertheless.
    Spec: Advanced Profile, "Payload Passthru Mode", "Feature Announcement".
    """
    if options.get("ppt_scheme") and _PASSTHRU not in announced(publisher.details, "publisher"):
        raise RemoteProtocolError(f"PUBLISH with ppt_scheme, but the publisher has not announced {_PASSTHRU}")


def check_server_options(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check the options of a publication by the server, and convert tuples and sets to lists.

    Raises ValueError for an unknown option: with a misspelt ``exclude``, excluded sessions would receive the
    event. Names that begin with ``_`` are the application's own and not checked.
    """
    checked = dict(options)
    for name, value in options.items():
        if name.startswith("_"):
            continue
        rule = PUBLISH_RULES.get(name)
        if rule is None:
            raise ValueError(f"PUBLISH has no option {name!r}: use one of {', '.join(PUBLISH_RULES)}")
        if rule.type is list and isinstance(value, Set | tuple):
            checked[name] = list(value)
        if not rule.holds(checked[name]):
            raise ValueError(f"option {name!r} of PUBLISH is {value!r}: it must be {rule.expected}")
    return checked


def event_details(
    options: Mapping[str, Any], disclosed_id: int | None, sessions: Mapping[int, SessionDetails]
) -> dict[str, Any]:
    """Return EVENT.Details without the topic; ``disclosed_id`` is the publisher to disclose, if any."""
    details = {name: value for name, value in options.items() if name in PAYLOAD_OPTIONS}
    if disclosed_id is not None:
        details["publisher"] = disclosed_id
        if (publisher := sessions.get(disclosed_id)) is not None:
            if publisher.authid is not None:
                details["publisher_authid"] = publisher.authid
            if publisher.authrole is not None:
                details["publisher_authrole"] = publisher.authrole
    return details


def conditions(options: Mapping[str, Any], sessions: Mapping[int, SessionDetails]) -> list[Condition]:
    """Return the conditions that the black- and whitelists set for recipients.

    A session that is missing in ``sessions`` is treated as one without authid and authrole.
    """
    found: list[Condition] = []
    for name, values in options.items():
        if name in WHITELISTS:
            found.append(partial(filter, _list_test(name.removeprefix("eligible"), values, sessions)))
        elif name in BLACKLISTS:
            found.append(partial(filterfalse, _list_test(name.removeprefix("exclude"), values, sessions)))
    return found


def _list_test(
    suffix: str, values: Collection[object], sessions: Mapping[int, SessionDetails]
) -> Callable[[int], bool]:
    # A set, because a long list would be searched once for each subscriber.
    listed = frozenset(values)

    def authid_is_listed(session_id: int) -> bool:
        session = sessions.get(session_id)
        return (None if session is None else session.authid) in listed

    def authrole_is_listed(session_id: int) -> bool:
        session = sessions.get(session_id)
        return (None if session is None else session.authrole) in listed

    if suffix == "_authid":
        return authid_is_listed
    return authrole_is_listed if suffix == "_authrole" else listed.__contains__


def select(session_ids: list[int], required: Sequence[Condition]) -> list[int]:
    """Return the session IDs that meet all conditions, in the same order."""
    for condition in required:
        session_ids = list(condition(session_ids))
    return session_ids
