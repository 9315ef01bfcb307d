"""Who offers which procedure: the registrations of a realm, and which callee of one is called next.

Spec: Basic Profile, "Registering and Unregistering"; Advanced Profile, "Pattern-based Registrations" and
"Shared Registration".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, get_args

from wampasgi.errors import (
    INVALID_ARGUMENT,
    NO_SUCH_REGISTRATION,
    PROCEDURE_ALREADY_EXISTS,
    WAMPError,
)
from wampasgi.protocol.uris import MATCH_POLICIES, is_reserved
from wampasgi.router.interfaces import Observer
from wampasgi.router.matching import URIMap
from wampasgi.types import Match

#: How a callee is chosen among those that share a registration, ``options.invoke`` of REGISTER.
InvokePolicy: TypeAlias = Literal["single", "first", "last", "random", "roundrobin"]

INVOKE_POLICIES: Final[tuple[InvokePolicy, ...]] = get_args(InvokePolicy)


@dataclass(slots=True, eq=False)
class Callee:
    """One session's part in a registration, with what its REGISTER asked for.

    ``concurrency`` is the number of invocations that it takes at a time, 0 for any number, and ``running``
    how many it has. ``forward_timeout`` leaves call timeouts to it, ``disclose_caller`` tells it who calls.
    """

    session_id: int
    concurrency: int = 0
    forward_timeout: bool = False
    disclose_caller: bool = False
    running: int = 0

    @property
    def busy(self) -> bool:
        """Whether it has as many invocations as it takes."""
        return 0 < self.concurrency <= self.running


@dataclass(slots=True, eq=False)
class Registration:
    """All callees of one procedure, or pattern of procedures, under one match policy; they share its ID.

    ``callees`` has them by session ID, in the order in which they are tried: that of their registration, and
    with ``roundrobin`` that of their turns.
    """

    registration_id: int
    procedure: str
    match: Match
    invoke: InvokePolicy
    #: Each callee registers for itself alone: calls reach it only if they are for this very session.
    private: bool = False
    #: The realm itself has registered it; the handler is in the plan of each session.
    of_realm: bool = False
    callees: dict[int, Callee] = field(default_factory=dict)

    def pick(self, skip: Callable[[int], bool], random_index: Callable[[int], int]) -> Callee | None:
        """Choose the callee of the next invocation; None where all are busy or ``skip`` by session ID.

        ``random_index(n)`` draws from ``range(n)``.
        """
        if len(self.callees) == 1:
            (only,) = self.callees.values()
            return None if only.busy or skip(only.session_id) else only
        free = (
            callee
            for callee in (
                reversed(self.callees.values()) if self.invoke == "last" else self.callees.values()
            )
            if not callee.busy and not skip(callee.session_id)
        )
        if self.invoke == "random":
            candidates = list(free)
            return candidates[random_index(len(candidates))] if candidates else None
        callee = next(free, None)
        if callee is not None and self.invoke == "roundrobin":
            # To the end of the queue.
            del self.callees[callee.session_id]
            self.callees[callee.session_id] = callee
        return callee


class Registrations:
    """The registrations of one realm: those of the realm's own procedures and those of clients.

    ``observer`` can be given at any time.
    """

    observer: Observer[Registration] | None = None

    def __init__(self, next_registration_id: Callable[[], int]) -> None:
        self._next_registration_id = next_registration_id
        self._by_procedure: URIMap[Registration] = URIMap()
        self._by_id: dict[int, Registration] = {}
        # For each session that has a registration: these, by ID.
        self._by_session: dict[int, dict[int, Registration]] = {}

    @property
    def by_id(self) -> Mapping[int, Registration]:
        """All registrations by ID, oldest first, as a read-only view of the present state."""
        return MappingProxyType(self._by_id)

    def of_session(self, session_id: int) -> Mapping[int, Registration]:
        """The registrations of one session by ID, oldest first."""
        return MappingProxyType(self._by_session.get(session_id, {}))

    def get(self, match: Match, procedure: str) -> Registration | None:
        """The registration of exactly this URI under this policy."""
        return self._by_procedure.get(match, procedure)

    def best(self, procedure: str) -> Registration | None:
        """Return the one registration that answers a call, or None if none matches.

        Private registrations answer no such call. A URI that begins with ``wamp.`` is the router's, so no
        pattern matches it.
        Spec: Advanced Profile, "Calls matching multiple registrations".
        """
        if is_reserved(procedure):
            return self._by_procedure.get("exact", procedure)
        best = self._by_procedure.best(procedure)
        if best is None or not best.private:
            return best
        return next((found for found in self._by_procedure.matches(procedure) if not found.private), None)

    def best_of(self, session_id: int, procedure: str) -> Registration | None:
        """Return the best of one session's own registrations, for a call that is for this session alone."""
        own = self._by_session.get(session_id)
        if not own:
            return None
        return next(
            (found for found in self._by_procedure.matches(procedure) if session_id in found.callees), None
        )

    def add(
        self,
        session_id: int,
        procedure: str,
        options: Mapping[str, Any],
        *,
        private: bool = False,
        of_realm: bool = False,
    ) -> Registration:
        """Register a session for a procedure with its REGISTER.Options, whose types have been checked.

        With ``private`` the session registers for itself alone: other sessions can register the same URI,
        under whatever policy, and share only its ID. ``of_realm`` is for the realm's own session.

        Raises WAMPError: ``wamp.error.procedure_already_exists`` if the session has registered it before, if
        one callee holds it alone, or if the policy differs from that of the first callee;
        ``wamp.error.invalid_argument`` for an unknown policy.
        """
        check_policies(options)
        match: Match = options.get("match", "exact")
        invoke: InvokePolicy = options.get("invoke", "single")
        registration = self._by_procedure.get(match, procedure)
        if registration is None:
            registration = Registration(
                self._next_registration_id(), procedure, match, invoke, private, of_realm
            )
            self._by_procedure.add(match, procedure, registration)
            self._by_id[registration.registration_id] = registration
            if self.observer is not None:
                self.observer.created(session_id, registration)
        else:
            self._check_shared(registration, session_id, invoke, private=private)
        registration.callees[session_id] = Callee(
            session_id,
            options.get("concurrency", 0),
            options.get("forward_timeout", False),
            options.get("disclose_caller", False),
        )
        self._by_session.setdefault(session_id, {})[registration.registration_id] = registration
        if self.observer is not None:
            self.observer.added(session_id, registration)
        return registration

    def _check_shared(
        self, registration: Registration, session_id: int, invoke: InvokePolicy, *, private: bool
    ) -> None:
        uri = registration.procedure
        if session_id in registration.callees:
            raise WAMPError(PROCEDURE_ALREADY_EXISTS, f"this session has registered {uri!r} already")
        if private and registration.private:
            return
        if registration.invoke == "single" or registration.private or private:
            raise WAMPError(PROCEDURE_ALREADY_EXISTS, f"procedure {uri!r} is registered already")
        if registration.invoke != invoke:
            raise WAMPError(
                PROCEDURE_ALREADY_EXISTS,
                f"procedure {uri!r} is registered already with invoke={registration.invoke}, not {invoke}",
            )

    def remove(self, session_id: int, registration_id: int) -> Registration:
        """Remove a session from a registration, which is forgotten when that was its last callee.

        Raises WAMPError ``wamp.error.no_such_registration`` for an ID that is unknown or not the session's.
        """
        own = self._by_session.get(session_id, {})
        if registration_id not in own:
            raise WAMPError(NO_SUCH_REGISTRATION, f"this session has no registration {registration_id}")
        registration = own.pop(registration_id)
        if not own:
            del self._by_session[session_id]
        self._leave(session_id, registration)
        return registration

    def remove_session(self, session_id: int) -> list[Registration]:
        """Remove a session from all its registrations and return these, in the order it registered."""
        left = list(self._by_session.pop(session_id, {}).values())
        for registration in left:
            self._leave(session_id, registration)
        return left

    def _leave(self, session_id: int, registration: Registration) -> None:
        del registration.callees[session_id]
        if self.observer is not None:
            self.observer.removed(session_id, registration)
        if not registration.callees:
            self._by_procedure.remove(registration.match, registration.procedure)
            del self._by_id[registration.registration_id]
            if self.observer is not None:
                self.observer.deleted(session_id, registration)


def check_policies(options: Mapping[str, Any]) -> None:
    """Raise WAMPError ``wamp.error.invalid_argument`` for a ``match`` or ``invoke`` that nobody knows."""
    _check_known("match", options.get("match", "exact"), MATCH_POLICIES)
    _check_known("invoke", options.get("invoke", "single"), INVOKE_POLICIES)


def _check_known(option: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise WAMPError(INVALID_ARGUMENT, f"{option} must be one of {', '.join(known)}")
