"""The annotations of a class, as types."""

from __future__ import annotations

import sys
import typing
from inspect import get_annotations
from typing import Any, Final

_UNRESOLVABLE: Final = (ArithmeticError, AttributeError, LookupError, NameError, SyntaxError, TypeError)


def hints_of(cls: type) -> dict[str, Any]:
    """Return the annotations of a class and its bases, by name, with the metadata of ``Annotated``.

    In contrast to ``typing.get_type_hints``, one that cannot be resolved does not affect the others. It
    remains a string.
    """
    return {
        name: _resolved(base, name, annotation)
        for base in reversed(cls.__mro__)
        for name, annotation in get_annotations(base).items()
    }


def _resolved(cls: type, name: str, annotation: Any) -> Any:
    def probe() -> None:
        """Hold this annotation alone."""

    probe.__annotations__ = {name: annotation}
    module = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    try:
        return typing.get_type_hints(probe, module, dict(vars(cls)), include_extras=True)[name]
    except _UNRESOLVABLE:
        return annotation
