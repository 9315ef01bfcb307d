from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import pytest
from pydantic import AliasChoices, BaseModel, Field

from wampasgi import (
    Application,
    ConfigurationError,
    Depends,
    Event,
    Progress,
    Realm,
    RPCErrorResult,
    RPCProgressReport,
    RPCRequest,
    RPCResult,
    RPCRouteSet,
    Session,
    Topic,
    WAMPError,
    WAMPRouter,
)

if TYPE_CHECKING:
    from decimal import Decimal as Missing

INTEGER = {"type": "integer"}
STRING = {"type": "string"}
NUMBER = {"type": "number"}


class Order(BaseModel):
    number: int = 1


class Line(BaseModel):
    sku: str


class Foreign:
    """A class that pydantic does not know."""


class Limit(WAMPError, uri="com.bank.limit"):
    """The limit of the account.

    It is checked for each payment.
    """

    limit: int
    currency: str = "EUR"
    checked: ClassVar[bool] = True


class DailyLimit(Limit, uri="com.bank.daily_limit"):
    order: Order


class Closed(WAMPError, uri="com.bank.closed"):
    pass


class Odd(WAMPError, uri="com.bank.odd"):
    reason: str
    missing: Missing


# Progress without the type of its values, which type checkers refuse.
BareProgress: Any = Progress


def described(app: Application | Realm) -> dict[str, Any]:
    """Return the description in JSON, as clients get it."""
    realm = app.default_realm if isinstance(app, Application) else app
    found: dict[str, Any] = json.loads(json.dumps(realm.describe().to_dict(), allow_nan=False))
    return found


def procedure_of(handler: Any, **options: Any) -> dict[str, Any]:
    """Return the description of a procedure with this handler."""
    app = Application()
    app.procedure("com.test", **options)(handler)
    [found] = described(app)["procedures"]
    return dict(found)


def parameters_of(handler: Any) -> list[tuple[str, str, bool, Any]]:
    """Return the names, kinds, requirements and schemas of a procedure's parameters."""
    found = procedure_of(handler)["parameters"]
    return [(each["name"], each["kind"], each["required"], each["schema"]) for each in found]


def array(*items: Any, least: int | None = None) -> dict[str, Any]:
    least = len(items) if least is None else least
    args = {"type": "array", "prefixItems": [*items], "minItems": least, "maxItems": len(items)}
    return {"args": args, "kwargs": None}


NOTHING = array()


# The whole description


def test_realm_without_handlers_has_an_empty_description() -> None:
    assert described(Application()) == {
        "realm": "default",
        "procedures": [],
        "topics": [],
        "errors": [],
        "$defs": {},
    }


def test_entry_of_a_procedure_has_all_keys() -> None:
    async def handler() -> None: ...

    assert procedure_of(handler) == {
        "uri": "com.test",
        "match": "exact",
        "provider": "realm",
        "summary": None,
        "description": None,
        "tags": [],
        "deprecated": False,
        "parameters": [],
        "result": NOTHING,
        "progressive": False,
        "progress": None,
        "errors": [],
        "examples": [],
    }


def test_description_has_the_uri_of_its_realm() -> None:
    realm = Realm("com.shop")
    Application([realm])
    assert described(realm)["realm"] == "com.shop"


@pytest.mark.parametrize("match", ["exact", "prefix", "wildcard", "regex"])
def test_entry_has_the_pattern_of_its_route(match: Any) -> None:
    async def handler() -> None: ...

    found = procedure_of(handler, match=match)
    assert (found["match"], found["uri"]) == (match, "com.test")


def test_description_is_made_once() -> None:
    app = Application()
    assert app.default_realm.describe() is app.default_realm.describe()


def test_description_follows_the_configuration() -> None:
    app = Application()

    async def handler() -> None: ...

    app.procedure("com.first")(handler)
    described(app)
    app.procedure("com.second")(handler)
    assert [entry["uri"] for entry in described(app)["procedures"]] == ["com.first", "com.second"]


