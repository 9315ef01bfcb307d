from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from socket import socket
from typing import Any, Literal

import fastapi
import pytest

from tests.restricted_topics import accept
from tests.wamp_client import trust_hello
from wampasgi import (
    Application,
    ConfigurationError,
    Depends,
    Realm,
    RPCRouteSet,
    Session,
    SubscribeError,
    WAMPError,
    WAMPRouter,
)
from wampasgi.configuration.routes import Route
from wampasgi.testing import TestClient

Backend = Literal["asyncio", "trio"]


async def one() -> None: ...


async def two() -> None: ...


def dependency() -> None: ...


def app_with_roles(*realms: Realm) -> Application:
    """An application whose clients choose their role in HELLO."""
    app = Application(realms)
    for realm in (app, *realms):
        realm.add_transport_authenticator(trust_hello)
    return app


def as_role(role: str) -> dict[str, Any]:
    return {"authextra": {"role": role}}


def error_of(use: Callable[[], object]) -> str | None:
    """Return the URI of the error with which a request fails, or None if it succeeds."""
    try:
        use()
    except WAMPError as error:
        return error.uri
    return None


# Prefixes


def test_handlers_of_a_router_have_its_prefix(backend: Backend) -> None:
    router = WAMPRouter(prefix="docs.")
    received: list[str] = []

    @router.procedure("get")
    async def get(document: int) -> int:
        return document

    @router.topic("changed")
    async def changed() -> AsyncIterator[None]:
        yield

    @router.subscriber("typing")
    async def typing(user: str) -> None:
        received.append(user)

    app = Application()
    app.include_router(router)

    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        assert session.call("docs.get", 3) == 3
        assert error_of(lambda: session.call("get", 3)) == "wamp.error.no_such_procedure"
        session.subscribe("docs.changed").assert_none()
        session.publish("docs.typing", "ann", acknowledge=True)
        session.settle()
        assert received == ["ann"]


def test_prefixes_of_nested_routers_are_joined() -> None:
    inner, middle, outer = WAMPRouter(prefix="pages."), WAMPRouter(prefix="docs."), WAMPRouter()
    inner.procedure("get")(one)
    inner.topic("changed")(accept)
    inner.subscriber("typing")(two)
    middle.include_router(inner, prefix="v2.")
    outer.include_router(middle, prefix="com.example.")

    assert [route.uri for route in outer.procedures] == ["com.example.docs.v2.pages.get"]
    assert [route.uri for route in outer.topics] == ["com.example.docs.v2.pages.changed"]
    assert [route.uri for route in outer.subscribers] == ["com.example.docs.v2.pages.typing"]


def test_prefix_applies_to_patterns(backend: Backend) -> None:
    router = WAMPRouter(prefix="docs.")
    router.procedure("", match="prefix")(one)
    router.procedure(".said", match="wildcard")(two)
    assert [(route.match, route.uri) for route in router.procedures] == [
        ("prefix", "docs."),
        ("wildcard", "docs..said"),
    ]

    @router.procedure(r"logs?|\d+", match="regex")
    async def logs() -> str:
        return "logs"

    app = Application()
    app.include_router(router, prefix="my.")
    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        # The prefix outranks the regular expression.
        assert session.call("my.docs.17") is None
        assert error_of(lambda: session.call("my.log")) == "wamp.error.no_such_procedure"


@pytest.mark.parametrize(
    ("pattern", "flags", "matching", "other"),
    [
        (r"log|\d+", 0, "a.b.17", "a.b.17x"),
        (r"log|\d+", 0, "a.b.log", "log"),
        (r"log|\d+", 0, "a.b.log", "axb.log"),
        (r"(?i)log", 0, "a.b.LOG", "A.B.LOG"),
        (r"log", re.IGNORECASE, "a.b.Log", "A.b.Log"),
        (r"(\d)\1", 0, "a.b.77", "a.b.78"),
        (r"(?x) log  # all of them", 0, "a.b.log", "a.b. log"),
        (r"log  # all of them", re.VERBOSE, "a.b.log", "a.b.log  "),
    ],
)
def test_regular_expression_keeps_its_meaning_after_a_prefix(
    pattern: str, flags: int, matching: str, other: str
) -> None:
    route = Route(pattern, "regex", one, flags=flags).within("b.", None, (), ()).within("a.", None, (), ())

    assert route.compile().fullmatch(matching)
    assert not route.compile().fullmatch(other)


