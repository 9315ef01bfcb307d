from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import wraps
from typing import Any, Literal

import pytest

import wampasgi
from tests.configuration.test_routers import as_role
from tests.wamp_client import trust_hello
from wampasgi import Application, ConfigurationError, Depends, Realm, WAMPError, WAMPRouter
from wampasgi.testing import TestClient

Backend = Literal["asyncio", "trio"]


class Documents:
    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.log: list[str] = []

    @wampasgi.procedure("get")
    async def get(self, number: int) -> str:
        return self.texts[number]

    @wampasgi.procedure("add", roles="editor", tags="write")
    async def add(self, text: str) -> int:
        self.texts.append(text)
        return len(self.texts)

    @wampasgi.topic("changed")
    async def changed(self) -> AsyncIterator[None]:
        self.log.append("subscribed")
        yield
        self.log.append("unsubscribed")

    @wampasgi.subscriber("typing.", match="prefix")
    async def typing(self, user: str) -> None:
        self.log.append(f"{user} types")

    async def unmarked(self) -> None: ...


def test_methods_of_an_object_are_added(backend: Backend) -> None:
    documents = Documents("a", "b")
    router = WAMPRouter(prefix="docs.")
    router.add_handlers(documents)
    app = Application()
    app.add_transport_authenticator(trust_hello)
    app.include_router(router)

    with (
        TestClient(app, backend=backend) as client,
        client.wamp_session(hello=as_role("editor")) as session,
    ):
        assert session.call("docs.get", 1) == "b"
        assert session.call("docs.add", "c") == 3
        session.subscribe("docs.changed")
        session.publish("docs.typing.here", "ann", acknowledge=True)
        session.settle()
        with pytest.raises(WAMPError, match=r"no_such_procedure"):
            session.call("docs.unmarked")
    assert documents.texts == ["a", "b", "c"]
    assert documents.log == ["subscribed", "ann types", "unsubscribed"]


def test_methods_are_added_in_the_order_of_definition_with_their_options() -> None:
    documents, router = Documents(), WAMPRouter()
    router.add_handlers(documents, prefix="docs.", tags="all", roles=("editor", "admin"))

    assert [(route.uri, route.tags, route.roles) for route in router.procedures] == [
        ("docs.get", ("all",), frozenset({"editor", "admin"})),
        ("docs.add", ("all", "write"), frozenset({"editor"})),
    ]
    assert [route.handler for route in router.procedures] == [documents.get, documents.add]
    assert [route.handler for route in router.topics] == [documents.changed]
    assert [(route.match, route.uri) for route in router.subscribers] == [("prefix", "docs.typing.")]


def test_two_objects_of_a_class_keep_their_state_apart(backend: Backend) -> None:
    realm = Realm("docs")
    realm.add_handlers(Documents("private"), prefix="private.")
    realm.add_handlers(Documents("public"), prefix="public.")

    with TestClient(Application([realm]), backend=backend) as client, client.wamp_session("docs") as session:
        assert session.call("private.get", 0) == "private"
        assert session.call("public.get", 0) == "public"


def test_marked_method_is_still_a_method() -> None:
    assert Documents.get.__name__ == "get"
    assert Documents("a").texts == ["a"]


# Inheritance


class Store:
    @wampasgi.procedure("read", roles="reader")
    async def read(self) -> str:
        return "base"

    @wampasgi.procedure("write", roles="writer")
    async def write(self) -> str:
        return "base"

    @wampasgi.procedure("drop")
    async def drop(self) -> None: ...


class CachedStore(Store):
    drop = None  # type: ignore[assignment]

    @wampasgi.procedure("clear")
    async def clear(self) -> None: ...

    async def read(self) -> str:
        return f"cached {await super().read()}"

    @wampasgi.procedure("save")
    async def write(self) -> str:
        return "cached"


def test_subclass_can_override_add_and_remove_methods(backend: Backend) -> None:
    router = WAMPRouter(prefix="store.")
    router.add_handlers(CachedStore())

    # An override without a mark of its own has that of the base class, and with it the roles.
    assert [(route.uri, route.roles) for route in router.procedures] == [
        ("store.read", frozenset({"reader"})),
        ("store.save", None),
        ("store.clear", None),
    ]
    app = Application()
    app.add_transport_authenticator(trust_hello)
    app.include_router(router)
    with (
        TestClient(app, backend=backend) as client,
        client.wamp_session(hello=as_role("reader")) as session,
    ):
        assert session.call("store.read") == "cached base"
        assert session.call("store.save") == "cached"


class Slotted:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 7

    @wampasgi.procedure("value")
    @wampasgi.procedure("old_value", tags="deprecated")
    def read(self) -> int:
        return self.value


def test_method_can_have_several_marks(backend: Backend) -> None:
    app = Application()
    app.add_handlers(Slotted())

    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        assert session.call("value") == session.call("old_value") == 7


