"""Check the part of the API that comes from serverwamp: the names, and their behaviour in an application.

docs/migrating-from-serverwamp.md promises these names to applications that move from serverwamp.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, Literal

import pytest

import wampasgi
from wampasgi.injection.results import RPCErrorResult, RPCProgressReport, RPCResult
from wampasgi.rpc import RPCRequest
from wampasgi.testing import SessionAborted, TestClient

Backend = Literal["asyncio", "trio"]


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """The event loop that a TestClient runs the application on."""
    library: Backend = request.param
    return library


def routes_that_return(answer: str) -> wampasgi.RPCRouteSet:
    """Return routes for the procedure ``desk``."""
    routes = wampasgi.RPCRouteSet()

    @routes.route("desk")
    async def desk() -> str:
        return answer

    return routes


# Names


CLASSES = {
    "wampasgi": (
        "Application ConnectionClosed RPCErrorResult RPCProgressReport RPCRequest RPCResult RPCRouteSet "
        "Realm Session SubscribeError TopicRouteSet"
    ),
    "wampasgi.rpc": "RPCErrorResult RPCProgressReport RPCRequest RPCResult",
    "wampasgi.adapters.anyio": "AnyioAsyncSupport",
    "wampasgi.adapters.asyncio": "AsyncioAsyncSupport",
    "wampasgi.adapters.trio": "TrioAsyncSupport",
}

METHODS = (
    "add_routes add_rpc_routes add_topic_routes set_rpc_handler set_subscription_handler set_default_arg "
    "add_session_lifespan_handler add_session_state_handler add_transport_authenticator "
    "set_ticket_authenticator set_cra_handlers set_authentication_handler close_sessions"
)


@pytest.mark.parametrize("module", CLASSES)
def test_classes_are_importable(module: str) -> None:
    found = {name: getattr(import_module(module), name, None) for name in CLASSES[module].split()}

    assert [name for name, value in found.items() if not isinstance(value, type)] == []


@pytest.mark.parametrize("owner", [wampasgi.Application, wampasgi.Realm])
def test_application_and_realm_have_the_methods(owner: type) -> None:
    assert [name for name in METHODS.split() if not callable(getattr(owner, name, None))] == []


def test_results_of_the_module_and_of_the_package_are_the_same_classes() -> None:
    assert wampasgi.RPCRequest is RPCRequest
    assert wampasgi.RPCResult is RPCResult
    assert wampasgi.RPCErrorResult is RPCErrorResult
    assert wampasgi.RPCProgressReport is RPCProgressReport


# Realms


@pytest.fixture
def library() -> wampasgi.Application:
    """Return an application with an open realm, one behind a cookie and one behind a ticket."""

    async def reader_of_cookie(session: wampasgi.Session) -> str | None:
        reader: str | None = session.connection.transport_info["http_cookies"].get("reader")
        return reader

    async def librarian_of_ticket(session: wampasgi.Session, ticket: str) -> str | None:
        return "librarian" if ticket == "quiet please" else None

    foyer, stacks, office = (wampasgi.Realm(uri) for uri in ("foyer", "stacks", "office"))
    stacks.add_transport_authenticator(reader_of_cookie)
    office.set_ticket_authenticator(librarian_of_ticket)
    app = wampasgi.Application()
    app.add_rpc_routes(routes_that_return("street"))
    for realm in (foyer, stacks, office):
        realm.add_rpc_routes(routes_that_return(realm.uri))
        app.add_realm(realm)
    return app


@pytest.mark.parametrize(
    ("realm", "options", "answer"),
    [
        ("foyer", {}, "foyer"),
        ("stacks", {"cookies": {"reader": "ada"}}, "stacks"),
        ("office", {"ticket": "quiet please"}, "office"),
        ("attic", {}, "street"),
    ],
)
def test_session_calls_the_procedures_of_its_realm(
    library: wampasgi.Application, backend: Backend, realm: str, options: dict[str, Any], answer: str
) -> None:
    with TestClient(library, backend=backend) as client, client.wamp_session(realm, **options) as session:
        assert session.call("desk") == answer


@pytest.mark.parametrize(
    ("realm", "options", "reason"),
    [
        ("stacks", {}, "wamp.error.no_matching_auth_method"),
        ("stacks", {"ticket": "quiet please"}, "wamp.error.no_matching_auth_method"),
        ("office", {}, "wamp.error.no_matching_auth_method"),
        ("office", {"cookies": {"reader": "ada"}}, "wamp.error.no_matching_auth_method"),
        ("office", {"ticket": "let me in"}, "wamp.error.authentication_failed"),
    ],
)
def test_realm_refuses_a_session_that_its_authenticator_does_not_know(
    library: wampasgi.Application, backend: Backend, realm: str, options: dict[str, Any], reason: str
) -> None:
    with (
        TestClient(library, backend=backend) as client,
        pytest.raises(SessionAborted) as aborted,
        client.wamp_session(realm, **options),
    ):
        pass

    assert aborted.value.uri == reason


def test_application_without_a_default_realm_refuses_unknown_realms(backend: Backend) -> None:
    app = wampasgi.Application(allow_default_realm=False)
    app.add_realm(wampasgi.Realm("foyer"))

    with TestClient(app, backend=backend) as client:
        with pytest.raises(SessionAborted) as aborted, client.wamp_session("attic"):
            pass
        with client.wamp_session("foyer") as session:
            assert session.id

    assert aborted.value.uri == "wamp.error.no_such_realm"


# Sessions


async def keep_visitor_book(session, visitors):  # type: ignore[no-untyped-def]
    """Enter and leave. It has no annotations: the framework fills both parameters by name."""
    visitors.append(session.id)
    yield
    visitors.remove(session.id)


@pytest.mark.parametrize("method", ["add_session_lifespan_handler", "add_session_state_handler"])
def test_session_handler_runs_at_the_beginning_and_the_end_of_a_session(
    backend: Backend, method: str
) -> None:
    book: list[int] = []
    app = wampasgi.Application()
    app.set_default_arg("visitors", book)
    getattr(app, method)(keep_visitor_book)

    @app.procedure("visitors")
    async def visitors_now(visitors: list[int]) -> list[int]:
        return visitors

    with TestClient(app, backend=backend) as client, client.wamp_session() as first:
        assert first.call("visitors") == [first.id]
        with client.wamp_session() as second:
            assert second.call("visitors") == [first.id, second.id]
        assert first.call("visitors") == [first.id]
        with client.wamp_session() as lost:
            assert lost.call("visitors") == [first.id, lost.id]
            lost.disconnect()
            assert first.call("visitors") == [first.id]

    assert book == []


def test_session_handler_does_not_run_for_a_session_that_is_refused(backend: Backend) -> None:
    entered: list[int] = []

    async def enter(session: wampasgi.Session) -> AsyncIterator[None]:
        entered.append(session.id)
        yield

    async def refuse(session: wampasgi.Session) -> None:
        return None

    app = wampasgi.Application()
    app.add_session_state_handler(enter)
    app.add_transport_authenticator(refuse)

    with TestClient(app, backend=backend) as client, pytest.raises(SessionAborted), client.wamp_session():
        pass

    assert entered == []


def test_default_arg_is_given_to_procedures_topics_and_session_handlers(backend: Backend) -> None:
    shelf: list[str] = []
    app, procedures, topics = wampasgi.Application(), wampasgi.RPCRouteSet(), wampasgi.TopicRouteSet()
    app.set_default_arg("shelf", shelf)

    async def on_session(shelf: list[str]) -> AsyncIterator[None]:
        shelf.append("session begins")
        yield
        shelf.append("session ends")

    @procedures.route("borrow")
    async def borrow(title: str, shelf: list[str]) -> None:
        shelf.append(f"borrow {title}")

    @topics.route("returned")
    async def returned(shelf: list[str]) -> None:
        shelf.append("subscribe")

    app.add_session_state_handler(on_session)
    app.add_rpc_routes(procedures)
    app.add_topic_routes(topics)
    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        session.call("borrow", "Emma")
        session.subscribe("returned")

    assert shelf == ["session begins", "borrow Emma", "subscribe", "session ends"]


def test_session_keeps_data_for_all_its_handlers_and_no_other_session(backend: Backend) -> None:
    app, procedures, topics = wampasgi.Application(), wampasgi.RPCRouteSet(), wampasgi.TopicRouteSet()
    at_the_end: list[str] = []

    async def on_session(session: wampasgi.Session) -> AsyncIterator[None]:
        session["books"] = ["catalogue"]
        yield
        at_the_end.extend(session["books"])

    # Without annotations, as in serverwamp: one is an argument of the call, the other is the session.
    @procedures.route("borrow")
    async def borrow(title, session):  # type: ignore[no-untyped-def]
        session["books"].append(title)

    @procedures.route("list")
    async def list_books(session: wampasgi.Session) -> list[str]:
        books: list[str] = session.get("books", ["nothing"])
        return books

    @topics.route("overdue")
    async def overdue(session: wampasgi.Session) -> None:
        session["books"].append("a reminder")

    app.add_session_state_handler(on_session)
    app.add_rpc_routes(procedures)
    app.add_topic_routes(topics)
    with TestClient(app, backend=backend) as client, client.wamp_session() as reader:
        with client.wamp_session() as other:
            reader.call("borrow", "Emma")
            reader.subscribe("overdue")
            assert reader.call("list") == ["catalogue", "Emma", "a reminder"]
            assert other.call("list") == ["catalogue"]
        assert at_the_end == ["catalogue"]


# Asynchronous libraries


@pytest.mark.parametrize(
    ("support", "backend"),
    [
        ("wampasgi.adapters.anyio.AnyioAsyncSupport", "asyncio"),
        ("wampasgi.adapters.anyio.AnyioAsyncSupport", "trio"),
        ("wampasgi.adapters.asyncio.AsyncioAsyncSupport", "asyncio"),
        ("wampasgi.adapters.trio.TrioAsyncSupport", "trio"),
    ],
)
def test_application_is_served_on_the_library_of_its_async_support(support: str, backend: Backend) -> None:
    module, _, name = support.rpartition(".")
    app = wampasgi.Application(async_support=getattr(import_module(module), name))
    app.add_rpc_routes(routes_that_return("open"))

    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        assert session.call("desk") == "open"


@pytest.mark.parametrize(
    ("module", "name", "backend", "needed"),
    [
        ("wampasgi.adapters.trio", "TrioAsyncSupport", "asyncio", "trio"),
        ("wampasgi.adapters.asyncio", "AsyncioAsyncSupport", "trio", "asyncio"),
    ],
)
def test_application_does_not_start_on_another_library(
    module: str, name: str, backend: Backend, needed: str
) -> None:
    app = wampasgi.Application(async_support=getattr(import_module(module), name))

    with (
        pytest.raises(wampasgi.ConfigurationError, match=f"needs {needed}, but the server runs {backend}"),
        TestClient(app, backend=backend),
    ):
        pass


# A custom authentication handler


@pytest.mark.parametrize("identity", ["ada", 42, {"card": 1815}, ("a", "tuple")])
def test_authentication_handler_accepts_a_session_with_any_identity(
    backend: Backend, identity: object
) -> None:
    identities: list[object] = []
    app = wampasgi.Application()

    async def accept(session: wampasgi.Session) -> None:
        await session.mark_authenticated(identity)

    @app.procedure("stamp")
    async def stamp(session: wampasgi.Session) -> None:
        identities.append(session.identity)

    app.set_authentication_handler(accept)
    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        session.call("stamp")

    assert identities == [identity]


@pytest.mark.parametrize("message", [None, "your card has expired"])
def test_authentication_handler_refuses_a_session_with_or_without_a_message(
    backend: Backend, message: str | None
) -> None:
    options = {} if message is None else {"message": message}

    async def refuse(session: wampasgi.Session) -> None:
        await session.abort("wamp.error.authentication_failed", **options)

    app = wampasgi.Application()
    app.set_authentication_handler(refuse)
    with (
        TestClient(app, backend=backend) as client,
        pytest.raises(SessionAborted) as aborted,
        client.wamp_session(),
    ):
        pass

    assert aborted.value.uri == "wamp.error.authentication_failed"
    assert aborted.value.message == message


# A custom handler of calls


async def count_pages(request: RPCRequest) -> RPCResult | RPCErrorResult:
    if request.uri != "pages.count":
        return RPCErrorResult("library.error.unknown", kwargs={"asked": request.uri})
    if any(type(pages) is not int for pages in request.args):
        return RPCErrorResult(args=("a book has whole pages",))
    return RPCResult(args=(sum(request.args), len(request.args)), kwargs=request.kwargs)


async def count_pages_of_each(incoming):  # type: ignore[no-untyped-def]
    """Report after each book. The first parameter is the request, whatever its name."""
    if incoming.uri != "pages.count":
        yield RPCErrorResult("library.error.unknown")
    total = 0
    for pages in incoming.args:
        if type(pages) is not int:
            yield RPCErrorResult(args=["a book has whole pages"])
            return
        total += pages
        # No tuple: a text is one argument.
        yield RPCProgressReport(args=f"{total} so far", kwargs={"latest": pages})
    yield RPCResult((total,))


def with_handler(handler: Any, *, on_realm: bool) -> wampasgi.Application:
    """Return an application whose realm ``counting`` has the handler, and a route that is not to be used."""
    realm = wampasgi.Realm("counting")
    app = wampasgi.Application([realm] if on_realm else [])
    owner: wampasgi.Application | wampasgi.Realm = realm if on_realm else app
    owner.add_routes(routes_that_return("unreachable"))
    owner.set_rpc_handler(handler)
    return app


@pytest.mark.parametrize("on_realm", [True, False])
def test_rpc_handler_answers_every_call_with_results_and_errors(backend: Backend, on_realm: bool) -> None:
    app = with_handler(count_pages, on_realm=on_realm)

    with TestClient(app, backend=backend) as client, client.wamp_session("counting") as session:
        result = session.call("pages.count", 200, 50, cover="hard")
        with pytest.raises(wampasgi.WAMPError) as wrong:
            session.call("pages.count", 200, "fifty")
        with pytest.raises(wampasgi.WAMPError) as unknown:
            session.call("desk")

    assert result == RPCResult((250, 2), {"cover": "hard"})
    # The URI of an error that names none.
    assert wrong.value.uri == "wamp.error.runtime_error"
    assert wrong.value.args == ("a book has whole pages",)
    assert unknown.value.uri == "library.error.unknown"
    assert unknown.value.kwargs == {"asked": "desk"}


@pytest.mark.parametrize("on_realm", [True, False])
def test_rpc_handler_that_is_an_async_generator_reports_progress(backend: Backend, on_realm: bool) -> None:
    reports: list[Any] = []
    app = with_handler(count_pages_of_each, on_realm=on_realm)

    with TestClient(app, backend=backend) as client, client.wamp_session("counting") as session:
        assert session.call("pages.count", 200, 50, on_progress=reports.append) == 250
        # A caller that did not ask for progress gets the result alone.
        assert session.call("pages.count", 1, 2) == 3
        with pytest.raises(wampasgi.WAMPError) as wrong:
            session.call("pages.count", "fifty")

    assert reports == [
        RPCResult(("200 so far",), {"latest": 200}),
        RPCResult(("250 so far",), {"latest": 50}),
    ]
    assert wrong.value.uri == "wamp.error.runtime_error"
    assert wrong.value.args == ("a book has whole pages",)


def test_nothing_that_a_generator_yields_after_its_error_is_sent(backend: Backend) -> None:
    reports: list[Any] = []
    app = with_handler(count_pages_of_each, on_realm=True)

    with TestClient(app, backend=backend) as client, client.wamp_session("counting") as session:
        with pytest.raises(wampasgi.WAMPError) as unknown:
            session.call("desk", 200, 50, on_progress=reports.append)
        session.settle()

    assert unknown.value.uri == "library.error.unknown"
    assert reports == []
