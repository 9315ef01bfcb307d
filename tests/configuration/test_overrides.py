"""Dependency overrides of an application, of a realm, and of the FastAPI app around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal
from unittest import mock

import fastapi
import pytest

from tests.wamp_client import connect
from wampasgi import (
    Application,
    ConfigurationError,
    Depends,
    Identity,
    InvalidArgument,
    Realm,
    Session,
    WAMPError,
    WAMPRoute,
)
from wampasgi.testing import TestClient

Backend = Literal["asyncio", "trio"]


def get_db() -> str:
    return "production"


def get_test_db() -> str:
    return "test"


def get_users(db: Annotated[str, Depends(get_db)]) -> str:
    return f"users of {db}"


#: The alias that the documentation recommends for code that HTTP and WAMP share.
Database = Annotated[str, fastapi.Depends(get_db), Depends(get_db)]


def serving(target: Application | Realm) -> None:
    @target.procedure("db")
    async def db(db: Database) -> str:
        return db

    @target.procedure("users")
    async def users(users: str = Depends(get_users)) -> str:
        return users


async def call(app: Application, procedure: str, *, realm: str = "any", **arguments: Any) -> Any:
    async with connect(app) as client:
        await client.join(realm)
        answer = await client.ask(48, 7, {}, procedure, [], arguments)
        assert answer[0] == 50, answer
        return answer[3][0]


@pytest.mark.anyio
async def test_override_applies_to_later_sessions_and_can_be_removed() -> None:
    app = Application()
    serving(app)
    assert await call(app, "db") == "production"

    app.dependency_overrides[get_db] = get_test_db
    assert await call(app, "db") == "test"
    assert await call(app, "users") == "users of test"

    app.dependency_overrides.clear()
    assert await call(app, "db") == "production"
    assert await call(app, "users") == "users of production"


@pytest.mark.anyio
async def test_open_session_keeps_its_dependencies() -> None:
    app = Application()
    serving(app)

    async with connect(app) as client:
        await client.join()
        app.dependency_overrides[get_db] = get_test_db
        assert (await client.ask(48, 7, {}, "db"))[3] == ["production"]


def assign(app: Application) -> None:
    app.dependency_overrides = {get_db: get_test_db}


def merge(app: Application) -> None:
    app.dependency_overrides |= {get_db: get_test_db}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "override",
    [
        assign,
        merge,
        lambda app: app.dependency_overrides.update({get_db: get_test_db}),
        lambda app: app.dependency_overrides.setdefault(get_db, get_test_db),
    ],
)
@pytest.mark.parametrize(
    "remove",
    [
        lambda app: app.dependency_overrides.pop(get_db),
        lambda app: app.dependency_overrides.popitem(),
        lambda app: app.dependency_overrides.clear(),
        lambda app: app.dependency_overrides.__delitem__(get_db),
    ],
)
async def test_each_change_of_the_dict_is_noticed(
    override: Callable[[Application], Any], remove: Callable[[Application], Any]
) -> None:
    app = Application()
    serving(app)
    assert await call(app, "db") == "production"

    override(app)
    assert await call(app, "db") == "test"

    remove(app)
    assert await call(app, "db") == "production"


@pytest.mark.anyio
async def test_dict_can_be_patched_for_the_duration_of_a_test() -> None:
    app = Application()
    serving(app)

    with mock.patch.dict(app.dependency_overrides, {get_db: get_test_db}):
        assert await call(app, "db") == "test"
    assert await call(app, "db") == "production"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "dependency_overrides", {get_db: get_test_db})
        assert await call(app, "db") == "test"
    assert await call(app, "db") == "production"


@pytest.mark.anyio
async def test_copy_of_the_dict_changes_nothing() -> None:
    app = Application()
    serving(app)

    app.dependency_overrides.copy()[get_db] = get_test_db

    assert await call(app, "db") == "production"


@pytest.mark.anyio
async def test_overrides_of_a_realm_precede_those_of_the_application() -> None:
    realm = Realm("office")
    app = Application([realm])
    serving(realm)
    serving(app)
    app.dependency_overrides[get_db] = get_test_db
    realm.dependency_overrides[get_db] = lambda: "office"

    assert await call(app, "users", realm="office") == "users of office"
    assert await call(app, "users", realm="other") == "users of test"


@pytest.mark.anyio
async def test_replacement_may_have_other_parameters_and_dependencies() -> None:
    app, closed = Application(), []
    app.set_default_arg("prefix", "test")

    async def name_of(session: Session) -> str:
        return f"{session.authrole}"

    async def replacement(prefix: str, number: int, name: str = Depends(name_of)) -> AsyncIterator[str]:
        yield f"{prefix} {number} {name}"
        closed.append(number)

    serving(app)
    app.dependency_overrides[get_db] = replacement

    assert await call(app, "users", number=5) == "users of test 5 anonymous"
    assert closed == [5]
    with pytest.raises(InvalidArgument, match="number"):
        await app.call("users")


@pytest.mark.anyio
async def test_dependency_that_was_replaced_is_evaluated_once_per_call() -> None:
    app, calls = Application(), []

    def replacement() -> str:
        calls.append("called")
        return "test"

    @app.procedure("twice")
    async def twice(db: Database, users: str = Depends(get_users)) -> list[str]:
        return [db, users]

    app.dependency_overrides[get_db] = replacement

    assert await call(app, "twice") == ["test", "users of test"]
    assert calls == ["called"]


@pytest.mark.anyio
async def test_all_kinds_of_handlers_get_the_replacement() -> None:
    app = Application()
    seen: list[tuple[str, str]] = []

    def noting(name: str) -> Callable[[str], None]:
        def note(db: str = Depends(get_db)) -> None:
            seen.append((name, db))

        return note

    async def identify(db: Database) -> Identity:
        seen.append(("authenticator", db))
        return Identity("ann")

    async def lifespan(db: Database) -> AsyncIterator[None]:
        seen.append(("lifespan", db))
        yield

    app.add_transport_authenticator(identify)
    app.add_session_lifespan_handler(lifespan)
    app.topic("topic")(noting("gatekeeper"))
    app.subscriber("news")(noting("subscriber"))
    app.dependency_overrides[get_db] = get_test_db

    async with connect(app) as client:
        await client.join()
        assert (await client.ask(32, 7, {}, "topic"))[0] == 33
        await app.publish("news")

    assert sorted(seen) == [
        ("authenticator", "test"),
        ("gatekeeper", "test"),
        ("lifespan", "test"),
        ("subscriber", "test"),
    ]


@pytest.mark.anyio
async def test_procedures_that_were_registered_at_run_time_get_the_replacement() -> None:
    app = Application()

    async def find(db: Database) -> str:
        return db

    for match, uri in (("exact", "a"), ("prefix", "b."), ("regex", "c[0-9]")):
        app.register(uri, find, match=match)  # type: ignore[arg-type]
    uris = ["a", "b.x", "c1"]
    assert [await app.call(uri) for uri in uris] == ["production"] * 3

    app.dependency_overrides[get_db] = get_test_db
    assert [await app.call(uri) for uri in uris] == ["test"] * 3
    assert await call(app, "b.x") == "test"

    app.dependency_overrides.clear()
    assert [await app.call(uri) for uri in uris] == ["production"] * 3


@pytest.mark.anyio
async def test_class_and_callable_object_can_be_replaced() -> None:
    class Repository:
        name = "production"

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self) -> str:
            return "unhashable"

    app = Application()

    @app.procedure("names")
    async def names(repository: Any = Depends(Repository), other: str = Depends(Unhashable())) -> list[str]:
        return [repository.name, other]

    def replacement() -> Repository:
        made = Repository()
        made.name = "test"
        return made

    app.dependency_overrides[Repository] = replacement
    assert await call(app, "names") == ["test", "unhashable"]


def test_replacement_that_cannot_be_called_fails_at_the_check() -> None:
    app = Application()
    serving(app)
    app.check()

    app.dependency_overrides[get_db] = "test"  # type: ignore[assignment]
    with pytest.raises(ConfigurationError, match=r"the override of the dependency .*get_db .* not callable"):
        app.check()

    app.dependency_overrides[get_db] = lambda page: "test"
    app.check()  # a caller sends the page

    def with_marker(page: int = fastapi.Query()) -> str:
        return "test"

    app.dependency_overrides[get_db] = with_marker
    with pytest.raises(ConfigurationError, match=r"fastapi.params.Query"):
        app.check()


def test_replacement_that_depends_on_the_original_is_circular() -> None:
    app = Application()
    serving(app)

    app.dependency_overrides[get_db] = get_users
    with pytest.raises(ConfigurationError, match="circular dependency"):
        app.check()


# Mounted in FastAPI

Mount = Callable[[fastapi.FastAPI, Application], None]


def by_route(api: fastapi.FastAPI, wamp: Application) -> None:
    api.router.routes.append(WAMPRoute("/ws", wamp))


def by_mount(api: fastapi.FastAPI, wamp: Application) -> None:
    api.mount("/ws", wamp)


def by_router(api: fastapi.FastAPI, wamp: Application) -> None:
    router = fastapi.APIRouter()
    router.routes.append(WAMPRoute("/ws", wamp))
    api.include_router(router)


MOUNTS = pytest.mark.parametrize("mount", [by_route, by_mount, by_router])


def mounted(mount: Mount) -> tuple[fastapi.FastAPI, Application]:
    api, wamp = fastapi.FastAPI(), Application()
    serving(wamp)
    mount(api, wamp)

    @api.get("/db")
    async def db(db: Database) -> str:
        return db

    @api.get("/users")
    async def users() -> Any:
        return await wamp.call("users")

    return api, wamp


@MOUNTS
def test_override_of_the_parent_applies_to_http_and_wamp(mount: Mount, backend: Backend) -> None:
    api = mounted(mount)[0]
    client = TestClient(api, backend=backend)
    path = "/ws/" if mount is by_mount else "/ws"
    with client, client.wamp_session(path=path) as session:
        assert (client.get("/db").json(), session.call("db")) == ("production", "production")

    api.dependency_overrides[get_db] = get_test_db
    with client, client.wamp_session(path=path) as session:
        assert (client.get("/db").json(), session.call("db")) == ("test", "test")
        assert session.call("users") == "users of test"
        assert client.get("/users").json() == "users of test"

    api.dependency_overrides = {}
    with client, client.wamp_session(path=path) as session:
        assert (client.get("/db").json(), session.call("db")) == ("production", "production")
        assert client.get("/users").json() == "users of production"


def test_overrides_of_the_parent_apply_from_its_startup(backend: Backend) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(api: fastapi.FastAPI) -> AsyncIterator[None]:
        async with wamp.lifespan(api):
            yield

    api, wamp = fastapi.FastAPI(lifespan=lifespan), Application()

    @wamp.subscriber("saved")
    async def on_saved(db: Database) -> None:
        seen.append(db)

    @api.post("/save")
    async def save() -> None:
        await wamp.publish("saved")

    for overrides, expected in ({get_db: get_test_db}, "test"), ({}, "production"):
        api.dependency_overrides = overrides
        with TestClient(api, backend=backend) as client:
            # No WebSocket was opened.
            assert client.post("/save").status_code == 200
        assert seen.pop() == expected


def test_override_of_the_application_precedes_that_of_the_parent(backend: Backend) -> None:
    api, wamp = mounted(by_route)
    api.dependency_overrides[get_db] = get_test_db
    wamp.dependency_overrides[get_db] = lambda: "wamp"

    with TestClient(api, backend=backend).wamp_session(path="/ws") as session:
        assert session.call("db") == "wamp"


async def never(*_: Any) -> Any:
    pytest.fail("the connection is served")


@pytest.mark.anyio
async def test_override_that_wamp_cannot_call_serves_no_session() -> None:
    api, wamp = mounted(by_route)
    async with connect(api, path="/ws") as client:
        await client.join()

    def with_marker(page: int = fastapi.Query()) -> str:
        return "test"

    api.dependency_overrides[get_db] = with_marker
    # Each attempt fails: the plan with the production database must not be used.
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"fastapi.params.Query"):
            await wamp.call("db")
        with pytest.raises(ConfigurationError, match=r"fastapi.params.Query"):
            await api({"type": "websocket", "path": "/ws", "headers": []}, never, never)


def test_parent_without_overrides_is_no_problem(backend: Backend) -> None:
    api, _ = mounted(by_route)
    del api.dependency_overrides

    with TestClient(api, backend=backend).wamp_session(path="/ws") as session:
        assert session.call("db") == "production"


@pytest.mark.anyio
async def test_application_without_a_default_realm_has_overrides_and_exception_handlers() -> None:
    realm = Realm("office")
    app = Application([realm], allow_default_realm=False)
    serving(realm)

    @realm.procedure("fail")
    async def fail(db: Database) -> None:
        raise LookupError(db)

    @app.exception_handler(LookupError)
    def handle(exc: LookupError, db: Database) -> WAMPError:
        return WAMPError("com.example.not_found", str(exc), db)

    app.dependency_overrides[get_db] = get_test_db

    assert await call(app, "db", realm="office") == "test"
    async with connect(app) as client:
        await client.join("office")
        answer = await client.ask(48, 7, {}, "fail")
    assert answer[4:] == ["com.example.not_found", ["test", "test"]]
