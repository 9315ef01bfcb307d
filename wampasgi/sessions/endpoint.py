"""The innermost app of a realm: opens a session, serves it and ends it."""

from __future__ import annotations

from typing import Any

import anyio

from wampasgi.adapters import support_for_running_loop
from wampasgi.configuration.plan import RealmPlan
from wampasgi.errors import RUNTIME_ERROR
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.protocol.features import welcome_roles
from wampasgi.protocol.messages import Welcome
from wampasgi.sessions.lifespan import LifespanHandlers
from wampasgi.sessions.message_loop import MessageLoop
from wampasgi.sessions.server_session import ServerSession
from wampasgi.types import Receive, Scope, Send


class SessionEndpoint:
    """Serves the sessions that the authenticators have accepted.

    ``server`` is the realm's own session.
    """

    def __init__(self, server: ServerSession) -> None:
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send WELCOME, serve the session, and return when all its tasks have ended."""
        session: Session = scope["wamp.session"]
        peer: Peer = scope["wamp.peer"]
        plan: RealmPlan = scope["wamp.plan"]
        support = support_for_running_loop(plan.async_support)
        peer.attach(receive, send)
        session.login = None
        await peer.send_now(Welcome(session.id, _welcome_details(session)))
        if peer.ending is not None:
            # The session was refused while WELCOME was written.
            return
        # The writers end last, so that messages sent in the teardown of handlers are still written.
        async with support.task_owner() as writers:
            loop = MessageLoop(session, peer, plan, self._server, writers)
            peer.open(writers, loop)
            plan.router.join(session, peer)
            try:
                if plan.has_two_part_handlers:
                    async with anyio.create_task_group() as handlers:
                        await loop.run(support.task_owner(), handlers)
                else:
                    # No task group: it would be a tenth of the memory of an idle session.
                    await loop.run(support.task_owner(), None)
            finally:
                plan.router.leave(session.id)
                peer.end()
                await peer.flush()


def _welcome_details(session: Session) -> dict[str, Any]:
    found = session.authentication
    details = {
        "realm": session.realm_uri,
        "roles": welcome_roles(),
        "agent": "wampasgi",
        "authid": found.authid,
        "authrole": found.authrole,
        "authmethod": found.authmethod,
        "authprovider": found.authprovider,
        "authextra": found.authextra,
    }
    return {name: value for name, value in details.items() if value is not None}


async def serve_with_early_handlers(plan: RealmPlan, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a session with the lifespan handlers that begin before it is authenticated."""
    lifespan = LifespanHandlers(
        plan.early_lifespan_handlers,
        plan.provided_for(scope["wamp.session"]),
        teardown_timeout=plan.limits.teardown_timeout,
    )
    failure: Exception | None = None
    async with anyio.create_task_group() as handlers:
        try:
            if await lifespan.begin(handlers):
                await plan.app(scope, receive, send)
            else:
                await scope["wamp.peer"].refuse(RUNTIME_ERROR, "the session could not be started")
        except Exception as error:  # noqa: BLE001 - raised again below
            # The task group would wrap it in an exception group.
            failure = error
        finally:
            lifespan.end()
    if failure is not None:
        raise failure
