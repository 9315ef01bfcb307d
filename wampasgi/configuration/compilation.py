"""The compilation of a realm's settings into its plan."""

from __future__ import annotations

from typing import Any

from wampasgi.auth.failed_logins import FailedLogins
from wampasgi.configuration.authorization import Authorization
from wampasgi.configuration.exception_handlers import compile_exception_handlers
from wampasgi.configuration.gatekeepers import compile_subscription_handler, compile_topics
from wampasgi.configuration.handlers import Procedure
from wampasgi.configuration.middleware import wrapped
from wampasgi.configuration.plan import (
    ProcedureOptions,
    RealmPlan,
    authmethods_of,
    compile_authenticators,
    compile_failure_reports,
    compile_overflow_handler,
    compile_procedure,
    compile_procedures,
    compile_rpc_handler,
    compile_subscribers,
)
from wampasgi.configuration.routes import RouteTable
from wampasgi.configuration.settings import ApplicationContext, RealmSettings
from wampasgi.injection.plan import Injection
from wampasgi.peers.session import Session
from wampasgi.router.router import Router
from wampasgi.types import ASGIApp


def compile_realm(
    context: ApplicationContext,
    settings: RealmSettings,
    injection: Injection,
    options: ProcedureOptions,
    *,
    realm: Any,
    endpoint: ASGIApp,
    allow_anonymous: bool | None,
    procedures_at_run_time: RouteTable[Procedure],
    router: Router[Session],
    failed_logins: FailedLogins,
) -> RealmPlan:
    """Compile the settings of a realm.

    ``realm`` is the object that handlers see. ``endpoint`` serves the sessions that the authenticators have
    accepted. Raises ConfigurationError if nothing can fill a parameter of a handler.
    """
    limits = settings.limits or context.limits
    authorizer = settings.authorizer and injection.read(
        settings.authorizer, {"action": None, "uri": None, "options": None}
    )
    authenticators = compile_authenticators(settings, injection, allow_anonymous=allow_anonymous)
    return RealmPlan(
        app=wrapped(endpoint, (*settings.middleware, *authenticators)),
        provided={"realm": realm, "app": context.app},
        limits=limits,
        async_support=context.async_support,
        synchronize_requests=context.synchronize_requests,
        debug=context.debug,
        authmethods=authmethods_of(settings, allow_anonymous=allow_anonymous),
        description_access=context.description_access,
        authorization=Authorization(settings.permissions.copy(), authorizer, cache=settings.cache_authorizer),
        procedures=compile_procedures(settings, injection, options),
        procedures_at_run_time=procedures_at_run_time,
        procedure_for_all=compile_rpc_handler(settings, injection, options),
        topics=compile_topics(settings, injection),
        topic_for_all=compile_subscription_handler(settings, injection),
        subscribers=compile_subscribers(settings, injection),
        lifespan_handlers=tuple(injection.read(handler) for handler in settings.lifespan_handlers),
        early_lifespan_handlers=tuple(
            injection.read(handler) for handler in settings.early_lifespan_handlers
        ),
        overflow_handler=compile_overflow_handler(settings, injection),
        exception_handlers=compile_exception_handlers(context.handlers, settings.handlers, injection),
        router=router,
        failed_logins=failed_logins,
        failure_reports=compile_failure_reports(settings, injection, limits, router.counts),
    )


def recompile_procedures(
    table: RouteTable[Procedure], injection: Injection, options: ProcedureOptions
) -> None:
    """Compile the procedures of a table again, because the injection has changed."""
    routes = [procedure.route for procedure in table if procedure.route is not None]
    for route, procedure in [(route, compile_procedure(route, injection, options)) for route in routes]:
        table.remove(route.match, route.uri)
        table.add(route, procedure)
