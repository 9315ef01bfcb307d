"""A program that runs the router of xconn, with logins by ticket, WAMP-CRA and cryptosign."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

from wampproto.auth import IServerAuthenticator, Request, Response, WAMPCRAResponse
from xconn import Router, Server

from tests.client.other_routers import AUTHID, PUBLIC_KEY, REALM, ROLE, SECRET, free_port


class Authenticator(IServerAuthenticator):  # type: ignore[misc] # the package has no types
    """Knows one user. Sessions without a user are anonymous."""

    def methods(self) -> list[str]:
        return ["anonymous", "ticket", "wampcra", "cryptosign"]

    def authenticate(self, request: Request) -> Response:
        if request.method == "anonymous":
            return Response("anonymous", "anonymous")
        if request.authid != AUTHID:
            raise ValueError("there is no such user")
        if request.method == "wampcra":
            return WAMPCRAResponse(AUTHID, ROLE, SECRET)
        given, known = (
            (request.ticket, SECRET) if request.method == "ticket" else (request.public_key, PUBLIC_KEY)
        )
        if given != known:
            raise ValueError("the credentials are wrong")
        return Response(AUTHID, ROLE)


async def serve() -> None:
    router = Router()
    router.add_realm(REALM)
    server = Server(router, Authenticator())
    while True:
        port = free_port()
        try:
            await server.start("127.0.0.1", port)
        except OSError:
            # Another process has taken the port meanwhile.
            continue
        break
    print(port, file=sys.__stdout__, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    # xconn prints when it starts and whenever a client leaves.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        asyncio.run(serve())
