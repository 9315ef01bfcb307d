"""The app for wampasgi."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from wampasgi import Application, Depends, Limits, Realm, Session

app = Application()


@app.procedure("echo")
async def echo(value: Any) -> Any:
    return value


async def current_session_id(session: Session) -> int:
    return session.id


@app.procedure("typed_echo")
async def typed_echo(
    value: int,
    share: Annotated[float, Field(ge=0, le=1)],
    session_id: Annotated[int, Depends(current_session_id)],
) -> tuple[int, float]:
    assert session_id
    return value, share


@app.topic("news")
async def news() -> Any:
    yield


@app.procedure("publish")
async def publish() -> None:
    await app.publish("news", "text")


# Realms for measuring a call among ten and among a thousand procedures.
for count in (10, 1000):
    realm = Realm(f"procedures.{count}")
    for number in range(count):
        realm.procedure(f"procedure.{number}")(echo)
    app.add_realm(realm)

# A router without rules: clients may register, call, subscribe and publish everything.
router = Realm("router", limits=Limits(subscriptions=2000))
router.allow_all()
app.add_realm(router)
