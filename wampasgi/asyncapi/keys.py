"""Keys of channels, components and messages in an AsyncAPI document."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Final, TypeVar

# AsyncAPI 3.1, "Components Object". Keys of channels and operations follow the same pattern, so that a
# reference to one needs no escapes.
_FORBIDDEN: Final = re.compile(r"[^A-Za-z0-9._-]")

K = TypeVar("K", bound=Hashable)


def valid_key(name: str) -> str:
    """Return ``name`` with an underscore for each character that AsyncAPI does not allow in keys."""
    return _FORBIDDEN.sub("_", name) or "_"


def unique_keys(candidates: Mapping[K, Sequence[str]]) -> dict[K, str]:
    """Return a key for each item, all of them different.

    ``candidates`` are the possible keys of each item, the preferred one first. If several items prefer the
    same key, none of them gets it. Items whose last candidates are equal are numbered in their order.
    """
    levels = dict.fromkeys(candidates, 0)

    def groups() -> dict[str, list[K]]:
        found: dict[str, list[K]] = defaultdict(list)
        for item, level in levels.items():
            found[valid_key(candidates[item][level])].append(item)
        return found

    advancing = True
    while advancing:
        advancing = False
        for items in groups().values():
            for item in items if len(items) > 1 else ():
                if levels[item] + 1 < len(candidates[item]):
                    levels[item] += 1
                    advancing = True
    keys: dict[K, str] = {}
    taken = set(groups())
    for key, items in groups().items():
        keys[items[0]] = key
        number = 2
        for item in items[1:]:
            while f"{key}_{number}" in taken:
                number += 1
            keys[item] = f"{key}_{number}"
            taken.add(keys[item])
    return keys


def component_keys(contents: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Return the component keys of named things of several realms.

    ``contents`` has the content of each thing, by its realm and name. Equal things with the same name are one
    component. Different things with the same name have the realm as the prefix of their keys.
    """
    owners: dict[tuple[str, str], str] = {}
    for (realm, name), content in contents.items():
        owners.setdefault((name, content), realm)
    keys = unique_keys({thing: (thing[0], f"{realm}.{thing[0]}") for thing, realm in owners.items()})
    return {(realm, name): keys[name, content] for (realm, name), content in contents.items()}
