"""The registrations of a realm, and the choice of the callee for each invocation.

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
    UNAVAILABLE,
    WAMPError,
)
from wampasgi.protocol.uris import MATCH_POLICIES, is_reserved
from wampasgi.router.interfaces import Observer
from wampasgi.router.matching import URIMap
from wampasgi.router.stamps import Stamp
from wampasgi.types import Match

#: The policy for choosing one of the callees that share a registration, ``options.invoke`` of REGISTER.
InvokePolicy: TypeAlias = Literal["single", "first", "last", "random", "roundrobin"]

INVOKE_POLICIES: Final[tuple[InvokePolicy, ...]] = get_args(InvokePolicy)


@dataclass(slots=True, eq=False)
class Callee:
    """The entry of a session in a registration, with the options of its REGISTER.

    ``concurrency`` is the maximum number of simultaneous invocations, 0 for no limit, and ``running`` is the
    current number. With ``forward_timeout``, the callee handles call timeouts itself. With
    ``disclose_caller``, callers are disclosed to it. ``stamp`` is the time of registration, if other workers
    have callees, too. ``definition`` is the description that the client has given to the procedure, with its
    size in bytes.
    """

    session_id: int
    concurrency: int = 0
    forward_timeout: bool = False
    disclose_caller: bool = False
    running: int = 0
    stamp: Stamp | None = None
    definition: tuple[Mapping[str, Any], int] | None = None

    @property
    def busy(self) -> bool:
        """Return whether the callee is at its concurrency limit."""
        return 0 < self.concurrency <= self.running


@dataclass(slots=True, eq=False)
class Registration:
    """A procedure or pattern under one match policy, with all its callees, which share its ID.

    ``callees`` maps session IDs to callees, in the order in which they are tried: the order of registration,
    or with ``roundrobin`` the order of their turns.
    """

    registration_id: int
    procedure: str
    match: Match
    invoke: InvokePolicy
    #: Each callee registers for itself alone, and only calls addressed to its session reach it.
    private: bool = False
    #: True if the realm itself has registered it. The handler is in the plan of each session.
    of_realm: bool = False
    callees: dict[int, Callee] = field(default_factory=dict)

    def insert(self, callee: Callee) -> None:
        """Add a callee: last, or in the order of stamps for the policies that depend on the order."""
        callees = self.callees
        callees[callee.session_id] = callee
        if callee.stamp is None or self.invoke not in ("single", "first", "last"):
            return
        ordered = sorted(callees.values(), key=lambda callee: callee.stamp or (0, 0))
        if ordered[-1] is not callee:
            callees.clear()
            callees.update({callee.session_id: callee for callee in ordered})

    def pick(self, skip: Callable[[int], bool], random_index: Callable[[int], int]) -> Callee | None:
        """Return the callee for the next invocation, or None if none is available.

        Busy callees are passed over, as are session IDs for which ``skip`` returns True. ``random_index(n)``
        draws from ``range(n)``.
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
            # Move the callee to the end of the queue.
            del self.callees[callee.session_id]
            self.callees[callee.session_id] = callee
        return callee


