"""The callees and claims of a realm that several workers serve, as its workers replicate them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from wampasgi.protocol.messages import Register
from wampasgi.protocol.uris import MATCH_POLICIES
from wampasgi.router.cluster_items import ItemCode
from wampasgi.router.realm_channel import RealmChannel
from wampasgi.router.registrations import INVOKE_POLICIES, InvokePolicy
from wampasgi.router.replicas import Item, MalformedItem
from wampasgi.router.stamps import Stamp
from wampasgi.types import Match

#: A match policy and a procedure or pattern.
Key: TypeAlias = tuple[Match, str]


def key_of(message: Register) -> Key:
    """Return the key that a REGISTER is for."""
    return message.options.get("match", "exact"), message.procedure


def revocation(key: Key, session_id: int, reason: str | None) -> Item:
    """Return the item that lets the worker of a session revoke its registration."""
    return [ItemCode.REVOKE_CALLEE, session_id, *key, reason]


@dataclass(slots=True, eq=False)
class CalleeRow:
    """A callee of any worker: a row of ``node``.

    ``elder`` is the session of another worker that is to publish the creation of the registration, because
    it has claimed it before. It is None if the creation was published, and for rows of other workers.
    """

    node: int
    session_id: int
    invoke: InvokePolicy
    forward_timeout: bool
    disclose_caller: bool
    stamp: Stamp
    created: str
    elder: int | None = None

    def item(self, key: Key) -> Item:
        """Return the item that announces the row."""
        match, procedure = key
        rule = [self.invoke, self.forward_timeout, self.disclose_caller]
        return [ItemCode.CALLEE, self.session_id, match, procedure, *rule, self.stamp[0], self.created]


@dataclass(slots=True, eq=False)
class Claim:
    """A registration that the other workers have not all agreed to.

    A ``lost`` claim has an older rival. A ``revoked`` one was revoked for ``reason`` before it was decided.
    A ``forgotten`` one is unknown to the workers that have received a snapshot meanwhile.
    """

    row: CalleeRow
    lost: bool = False
    forgotten: bool = False
    revoked: bool = False
    reason: str | None = None


def read_row(channel: RealmChannel, node: int, fields: list[Any]) -> tuple[Key, CalleeRow]:
    """Return the key and the row of a claim or CALLEE item of another worker; raises MalformedItem."""
    session_id, match, procedure, invoke, forward_timeout, disclose_caller, time, created = fields
    if match not in MATCH_POLICIES or invoke not in INVOKE_POLICIES:
        raise MalformedItem(f"a registration with match={match!r} and invoke={invoke!r}")
    stamp = channel.observe(time, node)
    row = CalleeRow(node, session_id, invoke, forward_timeout, disclose_caller, stamp, created)
    return (match, procedure), row
