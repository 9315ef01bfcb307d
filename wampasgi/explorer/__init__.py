"""The page on which people read about a realm, call its procedures and watch its topics."""

from wampasgi.explorer.endpoint import ExploredApplication, Explorer, docs_scope

__all__ = ["ExploredApplication", "Explorer", "docs_scope"]
