from __future__ import annotations

from wampasgi.protocol.ids import is_id
from wampasgi.router.keyed_ids import keyed_ids


def test_id_depends_on_the_key_the_realm_the_kind_the_policy_and_the_uri() -> None:
    id_of = keyed_ids(b"key", "realm", "subscription")
    ids = {
        id_of("exact", "com.a"),
        id_of("prefix", "com.a"),
        id_of("exact", "com.b"),
        keyed_ids(b"other", "realm", "subscription")("exact", "com.a"),
        keyed_ids(b"key", "other", "subscription")("exact", "com.a"),
        keyed_ids(b"key", "realm", "registration")("exact", "com.a"),
    }
    assert len(ids) == 6
    assert all(map(is_id, ids))


def test_id_is_the_same_on_all_workers() -> None:
    one, other = (keyed_ids(b"key", "realm", "registration") for _ in range(2))
    assert one("wildcard", "com..a") == other("wildcard", "com..a")
