"""The users who are on the team board, and the admin who can throw them out."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

from examples.team_board.database import UsedDatabase
from examples.team_board.login import CurrentUser
from wampasgi import Realm, Session, WAMPRouter

wamp = WAMPRouter(prefix="board.")

#: Sessions per user. A user can have the board open in several tabs.
online: Counter[str] = Counter()


async def track_presence(session: Session, realm: Realm) -> AsyncIterator[None]:
    """Count a session from WELCOME to its end, no matter how it ends."""
    name = session.identity.name
    online[name] += 1
    if online[name] == 1:
        await realm.publish("board.online", sorted(online))
    yield
    online[name] -= 1
    if not online[name]:
        del online[name]
        await realm.publish("board.online", sorted(online))


@wamp.topic("online")
async def online_users(session: Session, topic_uri: str) -> AsyncIterator[None]:
    await session.send_event(topic_uri, [sorted(online)])  # so that subscribers need not ask for it
    yield


@wamp.procedure("kick", roles="admin")
async def kick(name: str, user: CurrentUser, database: UsedDatabase, realm: Realm) -> int:
    """Block a user and end their sessions. Return the number of these."""
    await database.block_user(name)  # so that the user's token is worth nothing any more
    sessions = [session for session in realm.sessions.values() if session.authid == name]
    for session in sessions:
        await session.close("com.example.board.kicked", f"{user.name} has removed you from the board")
    return len(sessions)
