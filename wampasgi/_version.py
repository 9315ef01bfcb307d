"""The version of the package; nothing else says it."""

from __future__ import annotations

__version__ = "0.1.0"
