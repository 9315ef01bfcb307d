"""Exception handlers, which turn the exceptions of procedures and gatekeepers into ERRORs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import fastapi
import pytest
import starlette.exceptions

from tests.specification import CANCELED, NOT_AUTHORIZED
from tests.wamp_client import WAMPClient, connect
from wampasgi import (
    Application,
    ConfigurationError,
    Depends,
    InvalidArgument,
    Realm,
    RPCErrorResult,
    RPCProgressReport,
    RPCRequest,
    Session,
    SubscribeError,
    WAMPError,
)

pytestmark = pytest.mark.anyio

RUNTIME_ERROR = "wamp.error.runtime_error"


class NotFound(LookupError):
    """An exception of the application."""


class DocumentNotFound(NotFound):
    """A more specific one."""


async def error_of(client: WAMPClient, *message: Any) -> list[Any]:
    """Return the ERROR for a request, without the elements before its URI."""
    answer: list[Any] = await client.ask(*message)
    assert answer[0] == 8
    assert answer[3] == {}
    return answer[4:]


async def call(app: Application, procedure: str, *args: Any) -> list[Any]:
    async with connect(app) as client:
        await client.join()
        return await error_of(client, 48, 7, {}, procedure, list(args))


def failing(error: Exception, **options: Any) -> Application:
    """Return an application with procedures and gatekeepers that raise an error."""
    app = Application(**options)

    def fail() -> None:
        raise error

    app.procedure("fail")(fail)
    app.topic("fail")(fail)

    @app.procedure("fail.in_dependency")
    async def dependent(value: None = Depends(fail)) -> None: ...

    @app.topic("fail.before_yield")
    async def gatekeeper() -> AsyncIterator[None]:
        fail()
        yield

    return app


def not_found(exc: NotFound) -> WAMPError:
    return WAMPError("com.example.not_found", str(exc), kind=type(exc).__name__)


def sorry() -> WAMPError:
    return WAMPError("com.example.sorry")


#: The type and the URI of requests that fail.
REQUESTS = [(48, "fail"), (48, "fail.in_dependency"), (32, "fail"), (32, "fail.before_yield")]


@pytest.mark.parametrize(("code", "uri"), REQUESTS)
async def test_handler_answers_exceptions_of_its_class(
    code: int, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = failing(DocumentNotFound("d1"))
    app.exception_handler(NotFound)(not_found)

    async with connect(app) as client:
        await client.join()
        answer = await error_of(client, code, 7, {}, uri)

    assert answer == ["com.example.not_found", ["d1"], {"kind": "DocumentNotFound"}]
    assert caplog.records == []


async def test_handler_may_be_async_raise_and_return_error_results() -> None:
    async def raising(exc: NotFound) -> None:
        raise WAMPError("com.example.raised")

    async def returning(exc: NotFound) -> RPCErrorResult:
        await anyio.lowlevel.checkpoint()
        return RPCErrorResult("com.example.returned", "a text", {"n": 1})

    app = failing(NotFound(), exception_handlers={NotFound: raising})
    assert await call(app, "fail") == ["com.example.raised"]
    app = failing(NotFound(), exception_handlers={NotFound: returning})
    assert await call(app, "fail") == ["com.example.returned", ["a text"], {"n": 1}]


async def test_handler_gets_the_session_the_request_and_injected_arguments() -> None:
    app, seen = failing(NotFound("d1")), []
    app.set_default_arg("shelf", "A")

    def name_of(session: Session) -> str:
        return f"session {session.id}"

    @app.exception_handler(NotFound)
    async def handle(
        missing: NotFound,
        session: Session,
        request: RPCRequest | None,
        topic_uri: str | None,
        shelf: str,
        name: str = Depends(name_of),
    ) -> WAMPError:
        assert name == f"session {session.id}"
        seen.append((str(missing), request and request.uri, topic_uri, shelf))
        return WAMPError("com.example.not_found")

    async with connect(app) as client:
        await client.join()
        await error_of(client, 48, 7, {}, "fail")
        await error_of(client, 32, 8, {}, "fail")

    assert seen == [("d1", "fail", None, "A"), ("d1", None, "fail", "A")]


async def test_most_specific_class_wins_in_the_application_and_in_the_realm() -> None:
    realm = Realm("office", exception_handlers={NotFound: lambda: WAMPError("com.example.of_realm")})
    app = Application(
        [realm],
        exception_handlers={
            NotFound: lambda: WAMPError("com.example.of_app"),
            DocumentNotFound: lambda: WAMPError("com.example.most_specific"),
        },
    )

    async def find(document: bool) -> None:
        raise DocumentNotFound if document else NotFound

    for target in app, realm:
        target.procedure("find")(find)

    for realm_uri, expected in ("office", "of_realm"), ("other", "of_app"):
        async with connect(app) as client:
            await client.join(realm_uri)
            assert await error_of(client, 48, 7, {}, "find", [True]) == ["com.example.most_specific"]
            assert await error_of(client, 48, 8, {}, "find", [False]) == [f"com.example.{expected}"]


async def test_exception_after_progress_is_handled() -> None:
    app = Application(exception_handlers={NotFound: not_found})

    @app.procedure("export")
    async def export() -> AsyncIterator[RPCProgressReport]:
        yield RPCProgressReport(1)
        raise NotFound("page 2")

    async with connect(app) as client:
        await client.join()
        await client.send(48, 7, {"receive_progress": True}, "export")
        assert await client.receive() == [50, 7, {"progress": True}, [1]]
        answer = await client.receive()

    assert answer[4:] == ["com.example.not_found", ["page 2"], {"kind": "NotFound"}]


async def test_exception_without_a_handler_stays_unexpected(caplog: pytest.LogCaptureFixture) -> None:
    app = failing(ValueError("secret"), exception_handlers={NotFound: not_found})

    assert await call(app, "fail") == [RUNTIME_ERROR]
    assert "procedure 'fail' failed" in caplog.text


@pytest.mark.parametrize(("code", "uri"), REQUESTS)
async def test_handler_of_exception_answers_but_the_exception_is_logged(
    code: int, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = failing(ValueError("secret"), exception_handlers={Exception: sorry})

    async with connect(app) as client:
        await client.join()
        assert await error_of(client, code, 7, {}, uri) == ["com.example.sorry"]

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "secret"


@pytest.mark.parametrize(
    ("error", "uri"),
    [
        (WAMPError("com.example.own"), "com.example.own"),
        (SubscribeError(), NOT_AUTHORIZED),
        (starlette.exceptions.HTTPException(404), "http.error.404"),
    ],
)
async def test_handler_of_exception_does_not_get_errors_that_need_no_handler(
    error: Exception, uri: str
) -> None:
    app = failing(error, exception_handlers={Exception: sorry})

    for code in 48, 32:
        async with connect(app) as client:
            await client.join()
            assert (await error_of(client, code, 7, {}, "fail"))[0] == uri


async def test_errors_of_arguments_can_be_handled() -> None:
    app = Application()

    @app.procedure("double")
    async def double(n: int) -> int:
        return 2 * n

    @app.exception_handler(InvalidArgument)
    def handle(exc: InvalidArgument) -> WAMPError:
        return WAMPError("com.example.invalid", exc.kwargs["errors"][0]["argument"])

    assert await call(app, "double", "two") == ["com.example.invalid", ["n"]]


@pytest.mark.parametrize("wrong", [None, "an answer", {"detail": "no"}])
async def test_handler_that_returns_no_error_is_a_fault(
    wrong: object, caplog: pytest.LogCaptureFixture
) -> None:
    app = failing(NotFound("d1"), exception_handlers={NotFound: lambda: wrong})

    assert await call(app, "fail") == [RUNTIME_ERROR]
    assert "must return or raise a WAMPError" in caplog.text
    assert "NotFound: d1" in caplog.text


async def test_exception_of_a_handler_is_logged_and_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    def broken(exc: NotFound) -> None:
        raise ZeroDivisionError("broken handler")

    app = failing(NotFound("d1"), exception_handlers={NotFound: broken, ZeroDivisionError: sorry})

    assert await call(app, "fail") == [RUNTIME_ERROR]
    assert "broken handler" in caplog.text
    assert "NotFound: d1" in caplog.text


async def test_cancelling_a_call_cancels_its_exception_handler() -> None:
    app, started = failing(NotFound()), anyio.Event()
    ended: list[str] = []

    @app.exception_handler(NotFound)
    async def hang() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    async with connect(app) as client:
        await client.join()
        await client.send(48, 7, {}, "fail")
        with anyio.fail_after(5):
            await started.wait()
        assert await client.ask(49, 7, {"mode": "kill"}) == [8, 48, 7, {}, CANCELED]

    assert ended == ["cancelled"]


async def test_caller_in_the_same_process_gets_the_exception_itself() -> None:
    app = failing(NotFound("d1"), exception_handlers={NotFound: not_found})

    with pytest.raises(NotFound, match="d1"):
        await app.call("fail")


async def test_exception_of_a_subscriber_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    handled: list[str] = []

    def handle(exc: NotFound) -> WAMPError:
        handled.append(str(exc))
        return not_found(exc)

    app = Application(exception_handlers={NotFound: handle})

    @app.subscriber("news")
    async def on_news() -> None:
        raise NotFound("d1")

    await app.publish("news")

    assert handled == []
    assert "NotFound: d1" in caplog.text


@pytest.mark.parametrize(
    ("status", "uri"),
    [
        (401, NOT_AUTHORIZED),
        (403, NOT_AUTHORIZED),
        (404, "http.error.404"),
        (422, "http.error.422"),
        (503, "http.error.503"),
    ],
)
@pytest.mark.parametrize("kind", [starlette.exceptions.HTTPException, fastapi.HTTPException])
async def test_http_exception_becomes_an_error_for_its_status(
    status: int, uri: str, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    detail = {"reason": "closed"} if kind is fastapi.HTTPException else "closed"
    app = failing(kind(status, detail, headers={"x-secret": "1"}))

    for code, request_uri in REQUESTS:
        async with connect(app) as client:
            await client.join()
            answer = await error_of(client, code, 7, {}, request_uri)
            assert answer == [uri, [detail], {"status": status}]
    assert caplog.records == []


async def test_http_exception_without_detail_has_the_phrase_of_its_status() -> None:
    answer = await call(failing(fastapi.HTTPException(404)), "fail")

    assert answer == ["http.error.404", ["Not Found"], {"status": 404}]


async def test_http_exception_can_have_another_handler() -> None:
    app = failing(fastapi.HTTPException(404, "no such document"))

    @app.exception_handler(starlette.exceptions.HTTPException)
    def handle(exc: starlette.exceptions.HTTPException) -> WAMPError:
        return WAMPError(f"com.example.http_{exc.status_code}", exc.detail)

    assert await call(app, "fail") == ["com.example.http_404", ["no such document"]]


async def test_handler_that_is_added_later_applies_to_later_sessions() -> None:
    app = failing(NotFound("d1"))
    assert await call(app, "fail") == [RUNTIME_ERROR]

    app.add_exception_handler(NotFound, not_found)

    assert (await call(app, "fail"))[0] == "com.example.not_found"


@pytest.mark.parametrize(
    ("exception", "problem"),
    [
        (404, "pass starlette.exceptions.HTTPException"),
        (KeyboardInterrupt, "derived from Exception"),
        ("NotFound", "derived from Exception"),
        (NotFound("d1"), "derived from Exception"),
    ],
)
def test_key_must_be_an_exception_class(exception: Any, problem: str) -> None:
    for target in Application(), Realm("office"):
        with pytest.raises(ConfigurationError, match=problem):
            target.exception_handler(exception)(not_found)
    with pytest.raises(ConfigurationError, match=problem):
        Application(exception_handlers={exception: not_found})


def test_class_has_one_handler() -> None:
    app = Application(exception_handlers={NotFound: not_found})

    with pytest.raises(ConfigurationError, match=r"not_found .* already handles NotFound"):
        app.exception_handler(NotFound)(not_found)


def test_handler_must_be_callable() -> None:
    with pytest.raises(ConfigurationError, match="handler for NotFound got 'text', which is not callable"):
        Application(exception_handlers={NotFound: "text"})  # type: ignore[dict-item]


async def yielding(exc: NotFound) -> AsyncIterator[None]:
    yield


def unfillable(exc: NotFound, page: int) -> None: ...


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        (yielding, "an exception handler must not yield"),
        (unfillable, "nothing can fill the parameter 'page'"),
    ],
)
def test_handler_that_cannot_be_called_fails_at_startup(handler: Any, problem: str) -> None:
    app = Application(exception_handlers={NotFound: handler})

    with pytest.raises(ConfigurationError, match=problem):
        app.check()
