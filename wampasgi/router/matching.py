"""Matching of a URI against a set of URIs and URI patterns.

Subscriptions, registrations and permissions are all stored in a :class:`URIMap`, whose lookups are fast:

- An exact entry takes one dict lookup.
- Prefixes are sorted, and bisection finds the greatest one that is not greater than the URI. Every prefix of
  the URI is either this one or a prefix of it. Each prefix caches its next shorter one until a prefix is
  added or removed.
- Wildcard patterns are stored in a tree with a level for each component. A lookup follows at most two
  branches at each node: the URI's component, and the empty one.

:func:`matcher` is for the opposite case: one pattern and many URIs. :func:`covers`, :func:`overlaps` and
:func:`specificity` compare two patterns; permissions need them for requests that use patterns.

Spec: Advanced Profile, "Pattern-based Subscription" and "Pattern-based Registrations".
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from wampasgi.types import Match

T = TypeVar("T")


class URIMap(Generic[T]):
    """A map from URIs and URI patterns to values, with at most one value for each match policy and URI.

    ``match`` is the policy of the entry:

    - ``"exact"``;
    - ``"prefix"``: the URI begins with the characters of the entry, regardless of components, so that
      ``com.app`` matches ``com.app2`` and ``com.app.x``;
    - ``"wildcard"``: an empty component of the entry matches any one component, so that ``com..x`` matches
      ``com.app.x``.

    URIs are not validated. Values must not be None. ``len()`` counts the entries. Iteration yields the
    values: exact ones first, then prefixes, then wildcards, each kind in insertion order.
    """

    __slots__ = ("_exact", "_prefixes", "_wildcards")

    def __init__(self) -> None:
        self._exact: dict[str, T] = {}
        self._prefixes: _Prefixes[T] = _Prefixes()
        self._wildcards: _Wildcards[T] = _Wildcards()

    def __len__(self) -> int:
        return len(self._exact) + len(self._prefixes.values) + len(self._wildcards.values)

    def __iter__(self) -> Iterator[T]:
        yield from self._exact.values()
        yield from self._prefixes.values.values()
        yield from self._wildcards.values.values()

    def get(self, match: Match, uri: str) -> T | None:
        """Return the value that was added under exactly this policy and URI, or None."""
        return self._values(match).get(uri)

    def add(self, match: Match, uri: str, value: T) -> None:
        """Add an entry; raise ValueError if this policy and URI already have one."""
        if uri in self._values(match):
            raise ValueError(f"{match} entry {uri!r} exists already: remove it before adding another")
        if match == "exact":
            self._exact[uri] = value
        elif match == "prefix":
            self._prefixes.add(uri, value)
        else:
            self._wildcards.add(uri, value)

    def remove(self, match: Match, uri: str) -> T:
        """Remove an entry and return its value; raise KeyError if it does not exist."""
        if match == "exact":
            return self._exact.pop(uri)
        if match == "prefix":
            return self._prefixes.remove(uri)
        return self._wildcards.remove(uri)

    def matches(self, uri: str) -> list[T]:
        """Return the value of every entry that matches a URI.

        The order is: the exact entry, the prefixes from longest to shortest, the wildcards from best to worst
        as :meth:`best` ranks them.
        """
        exact = self._exact.get(uri)
        found = [] if exact is None else [exact]
        # Most realms have exact entries only, so that the other kinds must cost nothing if they are empty.
        if self._prefixes.values:
            found += self._prefixes.matches(uri)
        if self._wildcards.values:
            found += self._wildcards.matches(uri)
        return found

    def best(self, uri: str) -> T | None:
        """Return the value of the entry that matches a URI best, or None if none matches.

        The best match is the exact entry, else the longest prefix, else the wildcard whose first run of
        non-empty components is longest. If these runs are equal, the second runs decide, and so on.
        Spec: Advanced Profile, "Calls matching multiple registrations".
        """
        exact = self._exact.get(uri)
        if exact is not None:
            return exact
        if self._prefixes.values:
            longest = self._prefixes.longest(uri)
            if longest is not None:
                return longest.value
        if self._wildcards.values:
            wildcards = self._wildcards.matches(uri)
            if wildcards:
                return wildcards[0]
        return None

    def _values(self, match: Match) -> dict[str, T]:
        if match == "exact":
            return self._exact
        return self._prefixes.values if match == "prefix" else self._wildcards.values


class _Prefix(Generic[T]):
    """A prefix. ``shorter`` caches the longest other entry that is a prefix of it, as of ``version``."""

    __slots__ = ("shorter", "text", "value", "version")

    def __init__(self, text: str, value: T) -> None:
        self.text = text
        self.value = value
        self.shorter: _Prefix[T] | None = None
        self.version = -1


class _Prefixes(Generic[T]):
    """All prefixes, sorted; ``texts`` and ``nodes`` are parallel.

    The links from a prefix to the shorter ones are computed lazily, at a lookup that needs them. If they were
    updated at each change, a client could make the router visit all prefixes by adding and removing a short
    one.
    """

    __slots__ = ("by_text", "lengths", "nodes", "texts", "values", "version")

    def __init__(self) -> None:
        self.values: dict[str, T] = {}
        self.texts: list[str] = []
        self.nodes: list[_Prefix[T]] = []
        self.by_text: dict[str, _Prefix[T]] = {}
        # The number of prefixes of each length.
        self.lengths: dict[int, int] = {}
        # The number of changes so far. A link is stale if its version is another one.
        self.version = 0

    def longest(self, uri: str) -> _Prefix[T] | None:
        position = bisect_right(self.texts, uri)
        if not position:
            return None
        node: _Prefix[T] | None = self.nodes[position - 1]
        assert node is not None
        if node.version != self.version:
            self._link(node)
        while node is not None and not uri.startswith(node.text):
            node = node.shorter
        return node

    def matches(self, uri: str) -> list[T]:
        found = []
        node = self.longest(uri)
        while node is not None:
            found.append(node.value)
            node = node.shorter
        return found

    def _link(self, node: _Prefix[T]) -> None:
        """Link a prefix to all shorter ones, which are looked up by length."""
        text, version = node.text, self.version
        last = node
        for length in sorted(self.lengths, reverse=True):
            if length < len(text) and (shorter := self.by_text.get(text[:length])) is not None:
                last.shorter, last.version = shorter, version
                last = shorter
        last.shorter, last.version = None, version

    def add(self, text: str, value: T) -> None:
        position = bisect_left(self.texts, text)
        node = _Prefix(text, value)
        self.texts.insert(position, text)
        self.nodes.insert(position, node)
        self.by_text[text] = node
        self.values[text] = value
        self.lengths[len(text)] = self.lengths.get(len(text), 0) + 1
        self.version += 1

    def remove(self, text: str) -> T:
        value = self.values.pop(text)
        position = bisect_left(self.texts, text)
        del self.texts[position], self.nodes[position], self.by_text[text]
        self.lengths[len(text)] -= 1
        if not self.lengths[len(text)]:
            del self.lengths[len(text)]
        self.version += 1
        return value


class _Wildcards(Generic[T]):
    """All wildcard patterns, in a separate tree for each number of components."""

    __slots__ = ("trees", "values")

    def __init__(self) -> None:
        self.values: dict[str, T] = {}
        # A node maps components to nodes, and "" to the node for an empty component of a pattern. At the last
        # component, it maps to values.
        self.trees: dict[int, dict[str, Any]] = {}

    def matches(self, uri: str) -> list[T]:
        components = uri.split(".")
        tree = self.trees.get(len(components))
        if tree is None:
            return []
        reached: list[Any] = [tree]
        for component in components:
            # Of two patterns, the better one is not empty at the first component in which they differ,
            # because its run is longer. So following its branch first keeps the results in order.
            following = []
            for node in reached:
                branch = node.get(component)
                if branch is not None:
                    following.append(branch)
                if component:
                    branch = node.get("")
                    if branch is not None:
                        following.append(branch)
            if not following:
                return following
            reached = following
        return reached

    def add(self, uri: str, value: T) -> None:
        *path, last = uri.split(".")
        node = self.trees.setdefault(len(path) + 1, {})
        for component in path:
            node = node.setdefault(component, {})
        node[last] = value
        self.values[uri] = value

    def remove(self, uri: str) -> T:
        value = self.values.pop(uri)
        components = uri.split(".")
        nodes = [self.trees[len(components)]]
        for component in components[:-1]:
            nodes.append(nodes[-1][component])
        for node, component in zip(reversed(nodes), reversed(components), strict=True):
            del node[component]
            if node:
                break
        else:
            del self.trees[len(components)]
        return value


def matcher(match: Match, uri: str) -> Callable[[str], bool]:
    """Return a function that tells whether a URI matches this pattern; fast for many URIs."""
    if match == "exact":
        return uri.__eq__
    if match == "prefix":
        return lambda other: other.startswith(uri)
    # An empty component matches any one component.
    components = [re.escape(component) or "[^.]+" for component in uri.split(".")]
    fullmatch = re.compile(r"\.".join(components)).fullmatch
    return lambda other: fullmatch(other) is not None


def covers(match: Match, uri: str, inner_match: Match, inner_uri: str) -> bool:
    """Return whether a pattern matches every URI that an inner pattern matches."""
    if inner_match == "exact":
        return overlaps(match, uri, inner_match, inner_uri)
    if match == "exact":
        return inner_match == "wildcard" and inner_uri == uri and "" not in uri.split(".")
    if inner_match == "prefix":
        return match == "prefix" and inner_uri.startswith(uri)
    if match == "prefix":
        return _literal_prefix(inner_uri).startswith(uri)
    outer, inner = uri.split("."), inner_uri.split(".")
    return len(outer) == len(inner) and all(
        not given or given == component for given, component in zip(outer, inner, strict=True)
    )


def _literal_prefix(wildcard: str) -> str:
    """Return the longest prefix that all URIs matching a wildcard pattern have in common."""
    components = wildcard.split(".")
    if "" not in components:
        return wildcard
    return "".join([f"{component}." for component in components[: components.index("")]])


def overlaps(match: Match, uri: str, other_match: Match, other_uri: str) -> bool:
    """Return whether any URI can match both patterns."""
    if match == "prefix" and other_match == "prefix":
        return uri.startswith(other_uri) or other_uri.startswith(uri)
    if match == "prefix":
        return _prefix_overlaps(uri, other_uri, wildcard=other_match == "wildcard")
    if other_match == "prefix":
        return _prefix_overlaps(other_uri, uri, wildcard=match == "wildcard")
    if match == "exact" and other_match == "exact":
        return uri == other_uri
    components, others = uri.split("."), other_uri.split(".")
    return len(components) == len(others) and all(
        component == other
        or (match == "wildcard" and not component)
        or (other_match == "wildcard" and not other)
        for component, other in zip(components, others, strict=True)
    )


def _prefix_overlaps(prefix: str, other: str, *, wildcard: bool) -> bool:
    if not wildcard:
        return other.startswith(prefix)
    *whole, part = prefix.split(".")
    components = other.split(".")
    return (
        len(components) > len(whole)
        and all(not given or given == component for given, component in zip(components, whole, strict=False))
        and (not components[len(whole)] or components[len(whole)].startswith(part))
    )


def specificity(match: Match, uri: str) -> tuple[int, tuple[int, ...]]:
    """Return a sort key that is greatest for the best match of a URI, as :meth:`URIMap.best` ranks them."""
    if match == "exact":
        return 2, ()
    if match == "prefix":
        return 1, (len(uri),)
    return 0, tuple([1 if component else 0 for component in uri.split(".")])
