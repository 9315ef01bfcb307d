"""The compiled exception handlers of a realm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.exceptions import HTTPException

from wampasgi.configuration.handler_settings import HandlerSettings
from wampasgi.errors import ConfigurationError, ConnectionClosed, WAMPError
from wampasgi.injection.plan import HandlerPlan, Injection
from wampasgi.injection.results import RPCErrorResult
from wampasgi.rpc import RPCRequest

#: Exceptions that need no handler. A handler of one of their base classes does not get them.
_ANSWERED: Final = (WAMPError, HTTPException, ConnectionClosed)


class ExceptionHandlers:
    """The exception handlers of a realm, by the class of their exceptions.

    Raises ConfigurationError if one is an async generator function.
    """

    __slots__ = ("_plans", "wants_request")

    def __init__(self, plans: Mapping[type[Exception], HandlerPlan]) -> None:
        for plan in plans.values():
            if plan.kind == "async_generator":
                raise ConfigurationError(
                    f"{plan.description} is an async generator function: an exception handler must not yield"
                )
        self._plans = plans
        #: True if one of the handlers has a parameter for the RPCRequest.
        self.wants_request = any("request" in plan.uses for plan in plans.values())

    async def handle(
        self,
        error: Exception,
        provided: Mapping[str, Any],
        *,
        log: Callable[[Exception], None],
        request: RPCRequest | None = None,
        topic_uri: str | None = None,
    ) -> Exception:
        """Return the exception that replaces ``error``: the handler's, or ``error`` if none handles it.

        ``provided`` are the arguments for the handler, besides the exception, ``request`` and ``topic_uri``.
        ``log`` is called with an exception that only a handler of Exception handles: as in Starlette, this
        handler chooses the answer to an unexpected exception, which remains a fault.
        """
        plans = self._plans
        known = (cls for cls in type(error).__mro__ if cls in plans or cls in _ANSWERED)
        handled = next(known, None)
        plan = None if handled is None else plans.get(handled)
        if plan is None:
            return error
        if handled is Exception:
            log(error)
        try:
            answer = await plan.call({**provided, "exc": error, "request": request, "topic_uri": topic_uri})
        except Exception as raised:  # noqa: BLE001 - the caller answers or logs it
            if raised is not error and raised.__cause__ is None:
                # So that the log has both.
                raised.__cause__ = error
            return raised
        if isinstance(answer, WAMPError):
            return answer
        if isinstance(answer, RPCErrorResult):
            return WAMPError(answer.error_uri, *answer.args, **answer.kwargs)
        mistake = TypeError(
            f"{plan.description} returned an object of the type {type(answer).__qualname__}: an exception "
            f"handler must return or raise a WAMPError, or return an RPCErrorResult"
        )
        mistake.__cause__ = error
        return mistake


def compile_exception_handlers(
    for_all_realms: HandlerSettings, settings: HandlerSettings, injection: Injection
) -> ExceptionHandlers | None:
    """Compile the exception handlers of a realm and its application, if there are any."""
    handlers = {**for_all_realms.exception_handlers, **settings.exception_handlers}
    if not handlers:
        return None
    return ExceptionHandlers(
        {
            exception: injection.read(handler, {"exc": exception, "request": RPCRequest, "topic_uri": None})
            for exception, handler in handlers.items()
        }
    )
