"""The interface of the procedures as nested functions: ``api.com.example.add(...)``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from wampasgi.typescript.types import INDENT, Type, jsdoc, property_key, render


@dataclass(slots=True)
class _Node:
    """A component of URIs, and the procedure whose URI ends here, if there is one."""

    comment: tuple[str, ...] = ()
    method: str | None = None
    named: Type | None = None
    children: dict[str, _Node] = field(default_factory=dict)


def api_interface(procedures: Iterable[tuple[str, tuple[str, ...], Type | None]]) -> str:
    """Return the interface ``Api`` for procedures: their URI, their comment and the type of named arguments.

    The type is None if not all arguments have names.
    """
    root = _Node()
    for uri, comment, named in procedures:
        components = uri.split(".")
        # An object with `then` would be a promise for `await`.
        if "then" in components:
            continue
        node = root
        for component in components:
            node = node.children.setdefault(component, _Node())
        node.comment, node.method, node.named = comment, uri, named
    lines = _children(root, INDENT)
    body = f"{{\n{lines}}}" if lines else "{}"
    return f"/** The procedures as functions. */\nexport interface Api {body}\n"


def _children(node: _Node, indent: str) -> str:
    return "".join(_member(name, child, indent) for name, child in sorted(node.children.items()))


def _member(name: str, node: _Node, indent: str) -> str:
    start = f"{indent}{property_key(name)}: "
    parts = []
    if node.method is not None:
        parts.append(_method(node.method, node.named, indent, len(start)))
    if node.children:
        parts.append(f"{{\n{_children(node, indent + INDENT)}{indent}}}")
    return f"{jsdoc(node.comment, indent)}{start}{' & '.join(parts)};\n"


def _method(uri: str, named: Type | None, indent: str, column: int) -> str:
    quoted = json.dumps(uri, ensure_ascii=False)
    if named is None:
        return f"Positional<{quoted}>"
    start = f"Named<{quoted}, "
    text = render(named, indent, column + len(start) + 1)
    return f"{start}{text}>"
