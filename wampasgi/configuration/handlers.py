"""The compiled handlers of a realm: procedures, topics with their gatekeepers, and subscribers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wampasgi.configuration.routes import Route
from wampasgi.errors import InvalidArgument
from wampasgi.injection.plan import HandlerPlan
from wampasgi.injection.results import OnProgress, RPCErrorResult, RPCResult, final_result, last_of
from wampasgi.logs import about, escaped, logger_named, shown
from wampasgi.rpc import RPCRequest

logger = logger_named("wampasgi.router")


@dataclass(frozen=True, slots=True)
class Event:
    """An event, as handlers, ``Realm.events`` and the test client get it."""

    #: The topic that was published to.
    topic: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    publication_id: int = 0
    #: EVENT.Details.
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A handler of events: of a topic, or of a pattern of topics.

    ``roles`` are those whose publications it gets, None for all.
    """

    plan: HandlerPlan
    roles: frozenset[str] | None

    def takes_from(self, role: str | None) -> bool:
        """Return whether the handler gets what clients with this role publish."""
        return self.roles is None or role in self.roles

    async def handle(self, event: Event, provided: Mapping[str, Any], source: object) -> None:
        """Run the handler for one event; what it raises is logged, for nobody waits for an answer.

        ``source`` is what the log names as the event's origin.
        """
        try:
            await self.plan.call({**provided, "event": event}, event.args, event.kwargs)
        except InvalidArgument as error:
            logger.warning(
                "an event of topic %s from %s does not fit %s: %s",
                shown(event.topic),
                source,
                self.plan.name,
                escaped(str(error)),
                extra=about(provided.get("session"), event.topic),
            )
        except Exception:
            logger.exception(
                "%s failed for topic %s, from %s",
                self.plan.name,
                shown(event.topic),
                source,
                extra=about(provided.get("session"), event.topic),
            )


class Procedure:
    """A procedure of the realm's own: the handler that answers its URIs, and the roles that may call it.

    ``request_name`` is the parameter, beside ``request``, that gets the RPCRequest. ``route`` has the URIs;
    without one the procedure answers every call. ``timeout`` bounds a client's call, in seconds.
    """

    __slots__ = (
        "is_plain",
        "plan",
        "request_name",
        "roles",
        "route",
        "run",
        "timeout",
        "wants_request",
    )

    def __init__(
        self,
        plan: HandlerPlan,
        roles: frozenset[str] | None,
        *,
        request_name: str = "request",
        route: Route | None = None,
        timeout: float | None = None,
    ) -> None:
        self.plan = plan
        self.timeout = timeout
        self.route = route
        self.roles = roles
        self.request_name = request_name
        #: Whether the handler asks for the RPCRequest; most do not.
        self.wants_request = not plan.uses.isdisjoint(("request", request_name))
        #: What runs the handler, given the provided arguments and the payload.
        self.run = plan.start if plan.starts_at_once else plan.call
        #: Whether a call needs nothing beyond that.
        self.is_plain = plan.kind != "async_generator" and not self.wants_request and timeout is None

    async def invoke(
        self,
        request: RPCRequest | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        provided: Mapping[str, Any],
        on_progress: OnProgress | None,
    ) -> RPCResult | RPCErrorResult:
        """Run the handler for one call and return its final result; raises what the handler raises.

        ``request`` is for a handler that ``wants_request``. Progress reports go to ``on_progress`` and are
        dropped where the caller did not ask for them.
        """
        plan = self.plan
        if request is not None:
            provided = {**provided, "request": request, self.request_name: request}
        if plan.kind == "async_generator":
            return await last_of(plan.iterate(provided, args, kwargs), on_progress)
        value = await plan.call(provided, args, kwargs)
        return await final_result(value, on_progress)


class Topic:
    """A topic of the realm's own: its gatekeeper, and who may subscribe."""

    __slots__ = ("plan", "roles")

    def __init__(self, plan: HandlerPlan, roles: frozenset[str] | None) -> None:
        self.plan = plan
        self.roles = roles
