"""A search for what a router still holds when all clients and all other workers are gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wampasgi.router.clustered_router import ClusteredRouter

#: Attributes that do not depend on sessions: handlers, the realm's own members, stored events.
_CONFIGURATION = {
    "router.losses",
    "router._handlers",
    "router._server_ids",
    "router.retained._by_topic",
    "router.retained._by_age",
    "router.broker._kept",
    "router.meta._procedures",
    "router.meta.procedures",
}


def _attributes(holder: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(holder, "__dict__", {}).items()
    for base in type(holder).__mro__:
        for name in getattr(base, "__slots__", ()):
            if hasattr(holder, name):
                yield name, getattr(holder, name)


def _containers(name: str, holder: object) -> Iterator[tuple[str, Any]]:
    for attribute, value in _attributes(holder):
        path = f"{name}.{attribute}"
        if path not in _CONFIGURATION and isinstance(value, dict | set | list):
            yield path, value


def leftovers(router: ClusteredRouter[Any], server_id: int) -> list[str]:
    """Return the containers of a router and of its parts that are not empty.

    The realm's own session, its subscription and kept subscriptions may remain.
    """
    dealer, broker = router.dealer, router.broker
    meta_events = vars(router)["_events"]
    parts = {
        "router": router,
        "router.broker": broker,
        "router.dealer": dealer,
        "router.dealer.registrations": dealer.registrations,
        "router.dealer.session": dealer.sessions[server_id],
        "router.calls": router.calls,
        "router.claims": router.claims,
        "router.interests": router.interests,
        "router.events": router.events,
        "router.testaments": router.testaments,
        "router.meta_events": meta_events,
        "router.meta_events.registrations": meta_events.registrations,
        "router.meta_events.subscriptions": meta_events.subscriptions,
    }
    allowed = {server_id} | {
        subscription.subscription_id
        for subscription in broker.subscriptions.values()
        if subscription.kept or set(subscription.subscribers) == {server_id}
    }
    found = []
    for name, part in parts.items():
        for path, value in _containers(name, part):
            rest = [item for item in value if item not in allowed]
            if rest:
                found.append(f"{path}: {rest!r:.300}")
    found += [f"nodes of {entry!r}" for entry in broker.subscriptions.values() if entry.nodes]
    return found