def test_description_follows_topics_alone() -> None:
    app = Application()
    assert described(app)["topics"] == []
    app.add_topic(Topic("com.changed"))
    assert [entry["uri"] for entry in described(app)["topics"]] == ["com.changed"]


def test_description_follows_procedures_that_come_and_go_at_run_time() -> None:
    app = Application()

    async def handler() -> None: ...

    async def other(value: int) -> None: ...

    described(app)
    app.default_realm.register("com.test", handler, summary="First", errors=[Limit])
    [first] = described(app)["procedures"]
    assert (first["summary"], first["parameters"], first["errors"]) == ("First", [], ["com.bank.limit"])
    app.default_realm.unregister("com.test")
    assert described(app)["procedures"] == []
    app.default_realm.register("com.test", other)
    [second] = described(app)["procedures"]
    assert len(second["parameters"]) == 1


# Parameters


def test_parameters_of_each_kind() -> None:
    async def handler(a: int, /, b: int, *rest: int, c: int, d: int = 1, **more: str) -> None: ...

    assert parameters_of(handler) == [
        ("a", "positional_only", True, INTEGER),
        ("b", "positional_or_keyword", True, INTEGER),
        ("rest", "rest", False, INTEGER),
        ("c", "keyword_only", True, INTEGER),
        ("d", "keyword_only", False, {**INTEGER, "default": 1}),
        ("more", "keyword_rest", False, STRING),
    ]


def test_parameter_without_an_annotation_accepts_any_value() -> None:
    async def handler(a, b=None, *rest) -> None: ...  # type: ignore[no-untyped-def]

    assert parameters_of(handler) == [
        ("a", "positional_or_keyword", True, {}),
        ("b", "positional_or_keyword", False, {"default": None}),
        ("rest", "rest", False, {}),
    ]


def test_parameter_has_the_constraints_and_the_description_of_its_field() -> None:
    async def handler(value: Annotated[int, Field(gt=0, description="A number")]) -> None: ...

    schema = {**INTEGER, "exclusiveMinimum": 0, "description": "A number"}
    assert parameters_of(handler) == [("value", "positional_or_keyword", True, schema)]


def test_parameter_has_its_aliases() -> None:
    async def handler(value: Annotated[int, Field(validation_alias=AliasChoices("v", "val"))]) -> None: ...

    [parameter] = procedure_of(handler)["parameters"]
    assert (parameter["name"], parameter["aliases"]) == ("v", ["val"])


def test_default_has_its_json_form() -> None:
    async def handler(a: Order = Order(number=2), b: set[int] = {1}) -> None: ...  # noqa: B006, B008

    [(*_, a), (*_, b)] = parameters_of(handler)
    assert a == {"$ref": "#/$defs/Order", "default": {"number": 2}}
    assert b["default"] == [1]


@pytest.mark.parametrize(
    "default", [object(), float("nan"), float("inf"), b"\xff", "\0", 2**64, [{1: -(2**70)}]]
)
def test_default_without_a_json_form_is_not_shown(default: Any) -> None:
    async def handler(value: Any = default) -> None: ...

    assert parameters_of(handler) == [("value", "positional_or_keyword", False, {})]


def test_default_factory_makes_a_parameter_optional_without_a_default() -> None:
    async def handler(values: Annotated[list[int], Field(default_factory=list)]) -> None: ...

    [(_, _, required, schema)] = parameters_of(handler)
    assert not required
    assert "default" not in schema


def test_default_of_a_field_is_shown() -> None:
    async def handler(value: Annotated[int, Field(default=3)]) -> None: ...

    assert parameters_of(handler) == [("value", "positional_or_keyword", False, {**INTEGER, "default": 3})]


def test_injected_parameters_are_not_shown() -> None:
    app = Application()
    app.set_default_arg("database", object())

    def user() -> str:
        return "ann"

    @app.procedure("com.test")
    async def handler(
        session: Session, realm: Realm, app: Application, database: Any, a: int, u: str = Depends(user)
    ) -> None: ...

    [found] = described(app)["procedures"]
    assert [parameter["name"] for parameter in found["parameters"]] == ["a"]


