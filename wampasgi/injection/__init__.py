"""Dependency injection: signatures are read once, then each call binds and validates its arguments."""
