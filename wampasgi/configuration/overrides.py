"""The replacements of dependencies, for tests: ``dependency_overrides``, as in FastAPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Self, TypeAlias

Function: TypeAlias = Callable[..., Any]

_NONE: Final[Mapping[Function, Function]] = {}


class DependencyOverrides(dict[Function, Function]):
    """A dict from dependencies to their replacements. ``changed`` is called after each change."""

    def __init__(self, changed: Callable[[], None], overrides: Mapping[Function, Function] = _NONE) -> None:
        super().__init__(overrides)
        self._changed = changed

    def __setitem__(self, dependency: Function, replacement: Function) -> None:
        super().__setitem__(dependency, replacement)
        self._changed()

    def __delitem__(self, dependency: Function) -> None:
        super().__delitem__(dependency)
        self._changed()

    def __ior__(self, other: Any) -> Self:  # type: ignore[override, misc]
        self.update(other)
        return self

    def clear(self) -> None:
        """Remove all overrides."""
        super().clear()
        self._changed()

    def pop(self, *args: Any) -> Any:
        """Remove an override and return it, like ``dict.pop``."""
        found = super().pop(*args)
        self._changed()
        return found

    def popitem(self) -> tuple[Function, Function]:
        """Remove the last override and return it."""
        found = super().popitem()
        self._changed()
        return found

    def setdefault(self, *args: Any) -> Any:
        """Add an override unless there is one, like ``dict.setdefault``."""
        found = super().setdefault(*args)
        self._changed()
        return found

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add overrides, like ``dict.update``."""
        super().update(*args, **kwargs)
        self._changed()


class ParentApp:
    """The app that an application is mounted in, such as a FastAPI."""

    __slots__ = ("app",)

    def __init__(self) -> None:
        #: The app, None if it is unknown. Its first connection makes it known.
        self.app: object = None

    @property
    def dependency_overrides(self) -> Mapping[Function, Function]:
        """The overrides of the parent. It has some if it is a FastAPI, or has this attribute by chance."""
        overrides = getattr(self.app, "dependency_overrides", None)
        return overrides if isinstance(overrides, Mapping) else _NONE