def test_parameters_of_dependencies_are_keyword_arguments() -> None:
    def page(offset: int = 0, *, size: int) -> tuple[int, int]:
        return offset, size

    async def handler(query: str, part: tuple[int, int] = Depends(page)) -> None: ...

    assert parameters_of(handler) == [
        ("query", "positional_or_keyword", True, STRING),
        ("offset", "keyword_only", False, {**INTEGER, "default": 0}),
        ("size", "keyword_only", True, INTEGER),
    ]


def test_parameter_that_a_dependency_reads_too_is_shown_once() -> None:
    def checked(order: int) -> int:
        return order

    async def handler(order: int, known: int = Depends(checked)) -> None: ...

    assert parameters_of(handler) == [("order", "positional_or_keyword", True, INTEGER)]


def test_parameter_is_required_if_a_dependency_requires_it() -> None:
    def checked(order: int) -> int:
        return order

    async def handler(order: int = 0, known: int = Depends(checked)) -> None: ...

    assert parameters_of(handler) == [("order", "positional_or_keyword", True, INTEGER)]


def test_parameter_of_a_dependency_with_a_default_does_not_change_the_handlers() -> None:
    def checked(order: int = 5) -> int:
        return order

    async def handler(order: int, known: int = Depends(checked)) -> None: ...

    assert parameters_of(handler) == [("order", "positional_or_keyword", True, INTEGER)]


def test_parameter_is_optional_if_a_dependency_has_a_default_too() -> None:
    def checked(order: int = 5) -> int:
        return order

    async def handler(order: int = 0, known: int = Depends(checked)) -> None: ...

    assert parameters_of(handler) == [("order", "positional_or_keyword", False, {**INTEGER, "default": 0})]


def test_handler_of_the_request_alone_accepts_any_payload() -> None:
    def page(size: int = 10) -> int:
        return size

    async def handler(request: RPCRequest) -> None: ...

    async def paged(request: RPCRequest, size: int = Depends(page)) -> None: ...

    assert procedure_of(handler)["parameters"] is None
    assert parameters_of(paged) == [
        ("args", "rest", False, {}),
        ("size", "keyword_only", False, {**INTEGER, "default": 10}),
        ("kwargs", "keyword_rest", False, {}),
    ]


def test_handler_that_ignores_the_payload_takes_no_arguments() -> None:
    async def handler() -> None: ...

    assert parameters_of(handler) == []


# Results


def result_of(annotation: Any, **options: Any) -> Any:
    async def handler() -> Any: ...

    handler.__annotations__["return"] = annotation
    return procedure_of(handler, **options)["result"]


@pytest.mark.parametrize(
    ("annotation", "result"),
    [
        (None, NOTHING),
        (int, array(INTEGER)),
        (int | None, array({"anyOf": [INTEGER, {"type": "null"}]}, least=0)),
        (Order, array({"$ref": "#/$defs/Order"})),
        (tuple[int, str], array(INTEGER, STRING)),
        (int | RPCErrorResult, array(INTEGER)),
        (Awaitable[int], array(INTEGER)),
        (AsyncIterator[int], array(INTEGER)),
        (AsyncIterator[RPCProgressReport | int], array(INTEGER)),
        (AsyncIterator[Progress[int] | str], array(STRING)),
        (AsyncIterator[Progress[int]], NOTHING),
        (AsyncIterator[BareProgress], NOTHING),
        (AsyncIterator[Progress[int] | None], NOTHING),
        (Any, None),
        (RPCResult, None),
        (int | RPCResult, None),
        (AsyncIterator[int | RPCResult], None),
        (Awaitable[int | Annotated[RPCResult, "metadata"]], None),
    ],
)
def test_result_is_that_of_the_return_annotation(annotation: Any, result: Any) -> None:
    assert result_of(annotation) == result


