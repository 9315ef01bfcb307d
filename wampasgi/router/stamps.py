"""Stamps: the order of changes that several workers make to one realm."""

from __future__ import annotations

from typing import TypeAlias

#: The time of a change in microseconds since the epoch, and the ID of the node that made it. Stamps of all
#: nodes have one order.
Stamp: TypeAlias = tuple[int, int]
