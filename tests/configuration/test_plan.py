"""Compiled configurations: the lookup of the procedure that answers a call, and changes after compiling."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wampasgi import Application, ConfigurationError, Limits, Realm, TopicRouteSet
from wampasgi.configuration.handlers import Procedure
from wampasgi.configuration.plan import RealmPlan
from wampasgi.types import Match

CLIENT = 11


def new_realm(uri: str = "r", *, app: dict[str, Any] | None = None, **options: Any) -> Realm:
    """Make a realm, and an application with the options ``app`` around it."""
    realm = Realm(uri, **options)
    Application([realm], **(app or {}))
    return realm


async def handler() -> None: ...


async def gatekeeper() -> AsyncIterator[None]:
    yield


def register(plan: RealmPlan, uri: str, match: Match = "exact", *, private: bool = False) -> None:
    """Let a client register a procedure."""
    plan.router.dealer.registrations.add(CLIENT, uri, {"match": match}, private=private)


def answering(plan: RealmPlan, uri: str) -> tuple[str, str, str] | None:
    """Return the owner, match policy and URI of the procedure that answers a call."""
    found = plan.answering(uri)
    if found is None:
        return None
    if isinstance(found, Procedure):
        assert found.route is not None
        return "own", found.route.match, found.route.uri
    return "client", found.match, found.procedure


# The realm's own procedures and those of clients

PATTERNS: list[tuple[Match, str]] = [
    ("exact", "com.a.b"),
    ("exact", "com.a.b.c"),
    ("prefix", ""),
    ("prefix", "com.a"),
    ("prefix", "com.a."),
    ("wildcard", "com..b"),
    ("wildcard", ".a.b"),
    ("wildcard", "com.a."),
    ("wildcard", "com...c"),
    ("wildcard", "com.a..c"),
    ("wildcard", "com..b.c"),
]
URIS = ["com", "com.a", "com.a.b", "com.x.b", "org.a.b", "com.a.x", "com.a.b.c", "com.a.x.c", "com.x.b.c"]


def matches(match: Match, pattern: str, uri: str) -> bool:
    if match == "exact":
        return uri == pattern
    if match == "prefix":
        return uri.startswith(pattern)
    of_pattern, of_uri = pattern.split("."), uri.split(".")
    return len(of_pattern) == len(of_uri) and all(
        part in ("", other) for part, other in zip(of_pattern, of_uri, strict=True)
    )


def rank(entry: tuple[Match, str]) -> tuple[int, list[int]]:
    """Rank an entry that matches: exact, then the longest prefix, then the longest runs of components."""
    match, pattern = entry
    if match == "exact":
        return 2, []
    if match == "prefix":
        return 1, [len(pattern)]
    # The runs of given components are compared from the left; a wildcard that comes first is an empty run.
    return 0, [int(component != "") for component in pattern.split(".")]


@given(
    owners=st.dictionaries(st.sampled_from(PATTERNS), st.sampled_from(["own", "client"])),
    uri=st.sampled_from(URIS),
)
def test_best_match_answers_a_call_whether_it_is_the_realms_or_a_clients(
    owners: dict[tuple[Match, str], str], uri: str
) -> None:
    realm = new_realm()
    for match, pattern in owners:
        if owners[match, pattern] == "own":
            realm.procedure(pattern, match=match)(handler)
    plan = realm.plan()
    for match, pattern in owners:
        if owners[match, pattern] == "client":
            register(plan, pattern, match)

    found = answering(plan, uri)

    candidates = [entry for entry in owners if matches(*entry, uri)]
    if not candidates:
        assert found is None
        return
    assert found is not None
    owner, match, pattern = found  # type: ignore[assignment]
    assert owner == owners[match, pattern]
    assert rank((match, pattern)) == max(map(rank, candidates))


def test_regular_expressions_come_after_all_others_in_the_order_in_which_they_were_added() -> None:
    realm = new_realm()
    for pattern in r"com\.a\..*", r"com\..*":
        realm.procedure(pattern, match="regex")(handler)
    realm.register(r"org\..*|com\..*", handler, match="regex")
    plan = realm.plan()
    register(plan, "com.a.x", "prefix")

    assert answering(plan, "com.a.xy") == ("client", "prefix", "com.a.x")
    assert answering(plan, "com.a.y") == ("own", "regex", r"com\.a\..*")
    assert answering(plan, "com.b") == ("own", "regex", r"com\..*")
    assert answering(plan, "org.b") == ("own", "regex", r"org\..*|com\..*")
    # A regular expression matches a whole URI or not at all.
    assert answering(plan, "xcom.b") is None


def test_procedures_that_clients_register_for_themselves_answer_no_call_of_others() -> None:
    realm = new_realm(client_procedures="session")
    realm.procedure("com.", match="prefix")(handler)
    plan = realm.plan()
    register(plan, "com.a", private=True)

    assert answering(plan, "com.a") == ("own", "prefix", "com.")


# The router's own URIs


@pytest.mark.parametrize("uri", ["wamp.session.count", "wamp.unknown"])
def test_nothing_but_the_router_answers_calls_of_its_uris(uri: str) -> None:
    realm = new_realm()
    realm.procedure("", match="prefix")(handler)
    realm.procedure(".*", match="regex")(handler)
    realm.register("wam.*", handler, match="regex")
    plan = realm.plan()
    register(plan, "w", "prefix")

    assert answering(plan, uri) is None
    assert answering(plan, "wampum") == ("client", "prefix", "w")


# One handler for every call


def test_one_handler_answers_every_call_but_those_of_the_router() -> None:
    realm = new_realm()
    realm.procedure("com.a")(handler)
    before = realm.plan()
    register(before, "com.client")
    realm.set_rpc_handler(handler)
    plan = realm.plan()

    for uri in "com.a", "com.client", "anything":
        assert plan.answering(uri) is plan.procedure_for_all is not None
    assert plan.answering("wamp.session.count") is None
    # Sessions with the older plan are not affected.
    assert answering(before, "com.a") == ("own", "exact", "com.a")
    assert answering(before, "com.client") == ("client", "exact", "com.client")


def test_one_handler_for_every_call_holds_every_uri_and_offers_none() -> None:
    realm = new_realm()
    realm.procedure("com.a")(handler)
    realm.set_rpc_handler(handler)
    plan = realm.plan()

    assert list(plan.offered()) == []
    assert plan.own_procedure("prefix", "whatever.") is plan.procedure_for_all
    with pytest.raises(ConfigurationError, match="is already used by"):
        realm.register("com.b", handler)


# Plans and later changes


def test_plan_is_the_same_until_the_configuration_changes() -> None:
    realm = new_realm()
    plan = realm.plan()
    assert realm.plan() is plan
    realm.set_default_arg("answer", 42)
    assert realm.plan() is not plan


def test_procedure_that_was_added_later_answers_no_call_under_an_older_plan() -> None:
    realm = new_realm()
    before = realm.plan()
    for match, uri in ("exact", "com.a"), ("prefix", "org."), ("wildcard", "net..x"), ("regex", "edu.*"):
        realm.procedure(uri, match=match)(handler)  # type: ignore[arg-type]
    after = realm.plan()

    for uri, found in {
        "com.a": ("own", "exact", "com.a"),
        "org.b": ("own", "prefix", "org."),
        "net.b.x": ("own", "wildcard", "net..x"),
        "edu.b": ("own", "regex", "edu.*"),
    }.items():
        assert answering(before, uri) is None
        assert answering(after, uri) == found


def test_procedure_that_was_added_later_leaves_the_others_of_an_older_plan_alone() -> None:
    realm = new_realm()
    realm.procedure("com.a")(handler)
    realm.procedure("com.", match="prefix")(handler)
    before = realm.plan()
    realm.procedure("com", match="prefix")(handler)
    realm.procedure(".*", match="regex")(handler)
    realm.plan()

    assert answering(before, "com.a") == ("own", "exact", "com.a")
    assert answering(before, "com.b") == ("own", "prefix", "com.")
    assert answering(before, "org.b") is None


def test_procedures_at_run_time_are_in_every_plan_at_once() -> None:
    realm = new_realm()
    before = realm.plan()
    realm.procedure("com.configured")(handler)
    after = realm.plan()
    realm.register("com.", handler, match="prefix")

    for plan in before, after:
        assert answering(plan, "com.x") == ("own", "prefix", "com.")
        assert plan.own_procedure("prefix", "com.") is not None
    realm.unregister("com.", match="prefix")
    for plan in before, after:
        assert answering(plan, "com.x") is None
        assert plan.own_procedure("prefix", "com.") is None


def test_older_plan_finds_procedures_that_clients_register_later() -> None:
    realm = new_realm()
    plan = realm.plan()
    register(plan, "com.a")
    assert answering(plan, "com.a") == ("client", "exact", "com.a")
    plan.router.dealer.registrations.remove_session(CLIENT)
    assert answering(plan, "com.a") is None


def test_limits_and_permissions_of_a_plan_stay_as_they_were() -> None:
    realm = new_realm(limits=Limits(subscriptions=5))
    before = realm.plan()
    realm.allow_all()
    after = realm.plan()

    assert before.limits == after.limits == Limits(subscriptions=5)
    assert before.authorization.silent
    assert not after.authorization.silent


# Procedures and topics of a plan


def test_procedures_are_offered_as_far_as_the_protocol_can_describe_them() -> None:
    realm = new_realm()
    realm.procedure("com.a")(handler)
    realm.procedure("com.", match="prefix")(handler)
    realm.procedure("com..b", match="wildcard")(handler)
    realm.procedure("com.*", match="regex")(handler)
    realm.register("com.late", handler)

    assert sorted(realm.plan().offered()) == [("exact", "com.a"), ("prefix", "com."), ("wildcard", "com..b")]


def test_own_procedure_is_looked_up_by_exactly_its_match_policy_and_uri() -> None:
    realm = new_realm()
    realm.procedure("com.", match="prefix")(handler)
    realm.procedure("com.*", match="regex")(handler)
    plan = realm.plan()

    assert plan.own_procedure("prefix", "com.") is not None
    assert plan.own_procedure("regex", "com.*") is not None
    assert plan.own_procedure("exact", "com.a") is None
    assert plan.own_procedure("exact", "com.") is None


def open_procedures(configure: Callable[[Realm], object], **app: Any) -> list[str]:
    realm = new_realm(app=app)
    realm.procedure("com.open")(handler)
    realm.procedure("com.for_staff", roles={"staff"})(handler)
    realm.procedure("com.", match="prefix")(handler)
    configure(realm)
    return list(realm.plan().open_procedures)


async def may() -> bool:
    return True


def test_exact_procedures_that_everybody_may_call_are_found_without_asking() -> None:
    assert open_procedures(lambda _: None) == ["com.open"]


@pytest.mark.parametrize(
    "configure",
    [
        lambda realm: realm.allow("org.other", "call"),
        lambda realm: realm.allow_all(),
        lambda realm: realm.authorizer(may),
        lambda realm: realm.set_rpc_handler(handler),
    ],
)
def test_no_procedure_is_found_without_asking_if_there_is_anything_to_ask(
    configure: Callable[[Realm], object],
) -> None:
    assert open_procedures(configure) == []


def test_no_procedure_is_found_without_asking_if_requests_are_synchronized() -> None:
    assert open_procedures(lambda _: None, synchronize_requests=True) == []


def test_topics_are_found_by_their_routes_or_are_all_of_one_gatekeeper() -> None:
    realm = new_realm()
    routes = TopicRouteSet()
    routes.prefix_route("com.")(gatekeeper)
    routes.route("com.a", roles={"staff"})(handler)
    realm.add_routes(routes)
    by_routes = realm.plan()
    guarded = new_realm()
    guarded.topic("com.a")(gatekeeper)
    guarded.set_subscription_handler(handler)
    by_one = guarded.plan()

    exact, prefix = by_routes.find_topic("com.a"), by_routes.find_topic("com.b")
    assert exact is not None
    assert prefix is not None
    assert (exact.roles, prefix.roles) == (frozenset({"staff"}), None)
    assert by_routes.find_topic("org.a") is None
    assert by_one.find_topic("org.a") is by_one.find_topic("com.a") is by_one.topic_for_all is not None


@pytest.mark.parametrize(
    ("configure", "two_parts"),
    [
        (lambda realm: realm.procedure("com.a")(handler), False),
        (lambda realm: realm.topic("com.a")(handler), False),
        (lambda realm: realm.topic("com.a")(gatekeeper), True),
        (lambda realm: realm.topic("com.*", match="regex")(gatekeeper), True),
        (lambda realm: realm.set_subscription_handler(handler), False),
        (lambda realm: realm.set_subscription_handler(gatekeeper), True),
        (lambda realm: realm.add_session_lifespan_handler(gatekeeper), True),
        # Handlers that begin before authentication run around the whole session.
        (lambda realm: realm.add_session_lifespan_handler(gatekeeper, authenticated_only=False), False),
    ],
)
def test_plan_knows_whether_handlers_may_run_beside_the_session(
    configure: Callable[[Realm], object], two_parts: bool
) -> None:
    realm = new_realm()
    configure(realm)
    assert realm.plan().has_two_part_handlers is two_parts


# Subscribers of the realm's own


def test_subscribers_permit_clients_to_publish_by_topic_and_role() -> None:
    realm = new_realm()
    realm.subscriber("com.staff.", match="prefix", roles={"staff"})(handler)
    realm.subscriber("com.staff.open")(handler)
    plan = realm.plan()
    # Other subscriptions permit nothing.
    plan.router.broker.subscribe(CLIENT, "com.", "prefix")

    assert plan.permitting_subscribers("com.staff.a", "staff")
    assert not plan.permitting_subscribers("com.staff.a", "guest")
    assert not plan.permitting_subscribers("com.staff.a", None)
    assert plan.permitting_subscribers("com.staff.open", None)
    assert not plan.permitting_subscribers("com.other", "staff")


def test_subscriber_that_was_added_later_permits_nothing_under_an_older_plan() -> None:
    realm = new_realm()
    before = realm.plan()
    realm.subscriber("com.a")(handler)
    after = realm.plan()

    assert not before.permitting_subscribers("com.a", None)
    assert after.permitting_subscribers("com.a", None)


def test_several_handlers_of_one_topic_are_run_in_the_order_in_which_they_were_added() -> None:
    realm = new_realm()

    async def other() -> None: ...

    for function in handler, other:
        realm.subscriber("com.a")(function)
    realm.subscriber("com.a", match="prefix")(handler)
    subscribers = realm.plan().subscribers

    assert list(subscribers) == [("exact", "com.a"), ("prefix", "com.a")]
    names = [subscriber.plan.name for subscriber in subscribers["exact", "com.a"]]
    assert [name.rpartition(".")[2] for name in names] == ["handler", "other"]