def test_result_without_an_annotation_is_not_described() -> None:
    async def handler():  # type: ignore[no-untyped-def]
        ...

    assert procedure_of(handler)["result"] is None


def test_response_type_replaces_the_return_annotation() -> None:
    assert result_of(str, response_type=int) == array(INTEGER)
    assert result_of(str, response_type=tuple[int, ...])["args"]["items"] == INTEGER
    assert result_of(str, response_type=None) is None


def test_result_of_a_class_is_not_that_of_its_constructor() -> None:
    class Handler:
        def __init__(self, number: int) -> None:
            self.number = number

    assert procedure_of(Handler)["result"] is None
    assert procedure_of(Handler, response_type=Order)["result"] == array({"$ref": "#/$defs/Order"})


class Numbers(list[int]):
    """A list that pydantic does not know."""


@pytest.mark.parametrize(
    "annotation",
    [
        list[int],
        dict[str, int],
        OrderedDict[str, int],
        Numbers,
        list[int] | None,
        Iterable[int],
        Sequence[int],
        Mapping[str, int],
        Annotated[list[int], 1],
    ],
)
def test_result_that_may_be_unpacked_is_not_described(annotation: Any) -> None:
    app = Application(unpack_results=True)

    async def handler() -> Any: ...

    handler.__annotations__["return"] = annotation
    app.procedure("com.test")(handler)
    [found] = described(app)["procedures"]
    assert found["result"] is None


@pytest.mark.parametrize(
    ("annotation", "items"),
    [(int, [INTEGER]), (tuple[int, str], [INTEGER, STRING]), (Order, [{"$ref": "#/$defs/Order"}])],
)
def test_result_that_is_never_unpacked_is_described(annotation: Any, items: Any) -> None:
    app = Application(unpack_results=True)

    async def handler() -> Any: ...

    handler.__annotations__["return"] = annotation
    app.procedure("com.test")(handler)
    [found] = described(app)["procedures"]
    assert found["result"] == array(*items)


# Progress


def progress_of(annotation: Any, **options: Any) -> tuple[bool, Any]:
    async def handler() -> Any:
        yield

    handler.__annotations__["return"] = annotation
    found = procedure_of(handler, **options)
    return found["progressive"], found["progress"]


@pytest.mark.parametrize(
    ("annotation", "progress"),
    [
        (AsyncIterator[Progress[float] | str], array(NUMBER)),
        (AsyncIterator[Progress[tuple[int, str]] | str], array(INTEGER, STRING)),
        (AsyncIterator[Progress[int] | Progress[str]], array({"anyOf": [INTEGER, STRING]})),
        (AsyncIterator[Progress[None] | str], NOTHING),
        (AsyncIterator[BareProgress | str], None),
        (AsyncIterator[Progress[Any] | str], None),
        (AsyncIterator[Progress[RPCResult] | str], None),
        (AsyncIterator[Progress[int | RPCResult] | str], None),
        (AsyncIterator[RPCProgressReport | str], None),
        (AsyncIterator[str], None),
    ],
)
def test_progress_has_the_declared_type(annotation: Any, progress: Any) -> None:
    assert progress_of(annotation) == (True, progress)


def test_response_type_changes_the_progress_only_if_it_declares_some() -> None:
    declared = AsyncIterator[Progress[float] | str]
    assert progress_of(declared, response_type=int) == (True, array(NUMBER))
    assert progress_of(declared, response_type=AsyncIterator[Progress[int] | str]) == (True, array(INTEGER))
    assert progress_of(declared, response_type=None) == (True, None)


def test_coroutine_that_returns_an_iterator_with_progress_is_progressive() -> None:
    async def handler() -> AsyncIterator[Progress[int] | str]:
        raise NotImplementedError

    found = procedure_of(handler)
    assert (found["progressive"], found["progress"], found["result"]) == (True, array(INTEGER), array(STRING))


def test_plain_procedure_is_not_progressive() -> None:
    async def handler() -> int:
        return 1

    found = procedure_of(handler)
    assert (found["progressive"], found["progress"]) == (False, None)