@pytest.mark.parametrize(
    ("prefix", "text"),
    [
        ("docs", r"prefix is 'docs', without a dot at its end: write 'docs\.'"),
        ("docs..", "prefix is 'docs..', it must be empty or a string of components"),
        (".", "prefix is '.', it must be"),
        ("my docs.", "prefix is 'my docs.', it must be"),
        ("a#.", "prefix is 'a#.', it must be"),
        ("docs.\n", "it must be"),
        (None, "prefix is None, it must be"),
        (b"docs.", "prefix is b'docs.', it must be"),
        ("docs.*.", "WAMP has no pattern like"),
        ("{tenant}.", "WAMP has no pattern like"),
        ("wamp.", "are reserved for the router"),
        ("wamp.session.", "are reserved for the router"),
    ],
)
def test_invalid_prefix_is_refused(prefix: Any, text: str) -> None:
    router = WAMPRouter()
    router.procedure("get")(one)

    with pytest.raises(ConfigurationError, match=f"^WAMPRouter: .*{text}"):
        WAMPRouter(prefix=prefix)
    for target in (Application(), Realm("r"), WAMPRouter()):
        with pytest.raises(ConfigurationError, match=f"^include_router: .*{text}"):
            target.include_router(router, prefix=prefix)


def test_router_without_a_prefix_cannot_add_reserved_uris() -> None:
    with pytest.raises(ConfigurationError, match="are reserved for the router"):
        WAMPRouter().procedure("wamp.mine")(one)


# Roles


def test_roles_of_router_inclusion_and_handler_all_restrict_a_handler(backend: Backend) -> None:
    router = WAMPRouter(prefix="docs.", roles={"editor", "admin", "auditor"})
    received: list[str] = []

    @router.procedure("read")
    async def read() -> str:
        return "text"

    @router.procedure("delete", roles={"admin", "owner"})
    async def delete() -> str:
        return "gone"

    router.topic("changed", roles="admin")(accept)

    @router.subscriber("typing", roles="admin")
    async def typing(user: str) -> None:
        received.append(user)

    realm = Realm("docs")
    app = app_with_roles(realm)
    realm.include_router(router, roles={"editor", "admin", "owner"})

    def allowed(role: str) -> set[str]:
        with client.wamp_session("docs", hello=as_role(role)) as session:
            uses: dict[str, Callable[[], object]] = {
                "read": lambda: session.call("docs.read"),
                "delete": lambda: session.call("docs.delete"),
                "changed": lambda: session.subscribe("docs.changed"),
                "typing": lambda: session.publish("docs.typing", role, acknowledge=True),
            }
            return {name for name, use in uses.items() if error_of(use) is None}

    with TestClient(app, backend=backend) as client:
        assert allowed("admin") == {"read", "delete", "changed", "typing"}
        assert allowed("editor") == {"read"}
        assert allowed("auditor") == allowed("owner") == allowed("guest") == set()
    assert received == ["admin"]


def test_roles_that_leave_nobody_are_refused() -> None:
    router = WAMPRouter(roles="editor")
    with pytest.raises(ConfigurationError, match=r"one .* has the roles \['admin'\] .* nobody could use it"):
        router.procedure("get", roles="admin")(one)

    router.procedure("get")(one)
    with pytest.raises(ConfigurationError, match=r"has the roles \['editor'\] .* \['admin', 'owner'\]"):
        Realm("r").include_router(router, roles={"owner", "admin"})


# Dependencies


