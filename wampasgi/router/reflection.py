"""The router's procedures for the description of its realm, ``wamp.reflection.*``, and for its metrics.

The router knows what clients have registered and how they describe it. The description of the realm's own
procedures is the business of the layers above, which complete the answers.
Spec: Advanced Profile, "Interface Reflection", which is a sketch. ``wamp.reflection.describe`` and
``wamp.metrics.get`` are not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from wampasgi.errors import NO_SUCH_REGISTRATION, UNAVAILABLE, WAMPError
from wampasgi.metrics import Metrics
from wampasgi.protocol.options import Rule
from wampasgi.protocol.uris import MATCH_POLICIES
from wampasgi.router.dealer import Dealer
from wampasgi.router.meta_procedures import MetaProcedure, MetaResult
from wampasgi.router.meta_signatures import Parameter, Signature
from wampasgi.types import Match

DESCRIBE: Final = "wamp.reflection.describe"
DEFINE: Final = "wamp.reflection.define"
METRICS: Final = "wamp.metrics.get"

_PROCEDURE: Final = Parameter("procedure", Rule(str, "a URI, a string"))
_TOPIC: Final = Parameter("topic", Rule(str, "a URI, a string"))
_ERROR: Final = Parameter("error", Rule(str, "a URI, a string"))
_DEFINITION: Final = Parameter("definition", Rule(dict, "a dict"), required=False)
_MATCHES: Final = (*MATCH_POLICIES, "regex")


def _match(*policies: str) -> Parameter:
    rule = Rule(str, f"one of {', '.join(policies)}", lambda value: value in policies)
    return Parameter("match", rule, required=False, positional=False, keyword=True)


#: The procedures that describe the realm, with their signatures.
DESCRIPTIONS: Final[Mapping[str, Signature]] = {
    DESCRIBE: Signature(),
    "wamp.reflection.procedure.list": Signature(),
    "wamp.reflection.procedure.describe": Signature(_PROCEDURE, _match(*_MATCHES)),
    "wamp.reflection.topic.list": Signature(),
    "wamp.reflection.topic.describe": Signature(_TOPIC, _match(*_MATCHES)),
    "wamp.reflection.error.list": Signature(),
    "wamp.reflection.error.describe": Signature(_ERROR),
}


class Reflection:
    """The definitions that clients give to the procedures that they have registered."""

    def __init__(self, dealer: Dealer, metrics: Callable[[], Metrics]) -> None:
        self._registrations = dealer.registrations
        #: Returns the metrics of the realm.
        self.metrics = metrics
        self.procedures = {
            **{
                procedure: MetaProcedure(signature, self._list_definitions)
                for procedure, signature in DESCRIPTIONS.items()
            },
            DEFINE: MetaProcedure(Signature(_PROCEDURE, _DEFINITION, _match(*MATCH_POLICIES)), self._define),
            METRICS: MetaProcedure(Signature(), self._get_metrics),
        }

    def definitions(self) -> list[list[Any]]:
        """Return ``[match, procedure, definition]`` for each procedure that a client here has defined."""
        found = []
        for registration in self._registrations.by_id.values():
            defined = (callee.definition for callee in registration.callees.values())
            # Callees that share a registration answer the same calls, so one of their definitions will do.
            definition = next(filter(None, defined), None)
            if definition is not None:
                found.append([registration.match, registration.procedure, definition[0]])
        return found

    def _list_definitions(self, caller_id: int, *values: Any) -> MetaResult:
        return MetaResult([self.definitions()])

    def _define(
        self,
        caller_id: int,
        procedure: str,
        definition: Mapping[str, Any] | None,
        match: Match | None,
        size: int,
        most: int,
    ) -> MetaResult:
        """Set or, with None, remove the definition of a procedure that the caller has registered.

        Raises WAMPError ``wamp.error.no_such_registration`` if it has not, and ``wamp.error.unavailable`` if
        its definitions would be larger than ``most`` bytes; then the old definition remains.
        """
        own = {
            (registration.match, registration.procedure): registration.callees[caller_id]
            for registration in self._registrations.of_session(caller_id).values()
        }
        callee = own.get((match or "exact", procedure))
        if callee is None:
            raise WAMPError(NO_SUCH_REGISTRATION, f"this session has not registered {procedure!r}")
        others = [other.definition[1] for other in own.values() if other.definition and other is not callee]
        if sum(others) + size > most:
            raise WAMPError(
                UNAVAILABLE,
                f"the definitions of this session would be over the limit definition_bytes of {most}",
            )
        callee.definition = None if definition is None else (definition, size)
        return MetaResult()

    def _get_metrics(self, caller_id: int) -> MetaResult:
        return MetaResult([self.metrics()])