# Types without a JSON Schema


def test_result_without_a_schema_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    app = Application()

    @app.procedure("com.test")
    async def handler() -> Foreign:
        return Foreign()

    app.check()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        [found] = described(app)["procedures"]
        app.default_realm.register("com.other", handler)
        described(app)
    assert found["result"] == array({"x-python-type": f"{__name__}.Foreign"})
    [text] = [text for text in caplog.messages if "JSON Schema" in text]
    assert text.startswith("result of procedure 'com.test': the type")


@pytest.mark.parametrize(
    ("declare", "place"),
    [
        (
            lambda app, foreign: app.procedure("com.test", response_type=foreign)(anything),
            "result of procedure 'com.test'",
        ),
        (lambda app, foreign: app.topic("com.test", event=foreign)(anything), "event of topic 'com.test'"),
    ],
)
def test_strict_description_names_the_place_of_a_type_without_a_schema(declare: Any, place: str) -> None:
    class Hidden(BaseModel):
        hook: Any = None

        @classmethod
        def __get_pydantic_json_schema__(cls, *_: Any) -> Any:
            raise ValueError("none")

    app = Application()
    declare(app, Hidden)
    with pytest.raises(ConfigurationError, match=f"^{place}: the type .*Hidden has no JSON Schema, because"):
        app.default_realm.describe(strict=True)
    assert app.default_realm.describe().definitions == {}


async def anything(*args: Any) -> Any: ...


def test_strict_description_of_other_types_is_the_same() -> None:
    app = Application()
    app.procedure("com.test")(anything)
    assert app.default_realm.describe(strict=True) == app.default_realm.describe()


# Texts


def texts_of(handler: Any, **options: Any) -> tuple[str | None, str | None]:
    found = procedure_of(handler, **options)
    return found["summary"], found["description"]


async def documented() -> None:
    """Return nothing,
    ever.

    This is *Markdown*.

        code
    \f
    Not shown.
    """


class Documented:
    """A class with a docstring."""

    async def method(self) -> None:
        """Do something."""

    async def __call__(self) -> None:
        """Be called."""


class Inheriting(Documented):
    async def method(self) -> None: ...


DOCUMENTED = ("Return nothing, ever", "This is *Markdown*.\n\n    code")


def test_docstring_is_the_summary_and_the_description() -> None:
    assert texts_of(documented) == DOCUMENTED


def test_docstring_of_a_partial_is_that_of_its_function() -> None:
    assert texts_of(partial(partial(documented))) == DOCUMENTED


def test_docstring_of_a_decorated_function_is_that_of_the_function() -> None:
    @wraps(documented)
    def decorated(*args: Any) -> Any:
        return documented(*args)

    assert texts_of(decorated) == DOCUMENTED
    assert texts_of(partial(decorated)) == DOCUMENTED


def test_docstring_of_a_method_may_be_inherited() -> None:
    assert texts_of(Documented().method) == ("Do something", None)
    assert texts_of(Inheriting().method) == ("Do something", None)


def test_docstring_of_an_object_is_that_of_its_call() -> None:
    assert texts_of(Documented()) == ("Be called", None)
    # Python has one for all objects that are written in C.
    assert texts_of(itemgetter(0)) == (None, None)


def test_docstring_of_a_class_is_its_own() -> None:
    class Handler(Documented): ...

    assert texts_of(Documented) == ("A class with a docstring", None)

    @dataclass
    class Data:
        number: int

    @dataclass
    class DocumentedData(Data):
        """Some data."""

    assert texts_of(Handler) == (None, None)
    assert texts_of(Data) == (None, None)
    assert texts_of(DocumentedData) == ("Some data", None)
    assert texts_of(Order) == (None, None)


def test_handler_without_a_docstring_has_no_texts() -> None:
    assert texts_of(anything) == (None, None)


