from __future__ import annotations

from tests.frame_line import connect_each_way

__all__ = ["connect_each_way"]
