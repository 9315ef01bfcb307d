"""Dependency injection: signatures are read once, arguments are bound and validated for each call."""
