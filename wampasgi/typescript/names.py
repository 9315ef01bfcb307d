"""Names of models and tuple elements in generated files."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection
from typing import Final

_WORDS: Final = """
any arguments as async await bigint boolean break case catch class const continue debugger declare default
delete do else enum eval export extends false finally for from function get if implements import in infer
instanceof interface is keyof let module namespace never new null number object of package private protected
public readonly return set static string super switch symbol this throw true try type typeof undefined unique
unknown var void while with yield
"""

#: The words that TypeScript reserves in at least one of the places that a generated name stands in.
RESERVED_WORDS: Final = frozenset(_WORDS.split())


def model_names(definitions: Collection[str], taken: frozenset[str]) -> dict[str, str]:
    """Return a name for each model: its own name if possible.

    Characters that identifiers cannot have are removed, and ``Model`` is added to names that are ``taken`` or
    reserved. Equal names get numbers.
    """
    refused = taken | RESERVED_WORDS
    # A name that needs no change is never given to another model.
    names = {each: each for each in definitions if identifier(each) == each and each not in refused}
    used = set(names)
    for definition in sorted(set(definitions) - used):
        base = identifier(definition)
        if base in refused:
            base += "Model"
        candidates = (base if number == 1 else f"{base}{number}" for number in itertools.count(1))
        name = next(each for each in candidates if each not in used and each not in refused)
        used.add(name)
        names[definition] = name
    return names


def identifier(text: str) -> str:
    """Return a text as an identifier: other characters are removed, and the next one becomes a capital."""
    first, *others = re.split(r"[^\w$]+", text)
    name = first + "".join(part[:1].upper() + part[1:] for part in others)
    return name if name.replace("$", "_").isidentifier() else f"_{name}"


def element_name(text: str) -> str:
    """Return the name of a parameter as the name of a tuple element."""
    name = identifier(text)
    return f"{name}_" if name in RESERVED_WORDS else name


def identifiers_in(code: str) -> frozenset[str]:
    """Return all identifiers in a piece of TypeScript, without those in comments."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", code, flags=re.DOTALL)
    return frozenset(re.findall(r"[A-Za-z_$][\w$]*", code))