class Log:
    """Dependencies that record that they ran, and one that refuses sessions without the role ``admin``."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def make(self, name: str) -> Callable[[], Iterator[None]]:
        def record() -> Iterator[None]:
            self.entries.append(name)
            yield
            self.entries.append(f"end of {name}")

        return record

    async def only_admins(self, session: Session) -> None:
        self.entries.append(f"checked {session.authrole}")
        if session.authrole != "admin":
            raise SubscribeError("wamp.error.not_authorized")


def test_dependencies_run_before_the_handler_from_the_outermost(backend: Backend) -> None:
    log = Log()
    inner = WAMPRouter(prefix="a.", dependencies=[Depends(log.make("router"))])

    @inner.procedure("p", dependencies=[Depends(log.make("route"))])
    async def handler(value: None = Depends(log.make("parameter"))) -> None:
        log.entries.append("handler")

    outer = WAMPRouter(dependencies=[Depends(log.make("outer"))])
    outer.include_router(inner, dependencies=[Depends(log.make("inclusion"))])
    app = Application()
    app.include_router(outer, dependencies=[Depends(log.make("app"))])

    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        session.call("a.p")
    names = ["app", "outer", "inclusion", "router", "route", "parameter"]
    assert log.entries == [*names, "handler", *(f"end of {name}" for name in reversed(names))]


def test_dependency_that_raises_keeps_every_kind_of_handler_from_running(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    router = WAMPRouter(prefix="docs.", dependencies=[Depends(log.only_admins)])

    @router.procedure("get")
    async def get() -> str:
        log.entries.append("called")
        return "text"

    @router.topic("changed")
    async def changed() -> AsyncIterator[None]:
        log.entries.append("subscribed")
        yield
        log.entries.append("unsubscribed")

    @router.subscriber("typing")
    async def typing() -> None:
        log.entries.append("published")

    app = app_with_roles()
    app.include_router(router)
    with TestClient(app, backend=backend) as client:
        with client.wamp_session(hello=as_role("guest")) as session:
            assert error_of(lambda: session.call("docs.get")) == "wamp.error.not_authorized"
            assert error_of(lambda: session.subscribe("docs.changed")) == "wamp.error.not_authorized"
            session.publish("docs.typing", acknowledge=True)
            session.settle()
        assert log.entries == ["checked guest"] * 3
        assert "typing failed for topic 'docs.typing'" in caplog.text

        log.entries.clear()
        with client.wamp_session(hello=as_role("admin")) as session:
            assert session.call("docs.get") == "text"
            session.subscribe("docs.changed")
            session.publish("docs.typing", acknowledge=True)
            session.settle()
    assert [entry for entry in log.entries if entry != "checked admin"] == [
        "called",
        "subscribed",
        "published",
        "unsubscribed",
    ]
    assert log.entries.count("checked admin") == 3


def test_dependency_of_several_levels_is_evaluated_once_per_call(backend: Backend) -> None:
    count: list[int] = []

    async def counted() -> int:
        count.append(1)
        return len(count)

    router = WAMPRouter(dependencies=[Depends(counted)])

    @router.procedure("p", dependencies=[Depends(counted)])
    async def handler(value: int = Depends(counted)) -> int:
        return value

    app = Application()
    app.include_router(router, dependencies=[Depends(counted)])
    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        assert (session.call("p"), session.call("p")) == (1, 2)


def test_dependency_can_read_the_arguments_of_the_call(backend: Backend) -> None:
    async def positive(amount: int) -> None:
        if amount < 0:
            raise WAMPError("com.example.negative")

    app = Application()

    @app.procedure("pay", dependencies=[Depends(positive)])
    async def pay(amount: int) -> int:
        return amount

    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        assert session.call("pay", amount=3) == 3
        assert error_of(lambda: session.call("pay", amount=-3)) == "com.example.negative"
        assert error_of(lambda: session.call("pay", amount="x")) == "wamp.error.invalid_argument"


def test_patterns_must_not_bypass_dependencies() -> None:
    router = WAMPRouter()
    router.topic("t", patterns=True)(accept)

    with pytest.raises(ConfigurationError, match="subscriptions to patterns would bypass its dependencies"):
        Realm("r").include_router(router, dependencies=[Depends(dependency)])


def test_subscription_handler_must_not_replace_a_topic_with_dependencies() -> None:
    app = Application()
    app.topic("t", dependencies=[Depends(dependency)])(accept)
    app.set_subscription_handler(accept)

    with pytest.raises(ConfigurationError, match="whose dependencies would not run"):
        app.check()


def test_dependency_that_nothing_can_fill_is_found_by_check() -> None:
    async def needs(missing: socket) -> None: ...

    app = Application()
    app.include_router(router := WAMPRouter(dependencies=[Depends(needs)]))
    app.check()
    router.topic("t")(accept)
    app.include_router(router, prefix="later.")

    with pytest.raises(ConfigurationError, match=r"needs \(.*\): nothing can fill the parameter 'missing'"):
        app.check()


@pytest.mark.parametrize(
    ("dependencies", "text"),
    [
        (Depends(dependency), r"dependencies is Dependency.*: write dependencies=\[Depends\(\.\.\.\)\]"),
        (None, "dependencies is None"),
        ("abc", "dependencies is 'abc'"),
        ([dependency], r"dependencies has .*dependency \(.*\): it takes wampasgi's Depends"),
        ([Depends], "dependencies has .*: it takes wampasgi's Depends"),
        ([fastapi.Depends(dependency)], "dependencies has Depends.*: it takes wampasgi's Depends"),
        ([Depends()], r"has Depends\(\), which needs a function here"),
        ([Depends(5)], "got 5, which is not callable"),  # type: ignore[arg-type]
    ],
)
def test_invalid_dependencies_are_refused(dependencies: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^WAMPRouter: .*{text}"):
        WAMPRouter(dependencies=dependencies)
    with pytest.raises(ConfigurationError, match=rf"^@procedure\('p'\): .*{text}"):
        Application().procedure("p", dependencies=dependencies)(one)
    with pytest.raises(ConfigurationError, match=f"^include_router: .*{text}"):
        Application().include_router(WAMPRouter(), dependencies=dependencies)


# Tags


def test_routes_have_the_tags_of_all_levels() -> None:
    inner, outer = WAMPRouter(tags="docs"), WAMPRouter(tags=["public"])
    inner.procedure("p", tags=["read", "docs"])(one)
    inner.topic("t")(accept)
    inner.subscriber("s", tags="live")(two)
    outer.include_router(inner, tags=["v2"])

    assert outer.procedures[0].tags == ("public", "v2", "docs", "read")
    assert outer.topics[0].tags == ("public", "v2", "docs")
    assert outer.subscribers[0].tags == ("public", "v2", "docs", "live")


@pytest.mark.parametrize("tags", [None, [1], [""], ""])
def test_invalid_tags_are_refused(tags: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^WAMPRouter: tags is .*: give a non-empty str or several"):
        WAMPRouter(tags=tags)
    with pytest.raises(ConfigurationError, match=r"^@topic\('t'\): tags is"):
        Realm("r").topic("t", tags=tags)(accept)


# Inclusion


def test_router_can_be_included_in_several_realms_and_with_several_prefixes(backend: Backend) -> None:
    router = WAMPRouter(prefix="docs.")

    @router.procedure("realm")
    async def name(realm: Realm) -> str:
        return realm.uri

    staff = Realm("staff")
    app = Application([staff])
    for target in (app, staff):
        target.include_router(router)
        target.include_router(router, prefix="old.")

    with TestClient(app, backend=backend) as client:
        for uri in ("default", "staff"):
            with client.wamp_session(uri) as session:
                assert session.call("docs.realm") == session.call("old.docs.realm") == uri


def test_router_includes_the_handlers_that_it_has_at_that_time() -> None:
    router, first, second = WAMPRouter(), WAMPRouter(), WAMPRouter()
    router.procedure("early")(one)
    first.include_router(router)
    router.procedure("late")(two)
    second.include_router(router)

    assert [route.uri for route in first.procedures] == ["early"]
    assert [route.uri for route in second.procedures] == ["early", "late"]


def test_router_cannot_be_included_twice_with_the_same_prefix() -> None:
    router = WAMPRouter()
    router.subscriber("s")(one)
    for target in (Application(), Realm("r"), WAMPRouter()):
        target.include_router(router, prefix="a.")
        target.include_router(router)
        with pytest.raises(ConfigurationError, match=r"was already added with the prefix 'a\.'"):
            target.include_router(router, prefix="a.")


def test_router_cannot_include_itself() -> None:
    router = WAMPRouter(prefix="a.")
    with pytest.raises(ConfigurationError, match="cannot include itself"):
        router.include_router(router)


@pytest.mark.parametrize("given", [RPCRouteSet(), Realm("r"), fastapi.APIRouter()])
def test_only_a_router_can_be_included(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"include_router got .*: it takes a WAMPRouter"):
        Application().include_router(given)


def test_uri_can_have_only_one_handler() -> None:
    router = WAMPRouter(prefix="a.")
    router.procedure("p")(one)
    router.topic("p")(accept)
    router.subscriber("p")(one)
    router.subscriber("p")(two)
    with pytest.raises(ConfigurationError, match=r"exact route 'a\.p' of .*two .* is already used by .*one"):
        router.procedure("p")(two)

    app = Application()
    app.procedure("a.p")(two)
    with pytest.raises(ConfigurationError, match=r"exact route 'a\.p' of .*one .* is already used by .*two"):
        app.include_router(router)


def test_decorators_of_a_router_return_the_handler() -> None:
    router = WAMPRouter(prefix="a.")

    assert router.procedure("p")(one) is one
    assert router.topic("t")(accept) is accept
    assert router.subscriber("s")(two) is two
    assert repr(router) == "<WAMPRouter prefix='a.' count=3>"


def test_calls_and_events_of_the_server_run_the_dependencies_with_the_session_of_the_realm(
    backend: Backend,
) -> None:
    seen: list[object] = []

    async def record(session: Session) -> None:
        seen.append(session.authid)

    router = WAMPRouter(dependencies=[Depends(record)])
    router.procedure("p")(one)
    router.subscriber("s")(two)
    app = Application()
    app.include_router(router)

    @app.procedure("relay")
    async def relay() -> None:
        await app.call("p")
        await app.publish("s")

    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        session.call("relay")
    assert seen == [None, None]


def test_override_replaces_a_dependency_of_a_router(backend: Backend) -> None:
    router = WAMPRouter(dependencies=[Depends(dependency)])
    router.procedure("p")(one)
    app = Application()
    app.include_router(router)
    replaced: list[int] = []
    app.dependency_overrides[dependency] = lambda: replaced.append(1)

    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        session.call("p")
    assert replaced == [1]
