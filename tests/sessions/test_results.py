"""The results of a realm's own procedures: their arguments, response types and JSON form, end to end."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, NoReturn
from uuid import UUID

import anyio
import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_serializer
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypeAliasType, TypedDict

from tests.specification import CALL, ERROR, EVENT, RESULT
from tests.wamp_client import WAMPClient, clients, connect
from wampasgi import (
    Application,
    ConfigurationError,
    Realm,
    RPCErrorResult,
    RPCProgressReport,
    RPCRequest,
    RPCResult,
    RPCRouteSet,
    Session,
    WAMPError,
)

pytestmark = pytest.mark.anyio

FAILURE = [ERROR, {}, "wamp.error.runtime_error"]


async def call(websocket: WAMPClient, procedure: str, **options: Any) -> list[Any]:
    """Call and return the answer, without the request it belongs to."""
    answer = await websocket.ask(CALL, 1, options, procedure)
    return [answer[0], *answer[2 if answer[0] == RESULT else 3 :]]


async def answer_of(app: Application, procedure: str = "give") -> list[Any]:
    async with connect(app) as websocket:
        await websocket.join()
        return await call(websocket, procedure)


async def result_of(app: Application, procedure: str = "give") -> list[Any]:
    """Return the payload of a RESULT."""
    answer = await answer_of(app, procedure)
    assert answer[:2] == [RESULT, {}], answer
    return answer[2:]


def giving(value: Any, annotation: Any, **options: Any) -> Application:
    """Return an app with a procedure ``give`` that returns a value and has a return annotation."""
    app = Application()

    async def give():  # type: ignore[no-untyped-def]
        return value

    give.__annotations__["return"] = annotation
    app.procedure("give", **options)(give)
    return app


class UserOut(BaseModel):
    name: str


class UserInDB(UserOut):
    password: str = "secret"
    raw: bytes = b"\xff"


class Row:
    """An object without a base class in common with the model, like a row of an ORM."""

    name = "ann"
    password = "secret"


@dataclass
class DataUser:
    name: str


@dataclass
class DataUserInDB(DataUser):
    password: str = "secret"


@pydantic_dataclass
class PydanticUser:
    name: str = Field(alias="fullName")
    password: str = Field("secret", exclude=True)


class TypedUser(TypedDict):
    name: str


Alias = TypeAliasType("Alias", UserOut | RPCErrorResult)


class Team(BaseModel):
    lead: UserOut
    by_name: dict[str, UserOut | None] = {}


class NamedUser(NamedTuple):
    user: UserOut
    number: int


ANN: Any = UserInDB(name="ann")
OUT = {"name": "ann"}


@pytest.mark.parametrize(
    ("annotation", "value", "payload"),
    [
        (UserOut, ANN, [[OUT]]),
        (UserOut, {"name": "ann", "password": "secret"}, [[OUT]]),
        (UserOut, Row(), [[OUT]]),
        (UserOut | None, ANN, [[OUT]]),
        (UserOut | None, None, []),
        (list[UserOut], [ANN, Row()], [[[OUT, OUT]]]),
        (list[UserOut], (ANN,), [[[OUT]]]),
        (list[UserOut], [], [[[]]]),
        (dict[str, UserOut], {"a": ANN}, [[{"a": OUT}]]),
        (dict[UUID, list[UserOut]], {UUID(int=1): [ANN]}, [[{str(UUID(int=1)): [OUT]}]]),
        (Mapping[int, int], {1: 2}, [[{"1": 2}]]),
        (tuple[int, float], (1, 2.5), [[1, 2.5]]),
        (tuple[int, float], ["1", 2], [[1, 2.0]]),
        (Annotated[int, {"unhashable": True}], "1", [[1]]),
        (tuple[Annotated[int, {"unhashable": True}], str], ["1", "a"], [[1, "a"]]),
        (tuple[UserOut, int], (ANN, 5), [[OUT, 5]]),
        (tuple[UserOut, int], [ANN, 5], [[OUT, 5]]),
        (tuple[UserOut, ...], (ANN, ANN), [[OUT, OUT]]),
        (tuple[UserOut, ...], (), []),
        (NamedUser, NamedUser(UserOut(name="ann"), 5), [[OUT, 5]]),
        (int | tuple[UserOut, int], (ANN, 5), [[OUT, 5]]),
        (int | tuple[UserOut, int], 5, [[5]]),
        (UserOut | int, ANN, [[OUT]]),
        (
            Team,
            {"lead": ANN, "by_name": {"a": ANN, "b": None}},
            [[{"lead": OUT, "by_name": {"a": OUT, "b": None}}]],
        ),
        (DataUser, DataUserInDB("ann"), [[OUT]]),
        (PydanticUser, PydanticUser(fullName="ann"), [[{"fullName": "ann"}]]),  # type: ignore[call-arg]
        (TypedUser, {"name": "ann", "password": "secret"}, [[OUT]]),
        (Awaitable[UserOut], ANN, [[OUT]]),
        (UserOut | RPCErrorResult, ANN, [[OUT]]),
        (Annotated[UserOut | RPCErrorResult, "documented"], ANN, [[OUT]]),
        (float, 1, [[1.0]]),
        (Annotated[int, Field(gt=0)], 5, [[5]]),
        ("UserOut", ANN, [[OUT]]),
        (Alias, ANN, [[OUT]]),
    ],
)
async def test_return_annotation_filters_the_result(annotation: Any, value: Any, payload: list[Any]) -> None:
    assert await result_of(giving(value, annotation)) == payload


@pytest.mark.parametrize(
    "annotation",
    [Any, object, None, RPCResult, RPCResult | RPCErrorResult, RPCResult | None, NoReturn, UserOut | Any],
)
async def test_annotations_without_a_response_type_filter_nothing(annotation: Any) -> None:
    async with connect(giving({"name": "ann", "password": "secret"}, annotation)) as websocket:
        await websocket.join()
        assert await call(websocket, "give") == [RESULT, {}, [{"name": "ann", "password": "secret"}]]


@pytest.mark.parametrize("annotation", [UserOut, UserOut | RPCResult, int])
async def test_results_and_errors_are_sent_unfiltered(annotation: Any) -> None:
    assert await result_of(giving(RPCResult(([1], 2), {"k": UserOut(name="ann")}), annotation)) == [
        [[1], 2],
        {"k": OUT},
    ]
    error = RPCErrorResult("com.app.error", [ANN], {"by": PydanticUser(fullName="ann")})  # type: ignore[call-arg]
    answer = await answer_of(giving(error, annotation))
    assert answer == [
        ERROR,
        {},
        "com.app.error",
        [{**OUT, "password": "secret", "raw": "\0/w=="}],
        {"by": {"fullName": "ann"}},
    ]


@pytest.mark.parametrize(
    ("annotation", "value", "reason"),
    [
        (UserOut, None, "Input should be"),
        (UserOut, {"password": "hunter2"}, "['name'] Field required"),
        (UserOut, "hunter2", "Input should be"),
        (list[UserOut], [ANN, {"password": "hunter2"}], "[1]['name'] Field required"),
        (int, "hunter2", "Input should be a valid integer"),
        (int, ["hunter2"], "Input should be a valid integer"),
        (str, 5, "Input should be a valid string"),
        (Annotated[int, Field(gt=5)], 5, "greater than 5"),
        (tuple[int, int], (1, 2, 3), "Tuple should have at most 2 items"),
        (UserOut, UserInDB.model_construct(name=["hunter2"]), "cannot be serialized as UserOut"),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
async def test_value_that_does_not_fit_is_logged_and_never_sent(
    annotation: Any, value: Any, reason: str, debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = Application(debug=debug)

    async def give():  # type: ignore[no-untyped-def]
        return value

    give.__annotations__["return"] = annotation
    app.procedure("give")(give)

    answer = await answer_of(app)

    assert answer[:3] == FAILURE
    assert len(answer) == (4 if debug else 3)
    assert "hunter2" not in str(answer)
    assert "procedure 'give' failed" in caplog.text
    assert reason in caplog.text


async def test_response_type_of_a_route_overrides_the_annotation() -> None:
    app, api, realm = Application(), RPCRouteSet(), Realm("other")

    async def give() -> UserInDB:
        return ANN  # type: ignore[no-any-return]

    api.route("exact", response_type=UserOut)(give)
    api.prefix_route("prefix.", response_type=UserOut)(give)
    api.regex_route(r"regex\d", response_type=UserOut)(give)
    app.add_routes(api)
    app.procedure("procedure", response_type=UserOut | None)(give)
    app.procedure("annotated")(give)
    app.add_realm(realm)
    app.register("registered", give, response_type=UserOut)

    for procedure in "exact", "prefix.x", "regex1", "procedure", "registered":
        assert await result_of(app, procedure) == [[OUT]]
    assert await result_of(app, "annotated") == [[{**OUT, "password": "secret", "raw": "\0/w=="}]]


async def test_response_type_none_turns_the_filter_off() -> None:
    assert await result_of(giving({"name": "ann", "age": 5}, UserOut, response_type=None)) == [
        [{"name": "ann", "age": 5}]
    ]
    assert await result_of(giving("no int", int, response_type=None)) == [["no int"]]


@pytest.mark.parametrize(
    "annotation",
    [
        AsyncIterator[UserOut],
        AsyncGenerator[UserOut, None],
        AsyncIterator[RPCProgressReport | UserOut],
        AsyncIterator[RPCProgressReport | RPCResult | RPCErrorResult | UserOut | None],
    ],
)
async def test_final_value_of_a_generator_is_filtered_and_its_reports_are_not(annotation: Any) -> None:
    app = Application()

    async def give():  # type: ignore[no-untyped-def]
        yield RPCProgressReport([[1], UserInDB(name="bob", raw=b"")])
        yield ANN

    give.__annotations__["return"] = annotation
    app.procedure("give")(give)

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, {"receive_progress": True}, "give")
        report, final = [await websocket.receive() for _ in range(2)]

    bob = {"name": "bob", "password": "secret", "raw": "\0"}
    assert report == [RESULT, 1, {"progress": True}, [[1], bob]]
    assert final == [RESULT, 1, {}, [OUT]]


@pytest.mark.parametrize(
    "annotation", [AsyncIterator[Any], AsyncIterator, AsyncIterator[RPCProgressReport | RPCResult]]
)
@pytest.mark.parametrize(
    ("value", "payload"),
    [([1, 2], [[[1, 2]]]), ({"a": 1}, [[{"a": 1}]]), ((1, 2), [[1, 2]]), (RPCResult([1, 2]), [[1, 2]])],
)
async def test_yielded_value_is_one_argument_like_a_returned_one(
    annotation: Any, value: Any, payload: list[Any]
) -> None:
    app = Application()

    async def give():  # type: ignore[no-untyped-def]
        yield value

    give.__annotations__["return"] = annotation
    app.procedure("give")(give)

    assert await result_of(app) == payload


async def test_generator_whose_final_value_does_not_fit_is_closed_and_answers_runtime_error() -> None:
    app, closed = Application(), []

    @app.procedure("give")
    async def give() -> AsyncIterator[UserOut]:
        try:
            yield {}  # type: ignore[misc]
        finally:
            closed.append(True)

    assert await answer_of(app) == FAILURE
    assert closed == [True]


async def test_sync_handlers_and_the_handler_for_all_calls_are_filtered() -> None:
    app = Application()

    def give() -> UserOut:
        return ANN  # type: ignore[no-any-return]

    async def answer(request: RPCRequest) -> list[UserOut]:
        return [ANN]

    app.procedure("give")(give)
    assert await result_of(app) == [[OUT]]
    app.set_rpc_handler(answer)
    assert await result_of(app, "anything") == [[[OUT]]]


async def test_calls_with_a_request_or_a_timeout_are_filtered() -> None:
    app = Application()

    @app.procedure("give")
    async def give(request: RPCRequest) -> list[UserOut]:
        return [ANN]

    async with connect(app) as websocket:
        await websocket.join()
        assert await call(websocket, "give", timeout=5000) == [RESULT, {}, [[OUT]]]


# Annotations that pydantic does not know


async def test_annotation_without_a_schema_filters_nothing_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await result_of(giving({"a": 1}, Row)) == [[{"a": 1}]]
    [record] = [record for record in caplog.records if "unfiltered" in record.getMessage()]
    assert record.levelno == logging.WARNING
    assert "response_type=None" in record.getMessage()
    assert f"{__file__}:" in record.getMessage()


async def test_annotation_that_cannot_be_resolved_filters_nothing_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await result_of(giving({"a": 1}, "Unknown")) == [[{"a": 1}]]
    assert "name 'Unknown' is not defined" in caplog.text


async def test_turned_off_filter_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert await result_of(giving({"a": 1}, Row, response_type=None)) == [[{"a": 1}]]
    assert caplog.text == ""


def test_response_type_without_a_schema_is_refused_at_startup() -> None:
    app = giving({"a": 1}, None, response_type=Row)

    with pytest.raises(ConfigurationError, match=r"give .*test_results\.py:\d+.*Row"):
        app.check()


# Lists and mappings as in serverwamp


@pytest.mark.parametrize(
    ("annotation", "value", "payload"),
    [
        (Any, [1, [2]], [[1, [2]]]),
        (Any, {"a": 1}, [[], {"a": 1}]),
        (Any, [], []),
        (Any, {}, []),
        (Any, (1, 2), [[1, 2]]),
        (Any, UserOut(name="ann"), [[OUT]]),
        (list[UserOut], [ANN, ANN], [[OUT, OUT]]),
        (dict[str, UserOut], {"a": ANN}, [[], {"a": OUT}]),
        (dict[int, int], {1: 2}, [[], {"1": 2}]),
        (UserOut, ANN, [[OUT]]),
        (TypedUser, {"name": "ann", "password": "secret"}, [[], OUT]),
    ],
)
async def test_unpack_results_spreads_lists_and_mappings(
    annotation: Any, value: Any, payload: list[Any]
) -> None:
    app = Application(unpack_results=True)

    async def give():  # type: ignore[no-untyped-def]
        return value

    give.__annotations__["return"] = annotation
    app.procedure("give")(give)
    app.register("registered", give)

    assert await result_of(app) == payload
    assert await result_of(app, "registered") == payload


@pytest.mark.parametrize(
    ("of_app", "of_realm", "unpacks"),
    [
        (False, None, False),
        (True, None, True),
        (True, False, False),
        (False, True, True),
    ],
)
async def test_unpack_results_of_a_realm_replaces_that_of_the_application(
    of_app: bool, of_realm: bool | None, unpacks: bool
) -> None:
    realm = Realm("office", unpack_results=of_realm)
    app = Application([realm], unpack_results=of_app)

    @realm.procedure("give")
    async def give() -> list[int]:
        return [1, 2]

    async with connect(app) as websocket:
        await websocket.join("office")
        assert await call(websocket, "give") == [RESULT, {}, [1, 2] if unpacks else [[1, 2]]]
    assert await realm.call("give") == (RPCResult((1, 2)) if unpacks else [1, 2])


# Calls of the server's own code


@pytest.mark.parametrize(
    ("annotation", "value", "result"),
    [
        (Any, [1, 2], [1, 2]),
        (Any, {"a": 1}, {"a": 1}),
        (Any, None, None),
        (tuple[int, int], (1, 2), RPCResult((1, 2))),
        (UserOut, {"name": "ann", "password": "secret"}, UserOut(name="ann")),
        (UserOut, ANN, ANN),
        (list[UserOut], [Row()], [UserOut(name="ann")]),
        (RPCResult, RPCResult((1,), {"a": 2}), RPCResult((1,), {"a": 2})),
    ],
)
async def test_call_of_the_server_returns_the_validated_object(
    annotation: Any, value: Any, result: Any
) -> None:
    assert await giving(value, annotation).call("give") == result


async def test_call_of_the_server_raises_if_the_value_does_not_fit() -> None:
    app = giving({"password": "hunter2"}, UserOut)

    with pytest.raises(TypeError, match=r"not valid as UserOut: .*Field required") as raised:
        await app.call("give")
    assert "hunter2" not in str(raised.value)


async def test_first_reasons_are_given_if_a_value_does_not_fit() -> None:
    app = giving(["a"] * 1000, list[int])

    with pytest.raises(TypeError, match=r"as list\[int\]: \[0\] .*; \[1\] .*; \[2\] .*; and 997 more$"):
        await app.call("give")


async def test_validation_of_a_result_with_many_values_stops_at_the_first_that_does_not_fit() -> None:
    validated = []

    def refuse(value: object) -> object:
        validated.append(value)
        raise ValueError("refused")

    app = giving(list(range(5000)), list[Annotated[int, BeforeValidator(refuse)]])

    with pytest.raises(TypeError, match=r"\[0\] Value error, refused$"):
        await app.call("give")
    assert validated == [0]


@pytest.mark.parametrize("annotation", [list, list[Any]])
async def test_list_of_any_items_is_converted_only_if_an_item_needs_it(annotation: Any) -> None:
    plain: list[Any] = ["a", 1, 1.5, True, None, b"\xff"]

    async with connect(giving(plain, annotation), subprotocols=["wamp.2.cbor"]) as websocket:
        await websocket.join()
        assert await call(websocket, "give") == [RESULT, {}, [plain]]
    assert await result_of(giving(["a", UserOut(name="ann")], annotation)) == [[["a", {"name": "ann"}]]]


# The same JSON form everywhere


class Invoice(BaseModel):
    model_config = ConfigDict(ser_json_timedelta="float")

    number: int = Field(alias="no")
    note: str = Field(exclude=True)
    lines: dict[UUID, int]
    scan: bytes

    @field_serializer("number", when_used="json")
    def text(self, number: int) -> str:
        return f"#{number}"


INVOICE = Invoice(no=7, note="secret", lines={UUID(int=1): 2}, scan=b"\xff")
SENT = {"no": "#7", "lines": {str(UUID(int=1)): 2}, "scan": b"\xff"}


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_results_errors_events_and_calls_send_models_in_the_same_form(serializer: str) -> None:
    app = Application()
    app.allow_all()

    @app.procedure("give")
    async def give() -> list[Invoice]:
        return [INVOICE]

    @app.procedure("give.loose")
    async def give_loose():  # type: ignore[no-untyped-def]
        return {"deep": (INVOICE,)}

    @app.procedure("fail")
    async def fail() -> None:
        raise WAMPError("com.app.error", INVOICE, more=[INVOICE])

    @app.procedure("fail.result")
    async def fail_result() -> RPCErrorResult:
        return RPCErrorResult("com.app.error", (INVOICE,), {"more": [INVOICE]})

    @app.procedure("tell")
    async def tell(session: Session) -> None:
        await session.send_event("told", (INVOICE,), {"more": {"a": INVOICE}})

    form: Any = SENT if serializer != "json" else {**SENT, "scan": "\0/w=="}
    async with connect(app, subprotocols=[f"wamp.2.{serializer}"]) as websocket:
        await websocket.join()
        assert await call(websocket, "give") == [RESULT, {}, [[form]]]
        assert await call(websocket, "give.loose") == [RESULT, {}, [{"deep": [form]}]]
        for procedure in "fail", "fail.result":
            assert await call(websocket, procedure) == [ERROR, {}, "com.app.error", [form], {"more": [form]}]
        await websocket.subscribe("told")
        await app.publish("told", [INVOICE], more=INVOICE)
        assert (await websocket.expect(EVENT))[4:] == [[[form]], {"more": form}]
        await app.publish("told", INVOICE, options={"retain": True})
        assert (await websocket.expect(EVENT))[4:] == [[form]]
        await websocket.send(CALL, 1, {}, "tell")
        assert (await websocket.expect(EVENT))[4:] == [[form], {"more": {"a": form}}]
        await websocket.expect(RESULT)


async def test_arguments_of_calls_to_clients_take_the_same_form() -> None:
    app = Application()
    app.allow_all()
    async with clients(app, {}) as [client]:
        await client.register("client.echo")
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                assert await app.call("client.echo", INVOICE) == "done"

            tasks.start_soon(ask)
            invocation = await client.answer_invocation(["done"])
    assert invocation[4] == [{**SENT, "scan": "\0/w=="}]
