"""The router's own procedures, ``wamp.*``: their parameters, and their results computed from its state.

Nothing is awaited or sent here. A result includes the actions that follow it: sessions to close and messages
to send.
Spec: Advanced Profile, "Session Meta API", "Registration Meta API", "Subscriptions Meta API", "Session
Testament", "Event History".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from wampasgi.errors import (
    CLOSE_KILLED,
    INVALID_ARGUMENT,
    INVALID_URI,
    NO_SUCH_PROCEDURE,
    NO_SUCH_REGISTRATION,
    NO_SUCH_SESSION,
    NO_SUCH_SUBSCRIPTION,
    WAMPError,
)
from wampasgi.protocol.options import PUBLISH_RULES, REGISTER_RULES, SUBSCRIBE_RULES, Rule
from wampasgi.protocol.timestamps import nanoseconds
from wampasgi.protocol.uris import MATCH_POLICIES, check_uri
from wampasgi.router.broker import Broker, Subscription
from wampasgi.router.call_messages import Outgoing
from wampasgi.router.dealer import Dealer
from wampasgi.router.event_history import Filters, Record
from wampasgi.router.interfaces import MetaSession
from wampasgi.router.meta_events import Lifecycle, session_details
from wampasgi.router.meta_signatures import Parameter, Signature
from wampasgi.router.registrations import Registration, check_policies
from wampasgi.router.testaments import SCOPES, Publish, Scope, Testaments
from wampasgi.types import Match

_ID: Final = Rule(int, "an ID, an integer")
_STR: Final = Rule(str, "a string")
_URI: Final = Rule(str, "a URI, a string")
_LIST: Final = Rule(list, "a list")
_DICT: Final = Rule(
    dict, "a dict with strings as keys", lambda value: all(type(name) is str for name in value)
)
_ROLES: Final = Rule(list, "a list of strings", lambda values: all(type(value) is str for value in values))

#: Revokes a registration of a session, as :meth:`Dealer.revoke` does.
Revoke: TypeAlias = Callable[[int, int, str | None], list[Outgoing]]


@dataclass(frozen=True, slots=True)
class SessionsToClose:
    """Sessions to close with GOODBYE. ``silent`` suppresses their meta events and testaments."""

    session_ids: Sequence[int]
    reason: str
    message: str | None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class MetaResult:
    """The result of a call, and the actions to carry out once the caller has it."""

    args: Sequence[Any] = ()
    to_close: SessionsToClose | None = None
    outgoing: Sequence[Outgoing] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetaProcedure:
    """One of the router's own procedures.

    ``compute`` takes the session ID of the caller and the values of the parameters. It may raise WAMPError.
    """

    signature: Signature
    compute: Callable[..., MetaResult]


class MetaAPI:
    """The router's own procedures by their URIs.

    ``sessions`` holds the clients' sessions that have not begun to end. ``subscriptions`` and
    ``registrations`` know the time of creation of each entry. ``revoke`` replaces :meth:`Dealer.revoke`.
    ``further`` are the procedures that are no part of the meta API.
    """

    def __init__(
        self,
        *,
        sessions: Mapping[int, MetaSession],
        broker: Broker,
        dealer: Dealer,
        testaments: Testaments,
        subscriptions: Lifecycle[Subscription],
        registrations: Lifecycle[Registration],
        revoke: Revoke | None = None,
        further: Mapping[str, MetaProcedure] | None = None,
    ) -> None:
        self.procedures: dict[str, MetaProcedure] = {
            **_SessionProcedures(sessions).procedures,
            **_TestamentProcedures(sessions, testaments).procedures,
            **_RegistrationProcedures(
                sessions, dealer, registrations, dealer.revoke if revoke is None else revoke
            ).procedures,
            **_SubscriptionProcedures(broker, subscriptions).procedures,
            **(further or {}),
        }

    def find(self, procedure: str) -> MetaProcedure:
        """Return the procedure with a URI; raise WAMPError ``wamp.error.no_such_procedure`` without one."""
        found = self.procedures.get(procedure)
        if found is None:
            raise WAMPError(NO_SUCH_PROCEDURE, f"the router has no procedure {procedure!r}")
        return found


_FILTER: Final = Parameter("filter_authroles", _ROLES, required=False)
_REASON: Final = (
    # Of any type, because an invalid URI has an error of its own.
    Parameter("reason", None, required=False, positional=False, keyword=True),
    Parameter("message", _STR, required=False, positional=False, keyword=True),
)


class _SessionProcedures:
    """The procedures that inspect and close sessions."""

    def __init__(self, sessions: Mapping[int, MetaSession]) -> None:
        self._sessions = sessions
        self.procedures = {
            "wamp.session.count": MetaProcedure(Signature(_FILTER), self._count),
            "wamp.session.list": MetaProcedure(Signature(_FILTER), self._list),
            "wamp.session.get": MetaProcedure(Signature(Parameter("session", _ID)), self._get),
            "wamp.session.kill": MetaProcedure(Signature(Parameter("session", _ID), *_REASON), self._kill),
            "wamp.session.kill_by_authid": MetaProcedure(
                Signature(Parameter("authid", _STR), *_REASON), self._kill_by_authid
            ),
            "wamp.session.kill_by_authrole": MetaProcedure(
                Signature(Parameter("authrole", _STR), *_REASON), self._kill_by_authrole
            ),
            "wamp.session.kill_all": MetaProcedure(Signature(*_REASON), self._kill_all),
        }

    def _with_roles(self, authroles: list[str] | None) -> list[int]:
        if authroles is None:
            return list(self._sessions)
        wanted = frozenset(authroles)
        return [session_id for session_id, session in self._sessions.items() if session.authrole in wanted]

    def _count(self, caller_id: int, authroles: list[str] | None) -> MetaResult:
        return MetaResult([len(self._with_roles(authroles))])

    def _list(self, caller_id: int, authroles: list[str] | None) -> MetaResult:
        return MetaResult([self._with_roles(authroles)])

    def _get(self, caller_id: int, session_id: int) -> MetaResult:
        session = self._sessions.get(session_id)
        if session is None:
            raise _no_such_session(session_id)
        return MetaResult([session_details(session_id, session)])

    def _kill(self, caller_id: int, session_id: int, reason: object, message: str | None) -> MetaResult:
        valid_reason = _reason(reason)
        if session_id == caller_id or session_id not in self._sessions:
            raise _no_such_session(session_id)
        return MetaResult(to_close=SessionsToClose([session_id], valid_reason, message))

    def _kill_by_authid(self, caller_id: int, authid: str, reason: object, message: str | None) -> MetaResult:
        killed = self._others(caller_id, lambda session: session.authid == authid)
        return MetaResult([killed], SessionsToClose(killed, _reason(reason), message))

    def _kill_by_authrole(
        self, caller_id: int, authrole: str, reason: object, message: str | None
    ) -> MetaResult:
        killed = self._others(caller_id, lambda session: session.authrole == authrole)
        return MetaResult([len(killed)], SessionsToClose(killed, _reason(reason), message))

    def _kill_all(self, caller_id: int, reason: object, message: str | None) -> MetaResult:
        killed = self._others(caller_id, lambda session: True)
        # Spec: "Closing all sessions in the realm will not generate session meta events or testament events".
        return MetaResult([len(killed)], SessionsToClose(killed, _reason(reason), message, silent=True))

    def _others(self, caller_id: int, condition: Callable[[MetaSession], bool]) -> list[int]:
        return [
            session_id
            for session_id, session in self._sessions.items()
            if session_id != caller_id and condition(session)
        ]


def _by_policy(entries: Iterable[tuple[Match, int]]) -> dict[Match, list[int]]:
    found: dict[Match, list[int]] = {policy: [] for policy in MATCH_POLICIES}
    for match, entry_id in entries:
        found[match].append(entry_id)
    return found


def _reason(reason: object) -> str:
    if reason is None:
        return CLOSE_KILLED
    if type(reason) is not str or not check_uri(reason):
        raise WAMPError(INVALID_URI, "argument 'reason': must be a valid URI and not empty")
    return reason


def _no_such_session(session_id: int) -> WAMPError:
    return WAMPError(NO_SUCH_SESSION, f"there is no other session {session_id} on this realm")


_SCOPE: Final = Parameter(
    "scope",
    Rule(str, f"one of {', '.join(SCOPES)}", lambda value: value in SCOPES),
    required=False,
    positional=False,
    keyword=True,
)


class _TestamentProcedures:
    """The procedures for the testaments of the calling session.

    The publication is authorized before ``wamp.session.add_testament`` is computed. That is why the procedure
    gets a function that publishes the testament, instead of the topic and its payload.
    """

    def __init__(self, sessions: Mapping[int, MetaSession], testaments: Testaments) -> None:
        self._sessions = sessions
        self._testaments = testaments
        add = Signature(
            Parameter("topic", _URI),
            Parameter("args", _LIST),
            Parameter("kwargs", _DICT),
            Parameter(
                "publish_options",
                _DICT,
                required=False,
                positional=False,
                keyword=True,
                attributes=PUBLISH_RULES,
            ),
            _SCOPE,
        )
        self.procedures = {
            "wamp.session.add_testament": MetaProcedure(add, self._add),
            "wamp.session.flush_testaments": MetaProcedure(Signature(_SCOPE), self._flush),
        }

    def _add(
        self, caller_id: int, publish: Publish, scope: Scope | None, size: int, limit: int, max_size: int
    ) -> MetaResult:
        if caller_id not in self._sessions:
            raise _no_such_session(caller_id)
        self._testaments.add(caller_id, scope or "destroyed", publish, size, limit=limit, max_size=max_size)
        return MetaResult()

    def _flush(self, caller_id: int, scope: Scope | None) -> MetaResult:
        self._testaments.flush(caller_id, scope or "destroyed")
        return MetaResult()


_REGISTRATION: Final = Signature(Parameter("registration", _ID))


class _RegistrationProcedures:
    """The procedures that inspect the registrations of clients and of the server, and revoke them."""

    def __init__(
        self,
        sessions: Mapping[int, MetaSession],
        dealer: Dealer,
        lifecycle: Lifecycle[Registration],
        revoke: Revoke,
    ) -> None:
        self._sessions = sessions
        self._revoke = revoke
        self._registrations = dealer.registrations
        self._lifecycle = lifecycle
        look_up = Signature(
            Parameter("procedure", _URI),
            Parameter("options", _DICT, required=False, attributes=REGISTER_RULES),
        )
        remove = Signature(
            Parameter("registration", _ID),
            Parameter("session", _ID),
            Parameter("reason", None, required=False, keyword=True),
        )
        self.procedures = {
            "wamp.registration.list": MetaProcedure(Signature(), self._list),
            "wamp.registration.lookup": MetaProcedure(look_up, self._lookup),
            "wamp.registration.match": MetaProcedure(Signature(Parameter("procedure", _URI)), self._match),
            "wamp.registration.get": MetaProcedure(_REGISTRATION, self._get),
            "wamp.registration.list_callees": MetaProcedure(_REGISTRATION, self._list_callees),
            "wamp.registration.count_callees": MetaProcedure(_REGISTRATION, self._count_callees),
            "wamp.registration.remove_callee": MetaProcedure(remove, self._remove_callee),
        }

    def _find(self, registration_id: int) -> Registration:
        found = self._registrations.by_id.get(registration_id)
        if found is None:
            raise WAMPError(NO_SUCH_REGISTRATION, f"there is no registration {registration_id} on this realm")
        return found

    def _list(self, caller_id: int) -> MetaResult:
        found = self._registrations.by_id.values()
        return MetaResult([_by_policy((entry.match, entry.registration_id) for entry in found)])

    def _lookup(self, caller_id: int, procedure: str, options: Mapping[str, Any] | None) -> MetaResult:
        known = {name: value for name, value in (options or {}).items() if value is not None}
        check_policies(known)
        match: Match = known.get("match", "exact")
        found = self._registrations.get(match, procedure)
        return MetaResult([None if found is None else found.registration_id])

    def _match(self, caller_id: int, procedure: str) -> MetaResult:
        best = self._registrations.best(procedure)
        return MetaResult([None if best is None else best.registration_id])

    def _get(self, caller_id: int, registration_id: int) -> MetaResult:
        return MetaResult([self._lifecycle.details(self._find(registration_id))])

    def _list_callees(self, caller_id: int, registration_id: int) -> MetaResult:
        return MetaResult([list(self._find(registration_id).callees)])

    def _count_callees(self, caller_id: int, registration_id: int) -> MetaResult:
        return MetaResult([len(self._find(registration_id).callees)])

    def _remove_callee(
        self, caller_id: int, registration_id: int, session_id: int, reason: object
    ) -> MetaResult:
        """Revoke a registration of a client. Not in the specification; Crossbar.io has the same procedure."""
        valid_reason = None if reason is None else _reason(reason)
        registration = self._find(registration_id)
        if session_id not in registration.callees or session_id not in self._sessions:
            raise WAMPError(
                NO_SUCH_SESSION, f"no client with session ID {session_id} has registration {registration_id}"
            )
        return MetaResult(outgoing=self._revoke(session_id, registration_id, valid_reason))


_SUBSCRIPTION: Final = Signature(Parameter("subscription", _ID))


class _SubscriptionProcedures:
    """The procedures that inspect subscriptions and their event history."""

    def __init__(self, broker: Broker, lifecycle: Lifecycle[Subscription]) -> None:
        self._broker = broker
        self._lifecycle = lifecycle
        look_up = Signature(
            Parameter("topic", _URI),
            Parameter("options", _DICT, required=False, attributes=SUBSCRIBE_RULES),
        )
        self.procedures = {
            "wamp.subscription.list": MetaProcedure(Signature(), self._list),
            "wamp.subscription.lookup": MetaProcedure(look_up, self._lookup),
            "wamp.subscription.match": MetaProcedure(Signature(Parameter("topic", _URI)), self._match),
            "wamp.subscription.get": MetaProcedure(_SUBSCRIPTION, self._get),
            "wamp.subscription.list_subscribers": MetaProcedure(_SUBSCRIPTION, self._list_subscribers),
            "wamp.subscription.count_subscribers": MetaProcedure(_SUBSCRIPTION, self._count_subscribers),
            "wamp.subscription.get_events": MetaProcedure(_EVENTS_SIGNATURE, self._get_events),
        }

    def _find(self, subscription_id: int) -> Subscription:
        found = self._broker.subscriptions.get(subscription_id)
        if found is None:
            raise WAMPError(NO_SUCH_SUBSCRIPTION, f"there is no subscription {subscription_id} on this realm")
        return found

    def _list(self, caller_id: int) -> MetaResult:
        subscriptions = self._broker.subscriptions.values()
        return MetaResult([_by_policy((entry.match, entry.subscription_id) for entry in subscriptions)])

    def _lookup(self, caller_id: int, topic: str, options: Mapping[str, Any] | None) -> MetaResult:
        asked: Match | None = (options or {}).get("match")
        match: Match = "exact" if asked is None else asked
        if match not in MATCH_POLICIES:
            raise WAMPError(INVALID_ARGUMENT, f"match must be one of {', '.join(MATCH_POLICIES)}")
        found = self._broker.get(topic, match)
        return MetaResult([None if found is None else found.subscription_id])

    def _match(self, caller_id: int, topic: str) -> MetaResult:
        return MetaResult([[found.subscription_id for found in self._broker.matches(topic)] or None])

    def _get(self, caller_id: int, subscription_id: int) -> MetaResult:
        return MetaResult([self._lifecycle.details(self._find(subscription_id))])

    def _list_subscribers(self, caller_id: int, subscription_id: int) -> MetaResult:
        return MetaResult([list(self._find(subscription_id).subscribers)])

    def _count_subscribers(self, caller_id: int, subscription_id: int) -> MetaResult:
        return MetaResult([len(self._find(subscription_id).subscribers)])

    def _get_events(
        self, caller_id: int, subscription_id: int, reverse: bool | None, *wanted_and_all: Any
    ) -> MetaResult:
        """Return the events as positional results, and as ``more`` whether the limit cut events off.

        The last argument tells whether to ignore the black- and whitelists of the publications.
        """
        *wanted, everything = wanted_and_all
        subscription = self._find(subscription_id)
        filters = Filters(reverse=bool(reverse), **dict(zip(_FILTERS, wanted, strict=True)))
        records, more = self._broker.events(None if everything else caller_id, subscription, filters)
        return MetaResult([_event_object(subscription, record) for record in records], kwargs={"more": more})


_TIMESTAMP: Final = Rule(str, "an RFC 3339 timestamp", lambda value: nanoseconds(value) is not None)
_POSITIVE: Final = Rule(int, "a positive integer", lambda value: value > 0)

#: The arguments of ``wamp.subscription.get_events`` that filter the events.
_FILTERS: Final[Mapping[str, Rule]] = {
    "limit": _POSITIVE,
    **dict.fromkeys(["from_time", "after_time", "before_time", "until_time"], _TIMESTAMP),
    "topic": Rule(str, "a URI", check_uri),
    **dict.fromkeys(
        ["from_publication", "after_publication", "before_publication", "until_publication"], _POSITIVE
    ),
}

_EVENTS_SIGNATURE: Final = Signature(
    Parameter("subscription", _ID),
    *[
        Parameter(name, rule, required=False, positional=False, keyword=True)
        for name, rule in {"reverse": Rule(bool, "a bool"), **_FILTERS}.items()
    ],
)


def _event_object(subscription: Subscription, record: Record) -> dict[str, Any]:
    event = record.event
    payload = {"args": event.args, "kwargs": event.kwargs, "payload": event.payload}
    return {
        "timestamp": record.timestamp,
        "subscription": subscription.subscription_id,
        "publication": event.publication_id,
        "details": event.details_for(subscription.match),
        **{name: value for name, value in payload.items() if value is not None},
    }