def test_summary_and_description_of_the_route_replace_the_docstring() -> None:
    whole = "Return nothing,\never.\n\nThis is *Markdown*.\n\n    code"
    assert texts_of(documented, summary="Short") == ("Short", whole)
    assert texts_of(documented, description="Long") == ("Return nothing, ever", "Long")
    assert texts_of(documented, summary="Short", description="Long") == ("Short", "Long")
    assert texts_of(documented, summary="", description="") == (None, None)


# Details


def test_tags_of_routers_come_first() -> None:
    inner, outer = (
        WAMPRouter(prefix="inner.", tags="inner"),
        WAMPRouter(prefix="outer.", tags=["outer", "own"]),
    )
    inner.procedure("get", tags=["own", "more"])(anything)
    outer.include_router(inner, tags="included")
    app = Application()
    app.include_router(outer)
    [found] = described(app)["procedures"]
    assert (found["uri"], found["tags"]) == ("outer.inner.get", ["outer", "own", "included", "inner", "more"])


def test_procedure_has_the_details_of_its_route() -> None:
    example = {"summary": "One", "args": [Order()], "kwargs": {"b": 2}}
    found = procedure_of(anything, tags="math", deprecated=True, examples=[example, {"args": [1]}])
    assert (found["tags"], found["deprecated"]) == (["math"], True)
    assert found["examples"] == [
        {"summary": "One", "args": [{"number": 1}], "kwargs": {"b": 2}},
        {"summary": None, "args": [1], "kwargs": {}},
    ]


def test_hidden_procedure_is_left_out_with_its_errors_and_models() -> None:
    app = Application()

    @app.procedure("com.hidden", include_in_schema=False, errors=[DailyLimit])
    async def hidden(line: Line) -> None: ...

    @app.procedure("com.shown", errors=[Closed])
    async def shown(order: Order) -> None: ...

    found = described(app)
    assert [entry["uri"] for entry in found["procedures"]] == ["com.shown"]
    assert [entry["uri"] for entry in found["errors"]] == ["com.bank.closed"]
    assert found["$defs"].keys() == {"Order"}


def test_routes_of_a_set_have_details() -> None:
    routes = RPCRouteSet()
    routes.route("com.test", summary="A route", tags="set")(anything)
    app = Application()
    app.add_routes(routes)
    [found] = described(app)["procedures"]
    assert (found["summary"], found["tags"]) == ("A route", ["set"])


# Errors


def errors_of(*errors: Any) -> list[dict[str, Any]]:
    app = Application()
    app.procedure("com.test", errors=errors)(anything)
    found: list[dict[str, Any]] = described(app)["errors"]
    return found


def test_error_has_the_fields_of_its_class() -> None:
    [found] = errors_of(Limit)
    assert found == {
        "uri": "com.bank.limit",
        "description": "The limit of the account.\n\nIt is checked for each payment.",
        "payload": {
            "args": {"type": "array", "prefixItems": [], "minItems": 0, "items": {}},
            "kwargs": {
                "type": "object",
                "properties": {"limit": INTEGER, "currency": STRING},
                "required": ["limit", "currency"],
                "additionalProperties": False,
            },
        },
    }


def test_error_has_the_fields_of_its_base_classes() -> None:
    app = Application()
    app.procedure("com.test", errors=[DailyLimit])(anything)
    found = described(app)
    [error] = found["errors"]
    assert error["description"] is None
    assert error["payload"]["kwargs"]["properties"] == {
        "limit": INTEGER,
        "currency": STRING,
        "order": {"$ref": "#/$defs/Order"},
    }
    assert found["$defs"].keys() == {"Order"}


def test_error_without_fields_has_no_payload() -> None:
    assert errors_of(Closed, "com.bank.unknown") == [
        {"uri": "com.bank.closed", "description": None, "payload": None},
        {"uri": "com.bank.unknown", "description": None, "payload": None},
    ]


def test_error_whose_annotation_cannot_be_resolved_accepts_any_value() -> None:
    [found] = errors_of(Odd)
    assert found["payload"]["kwargs"]["properties"] == {
        "reason": STRING,
        "missing": {"x-python-type": "Missing"},
    }


