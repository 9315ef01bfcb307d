"""The command ``wampasgi routes``, which lists the handlers of an app."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from wampasgi.cli.data_output import DataOutput, FormatOption
from wampasgi.cli.options import AppArgument, RealmOption

if TYPE_CHECKING:
    from wampasgi.configuration.plan import RealmPlan
    from wampasgi.configuration.routes import Route
    from wampasgi.injection.plan import HandlerPlan

_COLUMNS: Final = ("realm", "kind", "uri", "match", "roles", "handler")
#: The route of a handler that answers for all URIs.
_EVERYTHING: Final = ("", "prefix")


def routes(app: AppArgument = None, realm: RealmOption = None, output: FormatOption = None) -> None:
    """List the procedures, topics and subscribers of an app."""
    from wampasgi.cli.app_loading import load_application
    from wampasgi.cli.realms import check_realm

    application = load_application(app).application
    check_realm(application, realm)
    shown = DataOutput(output)
    rows = [
        {"realm": name, **row}
        for name, found in application.all_realms.items()
        if realm in (None, name)
        for row in _rows(found.plan())
    ]
    if shown.is_text:
        if not rows:
            shown.note("The app has no handlers.")
            return
        rows = [
            {**row, "roles": ", ".join(row["roles"] or ()), "handler": row["handler"] or ""} for row in rows
        ]
    shown.rows(_COLUMNS, rows)


def _rows(plan: RealmPlan) -> Iterator[dict[str, Any]]:
    """Yield the handlers of a realm, each kind in the order of its URIs."""
    procedures = [*plan.procedures, *plan.procedures_at_run_time]
    if plan.procedure_for_all is not None:
        procedures = [plan.procedure_for_all]
    topics = [*plan.topics] if plan.topic_for_all is None else [plan.topic_for_all]
    yield from _sorted("procedure", [(entry.route, entry.roles, entry.plan) for entry in procedures])
    yield from _sorted("topic", [(entry.route, entry.roles, entry.plan) for entry in topics])
    for (match, topic), subscribers in plan.subscribers.items():
        for subscriber in subscribers:
            yield _row("subscriber", topic, match, subscriber.roles, subscriber.plan)


def _sorted(
    kind: str, entries: list[tuple[Route | None, frozenset[str] | None, HandlerPlan]]
) -> list[dict[str, Any]]:
    rows = []
    for route, roles, plan in entries:
        uri, match = _EVERYTHING if route is None else (route.uri, route.match)
        rows.append(_row(kind, uri, match, roles, plan))
    return sorted(rows, key=lambda row: (row["uri"], row["match"]))


def _row(kind: str, uri: str, match: str, roles: frozenset[str] | None, plan: HandlerPlan) -> dict[str, Any]:
    # Not at the top, because the help of the command must be fast.
    from wampasgi.configuration.routers import accept_subscription

    return {
        "kind": kind,
        "uri": uri,
        "match": match,
        # None: the permissions of the realm decide.
        "roles": None if roles is None else sorted(roles),
        # None: the topic has no gatekeeper.
        "handler": None if plan.function is accept_subscription else plan.name,
    }
