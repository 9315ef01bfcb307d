"""The compiled handlers of a realm: its procedures, the gatekeepers of its topics, and its subscribers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wampasgi.configuration.response_types import Response
from wampasgi.configuration.routes import Route
from wampasgi.errors import ConfigurationError, InvalidArgument
from wampasgi.event import Event
from wampasgi.injection.plan import HandlerPlan
from wampasgi.injection.results import (
    Convert,
    ConvertProgress,
    OnProgress,
    RPCErrorResult,
    RPCProgressReport,
    RPCResult,
    final_result,
    last_of,
)
from wampasgi.logs import about, escaped, logger_named, shown
from wampasgi.rpc import RPCRequest

logger = logger_named("wampasgi.router")


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A handler for the events of a topic or a pattern of topics.

    ``roles`` are the roles of the publishers that it accepts events from. None accepts all. ``route`` is the
    one that declared it, None for a handler that was added at run time. Raises ConfigurationError if the
    handler is an async generator function.
    """

    plan: HandlerPlan
    roles: frozenset[str] | None
    route: Route | None = None

    def __post_init__(self) -> None:
        if self.plan.kind == "async_generator":
            raise ConfigurationError(
                f"{self.plan.description} is an async generator function: a handler of events must not yield,"
                " because nobody receives what it yields"
            )

    def takes_from(self, role: str | None) -> bool:
        """Return whether the handler accepts events that are published by clients with this role."""
        return self.roles is None or role in self.roles

    async def handle(self, event: Event, provided: Mapping[str, Any], source: object) -> None:
        """Run the handler for one event and log its exception, since there is nobody to send an ERROR to.

        ``source`` is the origin of the event that the log names.
        """
        try:
            await self.plan.call({**provided, "event": event}, event.args, event.kwargs)
        except InvalidArgument as error:
            logger.warning(
                "an event of topic %s from %s does not fit the parameters of %s: %s",
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
    """A procedure of the realm itself: the handler for its URIs, and the roles that may call it.

    ``response`` converts the values of the handler, whose parameters ``request`` and ``request_name`` get the
    RPCRequest. ``route`` holds the URIs; without a route, the procedure answers every call. ``timeout``
    limits a client's call, in seconds.
    """

    __slots__ = (
        "is_plain",
        "plan",
        "request_name",
        "response",
        "roles",
        "route",
        "run",
        "scalars",
        "timeout",
        "wants_request",
    )

    def __init__(
        self,
        plan: HandlerPlan,
        roles: frozenset[str] | None,
        response: Response,
        *,
        request_name: str = "request",
        route: Route | None = None,
        timeout: float | None = None,
    ) -> None:
        self.plan = plan
        self.timeout = timeout
        self.route = route
        self.roles = roles
        self.response = response
        #: The types of values that become the only argument of a result without any conversion.
        self.scalars = response.scalars
        self.request_name = request_name
        #: True if the handler has a parameter for the RPCRequest. Most do not.
        self.wants_request = not plan.uses.isdisjoint(("request", request_name))
        #: Runs the handler with the provided arguments and the payload.
        self.run = plan.start if plan.starts_at_once else plan.call
        #: True if calling ``run`` is enough to handle a call.
        self.is_plain = plan.kind != "async_generator" and not self.wants_request and timeout is None

    async def invoke(
        self,
        request: RPCRequest | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        provided: Mapping[str, Any],
        on_progress: OnProgress | None,
        convert: Convert,
    ) -> RPCResult | RPCErrorResult:
        """Run the handler for one call and return its final result.

        ``request`` is required if ``wants_request`` is true. Progress reports go to ``on_progress``, or are
        dropped if it is None. ``convert`` is a method of ``response``. Exceptions of the handler are raised
        unchanged.
        """
        plan = self.plan
        if on_progress is not None and self.response.progress is not None:
            on_progress = _filtering(self.response.progress, on_progress)
        if request is not None:
            provided = {**provided, "request": request, self.request_name: request}
        if plan.kind == "async_generator":
            return await last_of(
                lambda closing: plan.iterate(provided, args, kwargs, closing=closing), on_progress, convert
            )
        value = await plan.call(provided, args, kwargs)
        return await final_result(value, on_progress, convert)


def _filtering(convert: ConvertProgress, on_progress: OnProgress) -> OnProgress:
    async def report_filtered(report: RPCProgressReport) -> None:
        await on_progress(convert(report))

    return report_filtered


class Topic:
    """A topic of the realm itself: its gatekeeper, and the roles that may subscribe.

    ``patterns`` tells whether clients may subscribe to patterns that match the topic, without its gatekeeper.
    ``route`` holds the URIs; a subscription handler answers for all.
    """

    __slots__ = ("patterns", "plan", "roles", "route")

    def __init__(
        self,
        plan: HandlerPlan,
        roles: frozenset[str] | None,
        *,
        patterns: bool = False,
        route: Route | None = None,
    ) -> None:
        self.plan = plan
        self.route = route
        self.roles = roles
        self.patterns = patterns

    def permits_patterns(self, role: str | None) -> bool:
        """Return whether a session with this role may subscribe to patterns that match the topic."""
        return self.patterns and (self.roles is None or role in self.roles)