@pytest.mark.parametrize("errors", [("com.bank.limit", Limit), (Limit, "com.bank.limit"), (Limit, Limit)])
def test_error_is_described_once_by_its_class(errors: Any) -> None:
    [found] = errors_of(*errors)
    assert found["payload"] is not None
    assert procedure_of(anything, errors=errors)["errors"] == ["com.bank.limit"]


# Topics


def topics_of(app: Application) -> dict[str, dict[str, Any]]:
    return {entry["uri"]: entry for entry in described(app)["topics"]}


def test_topic_with_a_gatekeeper_can_be_subscribed_to() -> None:
    app = Application()

    @app.topic("com.changed", event=Order, tags="orders", examples=[{"args": [{"number": 2}]}])
    async def changed() -> None:
        """Orders that changed."""

    assert topics_of(app) == {
        "com.changed": {
            "uri": "com.changed",
            "match": "exact",
            "provider": "realm",
            "summary": "Orders that changed",
            "description": None,
            "tags": ["orders"],
            "deprecated": False,
            "event": array({"$ref": "#/$defs/Order"}),
            "parameters": None,
            "subscribe": True,
            "publish": False,
            "examples": [{"summary": None, "args": [{"number": 2}], "kwargs": {}}],
        }
    }


def test_topic_with_a_subscriber_can_be_published_to() -> None:
    app = Application()

    @app.subscriber("com.sensors.", match="prefix")
    async def reading(value: float, event: Event, unit: str = "K") -> None:
        """Take a reading."""

    found = topics_of(app)["com.sensors."]
    assert (found["match"], found["subscribe"], found["publish"]) == ("prefix", False, True)
    assert (found["summary"], found["event"]) == ("Take a reading", None)
    assert [parameter["name"] for parameter in found["parameters"]] == ["value", "unit"]


def test_gatekeeper_and_subscriber_of_a_topic_are_one_entry() -> None:
    app = Application()
    said = Topic("com.said", tuple[str, str])
    app.add_topic(said, tags="chat", examples=[{"args": ["ann", "hi"]}])

    @app.subscriber(said, tags=["chat", "input"], deprecated=True, examples=[{"args": ["hi"]}])
    async def heard(text: str) -> None:
        """Say something.

        Everybody hears it.
        """

    [found] = described(app)["topics"]
    assert (found["subscribe"], found["publish"]) == (True, True)
    assert found["event"] == array(STRING, STRING)
    assert [parameter["name"] for parameter in found["parameters"]] == ["text"]
    assert (found["summary"], found["description"]) == ("Say something", "Everybody hears it.")
    assert (found["tags"], found["deprecated"]) == (["chat", "input"], True)
    assert [example["args"] for example in found["examples"]] == [["ann", "hi"], ["hi"]]


def test_type_of_the_events_may_be_that_of_a_subscriber() -> None:
    app = Application()
    app.topic("com.said")(gate)
    app.subscriber(Topic("com.said", int))(anything)
    assert topics_of(app)["com.said"]["event"] == array(INTEGER)


def test_gatekeepers_texts_precede_those_of_a_subscriber() -> None:
    app = Application()

    @app.subscriber("com.said")
    async def heard() -> None:
        """Hear."""

    @app.topic("com.said")
    async def gate() -> None:
        """Listen."""

    assert topics_of(app)["com.said"]["summary"] == "Listen"


def test_topic_is_described_by_the_first_of_its_subscribers_that_takes_a_payload() -> None:
    app = Application()

    @app.subscriber("com.said")
    async def counts(event: Event) -> None: ...

    @app.subscriber("com.said")
    async def reads(text: str) -> None: ...

    assert [parameter["name"] for parameter in topics_of(app)["com.said"]["parameters"]] in (
        ["text"],
        ["args", "kwargs"],
    )