# Other decorators


def doubled(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return 2 * await method(*args, **kwargs)

    return wrapper


def unnamed(method: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(self: object, number: int) -> Any:
        return await method(self, number)

    return wrapper


class Decorated:
    @doubled
    @wampasgi.procedure("inner")
    async def inner(self, number: int) -> int:
        return number

    @wampasgi.procedure("outer")
    @doubled
    async def outer(self, number: int) -> int:
        return number

    @wampasgi.procedure("unnamed")
    @unnamed
    async def without_a_name(self, number: int) -> int:
        return number

    @wampasgi.procedure("static")
    @staticmethod
    async def static(number: int) -> int:
        return number

    @staticmethod
    @wampasgi.procedure("static2")
    async def static2(number: int) -> int:
        return number

    @wampasgi.procedure("cls")
    @classmethod
    async def of_class(cls, number: int) -> str:
        return f"{cls.__name__} {number}"

    @classmethod
    @wampasgi.procedure("cls2")
    async def of_class2(cls, number: int) -> str:
        return f"{cls.__name__} {number}"


def test_marks_work_together_with_other_decorators(backend: Backend) -> None:
    app = Application()
    app.add_handlers(Decorated())

    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        results = [session.call(uri, 3) for uri in ("inner", "outer", "unnamed", "static", "static2")]
        assert results == [6, 6, 3, 3, 3]
        assert session.call("cls", 3) == session.call("cls2", 3) == "Decorated 3"


def test_dependencies_of_a_mark_run(backend: Backend) -> None:
    async def refuse() -> None:
        raise WAMPError("com.example.refused")

    class Guarded:
        @wampasgi.procedure("p", dependencies=[Depends(refuse)])
        async def handler(self) -> None: ...

    app = Application()
    app.add_handlers(Guarded())
    with (
        TestClient(app, backend=backend) as client,
        client.wamp_session() as session,
        pytest.raises(WAMPError, match=r"com\.example\.refused"),
    ):
        session.call("p")


# Mistakes


class Unmarked:
    async def get(self) -> None: ...


class Lazy:
    """An object like those of lazy loaders, which must not be evaluated."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(name)


class Computed:
    lazy = Lazy()

    @property
    def broken(self) -> int:
        raise AssertionError

    @wampasgi.procedure("p")
    async def handler(self) -> None: ...


def test_other_attributes_of_an_object_are_not_evaluated() -> None:
    router = WAMPRouter()
    router.add_handlers(Computed())

    assert [route.uri for route in router.procedures] == ["p"]


@pytest.mark.parametrize(
    ("instance", "text"),
    [
        (Documents, r"add_handlers got the class .*Documents: it takes an object, Documents\(\.\.\.\)"),
        (Unmarked(), "whose class has no marked method: mark methods with @wampasgi.procedure"),
        (None, "add_handlers got None, whose class has no marked method"),
        (wampasgi, "add_handlers got <module 'wampasgi'.*, whose class has no marked method"),
    ],
)
def test_object_without_marked_methods_is_refused(instance: object, text: str) -> None:
    for target in (Application(), Realm("r"), WAMPRouter()):
        with pytest.raises(ConfigurationError, match=text):
            target.add_handlers(instance)


def test_object_cannot_be_added_twice_with_the_same_prefix() -> None:
    documents, realm = Documents(), Realm("r")
    realm.add_handlers(documents)
    realm.add_handlers(documents, prefix="a.")

    with pytest.raises(ConfigurationError, match="was already added with the prefix ''"):
        realm.add_handlers(documents)
    with pytest.raises(ConfigurationError, match=r"exact route 'get' of .*Documents\.get .* is already used"):
        realm.add_handlers(Documents())


async def plain_function() -> None: ...


@pytest.mark.parametrize("mark", [wampasgi.procedure, wampasgi.topic, wampasgi.subscriber])
def test_mark_outside_of_a_class_is_refused(mark: Callable[[str], Callable[[Any], Any]]) -> None:
    with pytest.raises(
        ConfigurationError,
        match=rf"wampasgi\.{mark.__name__} marks methods .*plain_function .* is a function",
    ):
        mark("p")(plain_function)
    with pytest.raises(ConfigurationError, match=f"@{mark.__name__} got .*plain_function .*: it takes a URI"):
        mark(plain_function)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=f"@{mark.__name__} got 5, which is not callable"):
        mark("p")(5)


def test_decorator_of_a_router_in_a_class_is_refused_at_startup() -> None:
    router = WAMPRouter(prefix="cart.")

    class Cart:
        @router.procedure("add")
        async def add(self, item: int) -> None: ...

    app = Application()
    app.include_router(router)
    with pytest.raises(
        ConfigurationError,
        match=r"Cart\.add \(.*\) is a method without its object.*mark it with wampasgi\.procedure\(uri\) and"
        r" call app\.add_handlers\(cart\)",
    ):
        app.check()
