"""The permission of a session to subscribe to a topic or a pattern, and to read an event history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wampasgi.configuration.authorization import refusal
from wampasgi.configuration.handlers import Topic
from wampasgi.configuration.plan import RealmPlan
from wampasgi.logs import about, logger_named, shown
from wampasgi.peers.session import Session
from wampasgi.protocol.uris import is_reserved
from wampasgi.router.broker import Subscription
from wampasgi.types import Match

logger = logger_named("wampasgi.session")


async def permit_subscription(
    session: Session,
    plan: RealmPlan,
    provided: Mapping[str, Any],
    uri: str,
    match: Match,
    options: Mapping[str, Any],
) -> Topic | None:
    """Return the realm's own topic to subscribe to, if it is one; raises WAMPError if not permitted.

    ``options`` are those of SUBSCRIBE.
    """
    topic: Topic | None = None
    if match == "exact":
        topic = plan.find_topic(uri)
    else:
        _check_restrictions(session, plan, uri, match)
    verdict = await plan.authorization.decide(
        session,
        "subscribe",
        uri,
        options,
        provided,
        roles=None if topic is None else topic.roles,
        match=match,
    )
    # A gatekeeper of all topics guards those of the router, too, but does not open them.
    of_realm = topic is not None and not is_reserved(uri)
    if not (verdict.allowed if verdict is not None else of_realm):
        raise refusal("subscribe", uri)
    return topic


async def permit_history(
    session: Session, plan: RealmPlan, provided: Mapping[str, Any], subscription: Subscription
) -> None:
    """Raise WAMPError if the session may not read the history of a subscription.

    It must be allowed to subscribe. A gatekeeper decides only when it runs, so the history of its topic is
    open to subscribers alone.
    """
    uri, match = subscription.topic, subscription.match
    options = {} if match == "exact" else {"match": match}
    topic = await permit_subscription(session, plan, provided, uri, match, options)
    if topic is not None and session.id not in subscription.subscribers:
        raise refusal("subscribe", uri)


def _check_restrictions(session: Session, plan: RealmPlan, pattern: str, match: Match) -> None:
    """Raise WAMPError for a pattern that would bypass the gatekeeper or the roles of a topic."""
    topic = plan.restricting_topic(match, pattern, session.authrole)
    if topic is None:
        return
    # The client does not get to know the topic.
    logger.info(
        "%r may not subscribe to the %s %s: it would bypass the gatekeeper or the roles of %s; if patterns "
        "may match that topic, write patterns=True in its route",
        session,
        match,
        shown(pattern),
        topic.plan.description,
        extra=about(session, pattern),
    )
    raise refusal("subscribe", pattern)
