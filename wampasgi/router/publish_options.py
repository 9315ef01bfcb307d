"""What the options of a publication ask for: who may receive it, and what of them the event repeats.

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

#: The lists of PUBLISH.Options that say who is not to receive the event, and who alone is.
BLACKLISTS: Final = frozenset(["exclude", "exclude_authid", "exclude_authrole"])
WHITELISTS: Final = frozenset(["eligible", "eligible_authid", "eligible_authrole"])

_PASSTHRU: Final = "payload_passthru_mode"


#: Lets through those of the session IDs that fulfil it.
Condition: TypeAlias = Callable[[list[int]], Iterable[int]]


def check_announced(publisher: SessionDetails, options: Mapping[str, Any]) -> None:
    """Raise RemoteProtocolError for options of PUBLISH that need a feature the publisher has not announced.

    A subscriber that has not announced payload passthru mode gets the event all the same: the specification
    leaves it to cope.
    Spec: Advanced Profile, "Payload Passthru Mode", "Feature Announcement".
    """
    if options.get("ppt_scheme") and _PASSTHRU not in announced(publisher.details, "publisher"):
        raise RemoteProtocolError(
            f"PUBLISH with ppt_scheme from a publisher that has not announced {_PASSTHRU}"
        )


def check_server_options(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take the options of one of the server's own publications, whose lists may be tuples and sets, too.

    Raises ValueError for an unknown one: a misspelt ``exclude`` would tell those who are not to know. Names
    that begin with ``_`` are the application's own.
    """
    checked = dict(options)
    for name, value in options.items():
        if name.startswith("_"):
            continue
        rule = PUBLISH_RULES.get(name)
        if rule is None:
            raise ValueError(f"PUBLISH has no option {name!r}, its options are {', '.join(PUBLISH_RULES)}")
        if rule.type is list and isinstance(value, Set | tuple):
            checked[name] = list(value)
        if not rule.holds(checked[name]):
            raise ValueError(f"the option {name!r} of PUBLISH is {value!r}, it must be {rule.expected}")
    return checked


def event_details(
    options: Mapping[str, Any], disclosed_id: int | None, sessions: Mapping[int, SessionDetails]
) -> dict[str, Any]:
    """EVENT.Details, the topic aside; ``disclosed_id`` is the publisher that subscribers are told of."""
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
    """All that the black- and whitelists ask of a recipient.

    A session that ``sessions`` does not know counts as one without authid and authrole.
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
    # As a set: a long list would be looked through once for each subscriber.
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
    """Return those of the session IDs that fulfil all conditions, in the same order."""
    for condition in required:
        session_ids = list(condition(session_ids))
    return session_ids
