"""Tests of the markers of parameters, above all of other frameworks' markers in the handlers of an app."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import annotated_types
import fastapi
import fastapi.params
import fastapi.security
import pytest
import starlette.background
import starlette.requests
import starlette.responses
import starlette.websockets
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, WithJsonSchema
from typing_extensions import Doc, TypeAliasType

import wampasgi
from tests.wamp_client import connect
from wampasgi import Application, ConfigurationError, RPCRequest, Session

pytestmark = pytest.mark.anyio


class User(BaseModel):
    name: str


def current_user() -> User:
    return User(name="ann")


class Box:
    """A marker of a container that nobody knows, like those of dishka, wireup or that_depends."""


class Provide(Box):
    pass


class TasksDepends(Box):
    pass


def from_package(package: str, base: type = Box) -> Any:
    """Return an instance of a subclass of a class that is defined in ``package``."""
    foreign = type("FromContainer", (base,), {"__module__": f"{package}.markers"})
    return type("Mine", (foreign,), {})()


Alias = TypeAliasType("Alias", Annotated[User, fastapi.Depends(current_user)])
Recursive = TypeAliasType("Recursive", dict[str, "Recursive"] | Annotated[User, fastapi.Query()])  # type: ignore[misc]

# Defaults


def by_depends(user: User = fastapi.Depends(current_user)) -> None: ...
def by_security(user: User = fastapi.Security(current_user)) -> None: ...  # noqa: B008
def by_header(user: str = fastapi.Header()) -> None: ...
def by_cookie(user: str = fastapi.Cookie()) -> None: ...
def by_query(user: str = fastapi.Query("ann")) -> None: ...
def by_body(user: User = fastapi.Body()) -> None: ...  # noqa: B008
def by_path(user: str = fastapi.Path()) -> None: ...
def by_form(user: str = fastapi.Form()) -> None: ...
def by_file(user: bytes = fastapi.File()) -> None: ...
def by_package(user: Any = from_package("dishka")) -> None: ...  # noqa: B008
def by_extension(user: Any = from_package("fastapi_users")) -> None: ...  # noqa: B008
def by_name(user: Any = Provide()) -> None: ...  # noqa: B008
def without_annotation(user=fastapi.Depends(current_user)) -> None: ...  # type: ignore[no-untyped-def]
def by_class(user: User = fastapi.params.Depends) -> None: ...  # type: ignore[assignment]
def by_function(user: User = fastapi.Depends) -> None: ...  # type: ignore[assignment]
def keyword_only(*, user: User = fastapi.Depends(current_user)) -> None: ...
def positional_only(user: User = fastapi.Depends(current_user), /) -> None: ...


def beside_ours(
    user: Annotated[User, wampasgi.Depends(current_user)] = fastapi.Depends(current_user),
) -> None: ...


# Annotations


def in_annotated(user: Annotated[User, fastapi.Depends(current_user)]) -> None: ...
def in_annotated_with_default(
    user: Annotated[User | None, fastapi.Security(current_user)] = None,
) -> None: ...
def header_in_annotated(user: Annotated[str, fastapi.Header()]) -> None: ...
def cookie_in_annotated(user: Annotated[str | None, fastapi.Cookie()] = None) -> None: ...
def in_nested(user: Annotated[Annotated[User, fastapi.Depends(current_user)], "more"]) -> None: ...
def in_union(user: Annotated[User, fastapi.Depends(current_user)] | None = None) -> None: ...
def in_list(user: list[Annotated[User, fastapi.Query()]]) -> None: ...
def in_alias(user: Alias) -> None: ...
def in_recursive_alias(user: Recursive) -> None: ...
def in_variadic(*user: Annotated[str, fastapi.Query()]) -> None: ...
def in_variadic_keywords(**user: Annotated[str, fastapi.Header()]) -> None: ...
def class_in_annotated(user: Annotated[User, fastapi.params.Depends]) -> None: ...
def package_in_annotated(user: Annotated[User, from_package("litestar")]) -> None: ...
def submodule_in_annotated(user: Annotated[User, from_package("dependency_injector.wiring")]) -> None: ...
def name_in_annotated(user: Annotated[User, TasksDepends()]) -> None: ...


FOREIGN = [
    by_depends,
    by_security,
    by_header,
    by_cookie,
    by_query,
    by_body,
    by_path,
    by_form,
    by_file,
    by_package,
    by_extension,
    by_name,
    without_annotation,
    by_class,
    by_function,
    keyword_only,
    positional_only,
    beside_ours,
    in_annotated,
    in_annotated_with_default,
    header_in_annotated,
    cookie_in_annotated,
    in_nested,
    in_union,
    in_list,
    in_alias,
    in_recursive_alias,
    in_variadic,
    in_variadic_keywords,
    class_in_annotated,
    package_in_annotated,
    submodule_in_annotated,
    name_in_annotated,
]


@pytest.mark.parametrize("handler", FOREIGN)
def test_marker_of_another_framework_is_refused_at_startup(handler: Callable[..., Any]) -> None:
    app = Application()
    app.procedure("whoami")(handler)

    with pytest.raises(
        ConfigurationError, match=r"the parameter 'user' has .* which wampasgi ignores"
    ) as caught:
        app.check()
    assert f"{__name__}.{handler.__name__} ({__file__}:{handler.__code__.co_firstlineno})" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (in_annotated, r"fastapi\.params\.Depends.* use wampasgi's Depends"),
        (by_header, r"fastapi\.params\.Header.* session\.connection has the headers, cookies"),
        (cookie_in_annotated, r"fastapi\.params\.Cookie.* session\.connection has the headers, cookies"),
        (by_query, r"fastapi\.params\.Query.* leave it out, .* or use pydantic's Field"),
        (by_function, r"fastapi\.param_functions\.Depends.* use wampasgi's Depends"),
    ],
)
def test_refusal_names_the_marker_and_says_what_to_write(handler: Callable[..., Any], text: str) -> None:
    app = Application()
    app.procedure("whoami")(handler)

    with pytest.raises(ConfigurationError, match=text):
        app.check()


def ours_as_default(user: User = wampasgi.Depends) -> None: ...  # type: ignore[assignment]
def ours_in_annotated(user: Annotated[User, wampasgi.Depends]) -> None: ...
def ours_beside_ours(user: Annotated[User, wampasgi.Depends, wampasgi.Depends(current_user)]) -> None: ...


@pytest.mark.parametrize("handler", [ours_as_default, ours_in_annotated, ours_beside_ours])
def test_depends_that_is_not_called_is_refused(handler: Callable[..., Any]) -> None:
    app = Application()
    app.procedure("whoami")(handler)

    with pytest.raises(ConfigurationError, match=r"'user' has Depends itself as its marker: call it"):
        app.check()


def test_depends_inside_of_another_type_is_refused() -> None:
    app = Application()

    @app.procedure("whoami")
    async def whoami(users: list[Annotated[User, wampasgi.Depends(current_user)]]) -> None: ...

    with pytest.raises(ConfigurationError, match=r"'users' has Depends inside of another type"):
        app.check()


def function_in_annotated(user: Annotated[User, current_user]) -> None: ...
def partial_in_annotated(user: Annotated[User, partial(current_user)]) -> None: ...
def method_in_annotated(user: Annotated[User, User(name="ann").model_copy]) -> None: ...


@pytest.mark.parametrize("handler", [function_in_annotated, partial_in_annotated, method_in_annotated])
def test_function_without_depends_in_annotated_is_refused(handler: Callable[..., Any]) -> None:
    app = Application()
    app.procedure("whoami")(handler)

    with pytest.raises(
        ConfigurationError, match=r"'user' has in its annotation the function .* write Depends\("
    ):
        app.check()


def test_function_without_depends_as_a_default_is_refused() -> None:
    app = Application()

    @app.procedure("whoami")
    async def whoami(user: User = current_user) -> None: ...  # type: ignore[assignment]

    with pytest.raises(
        ConfigurationError, match=r"'user' has the function .*current_user .* write Depends\("
    ):
        app.check()


async def test_function_may_be_the_default_of_a_parameter_for_functions() -> None:
    app = Application()

    @app.procedure("sum")
    async def total(numbers: list[int], add: Callable[[int, int], int] = operator.add, key=str.lower) -> Any:  # type: ignore[no-untyped-def]
        return add(*numbers)

    async with connect(app) as client:
        await client.join()
        assert await client.call("sum", [1, 2]) == 3


# Every callable that is read


async def sub_dependency(user: User = wampasgi.Depends(in_annotated)) -> None: ...
async def lifespan(user: Annotated[User, fastapi.Depends(current_user)]) -> AsyncIterator[None]:
    yield


async def handle(*args: Any, **kwargs: Any) -> None: ...


@pytest.mark.parametrize(
    "configure",
    [
        lambda app: app.procedure("p")(in_annotated),
        lambda app: app.procedure("p")(sub_dependency),
        lambda app: app.procedure("p", match="prefix")(in_annotated),
        lambda app: app.topic("t")(lifespan),
        lambda app: app.subscriber("t")(in_annotated),
        lambda app: app.set_rpc_handler(in_annotated),
        lambda app: app.set_subscription_handler(in_annotated),
        lambda app: app.add_session_lifespan_handler(lifespan),
        lambda app: app.add_session_lifespan_handler(lifespan, authenticated_only=False),
        lambda app: app.on_overflow(in_annotated),
        lambda app: app.on_authentication_failed(in_annotated),
        lambda app: app.authorizer(in_annotated),
        lambda app: app.add_transport_authenticator(in_annotated),
        lambda app: app.set_ticket_authenticator(in_annotated),
        lambda app: app.set_cra_handlers(in_annotated, handle),
        lambda app: app.set_cra_handlers(handle, in_annotated),
        lambda app: app.set_scram_handlers(in_annotated, handle),
        lambda app: app.set_scram_handlers(handle, in_annotated),
        lambda app: app.set_cryptosign_handlers(in_annotated, handle),
        lambda app: app.set_cryptosign_handlers(handle, in_annotated),
        lambda app: app.set_authentication_handler(in_annotated),
    ],
)
def test_every_handler_is_checked_for_foreign_markers(configure: Callable[[Application], object]) -> None:
    app = Application()
    configure(app)

    with pytest.raises(ConfigurationError, match=r"'user' has in its annotation the marker fastapi\.params"):
        app.check()


def test_factory_of_a_default_arg_is_checked_for_foreign_markers() -> None:
    app = Application()
    app.set_default_arg("db", factory=in_annotated)

    @app.procedure("p")
    async def procedure(db: Any) -> None: ...

    with pytest.raises(ConfigurationError, match=r"in_annotated .*'user' has in its annotation"):
        app.check()


def test_handlers_that_are_added_at_run_time_are_checked_for_foreign_markers() -> None:
    app = Application()

    with pytest.raises(ConfigurationError, match="which wampasgi ignores"):
        app.register("p", in_annotated)
    with pytest.raises(ConfigurationError, match="which wampasgi ignores"):
        app.subscribe("t", in_annotated)


def test_realm_with_a_default_arg_of_the_name_refuses_the_marker_too() -> None:
    app = Application()
    app.set_default_arg("user", User(name="realm"))
    app.procedure("p")(by_depends)

    with pytest.raises(ConfigurationError, match="which wampasgi ignores"):
        app.check()


# Both worlds


Both = Annotated[User, fastapi.Depends(current_user), wampasgi.Depends(current_user)]
BothAlias = TypeAliasType("BothAlias", Both)


async def both(user: Both) -> str:
    return user.name


async def both_in_alias(user: BothAlias) -> str:
    return user.name


async def both_in_union(user: Both | None = None) -> str:
    assert user is not None
    return user.name


async def foreign_inside(
    user: Annotated[Annotated[User, fastapi.Depends(current_user)], wampasgi.Depends(current_user)],
) -> str:
    return user.name


async def ours_as_default_beside(
    user: Annotated[User, fastapi.Depends(current_user)] = wampasgi.Depends(current_user),
) -> str:
    return user.name


@pytest.mark.parametrize(
    "handler", [both, both_in_alias, both_in_union, foreign_inside, ours_as_default_beside]
)
async def test_parameter_with_a_marker_of_ours_may_have_a_foreign_one_too(
    handler: Callable[..., Any],
) -> None:
    app = Application()
    app.procedure("whoami")(handler)

    async with connect(app) as client:
        await client.join()
        assert await client.call("whoami") == "ann"
        assert await client.call_error("whoami", user={"name": "root"}) == "wamp.error.invalid_argument"


# Objects that are not markers


class Sensitive:
    """Metadata of an application of its own."""


async def with_metadata(
    a: Annotated[int, Field(gt=0), annotated_types.Le(9), Doc("a number"), "unit", {"x": 1}] = 1,
    b: Annotated[str, StringConstraints(min_length=1), AfterValidator(str.upper), Sensitive()] = "b",
    c: Annotated[int, annotated_types.Interval(ge=0), annotated_types.Predicate(bool)] = 1,
    d: Annotated[str, WithJsonSchema({})] = "d",
    e: Literal["Depends"] = "Depends",
    f: Path = Path("Depends"),
) -> list[Any]:
    return [a, b, c, d, e]


async def test_other_metadata_and_defaults_are_accepted() -> None:
    app = Application()
    app.procedure("p")(with_metadata)

    async with connect(app) as client:
        await client.join()
        answer = await client.request(48, {}, "p", [2, "x"])
        assert answer[3:] == [[[2, "X", 1, "d", "Depends"]]]


# Classes that another framework fills


def takes_request(http: starlette.requests.Request) -> None: ...
def takes_optional_request(http: starlette.requests.Request | None = None) -> None: ...
def takes_websocket(http: fastapi.WebSocket | None = None) -> None: ...
def takes_tasks(http: fastapi.BackgroundTasks) -> None: ...
def takes_starlette_tasks(http: starlette.background.BackgroundTasks | None = None) -> None: ...
def takes_response(http: starlette.responses.JSONResponse | None = None) -> None: ...
def takes_upload(http: fastapi.UploadFile) -> None: ...
def takes_uploads(http: list[fastapi.UploadFile]) -> None: ...
def takes_credentials(http: fastapi.security.HTTPAuthorizationCredentials) -> None: ...
def takes_scopes(http: fastapi.security.SecurityScopes) -> None: ...


class AuditedRequest(starlette.requests.Request):
    pass


def takes_subclass(http: AuditedRequest | None = None) -> None: ...


SESSION = r"take `session: Session` instead"


@pytest.mark.parametrize(
    ("handler", "advice"),
    [
        (takes_request, SESSION),
        (takes_optional_request, SESSION),
        (takes_websocket, SESSION),
        (takes_subclass, SESSION),
        (takes_tasks, "task group"),
        (takes_starlette_tasks, "task group"),
        (takes_response, "return the result itself"),
        (takes_upload, "take `bytes`"),
        (takes_uploads, "take `bytes`"),
        (takes_credentials, "use wampasgi's Depends"),
        (takes_scopes, "use wampasgi's Depends"),
    ],
)
def test_parameter_for_an_object_of_an_http_request_is_refused(
    handler: Callable[..., Any], advice: str
) -> None:
    for configure in (Application.procedure, Application.topic, Application.subscriber):
        app = Application()
        configure(app, "a")(handler)

        with pytest.raises(
            ConfigurationError,
            match=rf"'http' is annotated with .* wampasgi does not pass and .* must not send: .*{advice}",
        ):
            app.check()


def test_request_of_http_by_the_name_of_the_frameworks_request_is_refused() -> None:
    app = Application()

    @app.procedure("p")
    async def procedure(request: starlette.requests.Request) -> None: ...

    with pytest.raises(ConfigurationError, match=rf"reserved for the framework's RPCRequest.*{SESSION}"):
        app.check()


async def test_dependency_may_fill_a_parameter_for_an_object_of_an_http_request() -> None:
    app = Application()

    def http(session: Session) -> starlette.requests.HTTPConnection:
        assert session.connection is not None
        return starlette.requests.HTTPConnection({**session.connection.scope, "type": "websocket"})

    @app.procedure("path")
    async def path(
        request: RPCRequest, http: starlette.requests.HTTPConnection = wampasgi.Depends(http)
    ) -> str:
        return http.url.path

    async with connect(app, path="/ws") as client:
        await client.join()
        assert await client.call("path") == "/ws"


def test_marker_as_the_dependency_of_depends_is_refused() -> None:
    def generator() -> Iterator[None]:
        yield

    wrong: Any
    for wrong in (fastapi.Depends(current_user), wampasgi.Depends(current_user), 5, generator()):
        app = Application()

        @app.procedure("p")
        async def procedure(user: Any = wampasgi.Depends(wrong)) -> None: ...

        with pytest.raises(ConfigurationError, match=r"procedure .*Depends of the parameter 'user' got"):
            app.check()
