"""Runs every code block of serverwamp's "Advanced Usage" page, with nothing but the import name changed.

The page is text without fences, so each block is found by its first and its last line. Names that the page
leaves to the reader (``registration_api``, ``myproject.apis``) are prepared by the test that runs the block.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import wampasgi
from wampasgi.testing import SessionAborted, TestClient

PAGE = Path(__file__).resolve().parents[1].parent / "shared" / "seed" / "advanced-usage.txt"

BLOCKS = {
    "realms": (
        "from myproject.apis import guests_realm, customers_realm, admins_realm",
        "app.add_realm(admin_realm)",
    ),
    "no default realm": ("app = serverwamp.Application(allow_default_realm=False)",) * 2,
    "session open and close": (
        "async def count_session(session, app_metrics):",
        "app.set_default_arg('app_metrics', {'activeSessions': 0})",
    ),
    "session data": ("@rpc_api.route('set_my_name')", "    session['name'] = name"),
    "trio": (
        "from serverwamp.adapters.trio import TrioAsyncSupport",
        "app = serverwamp.Application(async_support=TrioAsyncSupport)",
    ),
    "accept": ("await session.mark_authenticated(identity) where identity can be anything.",) * 2,
    "reject": (
        "await session.abort('wamp.error.authentication_failed') with optional message= keyword argument.",
    )
    * 2,
    "rpc handler": (
        "from serverwamp.rpc import RPCRequest, RPCResult, RPCErrorResult",
        "my_realm.set_rpc_handler(rpc_handler)",
    ),
    "progressive rpc handler": (
        "from serverwamp.rpc import (RPCProgressReport, RPCRequest, RPCResult,",
        "    yield RPCResult(args=(total,))",
    ),
}

# The page's one syntax error.
ASSIGNED_INSTEAD_OF_COMPARED = ("if rpc_request.uri = 'add_stuff':", "if rpc_request.uri == 'add_stuff':")


@dataclass(frozen=True)
class Page:
    """The page's lines, and where its blocks stand."""

    lines: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> Page:
        return cls(tuple(text.splitlines()))

    def span(self, name: str) -> range:
        """The lines of a block, both ends included."""
        first, last = BLOCKS[name]
        assert self.lines.count(first) == 1, f"{name}: the page does not have its first line just once"
        begin = self.lines.index(first)
        return range(begin, self.lines.index(last, begin) + 1)

    def block(self, name: str) -> str:
        """A block's code, after as many empty lines as the page has before it: errors then name its lines."""
        span = self.span(name)
        code = "\n".join(self.lines[span.start : span.stop])
        return "\n" * span.start + code.replace("serverwamp", "wampasgi") + "\n"

    def code_outside_blocks(self) -> list[str]:
        covered = {number for name in BLOCKS for number in self.span(name)}
        return [
            line for number, line in enumerate(self.lines) if number not in covered and looks_like_code(line)
        ]


def looks_like_code(line: str) -> bool:
    text = line.strip()
    if line.startswith("    ") or text.startswith(("@", "async ", "await ", "def ", "from ", "import ")):
        return True
    try:
        compile(text, "<line>", "exec")
    except SyntaxError:
        return False
    # A title of one word is an expression, too.
    return not text.isidentifier() and text != ""


@pytest.fixture(scope="module")
def page() -> Page:
    if not PAGE.exists():
        missing = f"{PAGE} is missing"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return Page.read(PAGE.read_text())


