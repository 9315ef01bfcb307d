"""Benchmarks that compare wampasgi with a bare ASGI app on the same server; ``make bench`` runs them."""
