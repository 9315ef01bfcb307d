"""URI patterns as template literal types of TypeScript."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_INLINE_FLAGS: Final = re.compile(r"\(\?[a-zA-Z]+\)")
# The group that a router makes of its own prefix.
_PREFIX_GROUP: Final = re.compile(r"\(\?-i:(?P<escaped>(?:\\.|[^()\\])*)\)")
# A character or an escaped punctuation mark without a quantifier, or anything else.
_LITERAL: Final = re.compile(r"(?:\\[^\w]|[^.^$*+?{}\[\]\\|()])(?![*+?{])|(?P<stop>.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class URIPattern:
    """The literal parts of a pattern, with a gap between each two of them.

    A gap of a wildcard pattern stands for one component, any other one for any text.
    """

    parts: tuple[str, ...]
    wildcard: bool = False

    @property
    def template(self) -> str:
        """The text between the backticks of a template literal type."""
        return "${string}".join(_escape_template(part) for part in self.parts)

    @property
    def type(self) -> str:
        """The type of the URIs that match, which may include some others."""
        return "string" if self.parts == ("", "") else f"`{self.template}`"

    @property
    def regular_expression(self) -> str:
        """A regular expression for the URIs that match, in the syntax that JavaScript and Python share."""
        gap = "[^.]+" if self.wildcard else ".*"
        escaped = (re.sub(r"[\\^$.*+?()[\]{}|/]", r"\\\g<0>", part) for part in self.parts)
        return f"^{gap.join(escaped)}$"

    def matches(self, uri: str) -> bool:
        """Return whether a URI matches."""
        return re.fullmatch(self.regular_expression, uri, re.DOTALL) is not None


def uri_pattern(match: str, uri: str) -> URIPattern:
    """Return the pattern of a procedure or topic with this match policy: prefix, wildcard or regex.

    Of a regular expression, only the text that all its matches begin with is kept.
    """
    if match == "wildcard":
        parts = [""]
        for index, component in enumerate(uri.split(".")):
            parts[-1] += "." if index else ""
            if component:
                parts[-1] += component
            else:
                parts.append("")
        return URIPattern(tuple(parts), wildcard=True)
    return URIPattern((literal_prefix(uri) if match == "regex" else uri, ""))


def precedence(match: str, uri: str) -> tuple[int, tuple[int, ...], str]:
    """Return a key that sorts patterns as the router prefers them.

    Prefixes come first, the longest of them before others, then wildcards, then regular expressions.
    """
    if match == "prefix":
        return 0, (-len(uri),), uri
    if match == "wildcard":
        return 1, tuple([-1 if component else 0 for component in uri.split(".")]), uri
    return 2, (), ""


def literal_prefix(expression: str) -> str:
    """Return text that every match of a regular expression begins with; it may be shorter than possible."""
    flags = _INLINE_FLAGS.match(expression)
    prefix = ""
    if flags is not None:
        expression = expression[flags.end() :]
    group = _PREFIX_GROUP.match(expression)
    if group is not None:
        prefix = re.sub(r"\\(.)", r"\1", group["escaped"])
        expression = expression[group.end() :]
    changes_letters = flags is not None and not {"i", "x"}.isdisjoint(flags[0])
    if changes_letters or "|" in _outside_groups(expression):
        return prefix
    return prefix + _literal(expression)


def _literal(expression: str) -> str:
    """Return the literal text at the beginning of an expression."""
    text = ""
    for token in _LITERAL.finditer(expression.removeprefix("^")):
        if token["stop"] is not None:
            break
        text += token[0][-1]
    return text


def _outside_groups(expression: str) -> str:
    """Return an expression without escaped characters, character classes and groups."""
    expression = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "", expression)
    while (inner := re.sub(r"\([^()]*\)", "", expression)) != expression:
        expression = inner
    return expression


def _escape_template(text: str) -> str:
    return re.sub(r"\\|`|\$\{", lambda found: "\\" + found[0], text)