@pytest.fixture(params=["asyncio", "trio"])
def client_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What makes a TestClient run the application on this event loop."""
    return {"backend": request.param}


class Names(dict[str, Any]):
    """The names of a block, those included that the test prepares."""

    def __missing__(self, name: str) -> Any:
        # The page adds the realm under a name that it has not given it.
        if name == "admin_realm":
            return self["admins_realm"]
        raise KeyError(name)


def run(code: str, **prepared: Any) -> Names:
    names = Names(wampasgi=wampasgi, Any=Any, **prepared)
    exec(compile(code, PAGE, "exec", dont_inherit=True), names)
    return names


def procedure(uri: str, answer: str) -> wampasgi.RPCRouteSet:
    """A set of one procedure, which gives ``answer``."""
    routes = wampasgi.RPCRouteSet()

    @routes.route(uri)
    async def give() -> str:
        return answer

    return routes


# The page


def test_every_line_of_code_is_in_a_block(page: Page) -> None:
    assert page.code_outside_blocks() == []


@pytest.mark.parametrize("line", ["app.add_realm(other)", "@app.route('a')", "    pass", "async def f(a):"])
def test_a_new_line_of_code_would_be_noticed(page: Page, line: str) -> None:
    grown = Page((*page.lines[:30], line, *page.lines[30:]))
    assert grown.code_outside_blocks() == [line]


def test_blocks_do_not_overlap(page: Page) -> None:
    numbers = [number for name in BLOCKS for number in page.span(name)]
    assert len(numbers) == len(set(numbers))


# Breaking an Application into Realms


async def customer_cookie_auth(session: wampasgi.Session) -> str | None:
    customer: str | None = session.connection.transport_info["http_cookies"].get("customer")
    return customer


async def admin_token_auth(session: wampasgi.Session, ticket: str) -> str | None:
    return "root" if ticket == "sesame" else None


@pytest.fixture
def app_with_realms(page: Page, monkeypatch: pytest.MonkeyPatch) -> wampasgi.Application:
    apis = ModuleType("myproject.apis")
    for name in ("guests_realm", "customers_realm", "admins_realm"):
        setattr(apis, name, None)  # the page replaces what it imports
    monkeypatch.setitem(sys.modules, "myproject", ModuleType("myproject"))
    monkeypatch.setitem(sys.modules, "myproject.apis", apis)
    app = wampasgi.Application()
    app.add_rpc_routes(procedure("where", "default"))
    run(
        page.block("realms"),
        app=app,
        registration_api=procedure("where", "guests"),
        account_api=procedure("where", "customers"),
        admin_api=procedure("where", "admins"),
        customer_cookie_auth=customer_cookie_auth,
        admin_token_auth=admin_token_auth,
    )
    return app


@pytest.mark.parametrize(
    ("realm", "options", "answer"),
    [
        ("guests", {}, "guests"),
        ("customers", {"cookies": {"customer": "ann"}}, "customers"),
        ("admins", {"ticket": "sesame"}, "admins"),
        ("elsewhere", {}, "default"),
    ],
)
def test_sessions_reach_the_procedures_of_their_realm(
    app_with_realms: wampasgi.Application,
    client_options: dict[str, Any],
    realm: str,
    options: dict[str, Any],
    answer: str,
) -> None:
    with (
        TestClient(app_with_realms, **client_options) as client,
        client.wamp_session(realm, **options) as session,
    ):
        assert session.call("where") == answer


@pytest.mark.parametrize(
    ("realm", "options"),
    [("customers", {}), ("customers", {"ticket": "sesame"}), ("admins", {}), ("admins", {"ticket": "guess"})],
)
def test_realms_let_nobody_in_whom_their_authenticators_do_not_know(
    app_with_realms: wampasgi.Application, realm: str, options: dict[str, Any]
) -> None:
    with (
        TestClient(app_with_realms) as client,
        pytest.raises(SessionAborted, match=r"wamp\.error\.(authentication_failed|no_matching_auth_method)"),
        client.wamp_session(realm, **options),
    ):
        pass


def test_without_a_default_realm_unknown_realms_are_refused(
    page: Page, client_options: dict[str, Any]
) -> None:
    app = run(page.block("no default realm"))["app"]
    app.add_realm(wampasgi.Realm("guests"))
    with TestClient(app, **client_options) as client:
        with (
            pytest.raises(SessionAborted, match=r"wamp\.error\.no_such_realm"),
            client.wamp_session("elsewhere"),
        ):
            pass
        with client.wamp_session("guests") as session:
            assert session.id


# Session Lifecycle


@pytest.mark.parametrize("add", ["add_session_state_handler", "add_session_lifespan_handler"])
def test_session_state_handler_counts_sessions_up_and_down(
    page: Page, client_options: dict[str, Any], add: str
) -> None:
    app = wampasgi.Application()
    names = run(page.block("session open and close"), app=app)
    getattr(app, add)(names["count_session"])

    @app.procedure("count")
    async def count(app_metrics: dict[str, int]) -> int:
        return app_metrics["activeSessions"]

    with TestClient(app, **client_options) as client, client.wamp_session() as session:
        assert session.call("count") == 1
        with client.wamp_session():
            assert session.call("count") == 2
        assert session.call("count") == 1
        with client.wamp_session() as lost:
            assert session.call("count") == 2
            lost.disconnect()
            assert session.call("count") == 1


def test_procedures_keep_data_in_the_session(page: Page, client_options: dict[str, Any]) -> None:
    app, rpc_api = wampasgi.Application(), wampasgi.RPCRouteSet()
    run(page.block("session data"), rpc_api=rpc_api)

    @rpc_api.route("my_name")
    async def my_name(session: wampasgi.Session) -> str:
        return str(session.get("name", "nobody"))

    app.add_rpc_routes(rpc_api)
    with (
        TestClient(app, **client_options) as client,
        client.wamp_session() as ann,
        client.wamp_session() as other,
    ):
        ann.call("set_my_name", "Ann")
        assert ann.call("my_name") == "Ann"
        assert other.call("my_name") == "nobody"


# Asynchronous Function Support


def test_application_with_trio_support_is_served_on_trio(page: Page) -> None:
    app = run(page.block("trio"))["app"]
    app.add_rpc_routes(procedure("where", "trio"))
    with TestClient(app, backend="trio") as client, client.wamp_session() as session:
        assert session.call("where") == "trio"


def test_application_with_trio_support_does_not_start_on_asyncio(page: Page) -> None:
    app = run(page.block("trio"))["app"]
    with (
        pytest.raises(wampasgi.ConfigurationError, match="needs trio, but the server runs asyncio"),
        TestClient(app, backend="asyncio"),
    ):
        pass


@pytest.mark.parametrize(
    ("support", "backend"),
    [
        ("serverwamp.adapters.anyio.AnyioAsyncSupport", "asyncio"),
        ("serverwamp.adapters.anyio.AnyioAsyncSupport", "trio"),
        ("serverwamp.adapters.asyncio.AsyncioAsyncSupport", "asyncio"),
        ("serverwamp.adapters.trio.TrioAsyncSupport", "trio"),
    ],
)
def test_supports_that_the_page_lists_are_there(page: Page, support: str, backend: Any) -> None:
    assert any(support in line for line in page.lines)
    module, _, name = support.replace("serverwamp", "wampasgi").rpartition(".")
    app = wampasgi.Application(async_support=getattr(import_module(module), name))
    app.add_rpc_routes(procedure("where", backend))
    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        assert session.call("where") == backend


# Customizing Core WAMP Operations: Authentication


def statement_of(block: str) -> str:
    """The statement that the page explains in the rest of its line."""
    statement = re.match(r"\s*(await [^)]*\))", block)
    assert statement is not None
    return statement[1]


def handler_that_awaits(statement: str, **prepared: Any) -> Any:
    return run(f"async def authenticate(session):\n    {statement}\n", **prepared)["authenticate"]


@pytest.mark.parametrize("identity", [{"name": "ann"}, "ann", 7, None])
def test_authentication_handler_accepts_a_session_as_any_identity(
    page: Page, client_options: dict[str, Any], identity: object
) -> None:
    app = wampasgi.Application()
    app.set_authentication_handler(handler_that_awaits(statement_of(page.block("accept")), identity=identity))
    seen: list[object] = []

    @app.procedure("remember")
    async def remember(session: wampasgi.Session) -> None:
        seen.append(session.identity)

    with TestClient(app, **client_options) as client, client.wamp_session() as session:
        session.call("remember")
    assert seen == [identity]


def test_authentication_handler_aborts_a_session(page: Page, client_options: dict[str, Any]) -> None:
    app = wampasgi.Application()
    app.set_authentication_handler(handler_that_awaits(statement_of(page.block("reject"))))
    with (
        TestClient(app, **client_options) as client,
        pytest.raises(SessionAborted) as aborted,
        client.wamp_session(),
    ):
        pass
    assert (aborted.value.uri, aborted.value.message) == ("wamp.error.authentication_failed", None)


def test_authentication_handler_aborts_a_session_with_the_message_of_the_keyword(page: Page) -> None:
    statement = statement_of(page.block("reject")).removesuffix(")") + ", message='go away')"
    app = wampasgi.Application()
    app.set_authentication_handler(handler_that_awaits(statement))
    with TestClient(app) as client, pytest.raises(SessionAborted) as aborted, client.wamp_session():
        pass
    assert aborted.value.message == "go away"


# Customizing Core WAMP Operations: RPC Calls


def with_rpc_handler(page: Page, block: str) -> wampasgi.Application:
    """An application whose realm ``my_realm`` has the handler of a block."""
    my_realm = wampasgi.Realm("my")
    my_realm.add_rpc_routes(procedure("routed", "not to be reached"))
    wrong, right = ASSIGNED_INSTEAD_OF_COMPARED
    names = run(page.block(block).replace(wrong, right), my_realm=my_realm)
    my_realm.set_rpc_handler(names["rpc_handler"])  # the second of the blocks leaves this to the reader
    return wampasgi.Application([my_realm])


def test_the_one_syntax_error_of_the_page_is_the_one_that_is_corrected(page: Page) -> None:
    wrong, _ = ASSIGNED_INSTEAD_OF_COMPARED
    with pytest.raises(SyntaxError) as error:
        compile(page.block("rpc handler"), PAGE, "exec")
    assert error.value.lineno is not None
    assert page.lines[error.value.lineno - 1].strip() == wrong
    assert sum(wrong in line for line in page.lines) == 1


@pytest.mark.parametrize("block", ["rpc handler", "progressive rpc handler"])
def test_rpc_handlers_answer_calls_in_place_of_the_routes(
    page: Page, client_options: dict[str, Any], block: str
) -> None:
    with (
        TestClient(with_rpc_handler(page, block), **client_options) as client,
        client.wamp_session("my") as session,
    ):
        assert session.call("add_stuff", 1, 2, 3.5) == 6.5
        with pytest.raises(wampasgi.WAMPError) as not_a_number:
            session.call("add_stuff", 1, "two")
        with pytest.raises(wampasgi.WAMPError) as unknown:
            session.call("routed")
    assert (not_a_number.value.uri, not_a_number.value.args) == (
        "wamp.error.runtime_error",
        ("Numbers only!",),
    )
    assert (unknown.value.uri, unknown.value.args) == ("myapp.custom_error", ())


def test_progressive_rpc_handler_reports_each_step(page: Page, client_options: dict[str, Any]) -> None:
    reports: list[str] = []
    with (
        TestClient(with_rpc_handler(page, "progressive rpc handler"), **client_options) as client,
        client.wamp_session("my") as session,
    ):
        assert session.call("add_stuff", 1, 2, on_progress=reports.append) == 3
        assert reports == ["Added 1", "Added 2"]


def test_nothing_is_sent_after_the_final_error_of_a_progressive_rpc_handler(page: Page) -> None:
    reports: list[str] = []
    with (
        TestClient(with_rpc_handler(page, "progressive rpc handler")) as client,
        client.wamp_session("my") as session,
    ):
        with pytest.raises(wampasgi.WAMPError, match=r"myapp\.custom_error"):
            session.call("other", 1, 2, on_progress=reports.append)
        session.settle()
    assert reports == []
