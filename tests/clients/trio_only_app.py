"""An application that supports only trio."""

from __future__ import annotations

from wampasgi import Application, TrioAsyncSupport

app = Application(async_support=TrioAsyncSupport)
