from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from wampasgi import Application, WAMPRoute
from wampasgi.cli.endpoints import endpoint_path, is_used

wamp = Application()


def included(route: BaseRoute) -> FastAPI:
    router = APIRouter(routes=[route])
    app = FastAPI()
    app.include_router(router, prefix="/api")
    return app


def with_others() -> Starlette:
    other = WebSocketRoute("/ws", PlainTextResponse("other"))
    return Starlette(routes=[other, Mount("/", Starlette(routes=[other])), Mount("/wamp", wamp)])


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: wamp, "/"),
        (lambda: Starlette(routes=[WAMPRoute("/ws", wamp)]), "/ws"),
        (lambda: Starlette(routes=[Mount("/wamp", wamp)]), "/wamp/"),
        (lambda: Starlette(routes=[Mount("", wamp)]), "/"),
        (lambda: Starlette(routes=[Mount("/a", Starlette(routes=[WAMPRoute("/ws", wamp)]))]), "/a/ws"),
        (lambda: Starlette(routes=[Mount("/a", Starlette(routes=[Mount("/b", wamp)]))]), "/a/b/"),
        (lambda: Starlette(routes=[Mount("/a", routes=[WAMPRoute("/ws", wamp)])]), "/a/ws"),
        (lambda: GZipMiddleware(Starlette(routes=[Mount("/wamp", GZipMiddleware(wamp))])), "/wamp/"),
        (lambda: FastAPI(routes=[WAMPRoute("/teams/{team}/ws", wamp)]), "/teams/{team}/ws"),
        (lambda: included(WAMPRoute("/ws", wamp)), "/api/ws"),
        (lambda: included(Mount("/wamp", wamp)), "/api/wamp/"),
    ],
)
def test_path_of_the_endpoint_is_that_of_websockets(make: Callable[[], Any], path: str) -> None:
    assert endpoint_path(make(), wamp) == path


def test_route_of_another_app_is_no_endpoint() -> None:
    # The mount at the root takes all requests, so nothing leads to the application.
    assert endpoint_path(with_others(), wamp) == "/wamp"


def test_path_that_the_app_itself_answers_is_used() -> None:
    docs = Route("/docs", PlainTextResponse("docs"))

    assert is_used(FastAPI(routes=[WAMPRoute("/ws", wamp)]), wamp, "/docs")
    assert is_used(GZipMiddleware(Starlette(routes=[docs])), wamp, "/docs")
    assert not is_used(FastAPI(docs_url=None), wamp, "/docs")


def test_path_that_only_the_application_could_answer_is_free() -> None:
    assert not is_used(wamp, wamp, "/docs")
    assert not is_used(Starlette(routes=[Mount("/", wamp)]), wamp, "/docs")