def test_handler_of_a_pattern_counts_for_a_topic_that_it_matches() -> None:
    app = Application()
    app.topic("com.rooms.", match="prefix")(gate)
    app.subscriber("com.rooms.one")(anything)
    app.topic("com.sensors.one")(gate)
    app.subscriber("com.sensors.", match="prefix")(anything)
    # The pattern also stands for topics that the gatekeeper of this URI does not guard.
    app.topic("com.logs")(gate)
    app.subscriber("com.logs", match="prefix")(anything)
    found = {
        (entry["match"], entry["uri"]): (entry["subscribe"], entry["publish"])
        for entry in described(app)["topics"]
    }
    assert found == {
        ("prefix", "com.rooms."): (True, False),
        ("exact", "com.rooms.one"): (True, True),
        ("prefix", "com.sensors."): (False, True),
        ("exact", "com.sensors.one"): (True, True),
        ("exact", "com.logs"): (True, True),
        ("prefix", "com.logs"): (False, True),
    }


async def gate() -> None: ...


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        (None, NOTHING),
        (int, array(INTEGER)),
        (tuple[int, str], array(INTEGER, STRING)),
        (int | None, array({"anyOf": [INTEGER, {"type": "null"}]}, least=0)),
        (Any, None),
        (RPCResult, None),
    ],
)
def test_event_has_the_declared_type(event: Any, payload: Any) -> None:
    app = Application()
    app.topic("com.given", event=event)(gate)
    app.add_topic(Topic("com.typed", event))
    found = topics_of(app)
    assert [found["com.given"]["event"], found["com.typed"]["event"]] == [payload, payload]


def test_topic_with_a_hidden_handler_is_left_out() -> None:
    app = Application()
    app.topic("com.gate", include_in_schema=False)(gate)
    app.subscriber("com.gate")(anything)
    app.topic("com.heard")(gate)
    app.subscriber("com.heard", include_in_schema=False)(anything)
    app.topic("com.shown")(gate)
    assert topics_of(app).keys() == {"com.shown"}


def test_regex_topic_cannot_be_published_to() -> None:
    app = Application()
    app.topic("com\\.[a-z]+", match="regex")(gate)
    app.subscriber("", match="prefix")(anything)
    assert not topics_of(app)["com\\.[a-z]+"]["publish"]


# Handlers of everything


def test_handler_of_all_calls_replaces_the_procedures() -> None:
    app = Application()
    app.procedure("com.test")(anything)

    @app.set_rpc_handler
    async def handle(request: RPCRequest) -> int:
        """Answer all calls."""
        return 1

    [found] = described(app)["procedures"]
    assert (found["match"], found["uri"], found["summary"]) == ("prefix", "", "Answer all calls")
    assert (found["parameters"], found["result"]) == (None, array(INTEGER))


def test_gatekeeper_of_all_topics_replaces_those_of_the_routes() -> None:
    app = Application()
    app.topic("com.test")(gate)
    app.subscriber("com.heard")(anything)

    @app.set_subscription_handler
    async def guard(topic_uri: str) -> None:
        """Guard all topics."""

    found = topics_of(app)
    assert found.keys() == {"", "com.heard"}
    assert (found[""]["match"], found[""]["summary"], found[""]["subscribe"]) == (
        "prefix",
        "Guard all topics",
        True,
    )
    assert found["com.heard"]["subscribe"]


def test_topic_that_a_rule_opens_to_publishers_says_so() -> None:
    app = Application()
    app.add_topic(Topic("chat.said", str))
    app.add_topic(Topic("news.posted", str))
    app.allow("chat.", "publish", match="prefix", role="member")

    topics = app.default_realm.describe().topics

    assert {topic.uri: topic.publish for topic in topics} == {"chat.said": True, "news.posted": False}


def test_topic_of_a_subscriber_that_a_rule_opens_to_subscribers_says_so() -> None:
    app = Application()

    @app.subscriber("chat.said")
    async def on_said(text: str) -> None: ...

    app.allow("chat.said", "subscribe", "publish")

    [topic] = app.default_realm.describe().topics
    assert (topic.subscribe, topic.publish) == (True, True)
