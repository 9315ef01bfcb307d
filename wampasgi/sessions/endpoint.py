"""The innermost app of a realm: it opens a session and sees to its end."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import anyio

from wampasgi.adapters import support_for_running_loop
from wampasgi.configuration.plan import BuiltRealm
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.protocol.features import welcome_roles
from wampasgi.protocol.messages import Welcome
from wampasgi.sessions.message_loop import OpenSession
from wampasgi.types import Receive, Scope, Send


class SessionEndpoint:
    """Serves the sessions that authentication, or the lack of it, has let in."""

    def __init__(self, built: Callable[[], BuiltRealm]) -> None:
        self._built = built

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send WELCOME, serve the session, and return when everything it started has ended."""
        session: Session = scope["wamp.session"]
        peer: Peer = scope["wamp.peer"]
        built = self._built()
        support = support_for_running_loop(built.async_support)
        peer.attach(receive, send)
        await peer.send_now(Welcome(session.id, _welcome_details(session)))
        if peer.ending is not None:
            # It was refused while WELCOME was written.
            return
        peer.handshake.deadline = math.inf
        # The writers end last: what the handlers say in their teardown is still written.
        async with support.task_owner() as writers:
            peer.open(writers)
            built.joined.join(session, peer)
            try:
                if built.has_two_part_handlers:
                    async with anyio.create_task_group() as handlers:
                        opened = OpenSession(session, peer, built, handlers, writers)
                        await opened.run(support.task_owner())
                else:
                    # A task group takes a tenth of what an idle session does.
                    await OpenSession(session, peer, built, None, writers).run(support.task_owner())
            finally:
                built.joined.leave(session)
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
