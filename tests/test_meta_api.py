"""The router's own procedures, called over WebSockets in memory and by the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.websocket import WebSocket, connect
from wampasgi import Application, Identity, Session, WAMPError

pytestmark = pytest.mark.anyio

GOODBYE, ERROR, PUBLISH, SUBSCRIBE, SUBSCRIBED = 6, 8, 16, 32, 33
UNSUBSCRIBE, UNSUBSCRIBED, EVENT = 34, 35, 36
CALL, CANCEL, RESULT, REGISTER, REGISTERED = 48, 49, 50, 64, 65
UNREGISTER, UNREGISTERED = 66, 67

ISO_8601_UTC = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def open_app(**options: Any) -> Application:
    """An app whose clients may do everything, and are in HELLO who they say they are."""
    app = Application(**options)
    app.allow_all()
    app.add_transport_authenticator(who_it_says_it_is)
    return app


async def who_it_says_it_is(session: Session) -> Identity:
    extra = session.details.get("authextra", {})
    return Identity(authid=session.authid, authrole=extra.get("role"))


class Client:
    """One client that has joined."""

    def __init__(self, websocket: WebSocket, welcome: list[Any]) -> None:
        self.websocket = websocket
        self.id: int = welcome[1]
        self.details: dict[str, Any] = welcome[2]
        self._request_id = 0
        self.disconnect = websocket.disconnect
        self.receive = websocket.receive
        self.send = websocket.send

    async def ask(self, code: int, *rest: Any) -> list[Any]:
        """Send a request and return the answer."""
        self._request_id += 1
        return await self.websocket.ask(code, self._request_id, *rest)

    async def call(self, procedure: str, *args: Any, **kwargs: Any) -> Any:
        """The positional results of a call: nothing, the one there is, or an error as WAMPError."""
        answer = await self.ask(CALL, {}, procedure, list(args), kwargs)
        if answer[0] == ERROR:
            raise WAMPError(answer[4], *answer[5:6])
        assert answer[:3] == [RESULT, self._request_id, {}], answer
        results = answer[3] if len(answer) > 3 else []
        assert len(answer) <= 4
        assert len(results) <= 1
        return results[0] if results else None

    async def subscribe(self, topic: str, **options: Any) -> int:
        answer = await self.ask(SUBSCRIBE, options, topic)
        assert answer[0] == SUBSCRIBED, answer
        subscription_id: int = answer[2]
        return subscription_id

    async def register(self, procedure: str, **options: Any) -> int:
        answer = await self.ask(REGISTER, options, procedure)
        assert answer[0] == REGISTERED, answer
        registration_id: int = answer[2]
        return registration_id

    async def event(self) -> list[Any]:
        """The positional arguments of the next event, and nothing else may come before."""
        message = await self.receive()
        assert message[0] == EVENT, message
        payload: list[Any] = message[4]
        return payload


@asynccontextmanager
async def clients(app: Application, *names: str, realm: str = "default") -> AsyncIterator[list[Client]]:
    """Clients that have joined, by their names ``authid/authrole``."""
    async with AsyncExitStack() as stack:
        joined = []
        for name in names:
            authid, _, role = name.partition("/")
            websocket = await stack.enter_async_context(connect(app))
            welcome = await websocket.join(realm, authid=authid, authextra={"role": role or "user"})
            joined.append(Client(websocket, welcome))
        yield joined


async def error_of(client: Client, procedure: str, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(WAMPError) as raised:
        await client.call(procedure, *args, **kwargs)
    return raised.value.uri


# Who may call


async def test_meta_procedures_are_closed_by_default() -> None:
    app = Application()
    app.allow("com.", "call", match="prefix")
    async with clients(app, "ann") as [ann]:
        assert await error_of(ann, "wamp.session.count") == "wamp.error.not_authorized"


@pytest.mark.parametrize("match", ["exact", "prefix"])
async def test_rule_opens_meta_procedures_for_one_role(match: Any) -> None:
    app = Application()
    app.add_transport_authenticator(who_it_says_it_is)
    app.allow("wamp.session.count" if match == "exact" else "wamp.", "call", match=match, role="admin")
    async with clients(app, "ann/admin", "bob/user") as [ann, bob]:
        assert await ann.call("wamp.session.count") == 2
        assert await error_of(bob, "wamp.session.count") == "wamp.error.not_authorized"


async def test_authorizer_opens_meta_procedures() -> None:
    app = Application()
    app.add_transport_authenticator(who_it_says_it_is)

    @app.authorizer
    async def may(session: Session, action: str, uri: str) -> bool:
        return session.authid == "ann" and (action, uri) == ("call", "wamp.session.count")

    async with clients(app, "ann", "bob") as [ann, bob]:
        assert await ann.call("wamp.session.count") == 2
        assert await error_of(ann, "wamp.session.list") == "wamp.error.not_authorized"
        assert await error_of(bob, "wamp.session.count") == "wamp.error.not_authorized"


@pytest.mark.parametrize("app", [Application(), open_app()])
async def test_unknown_meta_procedure_is_no_such_procedure(app: Application) -> None:
    async with clients(app, "ann") as [ann]:
        assert await error_of(ann, "wamp.session.levitate") == "wamp.error.no_such_procedure"


async def test_unknown_meta_procedure_is_refused_where_a_rule_refuses() -> None:
    app = Application()
    app.allow("wamp.", "call", match="prefix", role="admin")
    async with clients(app, "ann") as [ann]:
        assert await error_of(ann, "wamp.session.levitate") == "wamp.error.not_authorized"


async def test_server_calls_meta_procedures_without_any_permission() -> None:
    app = Application()
    async with clients(app, "ann") as [ann]:
        assert await app.call("wamp.session.list") == [ann.id]
        assert await app.call("wamp.session.kill", ann.id) is None
        assert (await ann.receive())[0] == GOODBYE
    with pytest.raises(WAMPError, match="no_such_procedure"):
        await app.call("wamp.session.levitate")


async def test_pattern_of_the_realm_does_not_answer_for_the_router() -> None:
    app = open_app()

    @app.procedure("", match="prefix")
    async def everything() -> str:
        return "the realm"

    @app.procedure(".*", match="regex")
    async def everything_else() -> str:
        return "the realm"

    async with clients(app, "ann") as [ann]:
        assert await ann.call("wamp.session.count") == 1
        assert await error_of(ann, "wamp.levitate") == "wamp.error.no_such_procedure"
        assert await ann.call("com.levitate") == "the realm"


async def test_handler_for_every_call_does_not_answer_for_the_router() -> None:
    app = open_app()

    @app.set_rpc_handler
    async def everything(request: Any) -> str:
        return "the realm"

    async with clients(app, "ann") as [ann]:
        assert await ann.call("wamp.session.count") == 1
        assert await ann.call("com.levitate") == "the realm"
        # What one handler answers has no registrations.
        assert await ann.call("wamp.registration.match", "com.levitate") is None


# CALL options


async def test_meta_procedure_takes_no_call_in_parts() -> None:
    async with clients(open_app(), "ann") as [ann]:
        features = {"progressive_call_invocations": True, "call_canceling": True}
        await ann.send(GOODBYE, {}, "wamp.close.normal")
        await ann.receive()
        await ann.websocket.join(roles={"caller": {"features": features}})
        answer = await ann.websocket.ask(CALL, 1, {"progress": True}, "wamp.session.count")
        assert answer[4] == "wamp.error.feature_not_supported"
        # What else comes of this call is discarded.
        await ann.send(CALL, 1, {"progress": True}, "wamp.session.count")
        assert await ann.websocket.ask(CALL, 2, {}, "wamp.session.count") == [RESULT, 2, {}, [1]]


async def test_options_of_a_call_change_nothing_for_a_meta_procedure() -> None:
    async with clients(open_app(), "ann") as [ann]:
        options = {"timeout": 1000, "receive_progress": True, "disclose_me": True}
        assert (await ann.ask(CALL, options, "wamp.session.count"))[3] == [1]
        await ann.send(CANCEL, 1, {"mode": "kill"})
        assert (await ann.ask(CALL, {}, "wamp.session.count"))[3] == [1]


async def test_meta_call_may_not_disclose_where_no_rule_permits_it() -> None:
    app = Application()
    app.allow("wamp.", "call", match="prefix")
    async with clients(app, "ann") as [ann]:
        answer = await ann.ask(CALL, {"disclose_me": True}, "wamp.session.count")
        assert answer[4] == "wamp.error.option_disallowed.disclose_me"
