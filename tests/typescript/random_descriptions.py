"""Random descriptions with hostile names and texts. Equal seeds give equal descriptions."""

from __future__ import annotations

import random
from typing import Any

_NAMES = """
Order Order-Input a.b Promise Record Error Set Partial Named K U P Uint8Array class string default async
symbol type undefined globalThis 2x Größe `x${y}` E"q _ $
"""
MODELS = tuple(_NAMES.split())
KEYS = (
    "a",
    "b-c",
    "class",
    "1",
    "*/",
    "`${x}`",
    '"',
    "'",
    "\\",
    "\n",
    "__proto__",
    "ä",
    "",
    "readonly",
    "x?",
)
VALUES: tuple[Any, ...] = (
    "a",
    1,
    1.5,
    -3,
    True,
    None,
    "`${x}`*/",
    {"a": [1, {"b-c": None}]},
    [],
    {},
    "\n\u2028",
)
TEXTS = ("text", "several\nlines */ end", "@param x", "/** x */", "*/")
PARAMETERS = ("a", "class", "in", "x-y", "default", "", "ü", "await", "this", "1")
URIS = (
    "a",
    "a.b",
    "a.b.c",
    "a.then",
    "then",
    "x.__proto__",
    "call.apply",
    "`${q}`.z",
    "é.ü",
    "a-b.c*/d",
    'q"\\',
    "1.2",
)
PATTERNS = (
    *(("prefix", uri) for uri in ("a.", "a.b", "`${q}", "")),
    *(("wildcard", uri) for uri in ("a..c", ".b", "a.", "..", "x.y")),
    *(("regex", uri) for uri in (r"a\.b.*", "x|y", "(?i)q", ".*", r"[/]x\/y", r"x\/y")),
)
KINDS = ("positional_only", "positional_or_keyword", "rest", "keyword_only", "keyword_rest")

MAX_DEPTH = 4


class Descriptions:
    """Makes the descriptions of one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def description(self) -> dict[str, Any]:
        uris = [("exact", uri) for uri in URIS] + self._random.sample(PATTERNS, 8)
        return {
            "realm": 'a "b"',
            "procedures": [self._procedure(match, uri) for match, uri in uris],
            "topics": [self._topic(match, uri) for match, uri in uris],
            "errors": [
                {"uri": uri, "description": self._random.choice(TEXTS), "payload": self._payload()}
                for uri in ("e.x", "e.y*/", "wamp.error.canceled")
            ],
            # Objects only: a type alias must not refer to itself directly.
            "$defs": {name: self._object(0) for name in MODELS},
        }

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _entry(self, match: str, uri: str) -> dict[str, Any]:
        return {
            "uri": uri,
            "match": match,
            "provider": self._random.choice(["realm", "client"]),
            "summary": self._random.choice([None, "Sum */ x"]),
            "description": self._random.choice([None, *TEXTS]),
            "tags": [],
            "deprecated": self._chance(0.2),
            "parameters": None if self._chance(0.2) else self._parameters(),
            "examples": [],
        }

    def _procedure(self, match: str, uri: str) -> dict[str, Any]:
        payloads = {"result": self._payload(), "progress": self._payload()}
        return {**self._entry(match, uri), **payloads, "progressive": self._chance(0.5), "errors": ["e.x"]}

    def _topic(self, match: str, uri: str) -> dict[str, Any]:
        permissions = {"subscribe": self._chance(0.7), "publish": self._chance(0.7)}
        return {**self._entry(match, uri), "event": self._payload(), **permissions}

    def _payload(self) -> dict[str, Any] | None:
        if self._chance(0.2):
            return None
        args = self._tuple(2)
        return {"args": args, "kwargs": self._object(3) if self._chance(0.3) else None}

    def _parameters(self) -> list[dict[str, Any]]:
        kinds = sorted(self._random.choices(KINDS, k=self._random.randint(0, 5)), key=KINDS.index)
        return [
            {
                "name": f"{self._random.choice(PARAMETERS)}{index}",
                "aliases": [],
                "kind": kind,
                "required": "rest" not in kind and self._chance(0.5),
                "schema": self._schema(2),
            }
            for index, kind in enumerate(kinds)
            if "rest" not in kind or kind not in kinds[:index]
        ]

    def _schema(self, depth: int) -> Any:
        draw = self._random
        if depth > MAX_DEPTH:
            return draw.choice(
                [{"type": "string"}, {"type": "null"}, {"$ref": f"#/$defs/{draw.choice(MODELS)}"}]
            )
        simple = [
            {"type": draw.choice(["string", "integer", "number", "boolean", "null"])},
            {"type": "string", "format": draw.choice(["binary", "uuid", "x*/"])},
            {"const": draw.choice(VALUES)},
            {"enum": draw.sample(VALUES, 3)},
            {"$ref": f"#/$defs/{draw.choice(MODELS)}"},
            draw.choice([{}, True, False, {"x-python-type": "a.B"}]),
        ]
        if self._chance(0.3):
            return draw.choice(simple)
        nested = [
            {"type": "array", "items": self._schema(depth + 1)},
            self._tuple(depth + 1),
            self._object(depth + 1),
            {draw.choice(["anyOf", "oneOf", "allOf"]): [self._schema(depth + 1) for _ in range(3)]},
            {
                "propertyNames": draw.choice([{"enum": ["a", "b"]}, {"const": "a"}, {"maxLength": 3}]),
                "additionalProperties": self._schema(depth + 1),
            },
        ]
        notes = {"description": draw.choice(TEXTS), "default": draw.choice(VALUES), "deprecated": True}
        chosen = draw.sample(sorted(notes), draw.randint(0, 3))
        return draw.choice(nested) | {key: notes[key] for key in chosen}

    def _tuple(self, depth: int) -> dict[str, Any]:
        length = self._random.randint(0, 3)
        schema: dict[str, Any] = {
            "type": "array",
            "prefixItems": [self._schema(depth + 1) for _ in range(length)],
            "minItems": self._random.randint(0, length),
        }
        further: dict[str, Any] = self._random.choice(
            [{"maxItems": length}, {"items": False}, {"items": self._schema(depth + 1)}, {}]
        )
        return schema | further

    def _object(self, depth: int) -> dict[str, Any]:
        keys = self._random.sample(KEYS, 3)
        further = [{}, {"additionalProperties": False}, {"additionalProperties": self._schema(depth + 1)}]
        return {
            "type": "object",
            "properties": {key: self._schema(depth + 1) for key in keys},
            "required": self._random.sample(KEYS, 2),
            **self._random.choice(further),
        }
