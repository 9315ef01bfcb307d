"""Being told of what happens to subscriptions and registrations."""

from __future__ import annotations

from typing import Protocol, TypeVar

T_contra = TypeVar("T_contra", contravariant=True)


class Observer(Protocol[T_contra]):
    """Is told by broker or registrations what happens to their entries, in order and before they return."""

    def created(self, session_id: int, entry: T_contra, /) -> None:
        """A session's request has created it; ``added`` follows."""

    def added(self, session_id: int, entry: T_contra, /) -> None:
        """A session was added to it."""

    def removed(self, session_id: int, entry: T_contra, /) -> None:
        """A session was removed from it."""

    def deleted(self, session_id: int, entry: T_contra, /) -> None:
        """It is no more, because its last session was removed."""

    def kept(self, entry: T_contra, /) -> None:
        """It was created by no session's request, and stays when its last session is removed."""
