"""Types of TypeScript as a tree, and their text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

#: The longest line that the printer makes if it can break the line.
WIDTH: Final = 100
INDENT: Final = "  "

_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


@dataclass(frozen=True, slots=True)
class Name:
    """A type that is printed as it is: a name, a literal or any other text without line breaks."""

    text: str


@dataclass(frozen=True, slots=True)
class Union:
    """One of at least two types; :func:`union` makes one."""

    members: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Intersection:
    """At least two types at once."""

    members: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Array:
    """An array of any length."""

    item: Type


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a tuple type. Either all elements of a tuple have a name or none has one."""

    type: Type
    name: str | None = None
    optional: bool = False
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Tuple:
    """An array with a type for each position. Only the last element may be a rest."""

    elements: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Property:
    """A property of an object type; ``comment`` has the lines of its JSDoc."""

    key: str
    type: Type
    optional: bool = False
    comment: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Object:
    """An object type; ``index`` is the type of all other properties, if it may have others."""

    properties: tuple[Property, ...]
    index: Type | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """An object whose keys are optional and belong to a union of string literals."""

    keys: Type
    value: Type


Type: TypeAlias = Name | Union | Intersection | Array | Tuple | Object | Mapped

UNKNOWN: Final = Name("unknown")
NEVER: Final = Name("never")
NULL: Final = Name("null")
#: An object without properties. The type ``{}`` would accept any properties.
EMPTY: Final = Name("Record<string, never>")


def union(members: Iterable[Type]) -> Type:
    """Return the union of some types, without duplicates."""
    distinct: dict[Type, None] = {}
    for member in members:
        distinct.update(dict.fromkeys(member.members if isinstance(member, Union) else [member]))
    distinct.pop(NEVER, None)
    if UNKNOWN in distinct:
        return UNKNOWN
    if not distinct:
        return NEVER
    return next(iter(distinct)) if len(distinct) == 1 else Union(tuple(distinct))


def intersection(members: Iterable[Type]) -> Type:
    """Return the intersection of some types, without duplicates."""
    distinct = dict.fromkeys(members)
    distinct.pop(UNKNOWN, None)
    if not distinct:
        return UNKNOWN
    return next(iter(distinct)) if len(distinct) == 1 else Intersection(tuple(distinct))


def property_key(name: str) -> str:
    """Return a name as the key of a property, in quotes if it is not an identifier."""
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def jsdoc(lines: Sequence[str], indent: str = "") -> str:
    """Return a JSDoc comment with a line break at its end, or an empty string if there are no lines."""
    if not lines:
        return ""
    escaped = [line.rstrip().replace("*/", "*\\/") for text in lines for line in text.split("\n")]
    if len(escaped) == 1 and len(indent) + len(escaped[0]) + 7 <= WIDTH:
        return f"{indent}/** {escaped[0]} */\n"
    body = "".join(f"{indent} * {line}".rstrip() + "\n" for line in escaped)
    return f"{indent}/**\n{body}{indent} */\n"


def render(node: Type, indent: str = "", column: int = 0) -> str:
    """Return the text of a type, with line breaks if it does not fit in the line.

    ``indent`` is the indentation of the line that the type begins in, and ``column`` the number of characters
    before it. A line before a line break may end with spaces.
    """
    line = _one_line(node)
    if line is not None and column + len(line) < WIDTH:
        return line
    inner = indent + INDENT
    match node:
        case Name(text):
            return text
        case Union(members):
            # The bodies of its members are indented once more.
            deeper = inner + INDENT
            return "".join(f"\n{inner}| {_operand(member, deeper, len(deeper))}" for member in members)
        case Intersection(members):
            return " & ".join(_operand(member, indent, column) for member in members)
        case Array(item):
            return f"{_operand(item, indent, column)}[]"
        case Tuple(elements):
            lines = "".join(f"{inner}{_element(element, inner)},\n" for element in elements)
            return f"[\n{lines}{indent}]"
        case Object():
            return f"{{\n{members_of(node, inner)}{indent}}}"
        case Mapped(keys, value):
            start = f"{{ [K in {render(keys, indent, column)}]?: "
            return f"{start}{render(value, indent, column + len(start))} }}"


def render_after(start: str, node: Type, indent: str = "") -> str:
    """Return the beginning of a line and a type after it."""
    return start + render(node, indent, len(start))


def members_of(node: Object, indent: str, *, quote: bool = False) -> str:
    """Return the lines of an object type between its braces.

    If ``quote`` is true, all keys are in quotes, otherwise those that are not identifiers.
    """
    lines = []
    for prop in node.properties:
        key = json.dumps(prop.key, ensure_ascii=False) if quote else property_key(prop.key)
        start = f"{indent}{key}{'?' if prop.optional else ''}: "
        lines.append(f"{jsdoc(prop.comment, indent)}{render_after(start, prop.type, indent)};\n")
    if node.index is not None:
        lines.append(f"{render_after(f'{indent}[key: string]: ', node.index, indent)};\n")
    return "".join(lines)


def _operand(node: Type, indent: str, column: int) -> str:
    """Return the text of a type as a part of another one, in parentheses if it needs them."""
    if not isinstance(node, Union | Intersection):
        return render(node, indent, column)
    text = render(node, indent, column + 1)
    return f"({text}\n{indent})" if text.startswith("\n") else f"({text})"


def _element(element: Element, indent: str) -> str:
    start = _element_start(element)
    return start + _element_type(element, render(element.type, indent, len(indent) + len(start)))


def _element_start(element: Element) -> str:
    dots = "..." if element.rest else ""
    if element.name is None:
        return dots
    return f"{dots}{element.name}{'?' if element.optional else ''}: "


def _element_type(element: Element, text: str) -> str:
    compound = isinstance(element.type, Union | Intersection)
    if element.rest:
        return f"({text})[]" if compound else f"{text}[]"
    if element.optional and element.name is None:
        return f"({text})?" if compound else f"{text}?"
    return text


def _one_line(node: Type) -> str | None:
    """Return the text of a type in one line, or None if it has comments."""
    match node:
        case Name(text):
            return text
        case Union(members):
            return _join(members, " | ")
        case Intersection(members):
            return _join(members, " & ")
        case Array(item):
            operand = _join([item], "")
            return None if operand is None else f"{operand}[]"
        case Tuple(elements):
            texts = [_one_line(element.type) for element in elements]
            pairs = [
                _element_start(element) + _element_type(element, text)
                for element, text in zip(elements, texts, strict=True)
                if text is not None
            ]
            return f"[{', '.join(pairs)}]" if len(pairs) == len(elements) else None
        case Object():
            return _object_line(node)
        case Mapped(keys, value):
            parts = [_one_line(keys), _one_line(value)]
            return None if None in parts else f"{{ [K in {parts[0]}]?: {parts[1]} }}"


def _join(members: Iterable[Type], separator: str) -> str | None:
    texts = []
    for member in members:
        text = _one_line(member)
        if text is None:
            return None
        texts.append(f"({text})" if isinstance(member, Union | Intersection) else text)
    return separator.join(texts)


def _object_line(node: Object) -> str | None:
    if any(prop.comment for prop in node.properties):
        return None
    members = [
        (f"{property_key(prop.key)}{'?' if prop.optional else ''}", prop.type) for prop in node.properties
    ]
    if node.index is not None:
        members.append(("[key: string]", node.index))
    texts = [(key, _one_line(type)) for key, type in members]
    if any(text is None for _, text in texts):
        return None
    return f"{{ {'; '.join(f'{key}: {text}' for key, text in texts)} }}" if texts else "{}"
