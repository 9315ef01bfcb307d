"""How fast wampasgi is, beside a bare ASGI app on the same server; ``make bench`` runs it."""