class Registrations:
    """The registrations of one realm, by clients and by the realm itself."""

    #: Called for each change to the registrations.
    observer: Observer[Registration] | None = None

    def __init__(self, next_registration_id: Callable[[Match, str], int]) -> None:
        self._next_registration_id = next_registration_id
        self._by_procedure: URIMap[Registration] = URIMap()
        self._by_id: dict[int, Registration] = {}
        # The registrations of each session that has any, by ID.
        self._by_session: dict[int, dict[int, Registration]] = {}

    @property
    def by_id(self) -> Mapping[int, Registration]:
        """A live read-only view of all registrations by ID, oldest first."""
        return MappingProxyType(self._by_id)

    def find(self, registration_id: int) -> Registration | None:
        """Return the registration with an ID, or None."""
        return self._by_id.get(registration_id)

    def of_session(self, session_id: int) -> Mapping[int, Registration]:
        """Return the registrations of one session by ID, oldest first."""
        return MappingProxyType(self._by_session.get(session_id, {}))

    def get(self, match: Match, procedure: str) -> Registration | None:
        """Return the registration of exactly this URI under this policy, or None."""
        return self._by_procedure.get(match, procedure)

    def best(self, procedure: str) -> Registration | None:
        """Return the registration that answers a call, or None if none matches.

        Private registrations are ignored. Patterns do not match the router's own URIs, which begin with
        ``wamp.``.
        Spec: Advanced Profile, "Calls matching multiple registrations".
        """
        if is_reserved(procedure):
            return self._by_procedure.get("exact", procedure)
        best = self._by_procedure.best(procedure)
        if best is None or not best.private:
            return best
        return next((found for found in self._by_procedure.matches(procedure) if not found.private), None)

    def best_of(self, session_id: int, procedure: str) -> Registration | None:
        """Return the best match among one session's registrations, for a call addressed to this session."""
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
        stamp: Stamp | None = None,
    ) -> Registration:
        """Register a session for a procedure with its REGISTER.Options, whose types have been checked.

        With ``private`` the session registers for itself alone. Other sessions can then register the same URI
        under any invocation policy, and only share its ID. ``of_realm`` is for the realm's own session.

        Raises WAMPError: ``wamp.error.procedure_already_exists`` if the session has registered the URI
        before, if the existing registration cannot be shared, or if its invocation policy is another one;
        ``wamp.error.invalid_argument`` for an unknown policy.
        """
        match: Match = options.get("match", "exact")
        invoke: InvokePolicy = options.get("invoke", "single")
        registration = self.check(session_id, procedure, options, private=private)
        if registration is None:
            registration = self._create(match, procedure, invoke, private=private, of_realm=of_realm)
            if self.observer is not None:
                self.observer.created(session_id, registration)
        registration.insert(
            Callee(
                session_id,
                options.get("concurrency", 0),
                options.get("forward_timeout", False),
                options.get("disclose_caller", False),
                stamp=stamp,
            )
        )
        self._by_session.setdefault(session_id, {})[registration.registration_id] = registration
        if self.observer is not None:
            self.observer.added(session_id, registration)
        return registration

    def check(
        self, session_id: int, procedure: str, options: Mapping[str, Any], *, private: bool
    ) -> Registration | None:
        """Return the registration that :meth:`add` would add the session to, or None if it would be new.

        Raises the errors of ``add``.
        """
        check_policies(options)
        registration = self._by_procedure.get(options.get("match", "exact"), procedure)
        if registration is not None:
            self._check_shared(registration, session_id, options.get("invoke", "single"), private=private)
        return registration

    def held_by_others(
        self, session_id: int, procedure: str, options: Mapping[str, Any]
    ) -> list[tuple[int, int]]:
        """Return session ID and registration ID of each callee that a takeover by a session revokes.

        Raises WAMPError: ``wamp.error.procedure_already_exists`` if the session itself has registered the
        URI, or if it belongs to the realm; ``wamp.error.invalid_argument`` for an unknown policy.
        """
        check_policies(options)
        registration = self._by_procedure.get(options.get("match", "exact"), procedure)
        if registration is None:
            return []
        if session_id in registration.callees:
            raise WAMPError(PROCEDURE_ALREADY_EXISTS, f"this session has already registered {procedure!r}")
        if registration.of_realm:
            raise WAMPError(PROCEDURE_ALREADY_EXISTS, f"{procedure!r} is one of the realm's own procedures")
        return [(callee_id, registration.registration_id) for callee_id in registration.callees]

    def _create(
        self, match: Match, procedure: str, invoke: InvokePolicy, *, private: bool, of_realm: bool
    ) -> Registration:
        registration = Registration(
            self._next_registration_id(match, procedure), procedure, match, invoke, private, of_realm
        )
        if registration.registration_id in self._by_id:
            raise WAMPError(UNAVAILABLE, f"the ID of {procedure!r} is the ID of another registration")
        self._by_procedure.add(match, procedure, registration)
        self._by_id[registration.registration_id] = registration
        return registration

    def _check_shared(
        self, registration: Registration, session_id: int, invoke: InvokePolicy, *, private: bool
    ) -> None:
        uri = registration.procedure
        if session_id in registration.callees:
            raise WAMPError(PROCEDURE_ALREADY_EXISTS, f"this session has already registered {uri!r}")
        if private and registration.private:
            return
        if registration.invoke == "single" or registration.private or private:
            raise WAMPError(PROCEDURE_ALREADY_EXISTS, f"procedure {uri!r} is already registered")
        if registration.invoke != invoke:
            raise WAMPError(
                PROCEDURE_ALREADY_EXISTS,
                f"procedure {uri!r} is already registered with invoke={registration.invoke}, not {invoke}",
            )

    # Other workers

    def place(
        self, match: Match, procedure: str, invoke: InvokePolicy, callee: Callee, *, private: bool
    ) -> tuple[Registration, bool]:
        """Add a callee of another worker; return whether that creates the registration.

        The caller has checked that the callee may share an existing registration. The observer is not called,
        because the other worker publishes the meta events.
        """
        registration = self._by_procedure.get(match, procedure)
        is_new = registration is None
        if registration is None:
            registration = self._create(match, procedure, invoke, private=private, of_realm=False)
        registration.insert(callee)
        self._by_session.setdefault(callee.session_id, {})[registration.registration_id] = registration
        return registration, is_new

    def displace(self, session_id: int, registration: Registration) -> bool:
        """Remove a callee of another worker; return whether that deletes the registration.

        The observer is not called.
        """
        own = self._by_session[session_id]
        del own[registration.registration_id]
        if not own:
            del self._by_session[session_id]
        del registration.callees[session_id]
        if registration.callees:
            return False
        self._delete(registration)
        return True

    def _delete(self, registration: Registration) -> None:
        self._by_procedure.remove(registration.match, registration.procedure)
        del self._by_id[registration.registration_id]

    # Leaving

    def remove(self, session_id: int, registration_id: int) -> Registration:
        """Remove a session from a registration.

        The registration is deleted with its last callee. Raises WAMPError
        ``wamp.error.no_such_registration`` if the session has no registration with this ID.
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
        """Remove a session from all its registrations and return them, in the order of registering."""
        left = list(self._by_session.pop(session_id, {}).values())
        for registration in left:
            self._leave(session_id, registration)
        return left

    def _leave(self, session_id: int, registration: Registration) -> None:
        del registration.callees[session_id]
        if self.observer is not None:
            self.observer.removed(session_id, registration)
        if not registration.callees:
            self._delete(registration)
            if self.observer is not None:
                self.observer.deleted(session_id, registration)


def check_policies(options: Mapping[str, Any]) -> None:
    """Raise WAMPError ``wamp.error.invalid_argument`` for an unknown ``match`` or ``invoke``."""
    _check_known("match", options.get("match", "exact"), MATCH_POLICIES)
    _check_known("invoke", options.get("invoke", "single"), INVOKE_POLICIES)


def _check_known(option: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise WAMPError(INVALID_ARGUMENT, f"{option} must be one of {', '.join(known)}")
